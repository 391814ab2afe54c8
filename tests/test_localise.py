"""Windows found for knobs, on a way whose every stage is known."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pytest
import torch
from known_world import Affine, affine

import steer
from steer.attribute import Attribute, FunctionMeasurer
from steer.backend import Backend, Sampler, Stage, State, SteeringCall
from steer.directions.localise import EDGES, localise
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.knob import LinearKnob, Window
from steer.latent import Latent
from steer.space import Space


@dataclass(frozen=True, eq=False)
class Relay(Affine):
    """Meets its dice in every stage: those in the middle half lighten the picture's red, all others its green."""

    count: int = 4

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {"z": Space("z", "input", (self.dice,), "normal")}

    def stages(self, latent: Latent, sampler: Sampler | None) -> Sequence[Stage]:
        return [Stage(k, (k / self.count, (k + 1) / self.count), frozenset({"z"})) for k in range(self.count)]

    def begin(self, latent: Latent, sampler: Sampler | None) -> State:
        return State({"z": latent["z"], "colour": torch.full((len(latent), 2), 0.5)})

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        die = steering("z", stage, state.tensors["z"])[:, 0] / self.count
        inside = 0.25 <= stage.interval[0] and stage.interval[1] <= 0.75
        share = torch.tensor([0.2, 0.0]) if inside else torch.tensor([0.0, 0.1])
        return State({**state.tensors, "colour": state.tensors["colour"] + die[:, None] * share})

    def picture(self, state: State) -> torch.Tensor:
        red, green = state.tensors["colour"].clamp(0, 1).unbind(1)
        return torch.stack([red, green, green], 1)[:, :, None, None].expand(-1, 3, 2, 2)

    def linear_map(self, observed: str, space: str) -> None:
        return None


COLOURS = FunctionMeasurer(
    {"red": lambda images: images[:, 0, 0, 0], "green": lambda images: images[:, 1, 0, 0]},
    {name: Attribute(name, "linear", 0, 1, "fraction", 0.1) for name in ("red", "green")},
)


def relay(count: int = 4) -> Generator:
    return Generator(cast(Backend, Relay(count=count)), name="relay")


def knob(attribute: str | None = "red") -> LinearKnob:
    return LinearKnob("die", "z", torch.eye(6)[0], range=(-1.0, 1.0), attribute=attribute)


def found(count: int, **options):  # type: ignore[no-untyped-def]
    return localise(relay(count), {"die": knob()}, measurer=COLOURS, judge=COLOURS, **options)


def test_the_window_is_where_the_target_is_made_and_nothing_else() -> None:
    knobs = found(4)
    assert knobs["die"].window == Window(0.25, 0.75)
    said = knobs.report["die"]
    assert said["before"]["leakage"]["green"] == pytest.approx(0.5, abs=0.01)  # two stages at half the share
    assert said["after"]["leakage"]["green"] == pytest.approx(0, abs=1e-4)
    assert said["after"]["gain"] == pytest.approx(said["before"]["gain"], rel=1e-4)
    assert len(said["tried"]) == 10  # five edges, taken two at a time


def test_less_gain_to_keep_allows_a_narrower_window() -> None:
    assert found(4, keep=0.5)["die"].window in (Window(0.25, 0.5), Window(0.5, 0.75))


def test_a_long_way_is_looked_at_coarsely() -> None:
    knobs = found(40)
    assert knobs["die"].window == Window(0.25, 0.75)
    assert len(knobs.report["die"]["tried"]) <= EDGES * (EDGES - 1) / 2


def test_a_space_that_is_met_once_keeps_the_whole_way_and_its_gain() -> None:
    lines = affine()
    die = LinearKnob("light", "z", lines.backend.directions[0], attribute="brightness")  # type: ignore[attr-defined]
    knobs = localise(lines, {"light": die})
    said = knobs.report["light"]
    assert said["after"] == said["before"]
    json.dumps(knobs.report, allow_nan=False)


def test_what_is_locked_decides() -> None:
    knobs = localise(relay(), {"die": knob()}, lock=["green"], measurer=COLOURS, judge=COLOURS)
    assert set(knobs.report["die"]["after"]["leakage"]) == {"green"}
    assert isinstance(knobs, steer.KnobSet)


def test_misuse_is_refused() -> None:
    with pytest.raises(BadInput, match="meant for nothing"):
        localise(relay(), {"die": knob(None)}, measurer=COLOURS, judge=COLOURS)
    with pytest.raises(BadInput, match="at most 1"):
        found(4, keep=1.5)
    with pytest.raises(UnknownName, match="attribute to lock"):
        found(4, lock=["blue"])

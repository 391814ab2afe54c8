"""Imitation of edits, in a world where it is known which dice do what."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import torch
from known_world import Affine, random_rotation
from torch import Tensor

import steer
from steer.backend import Backend, Sampler, Stage, State, SteeringCall
from steer.directions.edits import EDITS, Edit
from steer.directions.imitate import Imitate, _gauged, nearest_amount
from steer.errors import BadInput, Cancelled, UnknownName
from steer.generator import Generator
from steer.knob import CurveKnob, KnobSet, LinearKnob
from steer.latent import Latent
from steer.space import Space
from steer.testing import check_finder

PLACE, BRIGHTNESS, SIZE = 0.15, 0.08, 0.3
SIDE = 24


@dataclass(frozen=True, eq=False)
class Ball(Affine):
    """A soft ball on grey: two dice for its place, one for its size, one for the brightness of all, and two idle."""

    fingerprint: str = "ball"
    picture_size: tuple[int, int] = (SIDE, SIDE)

    @property
    def spaces(self) -> dict[str, Space]:
        return {"z": Space("z", "input", (self.dice,), "normal")}

    def stages(self, latent: Latent, sampler: Sampler | None) -> Sequence[Stage]:
        return [Stage(0, (0.0, 1.0), frozenset({"z"}))]

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        return replace(state, tensors={"h": steering("z", stage, state.tensors["h"]) @ random_rotation(6).T})

    def picture(self, state: State) -> Tensor:
        x, y, size, brightness = state.tensors["h"][:, :4, None, None].unbind(1)
        places = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
        far = (places - PLACE * x).square() + (places[:, None] - PLACE * y).square()
        grey = 0.4 + BRIGHTNESS * brightness
        ball = grey + 0.3 * torch.exp(-far / (0.18 * torch.exp2(2 * SIZE * size)))
        return ball[:, None].expand(-1, 3, -1, -1).clamp(0, 1)


TRUE = {
    "shift_x": (0, 2 / 100 / PLACE),  # pictures are 2 wide, an amount counts in hundredths of that
    "shift_y": (1, 2 / 100 / PLACE),
    "brightness": (3, 1 / 100 / BRIGHTNESS),
}
"""Which die an edit is, and how far one unit of it goes."""

QUICK = {"steps": 60, "batch": 8}


@pytest.fixture(scope="module")
def balls() -> Generator:
    return Generator(cast(Backend, Ball()), name="balls")


@pytest.fixture(scope="module")
def found(balls: Generator) -> KnobSet:
    return Imitate((*TRUE, "zoom"), steps=80, batch=8).find(balls)


@pytest.mark.parametrize("name", TRUE)
def test_a_walk_finds_the_die_that_does_what_the_edit_does_and_how_far_it_goes(found: KnobSet, name: str) -> None:
    knob = found[name]
    assert isinstance(knob, LinearKnob)
    axis, length = TRUE[name]
    true = length * random_rotation(6)[axis]
    assert float((knob.direction - true).norm() / true.norm()) < 0.1
    assert knob.unit == "percent"


def test_pictures_go_as_far_as_they_are_asked_to(balls: Generator, found: KnobSet) -> None:
    for name in TRUE:
        scores = found[name].provenance.scores
        assert scores["r2"] > 0.95, name
        assert scores["gain"] == pytest.approx(1, abs=0.05), name
    latent = balls.sample([1, 2, 3])
    shifted, mask = EDITS["shift_x"].apply(balls.decode(latent), torch.full((3,), 6.0))
    turned = balls.decode(latent, steer.Steering([(found["shift_x"], 6.0)]))
    assert float((mask * (turned - shifted)).abs().max()) < 0.03


def test_an_octave_of_zoom_doubles_what_is_in_the_middle(balls: Generator, found: KnobSet) -> None:
    knob = found["zoom"]
    assert isinstance(knob, LinearKnob)
    way = knob.direction @ random_rotation(6).T
    assert float(way[2] / way.norm()) > 0.95
    # A die of 1 is 0.3 octaves of the ball's width. Places go outwards with a zoom too, which no straight walk does: to
    # come nearest to the same zoom as a whole, the ball has to grow the more.
    assert 1 / SIZE < float(way[2]) < 1.35 / SIZE


@pytest.mark.slow
def test_a_curve_does_what_a_line_cannot(balls: Generator, found: KnobSet) -> None:
    # A zoom moves a ball outwards from wherever it is: each by another way.
    line, curve = found["zoom"], Imitate("zoom", walk="curve", steps=180, batch=8).find(balls)["zoom"]
    assert isinstance(curve, CurveKnob)
    latent = balls.sample(range(40))
    wanted, mask = EDITS["zoom"].apply(balls.decode(latent), torch.full((40,), 0.4))
    left = {}
    for knob in (line, curve):
        turned = balls.decode(latent, steer.Steering([(knob, 0.4)]))
        left[knob.kind] = float((mask * (turned - wanted)).square().mean())
    assert left["curve"] < 0.6 * left["linear"]


@pytest.mark.slow
def test_dice_go_round_where_the_edit_turns_what_they_stand_for(balls: Generator) -> None:
    # Turned pictures need the dice of a place turned: nowhere for a straight line to go.
    line, knob = (Imitate("rotate", walk=walk, **QUICK).find(balls)["rotate"] for walk in ("line", "round"))
    assert isinstance(line, LinearKnob) and isinstance(knob, CurveKnob)
    assert line.provenance.scores["r2"] < 0.2
    assert knob.provenance.scores["r2"] > 0.9
    values = 2 * balls.sample(range(40))["z"]  # far out, where a turn can be seen
    before, after = (
        each @ random_rotation(6).T for each in (values, values + knob.displacement(values, torch.full((40,), 25.0)))
    )
    cos, sin = math.cos(math.radians(25)), math.sin(math.radians(25))
    expected = torch.stack([cos * before[:, 0] + sin * before[:, 1], cos * before[:, 1] - sin * before[:, 0]], 1)
    left = (after[:, :2] - expected).square().sum() / (before[:, :2] - expected).square().sum()
    assert float(left) < 0.1
    assert torch.equal(knob.roll(values, values.flip(0)), values)  # no line that anything stands along


@pytest.mark.slow
def test_hues_go_round_unless_another_walk_is_asked_for(balls: Generator) -> None:
    quick = {"steps": 2, "batch": 4}
    assert Imitate("hue", **quick).find(balls)["hue"].kind == "curve"
    assert Imitate("hue", walk="line", **quick).find(balls)["hue"].kind == "linear"
    assert Imitate("zoom", **quick).find(balls)["zoom"].provenance.options["walk"] == "line"


def test_a_gauged_walk_goes_as_far_as_asked_on_the_same_way(balls: Generator) -> None:
    values, amount = balls.sample(range(4))["z"], torch.full((4,), 0.3)
    for walk in ("line", "curve"):
        knob = Imitate("zoom", walk=walk, steps=30, batch=4).find(balls)["zoom"]
        assert isinstance(knob, LinearKnob | CurveKnob)
        gauged = _gauged(knob, 0.8)
        torch.testing.assert_close(gauged.displacement(values, 0.8 * amount), knob.displacement(values, amount))


def test_pixels_that_an_edit_leaves_undefined_do_not_count(balls: Generator) -> None:
    def poisoned(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
        edited, _ = EDITS["brightness"].apply(images, amount)
        mask = torch.ones_like(images[:, :1])
        edited, mask = edited.clone(), mask.clone()
        edited[..., : SIDE // 3], mask[..., : SIDE // 3] = 1.0, 0.0
        return edited, mask

    edit = Edit("own", "percent", 20.0, poisoned)
    knob = Imitate(edit, **QUICK).find(balls)["own"]
    assert isinstance(knob, LinearKnob)
    true = TRUE["brightness"][1] * random_rotation(6)[3]
    assert float((knob.direction - true).norm() / true.norm()) < 0.15


def test_the_nearest_amount_is_read_off_pictures_that_were_edited(balls: Generator) -> None:
    images = balls.decode(balls.sample(range(7)))
    for name in ("zoom", "shift_x", "rotate", "brightness", "contrast"):
        edit = EDITS[name]
        images = images if name != "rotate" else images * torch.linspace(0.2, 1, SIDE)  # a ball alone looks the same
        amounts = torch.linspace(-0.8, 0.8, 7) * edit.reach
        assert nearest_amount(images, edit.apply(images, amounts)[0], edit).sub(amounts).abs().max() < 0.05 * edit.reach


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_stopped(balls: Generator, tmp_path: Path) -> None:
    quick = {"steps": 30, "batch": 4}
    file = tmp_path / "search.safetensors"
    names = ("shift_x", "brightness")
    whole = Imitate(names, **quick).find(balls)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 45:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Imitate(names, **quick, checkpoint=file).find(balls, progress=stop)
    assert seen == [(done, 60) for done in range(1, 46)]
    again: list[int] = []
    resumed = Imitate(names, **quick, checkpoint=file).find(balls, progress=lambda done, total: again.append(done))
    assert again == list(range(31, 61))  # from the last file, not from the beginning
    for name in names:
        assert torch.equal(resumed[name].direction, whole[name].direction)  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="not of this search"):
        Imitate(names, **quick, seed=1, checkpoint=file).find(balls)


@pytest.mark.slow
def test_curves_and_lines_are_saved_and_keep_the_promises_of_finders(balls: Generator, tmp_path: Path) -> None:
    check_finder(Imitate("shift_x", steps=3, batch=4), balls)
    check_finder(Imitate("shift_x", walk="curve", steps=9, batch=4), balls)
    knobs = Imitate("zoom", walk="curve", steps=30, batch=4).find(balls)
    knobs.save(tmp_path / "curve.safetensors")
    again, values = steer.load_knobs(tmp_path / "curve.safetensors")["zoom"], balls.sample(range(4))["z"]
    amounts = torch.tensor([0.3, -0.3, 0.1, 0.0])
    moved = knobs["zoom"].displacement(values, amounts)
    assert torch.equal(again.displacement(values, amounts), moved)
    assert not moved[3].any()
    back = knobs["zoom"].displacement(values + moved, -amounts)
    torch.testing.assert_close(values + moved + back, values, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"edit": "zom"}, UnknownName, "zoom"),
        ({"edit": ("zoom", "twist")}, UnknownName, "Edit of your own"),
        ({"space": "w"}, UnknownName, "z"),
        ({"steps": 0}, BadInput, "1 step"),
        ({"seed": -1}, BadInput, "seed"),
    ],
)
def test_what_cannot_be_imitated_is_refused_with_the_cure(balls, options, error, words) -> None:
    with pytest.raises(error, match=words):
        Imitate(**options).find(balls)

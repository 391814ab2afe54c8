"""The finder of flows, in worlds whose factors are known."""

from pathlib import Path

import pytest
import torch
from known_world import Truth, undrawn_aviary
from torch import Tensor

import steer
from steer.directions.flow import Flow
from steer.errors import BadInput, Cancelled, UnknownName
from steer.generator import Generator
from steer.knob import FlowKnob, KnobSet
from steer.testing import check_finder

QUICK = {"source": Truth(), "samples": 1_024, "rounds": 2, "hidden": 48, "steps": 400}


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def found(birds: Generator) -> KnobSet:
    return Flow(("size", "heading"), **{**QUICK, "samples": 3_072, "steps": 900}).find(birds)


def changes(birds: Generator, knob: FlowKnob, amount: float) -> dict[str, Tensor]:
    """Return by how much each number and angle changes, (64,) in spreads."""
    latent = birds.sample(range(64))
    before, after = (
        Truth().measure(birds.decode(latent, steer.Steering([(knob, turned)]))) for turned in (0.0, amount)
    )
    return {
        name: each.difference(after[name], before[name]) / each.spread
        for name, each in Truth.attributes.items()
        if each.kind != "categorical"
    }


def test_a_turn_of_one_moves_the_attribute_by_one_spread_and_nothing_else(birds: Generator, found: KnobSet) -> None:
    moved = changes(birds, found["size"], 0.7)
    assert float(moved["size"].median()) == pytest.approx(0.7, abs=0.05)
    # The true linear knob, through the normal CDF, misses by 0.21 at best.
    assert float((moved["size"] - 0.7).abs().mean()) < 0.17
    for name, values in moved.items():
        assert name == "size" or float(values.abs().median()) < 0.06, name


def test_an_angle_turns_by_its_degrees_wherever_it_starts(birds: Generator, found: KnobSet) -> None:
    knob = found["heading"]
    assert (knob.unit, knob.range) == ("degree", (-180.0, 180.0))
    for degrees in (60.0, -150.0):
        moved = changes(birds, knob, degrees)
        turned = moved["heading"] * Truth.attributes["heading"].spread
        assert float((torch.remainder(turned - degrees + 180, 360) - 180).abs().median()) < 12


def test_what_is_found_says_how_well_the_network_tells_each_attribute(found: KnobSet) -> None:
    assert set(found) == {"size", "heading"}
    assert found.report["samples"] == 3_072
    assert set(found.report["r2"]) == {name for name in Truth.attributes if name != "species"}
    assert 0.75 < min(found.report["r2"].values()) < max(found.report["r2"].values()) < 1
    assert found["size"].provenance.scores["r2"] == found.report["r2"]["size"]


def test_knobs_share_one_network_in_their_file_and_turn_the_same_after_it(
    birds: Generator, found: KnobSet, tmp_path: Path
) -> None:
    found.save(tmp_path / "flows.safetensors")
    one = KnobSet({"size": found["size"]})
    one.save(tmp_path / "one.safetensors")
    sizes = [(tmp_path / name).stat().st_size for name in ("flows.safetensors", "one.safetensors")]
    assert sizes[0] - sizes[1] < 8_000  # of the 30,000 of a network
    again = steer.load_knobs(tmp_path / "flows.safetensors")
    values = birds.sample(range(4))["z"]
    for name, knob in found.items():
        turned = torch.tensor([0.5, -0.5, 1.0, 0.0])
        assert torch.equal(again[name].displacement(values, turned), knob.displacement(values, turned))
    (KnobSet({**again})).save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").stat().st_size == pytest.approx(sizes[0], abs=2_000)


def test_flows_keep_the_promises_of_finders(birds: Generator) -> None:
    check_finder(Flow("x", hold=("size", "y"), **{**QUICK, "steps": 60}), birds)


def test_only_what_is_asked_for_is_held(birds: Generator) -> None:
    knobs = Flow("x", hold="size", **{**QUICK, "steps": 20}).find(birds)
    assert set(knobs.report["r2"]) == {"size", "x"}


def test_progress_counts_samples_and_steps_and_may_cancel(birds: Generator) -> None:
    seen: list[tuple[int, int]] = []
    Flow("x", **{**QUICK, "steps": 20}).find(birds, progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1] == (1_064, 1_064)

    def stop(done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Flow("x", **QUICK).find(birds, progress=stop)


class Blind(Truth):
    """Lets no gradients through."""

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        return super().measure(images.detach())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"space": "factors"}, BadInput, "z, species"),
        ({"attribute": "colour"}, UnknownName, "colour"),
        ({"attribute": "species"}, UnknownName, "number or angle"),
        ({"hold": ("species",)}, UnknownName, "number or angle"),
        ({"samples": 100}, BadInput, "100"),
        ({"seed": -1}, BadInput, "seed"),
        ({"source": Blind()}, BadInput, "gradients"),
        ({"source": "aviary-jugde"}, UnknownName, "aviary-judge"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_the_cure(birds, options, error, words) -> None:
    with pytest.raises(error, match=words):
        Flow(**{**QUICK, **options}).find(birds)

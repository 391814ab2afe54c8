"""Calibrated knobs: a turn of 1 is one spread of the attribute, whoever is turned; files and recipes hold them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from known_world import Truth, affine, undrawn_aviary

import steer
from steer.directions.calibrate import calibrate
from steer.directions.scorecard import scorecard
from steer.errors import BadInput, BrokenFile
from steer.generator import Generator
from steer.knob import CalibratedKnob, Knob, KnobSet, LinearKnob, RingKnob, knob_from_parts, knob_to_parts
from steer.registry import shipped_knobs

SPREAD = 0.14 / np.sqrt(12)


class Wavy(Truth):
    """Reads hues that go fast and slow: hue + 30 degrees times its sine."""

    def measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        read = super().measure(images)
        return {**read, "hue": torch.remainder(read["hue"] + 30 * torch.sin(torch.deg2rad(read["hue"])), 360)}


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def x(birds: Generator) -> LinearKnob:
    knob = shipped_knobs(birds)["x"]
    assert isinstance(knob, LinearKnob)
    return replace(knob, range=(-2.0, 2.0))


@pytest.fixture(scope="module")
def scale(birds: Generator, x: LinearKnob) -> CalibratedKnob:
    return calibrate(birds, x, measurer=Truth())


def test_the_scale_is_what_the_attribute_is_at_each_place(scale: CalibratedKnob) -> None:
    known = torch.special.ndtr(scale.coordinates) * 0.14 - 0.07
    assert (scale.levels * SPREAD).tolist() == pytest.approx(known.tolist(), abs=0.003)
    assert (scale.levels[1:] > scale.levels[:-1]).all()
    assert scale.unit == "spread"


def test_an_amount_moves_every_bird_by_as_much_where_there_is_room(birds: Generator, scale: CalibratedKnob) -> None:
    latent = birds.sample(range(200))
    before = Truth().measure(birds.decode(latent))["x"]
    for amount in (0.5, -0.8):
        after = Truth().measure(birds.decode(latent, steer.Steering([(scale, amount)])))["x"]
        room = ((before + amount * SPREAD).abs() < 0.062) & (before.abs() < 0.062)
        assert room.sum() > 100
        assert ((after - before)[room] / SPREAD).tolist() == pytest.approx([amount] * int(room.sum()), abs=0.06)


def test_a_calibrated_knob_tells_its_target_better(birds: Generator, x: LinearKnob, scale: CalibratedKnob) -> None:
    both = {"plain": x, "calibrated": replace(scale, range=(-1.0, 1.0))}
    plain, calibrated = (score.figures for score in scorecard(birds, both, measurer=Truth()).knobs)
    # A uniform attribute moved by up to one spread meets its ends: of a perfect knob 1 - r2 is then about 0.08.
    assert calibrated.r2 > 0.9 > plain.r2
    assert calibrated.gain == pytest.approx(1, abs=0.2)


def test_an_uneven_ring_goes_round_evenly(birds: Generator) -> None:
    hue = shipped_knobs(birds)["hue"]
    assert isinstance(hue, RingKnob)
    even = calibrate(birds, hue, measurer=Wavy())
    card = scorecard(birds, {"plain": hue, "even": even}, measurer=Wavy())
    plain, calibrated = (score.details["winding"] for score in card.knobs)
    assert plain["speed_variation"] > 0.3
    assert calibrated["speed_variation"] < 0.1
    assert calibrated["winding"] == 1


def test_a_knob_whose_attribute_falls_is_turned_over(birds: Generator, x: LinearKnob) -> None:
    hue = shipped_knobs(birds)["hue"]
    assert isinstance(hue, RingKnob)
    latent = birds.sample(range(20))
    for knob, name, amount in (
        (replace(x, direction=-x.direction), "x", 0.3),
        (replace(hue, plane=hue.plane.flip(0)), "hue", 40.0),
    ):
        rising = calibrate(birds, knob, measurer=Truth())
        before = Truth().measure(birds.decode(latent))[name]
        after = Truth().measure(birds.decode(latent, steer.Steering([(rising, amount)])))[name]
        moved = Truth.attributes[name].difference(after, before)
        assert float(moved.median()) == pytest.approx(amount * SPREAD if name == "x" else amount, rel=0.1)


def test_nothing_is_exactly_nothing_and_an_absolute_turn_arrives(birds: Generator, scale: CalibratedKnob) -> None:
    values = birds.sample(range(50))["z"]
    assert not scale.displacement(values, torch.zeros(50)).any()
    arrived = values + scale.displacement(values, torch.full((50,), 0.25), absolute=True)
    assert scale.coordinate(arrived).tolist() == pytest.approx([0.25] * 50, abs=1e-4)


def test_its_turn_is_differentiable(birds: Generator, scale: CalibratedKnob) -> None:
    amount = torch.tensor([0.4], requires_grad=True)
    latent = birds.sample([3])
    Truth().measure(birds.decode(latent, steer.Steering([(scale, amount)])))["x"].sum().backward()
    assert amount.grad is not None
    assert float(amount.grad) == pytest.approx(SPREAD, rel=0.3)


def test_files_and_recipes_hold_it(birds: Generator, scale: CalibratedKnob, tmp_path: Path) -> None:
    ring = calibrate(birds, shipped_knobs(birds)["hue"], measurer=Wavy())  # type: ignore[arg-type]
    KnobSet({"x": scale, "hue": ring}).save(tmp_path / "knobs.safetensors")
    loaded = steer.load_knobs(tmp_path / "knobs.safetensors")
    values, amounts = birds.sample(range(5))["z"], torch.linspace(-1, 1, 5)
    for knob, amount in ((scale, amounts), (ring, 100 * amounts)):
        same = loaded[knob.name]
        assert torch.equal(same.displacement(values, amount), knob.displacement(values, amount))
        assert (same.unit, same.range, same.attribute) == (knob.unit, knob.range, knob.attribute)
    latent = birds.sample([1, 2])
    recipe = steer.Recipe.of(birds, latent, steer.Steering([(scale, 0.5)]))
    drawn = birds.decode(latent, steer.Steering([(scale, 0.5)]))
    assert torch.equal(steer.Recipe.parse(recipe.json_text()).render(birds), drawn)


def test_a_damaged_one_is_refused(scale: CalibratedKnob) -> None:
    record, tensors = knob_to_parts(scale)
    assert isinstance(knob_from_parts(record, tensors), Knob)
    without = {name: tensor for name, tensor in tensors.items() if name != "base/direction"}
    with pytest.raises(BrokenFile, match="'x' is incomplete"):
        knob_from_parts(record, without)


def test_what_has_no_scale_is_refused(birds: Generator, x: LinearKnob) -> None:
    size = shipped_knobs(birds)["size"]
    assert isinstance(size, LinearKnob)
    with pytest.raises(BadInput, match="no angle"):
        calibrate(birds, RingKnob("ring", "z", torch.eye(12)[:2], attribute="size"), measurer=Truth())
    with pytest.raises(BadInput, match="no number"):
        calibrate(birds, replace(x, attribute=None), measurer=Truth())
    with pytest.raises(BadInput, match="too little"):
        calibrate(birds, replace(size, attribute="x"), measurer=Truth())
    with pytest.raises(BadInput, match="no number"):
        calibrate(affine(), LinearKnob("hue", "z", torch.ones(6), attribute="hue"))

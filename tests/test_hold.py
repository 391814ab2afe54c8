"""Holding what is locked while knobs turn, picture by picture, where the truth is known."""

from pathlib import Path

import pytest
import torch
from known_world import Truth, undrawn_aviary
from tiny_diffusion import tiny_ddim

import steer
from steer.directions.hold import hold
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.knob import KnobSet, LinearKnob
from steer.registry import shipped_knobs
from steer.steering import Steering


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def true(birds: Generator) -> KnobSet:
    return shipped_knobs(birds)


@pytest.fixture(scope="module")
def leaking(true: KnobSet) -> LinearKnob:
    """A knob for size that moves every bird to the side as well."""
    direction = 0.8 * true["size"].direction + 0.6 * true["x"].direction  # type: ignore[attr-defined]
    return LinearKnob("size", "z", direction, range=(-2.0, 2.0), attribute="size")


def moved(birds: Generator, steering: Steering, name: str) -> torch.Tensor:
    """Return how far each bird's factor was truly moved, in spreads."""
    latent, truth, attribute = birds.sample(range(6)), Truth(), Truth().attributes[name]
    before, after = (truth.measure(birds.decode(latent, each))[name] for each in (Steering(), steering))
    return attribute.difference(after, before) / attribute.spread


def test_what_is_locked_stays_on_every_bird_and_the_turn_does_what_it_did(
    birds: Generator, leaking: LinearKnob
) -> None:
    turns = Steering([(leaking, 1.5)])
    held = hold(birds, birds.sample(range(6)), turns, lock=["x"], measurer=Truth(), judge=Truth())
    assert moved(birds, turns, "x").abs().median() > 0.3
    assert moved(birds, held.steering, "x").abs().max() < 0.1
    torch.testing.assert_close(moved(birds, held.steering, "size"), moved(birds, turns, "size"), atol=0.05, rtol=0)
    assert held.before["x"] == pytest.approx(float(moved(birds, turns, "x").square().mean().sqrt()), abs=1e-4)
    assert held.after["x"] == pytest.approx(float(moved(birds, held.steering, "x").square().mean().sqrt()), abs=1e-4)


def test_where_nothing_is_turned_nothing_is_corrected(birds: Generator, leaking: LinearKnob) -> None:
    latent = birds.sample([0])
    held = hold(birds, latent, Steering([(leaking, 0.0)]), lock=["x"], measurer=Truth(), judge=Truth())
    assert torch.equal(birds.decode(latent, held.steering), birds.decode(latent))


def test_what_a_turned_knob_is_meant_for_is_not_held(birds: Generator, leaking: LinearKnob) -> None:
    turns = Steering([(leaking, 1.0)])
    held = hold(birds, birds.sample(range(6)), turns, lock=["size"], measurer=Truth(), judge=Truth())
    assert torch.equal(moved(birds, held.steering, "size"), moved(birds, turns, "size"))


def test_held_turns_are_made_again_from_the_recipe(birds: Generator, leaking: LinearKnob, tmp_path: Path) -> None:
    latent = birds.sample(range(3))
    held = hold(birds, latent, Steering([(leaking, 1.5)]), lock=["x"], measurer=Truth(), judge=Truth())
    steer.Recipe.of(birds, latent, held.steering).save(tmp_path / "held.json")
    again = steer.Recipe.load(tmp_path / "held.json").render(birds)
    assert torch.equal(again, birds.decode(latent, held.steering))


def test_what_cannot_be_locked_is_refused(birds: Generator, leaking: LinearKnob) -> None:
    latent, turns = birds.sample([0]), Steering([(leaking, 1.0)])
    with pytest.raises(UnknownName, match="no attribute to lock named 'charm'"):
        hold(birds, latent, turns, lock=["charm"], measurer=Truth(), judge=Truth())
    with pytest.raises(BadInput, match="say what to lock"):
        hold(birds, latent, turns, lock=[])
    with pytest.raises(BadInput, match="no few dice"):
        hold(tiny_ddim(), tiny_ddim().sample([0]), Steering(), lock=["x"])

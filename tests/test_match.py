"""Two pictures, and the knobs between them, in a world where they are known."""

import json

import pytest
import torch
from known_world import undrawn_aviary

import steer
from steer.directions.match import Matched, match
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import Knob, LinearKnob
from steer.registry import shipped_knobs


def apart(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return the squared difference of factors; hues stand in pictures as fractions of a turn, and go round."""
    difference = (images - others).flatten(1)
    return torch.minimum(difference.abs(), 1 - difference.abs()).square().sum(1)


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def knobs(birds: Generator) -> dict[str, Knob]:
    """Return the true knobs, and distractors that move everything a little."""
    random = torch.Generator().manual_seed(0)
    stray = {}
    for number in range(4):
        direction = torch.randn(12, generator=random)
        stray[f"stray{number}"] = LinearKnob(f"stray{number}", "z", direction / direction.norm(), range=(-2.0, 2.0))
    return {**stray, **shipped_knobs(birds)}


def turned(birds: Generator, knobs: dict[str, Knob], seed: int, **turns: float) -> Matched:
    latent = birds.sample([seed])
    there = birds.decode(latent, steer.Steering([(knobs[name], amount) for name, amount in turns.items()]))
    return match(birds, knobs, latent, there, distance=apart)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_knobs_that_were_turned_are_found_and_no_others(
    birds: Generator, knobs: dict[str, Knob], seed: int
) -> None:
    found = turned(birds, knobs, seed, hue=70.0, size=-1.2, light=1.5)
    assert set(found.amounts) == {"hue", "size", "light"}
    assert found.amounts["hue"] == pytest.approx(70, abs=4)
    assert found.amounts["size"] == pytest.approx(-1.2, abs=0.3)
    assert found.amounts["light"] == pytest.approx(1.5, abs=0.3)
    assert found.after < 0.01 * found.before
    assert list(found.path) == sorted(found.path, reverse=True)


def test_the_same_picture_needs_no_knob(birds: Generator, knobs: dict[str, Knob]) -> None:
    found = turned(birds, knobs, 5)
    assert not found.amounts
    assert not found.steering.turns
    json.dumps(found.to_json())


def test_no_more_knobs_are_turned_than_allowed(birds: Generator, knobs: dict[str, Knob]) -> None:
    latent = birds.sample([1])
    turns = steer.Steering([(knobs[name], 1.5) for name in ("size", "x", "y")])
    found = match(birds, knobs, latent, birds.decode(latent, turns), most=2, distance=apart)
    assert len(found.amounts) == 2


def test_misuse_is_refused(birds: Generator, knobs: dict[str, Knob]) -> None:
    picture = torch.zeros(3, 2, 2)
    for latent, given in ((birds.sample([1, 2]), knobs), (birds.sample([1]), {})):
        with pytest.raises(BadInput, match="one picture"):
            match(birds, given, latent, picture)


def test_the_command_finds_the_knob_between_two_pictures(tmp_path, made) -> None:  # type: ignore[no-untyped-def]
    before, after, out = (tmp_path / name for name in ("before.png", "after.png", "found.png"))
    made("sample", "aviary", "--seeds", "3", "--out", before)
    made("sample", "aviary", "--seeds", "3", "--turn", "background_hue=90", "--out", after)
    birds = steer.load_generator("aviary")
    few = steer.KnobSet({name: steer.shipped_knobs(birds)[name] for name in ("background_hue", "hue")})
    few.save(tmp_path / "few.safetensors")
    words = ("match", "aviary", before, after, "--knobs", tmp_path / "few.safetensors", "--out", out)
    told = json.loads(made(*words, "--json"))
    assert list(told["amounts"]) == ["background_hue"]
    assert told["amounts"]["background_hue"] == pytest.approx(90, abs=12)
    assert steer.Recipe.load(out).render().shape[0] == 1

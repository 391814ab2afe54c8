"""What every generator and finder promises; plugin authors run these on theirs."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from steer.backend import Backend
from steer.finder import Finder
from steer.generator import Generator
from steer.inversion import Invertible, options_of
from steer.knob import KnobSet, LinearKnob
from steer.latent import Latent
from steer.pictures import to_images
from steer.recipe import Recipe
from steer.steering import Steering

SEEDS = [3, 1, 4, 1, 5]


def check_generator(generator: Generator) -> None:
    """Check the promises every generator makes.

    Latents bit-equal in any batch; pictures in [0, 1], within 1e-5 in any batch and bit-equal on replay; turns of 0
    change nothing; untouched rows stay as they are; stages tile [0, 1]; every space can be observed and steered;
    `decode` is differentiable in the dice, where a picture depends on them smoothly.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    assert isinstance(generator.backend, Backend), "the backend lacks a part of the protocol steer.backend.Backend"
    latent = generator.sample(SEEDS)
    assert len(latent) == len(SEEDS) and latent.seeds == tuple(SEEDS), "one row a seed"
    _check_latents(generator)
    _check_stages(generator)
    with torch.no_grad():
        _check_pictures(generator)
        three = latent.rows([0, 1, 2])
        plain = generator.decode(three)
        for name, space in generator.spaces.items():
            assert name == space.name, f"space '{space.name}' is listed as '{name}'"
            values = generator.observe(latent, name)
            assert tuple(values.shape) == (len(SEEDS), *space.shape), f"space '{name}' has values {tuple(values.shape)}"
            _check_steering(generator, name, three, plain)


def _check_latents(generator: Generator) -> None:
    together, alone = generator.sample(SEEDS), generator.sample(SEEDS[2:3])
    for name, space in generator.spaces.items():
        if space.kind == "input":
            assert torch.equal(together[name][2:3], alone[name]), f"the '{name}' of a seed depends on its batch"
            assert torch.equal(together[name][1], together[name][3]), f"one seed gave two '{name}'"
    for name, condition in generator.conditions.items():
        if condition.kind == "label":
            first = generator.sample(SEEDS[:1], condition={name: condition.choices[0]})
            last = generator.sample(SEEDS[:1], condition={name: condition.choices[-1]})
            for part in first.values:
                same_dice = not generator.spaces[part].isotropic or torch.equal(first[part], last[part])
                assert same_dice, f"changing '{name}' changed the dice {part}"


def _check_stages(generator: Generator) -> None:
    stages = generator.backend.stages(generator.sample(SEEDS[:1]), None)
    edges = [edge for stage in stages for edge in stage.interval]
    assert edges[0] == 0 and edges[-1] == 1, "the stages' intervals tile [0, 1]"
    assert all(a == b for a, b in zip(edges[1:-1:2], edges[2::2], strict=True)), "the stages' intervals have gaps"
    assert [stage.index for stage in stages] == list(range(len(stages))), "stages are numbered from 0"


def _check_pictures(generator: Generator) -> None:
    latent = generator.sample(SEEDS)
    pictures = generator.decode(latent)
    assert tuple(pictures.shape) == (len(SEEDS), 3, *generator.backend.picture_size), "pictures have picture_size"
    assert 0 <= float(pictures.min()) and float(pictures.max()) <= 1, "pictures lie in [0, 1]"
    assert torch.equal(pictures, generator.decode(latent)), "the same call gives the same bits"
    for chunk in (1, 2, 3):
        drift = float((generator.decode(latent, chunk=chunk) - pictures).abs().max())
        assert drift <= 1e-5, f"pictures differ by {drift:.1e} when made {chunk} at a time"
    assert torch.equal(list(generator.film(latent))[-1].picture, pictures), "the film ends with the picture"


def _check_steering(generator: Generator, space: str, latent: Latent, plain: Tensor) -> None:
    """Check turns in one space of three samples, (3, channels, height, width) where nothing is turned."""
    shape = generator.spaces[space].shape
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    knob = LinearKnob("a direction", space, direction)
    assert torch.equal(generator.decode(latent, Steering([(knob, 0.0)])), plain), f"a turn of 0 in '{space}' changes it"
    turned = generator.decode(latent, Steering([(knob, [0.0, 2.0, 0.0])]))
    assert torch.equal(turned[[0, 2]], plain[[0, 2]]), f"turning one row in '{space}' changes another"


def check_inversion(generator: Generator, **options: Any) -> None:
    """Check the promises of a generator that inverts pictures, on one of its own.

    What is found fits its spaces; where a way is stored, the picture comes back to the last of 8 bits, unturned rows
    stay as they are and a small turn changes it little; the report is JSON; a recipe finds the same again.

    Args:
        generator: the generator.
        **options: those of its inversion, where the default ones take long.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    assert isinstance(generator.backend, Invertible), "the backend lacks a part of steer.inversion.Invertible"
    known = options_of(generator.backend)
    for name, ways in generator.backend.inversions.items():
        assert set(ways) <= set(known), f"the inversion '{name}' names options that there are not"
    with torch.no_grad():
        (picture,) = generator.decode(generator.sample(SEEDS[:1]))
        found = generator.invert(picture, **options)
        latent, anchor = found.latent, found.latent.anchor
        assert len(latent) == 1 and anchor is not None, "one row a picture, anchored to it"
        for name, space in generator.spaces.items():
            if space.kind == "input":
                assert latent[name].shape == (1, *space.shape), f"what is found does not fit the space '{name}'"
        json.dumps(found.report.record())
        plain = generator.decode(latent)
        if anchor.states:
            same = to_images(plain)[0].tobytes() == to_images(found.report.prepared.picture)[0].tobytes()
            assert same, "an inverted picture that nothing turns comes back to the last of 8 bits"
            _check_small_turns(generator, latent)
        recipe = Recipe.parse(Recipe.of(generator, latent).json_text())
        assert torch.equal(recipe.render(generator), plain), "a recipe finds the same picture again"


def _check_small_turns(generator: Generator, latent: Latent) -> None:
    plain = generator.decode(latent)
    for name, space in generator.spaces.items():
        knob = LinearKnob("a direction", name, torch.randn(space.shape, generator=torch.Generator().manual_seed(0)))
        turned = generator.decode(latent.rows([0, 0]), Steering([(knob, [0.0, 1e-4])]))
        assert torch.equal(turned[:1], plain), f"turning one row in '{name}' changes another"
        assert float((turned[1:] - plain).abs().max()) <= 0.01, f"a small turn in '{name}' changes much"


def check_finder(finder: Finder, generator: Generator) -> None:
    """Check the promises every finder makes: the same knobs again, fitting, bound to the weights, savable.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    knobs = finder.find(generator)
    assert isinstance(knobs, KnobSet) and knobs, "a finder returns a KnobSet that is not empty"
    again: Mapping[str, object] = finder.find(generator)
    assert list(knobs) == list(again), "the same finder finds the same knobs"
    latent = generator.sample(SEEDS)
    for name, knob in knobs.items():
        assert knob.name == name, f"the knob '{knob.name}' is listed as '{name}'"
        assert knob.range[0] < knob.range[1], f"the knob '{name}' has no range"
        assert knob.provenance.fingerprint == generator.fingerprint, f"the knob '{name}' is not bound to the weights"
        values = generator.observe(latent, knob.space)
        moved = knob.displacement(values, torch.full((len(values),), 1.0))
        assert moved.shape == values.shape, f"the knob '{name}' does not fit its space"
        nothing = knob.displacement(values, torch.zeros(len(values)))
        assert not nothing.any(), f"the knob '{name}' moves at amount 0"
        same = again[name]
        assert isinstance(same, type(knob)), f"the knob '{name}' changed its kind"
        assert torch.equal(same.displacement(values, torch.ones(len(values))), moved), f"the knob '{name}' changed"

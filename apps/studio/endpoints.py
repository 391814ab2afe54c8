"""The studio's public endpoints, for programs: what the page does, named and typed, for `gradio_client`."""

import json
from collections.abc import Callable
from functools import wraps
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from steer.apps.restoring import restored
from steer.apps.setting import Model, seed_text
from steer.apps.studio.desks import Desks
from steer.errors import BadInput, SteerError
from steer.knob import Knob, Window
from steer.latent import Latent
from steer.layout import Layout
from steer.recipe import Recipe
from steer.steering import Steering, Turn

MOST_SEEDS = 64
"""Pictures that one call makes."""

Made = tuple[gr.FileData, dict[str, Any]]
"""A picture, and its recipe."""


def endpoints(desks: Desks, cache: str) -> list[Callable[..., Any]]:
    """Return the functions behind the endpoints, each with the endpoint's name.

    Args:
        desks: knows which generators there are.
        cache: the folder whose files the server hands out.
    """

    def knobs(generator: str) -> dict[str, Any]:
        """List what a generator can be steered by.

        Args:
            generator: one of the generators that the page offers.

        Returns:
            For each knob its unit, its plausible range, its attribute and its window.
        """
        return {name: _described(knob) for name, knob in _model(desks, generator).knobs.items()}

    def render(
        generator: str,
        seeds: list[int],
        label: str | None = None,
        truncation: float = 1.0,
        turns: dict[str, float] | None = None,
        windows: dict[str, list[float]] | None = None,
    ) -> Made:
        """Draw seeds with some knobs turned.

        Args:
            generator: one of the generators that the page offers.
            seeds: whole numbers from 0 up, one picture each.
            label: the class to draw; left out, each seed draws its own.
            truncation: how far the dice are drawn in, above 0 to 1.
            turns: knob names and how far each is turned, in its unit.
            windows: knob names and where each acts, from coarse, 0, to fine, 1; left out, all the way.

        Returns:
            The picture, a PNG that carries its recipe, and the recipe.
        """
        model = _model(desks, generator)
        latent, steering = _drawn(model, seeds, label, truncation), _steering(model, turns, windows)
        model.decode(latent, steering)
        recipe = Recipe.of(model.generator, latent, steering, layout=Layout(bare=len(seeds) == 1))
        return _saved(recipe, model, f"{model.generator.name}-{seed_text(seeds)}.png"[-100:], cache)

    def measure(
        generator: str,
        seeds: list[int],
        label: str | None = None,
        truncation: float = 1.0,
        turns: dict[str, float] | None = None,
        windows: dict[str, list[float]] | None = None,
    ) -> dict[str, list[float]]:
        """Measure the pictures that the endpoint ``render`` draws.

        Args:
            generator: one of the generators that the page offers.
            seeds: whole numbers from 0 up, one picture each.
            label: the class to draw; left out, each seed draws its own.
            truncation: how far the dice are drawn in, above 0 to 1.
            turns: knob names and how far each is turned, in its unit.
            windows: knob names and where each acts.

        Returns:
            For each attribute, what the generator's judge reads off each picture, in the attribute's unit.
        """
        model = _model(desks, generator)
        pictures = model.decode(_drawn(model, seeds, label, truncation), _steering(model, turns, windows))
        return {name: values.tolist() for name, values in model.measure(pictures).items()}

    def again(recipe: dict[str, Any]) -> Made:
        """Make the pictures of a recipe again.

        Args:
            recipe: what ``render`` returned, or the content of a saved recipe.

        Returns:
            The picture, a PNG that carries its recipe, and the recipe.
        """
        kept = Recipe.parse(json.dumps(recipe))
        setting, _ = restored(kept, _model(desks, kept.generator))
        return _saved(setting.recipe, setting.dice.model, setting.file_name, cache)

    return [_plainly(each) for each in (knobs, render, measure, again)]


def _plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that says a user's mistakes in plain words."""

    @wraps(function)
    def said(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except SteerError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error

    return said


def _model(desks: Desks, generator: str) -> Model:
    return desks.session.model(generator)


def _described(knob: Knob) -> dict[str, Any]:
    low, high = knob.range
    start, end = knob.window.start, knob.window.end
    return {"unit": knob.unit, "low": low, "high": high, "attribute": knob.attribute, "window": [start, end]}


def _drawn(model: Model, seeds: list[int], label: str | None, truncation: float) -> Latent:
    if len(seeds) > MOST_SEEDS:
        raise BadInput(f"one call draws at most {MOST_SEEDS} seeds, not {len(seeds)}; split them")
    condition = {model.label.name: label} if model.label and label is not None else None
    return model.generator.sample(seeds, condition=condition, truncation=truncation)


def _steering(model: Model, turns: dict[str, float] | None, windows: dict[str, list[float]] | None) -> Steering:
    parts = {name: _window(name, part) for name, part in (windows or {}).items()}
    return Steering(Turn(model.knobs[name], amount, parts.get(name)) for name, amount in (turns or {}).items())


def _window(name: str, part: list[float]) -> Window:
    if len(part) != 2:
        raise BadInput(f"a window is its start and its end, such as [0.5, 1]; that of '{name}' has {len(part)} numbers")
    return Window(*part)


def _saved(recipe: Recipe, model: Model, name: str, cache: str) -> Made:
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        recipe.save(path, model.generator)
        file = save_file_to_cache(path, cache)
    return gr.FileData(path=file, orig_name=name), recipe.model_dump(mode="json", exclude_none=True)

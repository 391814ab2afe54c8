"""The studio's public endpoint: pictures by seeds and turns, as a file and its recipe."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from steer.apps.setting import seed_text
from steer.apps.studio.desks import Desks
from steer.errors import BadInput, SteerError
from steer.layout import Layout
from steer.recipe import Recipe
from steer.steering import Steering

MOST_SEEDS = 64
"""Pictures that one call makes."""

Render = Callable[..., tuple[gr.FileData, dict[str, Any]]]


def render_endpoint(desks: Desks, cache: str) -> Render:
    """Return the function behind the endpoint ``render``.

    Args:
        desks: knows which generators there are.
        cache: the folder whose files the server hands out.
    """

    def render(
        generator: str,
        seeds: list[int],
        label: str | None = None,
        truncation: float = 1.0,
        turns: dict[str, float] | None = None,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Draw seeds with some knobs turned.

        Args:
            generator: one of the generators that the page offers.
            seeds: whole numbers from 0 up, one picture each.
            label: the class to draw; left out, each seed draws its own.
            truncation: how far the dice are drawn in, above 0 to 1.
            turns: knob names and how far each is turned, in its unit.

        Returns:
            The picture, a PNG that carries its recipe, and the recipe.
        """
        try:
            recipe, name = _recipe(desks, generator, seeds, label, truncation, turns or {})
            with TemporaryDirectory() as folder:
                path = Path(folder, name)
                recipe.save(path, desks.session.model(generator).generator)
                file = save_file_to_cache(path, cache)
        except SteerError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error
        return gr.FileData(path=file, orig_name=name), recipe.model_dump(mode="json", exclude_none=True)

    return render


def _recipe(
    desks: Desks, generator: str, seeds: list[int], label: str | None, truncation: float, turns: dict[str, float]
) -> tuple[Recipe, str]:
    if len(seeds) > MOST_SEEDS:
        raise BadInput(f"one call draws at most {MOST_SEEDS} seeds, not {len(seeds)}; split them")
    model = desks.session.model(generator)
    condition = {model.label.name: label} if model.label and label is not None else None
    latent = model.generator.sample(seeds, condition=condition, truncation=truncation)
    steering = Steering((model.knobs[knob], amount) for knob, amount in turns.items())
    model.decode(latent, steering)
    recipe = Recipe.of(model.generator, latent, steering, layout=Layout(bare=len(seeds) == 1))
    return recipe, f"{model.generator.name}-{seed_text(seeds)}.png"[-100:]

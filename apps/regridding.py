"""From the recipe of a sheet back to the axes that it was laid along."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from steer.apps.gridding import dimensions
from steer.apps.holding import holds
from steer.apps.setting import Setting
from steer.recipe import Recipe
from steer.scene import Scene

Said = Mapping[str, str]
"""What one picture says along each dimension, as a person writes it."""

SEPARATORS = {"caption": "; "}
"""What stands between values that may hold a comma."""


def axes_of(recipe: Recipe, setting: Setting) -> list[tuple[str, str]]:
    """Return the axes of a sheet, each a dimension's name and its values as `gridding.lay` reads them.

    Args:
        recipe: that of the sheet.
        setting: what was restored from it.

    Returns:
        Across, down and sheet by sheet, as many as there are; none where the recipe is that of no grid.
    """
    columns = recipe.layout.columns
    cells = _cells(recipe, setting)
    if columns is None or len(cells) < 2 or len(cells) % columns:
        return []
    names = [name for name in dimensions(setting) if len({cell.get(name) for cell in cells}) > 1]
    said = {name: [cell.get(name, "") for cell in cells] for name in names}
    if {"seed", "class"} <= said.keys() and len(set(zip(said["seed"], said["class"], strict=True))) == len(
        set(said["seed"])
    ):
        del said["class"]  # each seed drew its own
    axes: list[tuple[str, str]] = []
    step = 1  # pictures from one value of an axis to the next
    while step < len(cells):
        counts = {name: _count(values, step) for name, values in said.items()}
        fitting = [name for name, count in counts.items() if count > 1 and (step > 1 or count == columns)]
        if not fitting:
            return []
        name = min(fitting, key=lambda each: counts[each])
        axes.append((name, SEPARATORS.get(name, ", ").join(said[name][place * step] for place in range(counts[name]))))
        step *= counts[name]
        said = {each: values for each, values in said.items() if _count(values, step) > 1}
    return axes


def _count(values: Sequence[str], step: int) -> int:
    """Return after how many steps values come again; 1 where they change within a step, or not at all from there on."""
    if any(values[place] != values[place - place % step] for place in range(len(values))):
        return 1
    coarse = values[::step]
    lengths = (count for count in range(1, len(coarse) + 1) if len(coarse) % count == 0)
    return next(count for count in lengths if all(each == coarse[k % count] for k, each in enumerate(coarse)))


def _cells(recipe: Recipe, setting: Setting) -> list[Said]:
    """Return what each picture of a recipe says, in the order of the sheet."""
    if recipe.parts is not None:
        parts = [(part.scene, part.sampler, part.places) for part in recipe.parts]
    elif recipe.scene is not None:
        parts = [(recipe.scene, recipe.sampler, list(range(len(recipe.scene.seeds))))]
    else:
        return []
    placed = chain.from_iterable(
        zip(places, _said(scene, (sampler or {}).get("steps"), setting), strict=True)
        for scene, sampler, places in parts
    )
    return [said for _, said in sorted(placed, key=lambda each: each[0])]


def _said(scene: Scene, steps: int | None, setting: Setting) -> list[Said]:
    """Return what each picture of a scene says."""
    count, model = len(scene.seeds), setting.dice.model
    columns: dict[str, list[str]] = {"seed": ["" if seed is None else f"{seed}" for seed in scene.seeds]}
    for name, condition in (("class", model.label), ("caption", model.caption)):
        entries = scene.condition.get(condition.name, [""]) if condition else [""]
        columns[name] = entries if len(entries) == count else entries * count
    columns["truncation"] = [f"{scene.truncation:g}"] * count
    columns["steps"] = ["" if steps is None else f"{steps}"] * count
    columns["window"] = ["0 to 1"] * count
    for name in setting.knobs:
        columns[name] = ["0"] * count
    for turn in (record.turn() for record in scene.turns):
        if holds(turn):
            continue
        columns[turn.knob.name] = [str(np.float32(amount)) for amount in turn.amounts(count)]
        if turn.window is not None:
            columns["window"] = [f"{turn.window.start:g} to {turn.window.end:g}"] * count
    return [{name: values[row] for name, values in columns.items()} for row in range(count)]

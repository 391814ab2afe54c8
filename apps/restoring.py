"""From a recipe back to the setting that it describes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from steer.apps.holding import holds
from steer.apps.setting import COLUMNS, MOST_BIRDS, Dice, Kept, Model, Setting, consecutive
from steer.errors import BadInput, BrokenFile, WrongGenerator
from steer.knob import Knob
from steer.latent import Latent
from steer.recipe import Recipe
from steer.sampler import Sampler
from steer.scene import Scene
from steer.steering import Steering, Turn


def restored(recipe: Recipe, model: Model) -> tuple[Setting, str | None]:
    """Return the setting that a recipe describes, and a note where it holds more than can be shown.

    Of pictures that differ in what is turned or asked for the first is shown.

    Raises:
        WrongGenerator: the model has other weights than the recipe was made with.
        BadInput: it is the recipe of a film, or turns a knob in a way that has no slider.
        BrokenFile: its numbers do not fit the model.
    """
    if recipe.fingerprint != model.generator.fingerprint:
        insist = "steer render FILE --out OTHER --insist"
        raise WrongGenerator("the recipe", recipe.fingerprint, model.generator.fingerprint, insist)
    count, recipe = _count(recipe), recipe.of_part(0)
    scene = recipe.scene
    if scene is None:
        raise BadInput("this is the recipe of a film, and here pictures are shown; use: steer render FILE --out OTHER")
    every = [record.turn() for record in scene.turns]
    turns, holding = [turn for turn in every if not holds(turn)], [turn for turn in every if holds(turn)]
    if not scene.seeds or any(turn.absolute for turn in turns):
        raise BadInput("this recipe holds what no slider shows; make its picture with: steer render FILE --out OTHER")

    amounts = [turn.amounts(len(scene.seeds)) for turn in turns]
    birds = max(shown for shown in COLUMNS if shown <= len(scene.seeds))
    asked = {name: entries for name, entries in scene.condition.items() if name not in _label_of(model)}
    same_turns = all(bool((each[:birds] == each[0]).all()) for each in amounts)
    if not (same_turns and all(len(set(entries[:birds])) == 1 for entries in asked.values())):
        birds = 1
    knobs: dict[str, Knob] = dict(model.knobs)
    names: list[str] = []
    for turn in turns:
        names.append(_adopted(turn.knob, knobs, names))
    turned = {name: _shortest(each[0]) for name, each in zip(names, amounts, strict=True)}
    windows = {name: turn.window for name, turn in zip(names, turns, strict=True) if turn.window is not None}
    dice = _dice(scene, model, birds, {name: entries[0] for name, entries in asked.items()})
    if recipe.sampler and dice.latent.anchor is None and Sampler(**recipe.sampler) != model.final:
        dice = replace(dice, sampler=Sampler(**recipe.sampler))
    setting = _locked(Setting(dice, knobs, turned, windows), holding, len(scene.seeds))
    try:
        dice.decode(dice.latent, setting.steering, draft=True)
    except (RuntimeError, IndexError, ValueError) as error:
        raise _misfit(model) from error
    shown = f"are the first {birds}" if birds > 1 else "is the first"
    return setting, f"This file holds {count} pictures; here {shown}." if birds < count else None


def _locked(setting: Setting, holding: Sequence[Turn], count: int) -> Setting:
    """Return a setting with the locks of a recipe, held by the very turns that the recipe has for it.

    Where nothing can be locked here those turns stay, as knobs like any other.
    """
    locks = tuple(dict.fromkeys(lock for turn in holding for lock in turn.knob.provenance.options.get("lock", ())))
    birds, can = range(setting.dice.birds), setting.dice.model.holder.names
    kept = Steering(holding).rows(birds, count).turns
    if not set(locks) <= set(can):
        knobs = {turn.knob.name: turn.knob for turn in kept}
        amounts = {turn.knob.name: float(turn.amounts(len(birds))[0]) for turn in kept}
        return replace(setting, knobs={**setting.knobs, **knobs}, amounts={**setting.amounts, **amounts})
    return replace(setting, locks=locks, kept=Kept(setting, kept))


def _count(recipe: Recipe) -> int:
    """Return how many pictures a recipe holds."""
    scenes = [part.scene for part in recipe.parts or ()] or ([recipe.scene] if recipe.scene else [])
    return sum(len(scene.seeds) for scene in scenes)


def _label_of(model: Model) -> tuple[str, ...]:
    return (model.label.name,) if model.label else ()


def _shortest(amount: Tensor) -> float:
    """Return the shortest number that is this float32, as a slider would have given it."""
    return float(str(np.float32(amount)))


def _adopted(knob: Knob, knobs: dict[str, Knob], taken: Sequence[str]) -> str:
    """Return the name of a recipe's knob among those not taken, adding it where it is not one of them."""
    name = knob.name
    while name in taken or (name in knobs and not _same(knobs[name], knob)):
        name = f"{name} (from the recipe)"
    if name not in knobs:
        knobs[name] = replace(knob, name=name)
    return name


def _same(knob: Knob, other: Knob) -> bool:
    """Return whether two knobs turn the same way."""
    if (knob.kind, knob.space, knob.unit, knob.window) != (other.kind, other.space, other.unit, other.window):
        return False
    first, second = (
        {name: value for name, value in vars(each).items() if isinstance(value, Tensor)} for each in (knob, other)
    )
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _dice(scene: Scene, model: Model, birds: int, asked: dict[str, str]) -> Dice:
    """Return the dice of a scene: drawn again from its seeds where they can be, else held as plain values."""
    labels = scene.condition.get(model.label.name, [])[:birds] if model.label else []
    seeds = tuple(seed for seed in scene.seeds[:birds] if seed is not None)
    dice = Dice(
        model=model,
        seeds=(seeds + consecutive(seeds[-1] + 1 if seeds else 0, MOST_BIRDS))[:MOST_BIRDS],
        birds=birds,
        label=labels[0] if len(set(labels)) == 1 else None,
        asked=asked,
        truncation=scene.truncation,
    )
    if scene.values is None and len(seeds) == birds:
        drawn = dice.latent.condition.get(model.label.name, ()) if model.label else ()
        if tuple(labels) in ((), drawn):
            return dice
    latent = scene.latent(model.generator)
    _check_fit(latent, dice)
    return replace(dice, held=latent.rows(range(birds)))


def _check_fit(latent: Latent, dice: Dice) -> None:
    """Check a recipe's plain values against those that the model draws itself."""
    drawn, count = dice.latent, len(latent)
    fits = latent.values.keys() == drawn.values.keys() and all(
        values.shape == (count, *drawn[name].shape[1:]) and bool(values.isfinite().all())
        for name, values in latent.values.items()
    )
    if not fits or any(len(entries) != count for entries in latent.condition.values()):
        raise _misfit(dice.model)


def _misfit(model: Model) -> BrokenFile:
    return BrokenFile(f"the recipe's numbers do not fit '{model.generator.name}'; use another copy of it")

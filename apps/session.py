"""A session: the one mutable object, a person's hands on the knobs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from time import perf_counter

import torch
from torch import Tensor

from steer.apps.rebuilding import command_of, python_of
from steer.apps.restoring import restored
from steer.apps.setting import COLUMNS, MOST_BIRDS, Dice, Model, Setting, consecutive, shared_model
from steer.attribute import Attribute
from steer.errors import BadInput, UnknownName
from steer.knob import Knob
from steer.recipe import Recipe
from steer.registry import list_generators
from steer.steering import Steering, Turn

STRIP_STEPS = 7
STRIP_AT_ONCE = 2
"""Pictures of a strip made under one lock, so that a live picture waits no longer than that."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pictures as they were made.

    Attributes:
        setting: what they were made from.
        pixels: (birds, 3, height, width) in [0, 1].
        seconds: how long that took, waiting for others included.
    """

    setting: Setting
    pixels: Tensor
    seconds: float

    @property
    def recipe(self) -> Recipe:
        """The recipe that makes the pictures again, bit for bit."""
        return self.setting.recipe


@dataclass(frozen=True)
class Reading:
    """One attribute of one bird: what is measured, beside what the knobs ask for.

    Attributes:
        attribute: what is measured.
        value: what it measures now, in its unit.
        before: what it measured before any knob was turned.
        moved: from there to here; the short way round for circles.
        asked: the amounts of the knobs meant for it, each with its unit.
    """

    attribute: Attribute
    value: float
    before: float
    moved: float
    asked: tuple[tuple[float, str], ...] = ()


class Session:
    """One person's hands on the knobs: verbs that change a setting, and what can be seen of it.

    Verbs may be called from several threads. A verb that fails leaves everything as it was.

    Args:
        generator: the generator to begin with, a name or a folder of weights.
        available: the generators that may be chosen; by default all that are installed, and this one.
    """

    def __init__(self, generator: str, available: Sequence[str] | None = None) -> None:
        sources = [entry.name for entry in list_generators()] + [generator] if available is None else available
        self._sources = {Path(source).name: source for source in sources}
        self._lock = Lock()
        model = self.model(Path(generator).name)
        self._setting = Setting(Dice(model), dict(model.knobs))

    @property
    def available(self) -> tuple[str, ...]:
        """The names of the generators that may be chosen."""
        return tuple(self._sources)

    @property
    def setting(self) -> Setting:
        """What is chosen now; frozen, so it can be read while a verb is at work."""
        return self._setting

    def model(self, name: str) -> Model:
        """Return a generator that may be chosen, with its knobs.

        Raises:
            UnknownName: it is not among those available.
        """
        if name not in self._sources:
            raise UnknownName("generator", name, self._sources)
        return shared_model(self._sources[name])

    def use(self, generator: str) -> None:
        """Change the generator; seeds, truncation and number of birds stay, and the label where it has it.

        Raises:
            UnknownName: it is not among those available.
        """
        model = self.model(generator)
        with self._lock:
            dice = self._setting.dice
            known = model.label is not None and dice.label in model.label.choices
            dice = replace(dice, model=model, label=dice.label if known else None, thrown=(), held=None)
            self._setting = Setting(_checked(dice), dict(model.knobs))

    def throw(self, seed: int) -> None:
        """Throw all dice: the first bird is that of ``seed``, the next that of the next seed.

        Raises:
            BadInput: the seed is not a whole number from 0 up.
        """
        with self._lock:
            dice = replace(self._setting.dice, seeds=consecutive(seed, MOST_BIRDS), thrown=(), held=None)
            self._setting = replace(self._setting, dice=_checked(dice))

    def throw_one(self, knob_name: str, seed: int) -> None:
        """Throw one die and hold the others: only the knob's own part of each bird becomes that of ``seed``.

        Raises:
            UnknownName: there is no such knob.
            BadInput: the knob does not turn dice, or the seed is not a whole number from 0 up.
        """
        with self._lock:
            dice = self._setting.dice
            knob = self._knob(knob_name)
            if knob_name not in dice.model.dice_knobs:
                can = ", ".join(dice.model.dice_knobs) or "none here"
                raise BadInput(f"the knob '{knob_name}' has no die of its own to throw; these have: {can}")
            others = tuple((each, with_seed) for each, with_seed in dice.thrown if each.name != knob_name)
            consecutive(seed, 1)
            dice = replace(dice, thrown=(*others, (knob, seed)))
            self._setting = replace(self._setting, dice=_checked(dice))

    def label(self, label: str | None) -> None:
        """Ask for a class, with the same dice; None for what the seed draws.

        Raises:
            UnknownName: there is no such class.
        """
        with self._lock:
            dice = self._setting.dice
            if label is not None and dice.model.label is None:
                raise UnknownName("label", label, (), f"'{dice.model.generator.name}' has no classes")
            self._setting = replace(self._setting, dice=_checked(replace(dice, label=label)))

    def truncation(self, truncation: float) -> None:
        """Draw the dice in towards their mean, in (0, 1].

        Raises:
            BadInput: it is not in that range.
        """
        with self._lock:
            self._setting = replace(self._setting, dice=_checked(replace(self._setting.dice, truncation=truncation)))

    def birds(self, count: int) -> None:
        """Show this many birds.

        Raises:
            BadInput: it is not one of `COLUMNS`.
        """
        if count not in COLUMNS:
            raise BadInput(f"the studio shows {', '.join(map(str, COLUMNS))} birds at once, not {count}")
        with self._lock:
            self._setting = replace(self._setting, dice=_checked(replace(self._setting.dice, birds=count)))

    def turn(self, knob_name: str, amount: float) -> None:
        """Turn a knob to an amount, in its unit; 0 is where it was found.

        Raises:
            UnknownName: there is no such knob.
            BadInput: the amount is not a number.
        """
        with self._lock:
            self._knob(knob_name)
            if not math.isfinite(amount):
                raise BadInput(f"a knob is turned by a number, not by {amount}")
            if amount != self._setting.amounts.get(knob_name, 0.0):
                self._setting = self._setting.turned(knob_name, float(amount))

    def reset(self) -> None:
        """Turn every knob back to 0."""
        with self._lock:
            self._setting = replace(self._setting, amounts={})

    def picture(self) -> Picture:
        """Make the pictures of the setting as it is now."""
        setting, start = self._setting, perf_counter()
        pixels = setting.dice.model.decode(setting.dice.latent, setting.steering)
        return Picture(setting, pixels, perf_counter() - start)

    def strip(self, knob_name: str, steps: int = STRIP_STEPS) -> Iterator[Tensor]:
        """Yield the first bird with one knob over its whole range and the others as they are, a few at a time.

        Each part is (some, 3, height, width) in [0, 1]; together they are ``steps``.
        """
        setting = self._setting
        knob = self._knob(knob_name)
        bird = setting.dice.latent.rows([0])
        others = setting.turned(knob_name, 0.0).steering.turns
        for amounts in torch.linspace(*knob.range, steps).split(STRIP_AT_ONCE):
            steering = Steering((*others, Turn(knob, amounts)))
            yield setting.dice.model.decode(bird.rows([0] * len(amounts)), steering)

    def attributes(self, picture: Picture | None = None) -> dict[str, Tensor]:
        """Measure the pictures, (birds,) per attribute in its unit; nothing where there is no measurer."""
        picture = self.picture() if picture is None else picture
        return picture.setting.dice.model.measure(picture.pixels)

    def readings(self, picture: Picture, bird: int = 0) -> list[Reading]:
        """Return what one bird measures beside what the knobs ask for; empty where there is no measurer."""
        setting = picture.setting
        measurer = setting.dice.model.measurer
        if measurer is None:
            return []
        values, before = self.attributes(picture), setting.dice.measured
        asked: dict[str, list[tuple[float, str]]] = {}
        for name, amount in setting.amounts.items():
            knob = setting.knobs[name]
            asked.setdefault(knob.attribute or "", []).append((amount, knob.unit))
        return [
            Reading(
                attribute,
                float(values[name][bird]),
                float(before[name][bird]),
                float(attribute.difference(values[name][bird], before[name][bird])),
                tuple(asked.get(name, ())),
            )
            for name, attribute in measurer.attributes.items()
        ]

    def recipe(self) -> Recipe:
        """Return the recipe of the picture."""
        return self._setting.recipe

    def restore(self, source: Recipe | str | Path) -> str | None:
        """Put everything back as a recipe says: generator, seeds, label, truncation, birds and turns.

        Args:
            source: a recipe, or a file that is or carries one.

        Returns:
            A sentence where the recipe holds more than a session shows, else None.

        Raises:
            UnknownName: the generator is not among those available.
            WrongGenerator: it has other weights now.
            BadInput: the file carries no recipe, or one of a film.
            BrokenFile: the recipe cannot be used.
        """
        recipe = source if isinstance(source, Recipe) else Recipe.load(source)
        setting, note = restored(recipe, self.model(recipe.generator))
        with self._lock:
            self._setting = setting
        return note

    def adopt(self, setting: Setting) -> None:
        """Go on from a setting that was made elsewhere, such as that of an inverted picture.

        Raises:
            UnknownName: its generator is not among those available.
        """
        self.model(setting.generator.name)
        with self._lock:
            self._setting = replace(setting, dice=_checked(setting.dice))

    def as_python(self) -> str:
        """Return Python that makes the picture again, bit for bit."""
        return python_of(self._setting)

    def as_command(self) -> str:
        """Return a command that makes the picture's file again, bit for bit."""
        return command_of(self._setting)

    def _knob(self, name: str) -> Knob:
        if name not in self._setting.knobs:
            raise UnknownName("knob", name, self._setting.knobs)
        return self._setting.knobs[name]


def _checked(dice: Dice) -> Dice:
    """Return the dice once their latent was drawn, so that what cannot be drawn fails before it is chosen."""
    assert len(dice.latent) == dice.birds
    return dice

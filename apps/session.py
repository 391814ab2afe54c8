"""A session: the one mutable object, a person's hands on the knobs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from time import perf_counter

import torch
from torch import Tensor

from steer.apps.history import History
from steer.apps.rebuilding import command_of, python_of
from steer.apps.restoring import restored
from steer.apps.setting import COLUMNS, MOST_BIRDS, Dice, Model, Setting, consecutive, is_loaded, shared_model
from steer.attribute import Attribute
from steer.directions.background import BACKGROUND
from steer.directions.dial import Reached, Target, dial
from steer.errors import BadInput, Cancelled, UnknownName
from steer.knob import Knob, Window
from steer.prepare import PictureSource
from steer.recipe import Recipe
from steer.registry import list_generators
from steer.steering import Steering, Turn

STRIP_AT_ONCE = 2
"""Pictures of a strip made under one lock, so that a live picture waits no longer than that."""


AROUND = Attribute(
    BACKGROUND,
    "linear",
    low=0,
    high=1,
    unit="spread",
    spread=1,
    summary="How far all that stands around the thing has changed; from picture to picture it differs by about 1.",
)
"""The background as something that can be locked."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pictures as they were made.

    Attributes:
        setting: what they were made from.
        pixels: (birds, 3, height, width) in [0, 1].
        seconds: how long that took, waiting for others included.
        draft: whether it was made in fewer steps than the recipe says.
    """

    setting: Setting
    pixels: Tensor
    seconds: float
    draft: bool = False

    @property
    def recipe(self) -> Recipe:
        """The recipe that makes the pictures again, bit for bit."""
        return self.setting.recipe

    @cached_property
    def measured(self) -> dict[str, Tensor]:
        """What the pictures measure, (birds,) per attribute in its unit; nothing where there is no measurer."""
        return self.setting.dice.model.measure(self.pixels)


@dataclass(frozen=True)
class Reading:
    """One attribute of one bird: what is measured, beside what the knobs ask for.

    Attributes:
        attribute: what is measured.
        value: what it measures now, in its unit; not a number where nobody looks.
        before: what it measured before any knob was turned.
        moved: from there to here; the short way round for circles.
        asked: the amounts of the knobs meant for it, each with its unit.
        locked: whether it is locked; None where it cannot be.
        loose: how far the same turns would have moved it without any lock, where it is locked.
    """

    attribute: Attribute
    value: float
    before: float
    moved: float
    asked: tuple[tuple[float, str], ...] = ()
    locked: bool | None = None
    loose: float | None = None


class Session:
    """One person's hands on the knobs: verbs that change a setting, and what can be seen of it.

    Verbs may be called from several threads. A verb that fails leaves everything as it was.

    Args:
        generator: the generator to begin with, a name or a folder of weights.
        available: the generators that may be chosen; by default all that are installed, and this one.

    Attributes:
        history: the steps that can be undone.
        opened: the recipe that was restored last; it may hold more than is shown.
    """

    def __init__(self, generator: str, available: Sequence[str] | None = None) -> None:
        sources = [entry.name for entry in list_generators()] + [generator] if available is None else available
        self._sources = {Path(source).name: source for source in sources}
        self._lock = Lock()
        model = self.model(Path(generator).name)
        self._setting = Setting(Dice(model, asked=model.suggested(0)), dict(model.knobs))
        self.history = History(self._setting)
        self.opened: Recipe | None = None
        self._unturned: dict[bool, Picture] = {}

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

    def is_ready(self, generator: str) -> bool:
        """Return whether a generator can be used at once; one that was never used here takes seconds to load."""
        return generator in self._sources and is_loaded(self._sources[generator])

    def use(self, generator: str) -> None:
        """Change the generator; seeds, truncation and number of birds stay, and the label where it has it.

        One that is told by words is asked in some at once: unasked, knobs in words have little to turn.

        Raises:
            UnknownName: it is not among those available.
        """
        model = self.model(generator)
        with self._lock:
            dice = self._setting.dice
            if model is dice.model:
                return
            known = model.label is not None and dice.label in model.label.choices
            label = dice.label if known else None
            asked = model.suggested(dice.seeds[0])
            dice = replace(dice, model=model, label=label, asked=asked, sampler=None, thrown=(), held=None)
            self._step(Setting(_checked(dice), dict(model.knobs)))

    def throw(self, seed: int) -> None:
        """Throw all dice: the first bird is that of ``seed``, the next that of the next seed.

        Raises:
            BadInput: the seed is not a whole number from 0 up.
        """
        with self._lock:
            dice = replace(self._setting.dice, seeds=consecutive(seed, MOST_BIRDS), thrown=(), held=None)
            self._step(replace(self._setting, dice=_checked(dice)))

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
            self._step(replace(self._setting, dice=_checked(dice)))

    def label(self, label: str | None) -> None:
        """Ask for a class, with the same dice; None for what the seed draws.

        Raises:
            UnknownName: there is no such class.
        """
        with self._lock:
            dice = self._setting.dice
            if label is not None and dice.model.label is None:
                raise UnknownName("label", label, (), f"'{dice.model.generator.name}' has no classes")
            self._step(replace(self._setting, dice=_checked(replace(dice, label=label))))

    def suggest(self, seed: int) -> None:
        """Ask in the words that a seed draws, with the same dice.

        Raises:
            BadInput: nobody knows what the generator could be asked for.
        """
        with self._lock:
            self._step(replace(self._setting, dice=_checked(self._setting.dice.suggested(seed))))

    def caption(self, caption: str) -> None:
        """Ask in words for what to draw, with the same dice; an empty caption asks for nothing.

        Raises:
            BadInput: the generator reads no captions, or knows none of these words.
        """
        with self._lock:
            if caption.strip() != self._setting.dice.caption:
                self._step(replace(self._setting, dice=_checked(self._setting.dice.captioned(caption))))

    def draw(self, kind: str, drawing: PictureSource | None) -> None:
        """Follow a drawing, with the same dice, as long as the hand draws; None, or paper with nothing on it, for none.

        Args:
            kind: one of the generator's kinds of drawings, such as "sketch".
            drawing: a picture in any form, brought to the generator's size.

        Raises:
            UnknownName: the generator follows no drawings of that kind.
            BadInput: it is no picture.
        """
        with self._lock:
            self._follow(self._setting.dice.drawn(kind, drawing))

    def strength(self, strength: float) -> None:
        """Follow the drawing more or less strongly: 0 not at all, 1 as it is.

        Raises:
            BadInput: there is no drawing, or it is not in that range.
        """
        with self._lock:
            self._follow(self._setting.dice.followed(strength))

    def _follow(self, dice: Dice) -> None:
        """Choose dice that are asked for something else, unless it is the same; no step is made of it."""
        if dice.asked != self._setting.dice.asked:
            self._setting = replace(self._setting, dice=_checked(dice))

    def steps(self, steps: int) -> None:
        """Take another number of steps to the picture.

        Raises:
            BadInput: the generator has no choice of steps, an inverted picture has its own, or it is no number of them.
        """
        with self._lock:
            if steps != self._setting.dice.steps:
                self._step(replace(self._setting, dice=_checked(self._setting.dice.stepped(steps))))

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
            self._step(replace(self._setting, dice=_checked(replace(self._setting.dice, birds=count))))

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

    def dial(self, knob_name: str, target: Target, *, check: Callable[[], None] = lambda: None) -> Reached:
        """Turn a knob until the first picture shows what is asked for, or as nearly as its range allows.

        The other knobs stay. Where the generator takes steps, drafts are what is looked at. What is locked is held anew
        once the knob is turned, so then the very picture is read.

        Args:
            knob_name: the knob.
            target: a number, a colour or a picture; see `steer.dial`.
            check: called now and then; what it raises ends the search.

        Returns:
            What was asked for, and what the judge reads of the picture now.

        Raises:
            UnknownName: there is no such knob.
            BadInput: the knob is meant for nothing that is measured, or the target is not usable.
            Cancelled: something else was chosen meanwhile.
        """
        setting, knob = self._setting, self._knob(knob_name)
        dice, model = setting.dice, setting.dice.model
        bird = dice.latent.rows([0])
        drafts = model.drafts(bird, dice.sampler)
        generator = setting.generator.with_sampler(setting.generator.draft if drafts else dice.sampler)
        windowed = replace(knob, window=setting.windows.get(knob_name, knob.window))
        others = setting.turned(knob_name, 0.0).steering.rows([0], dice.birds)

        def pause(done: int, there_are: int) -> None:
            model.lock.step_aside()
            check()

        with model.lock:
            found = dial(generator, {knob_name: windowed}, bird, {knob_name: target}, steering=others, progress=pause)
        (reached,) = found.reached
        turned = setting.turned(knob_name, _short(reached.amounts[0]))
        if turned.holds:
            reached = _reread(reached, self._made(turned, False, check))
        with self._lock:
            if self._setting is not setting:
                raise Cancelled(f"'{knob_name}' was not dialled, since something else was chosen meanwhile")
            self._setting = turned
        return reached

    def window(self, knob_name: str, start: float, end: float) -> None:
        """Let a knob act in one part only of the way from coarse, 0, to fine, 1.

        Raises:
            UnknownName: there is no such knob.
            BadInput: it is not 0 <= start < end <= 1.
        """
        with self._lock:
            knob, window = self._knob(knob_name), Window(start, end)
            if window != self._setting.windows.get(knob_name, knob.window):
                self._setting = self._setting.windowed(knob_name, window)

    def lock(self, name: str, locked: bool = True) -> None:
        """Hold something while knobs turn, or hold it no longer.

        Raises:
            UnknownName: there is no such thing to lock.
        """
        with self._lock:
            can = self._setting.dice.model.holder.names
            if name not in can:
                raise UnknownName("thing to lock", name, can, "" if can else "nothing can be held here")
            others = tuple(each for each in self._setting.locks if each != name)
            locks = (*others, name) if locked else others
            if locks != self._setting.locks:
                self._step(replace(self._setting, locks=locks))

    def prepare(self, *, check: Callable[[], None] = lambda: None) -> None:
        """Measure how the dice answer where something is locked, so that drafts hold it from the first move on.

        Args:
            check: as in `picture`.
        """
        if self._setting.locks:
            self._setting.dice.answers(self._setting.locks, check)

    def reset(self, knob_name: str | None = None) -> None:
        """Turn every knob back to 0 and let it act in its own window, or only the one that is named.

        Raises:
            UnknownName: there is no such knob.
        """
        with self._lock:
            if knob_name is None:
                self._step(replace(self._setting, amounts={}, windows={}))
                return
            knob = self._knob(knob_name)
            self._step(self._setting.turned(knob_name, 0.0).windowed(knob_name, knob.window))

    def remember(self) -> None:
        """Make what is chosen now a step of the history: here the hand rests."""
        with self._lock:
            self.history.remember(self._setting)

    def undo(self) -> None:
        """Go back one step."""
        with self._lock:
            self.history.remember(self._setting)
            self._setting = self.history.go(self.history.place - 1)

    def redo(self) -> None:
        """Go forward again one step, where one was undone."""
        with self._lock:
            self.history.remember(self._setting)
            self._setting = self.history.go(self.history.place + 1)

    def go_back(self, place: int) -> None:
        """Go to a step of the history, counted from 0."""
        with self._lock:
            self.history.remember(self._setting)
            self._setting = self.history.go(place)

    def picture(self, *, draft: bool = False, check: Callable[[], None] = lambda: None) -> Picture:
        """Make the pictures of the setting as it is now.

        Args:
            draft: for a hand that moves: in few steps, where the generator takes steps, and on half of the processors.
            check: called now and then; what it raises ends the work.
        """
        setting, start = self._setting, perf_counter()
        if setting.amounts:
            return self._made(setting, draft, check)
        return replace(self._plain(setting.dice, draft, check), setting=setting, seconds=perf_counter() - start)

    def _plain(self, dice: Dice, draft: bool, check: Callable[[], None]) -> Picture:
        """Return the pictures of dice with no knob turned; they are kept until other dice are thrown."""
        few_steps = draft and dice.drafts
        kept = self._unturned.get(few_steps)
        if kept is None or kept.setting.dice is not dice:
            kept = self._unturned[few_steps] = self._made(Setting(dice, {}), draft, check)
        return kept

    def _made(self, setting: Setting, draft: bool, check: Callable[[], None]) -> Picture:
        start = perf_counter()
        rough = draft and (setting.dice.drafts or not setting.settled)
        if rough:
            steering = setting.braced(setting.turns, range(setting.dice.birds))
        else:
            steering = Steering([*setting.turns, *setting.held(check)])
        pixels = setting.dice.decode(setting.dice.latent, steering, draft=draft, check=check)
        return Picture(setting, pixels, perf_counter() - start, rough)

    def glimpse(self, setting: Setting) -> Tensor:
        """Return the first bird of a setting, such as a step of the history, as a draft: (1, 3, height, width)."""
        steering = setting.steering.rows([0], setting.dice.birds)
        return setting.dice.decode(setting.dice.latent.rows([0]), steering, draft=True)

    def unturned(self, picture: Picture, *, check: Callable[[], None] = lambda: None) -> Picture:
        """Return the picture of the same dice with no knob turned, a draft if the other is one.

        Args:
            picture: the picture with the turns.
            check: as in `picture`.
        """
        return self._plain(picture.setting.dice, picture.draft, check) if picture.setting.amounts else picture

    def strip(self, knob_name: str, amounts: Sequence[float], *, check: Callable[[], None] = lambda: None) -> Tensor:
        """Return the first bird with one knob at each amount and the others as they are, as drafts.

        Args:
            knob_name: the knob.
            amounts: in its unit.
            check: as in `picture`.

        Returns:
            A picture for each amount, (amounts, 3, height, width) in [0, 1].

        Raises:
            UnknownName: there is no such knob.
        """
        return self._spread([{knob_name: amount} for amount in amounts], check)

    def map(
        self,
        across: str,
        up: str,
        columns: Sequence[float],
        rows: Sequence[float],
        *,
        check: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Return the first bird over two knobs, as drafts, row by row; the other knobs stay as they are.

        Args:
            across: the knob that is turned from column to column.
            up: the knob that is turned from row to row.
            columns: amounts of the one, in its unit.
            rows: amounts of the other.
            check: as in `picture`.

        Returns:
            Pictures (rows * columns, 3, height, width) in [0, 1].

        Raises:
            UnknownName: there is no such knob.
            BadInput: both are the same knob.
        """
        if across == up:
            raise BadInput(f"a map has two knobs, not twice '{up}'; choose another for one of its axes")
        return self._spread([{across: column, up: row} for row in rows for column in columns], check)

    def _spread(self, places: Sequence[Mapping[str, float]], check: Callable[[], None]) -> Tensor:
        """Return the first bird with some knobs turned otherwise, made a few at a time."""
        setting = self._setting
        knobs = {name: self._knob(name) for name in places[0]}
        bird = setting.dice.latent.rows([0])
        others = [turn for turn in setting.turns if turn.knob.name not in knobs]
        pictures = []
        for start in range(0, len(places), STRIP_AT_ONCE):
            some = places[start : start + STRIP_AT_ONCE]
            turns = [
                Turn(knob, [place[name] for place in some], setting.windows.get(name)) for name, knob in knobs.items()
            ]
            steering = setting.braced([*others, *turns], [0] * len(some))
            pictures.append(setting.dice.decode(bird.rows([0] * len(some)), steering, draft=True, check=check))
        return torch.cat(pictures)

    def readings(self, picture: Picture, bird: int = 0, *, check: Callable[[], None] = lambda: None) -> list[Reading]:
        """Return what one bird measures beside what the knobs ask for; empty where there is no measurer.

        Args:
            picture: what is measured.
            bird: which of its birds.
            check: as in `picture`; it is asked while what stood there before any turn is made.
        """
        setting = picture.setting
        model = setting.dice.model
        measurer = model.measurer
        if measurer is None:
            return []
        unturned, loose = self.unturned(picture, check=check), self._loose(picture, bird, check)
        values, before = picture.measured, unturned.measured
        free = model.measure(loose) if loose is not None else {}
        asked: dict[str, list[tuple[float, str]]] = {}
        for name, amount in setting.amounts.items():
            knob = setting.knobs[name]
            asked.setdefault(knob.attribute or "", []).append((amount, knob.unit))
        can = model.holder.names
        return [
            Reading(
                attribute,
                float(values[name][bird]),
                float(before[name][bird]),
                float(attribute.difference(values[name][bird], before[name][bird])),
                tuple(asked.get(name, ())),
                locked=name in setting.locks if name in can else None,
                loose=float(attribute.difference(free[name][0], before[name][bird])) if name in free else None,
            )
            for name, attribute in measurer.attributes.items()
        ]

    def background(
        self, picture: Picture, bird: int = 0, *, check: Callable[[], None] = lambda: None
    ) -> Reading | None:
        """Return how far the background of one bird has changed; None where it cannot be locked.

        Nobody looks unless it is locked.

        Args:
            picture: what is looked at.
            bird: which of its birds.
            check: as in `readings`.
        """
        setting, holder = picture.setting, picture.setting.dice.model.holder
        if BACKGROUND not in holder.names or setting.dice.model.measurer is None:
            return None
        if BACKGROUND not in setting.locks:
            return Reading(AROUND, math.nan, 0.0, math.nan, locked=False)
        unturned, loose = self.unturned(picture, check=check).pixels[[bird]], self._loose(picture, bird, check)
        moved, free = (
            0.0 if each is None else holder.change([BACKGROUND], unturned, each)[BACKGROUND]
            for each in (picture.pixels[[bird]], loose)
        )
        return Reading(AROUND, moved, 0.0, moved, locked=True, loose=None if loose is None else free)

    def _loose(self, picture: Picture, bird: int, check: Callable[[], None]) -> Tensor | None:
        """Return a bird as its turns alone make it, (1, 3, height, width); None where nothing is held."""
        setting = picture.setting
        if not setting.holds:
            return None
        turns = Steering(setting.turns).rows([bird], setting.dice.birds)
        return setting.dice.decode(setting.dice.latent.rows([bird]), turns, draft=picture.draft, check=check)

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
            self._step(setting)
            self.opened = recipe
        return note

    def adopt(self, setting: Setting) -> None:
        """Go on from a setting that was made elsewhere, such as that of an inverted picture.

        Raises:
            UnknownName: its generator is not among those available.
        """
        self.model(setting.generator.name)
        with self._lock:
            self._step(replace(setting, dice=_checked(setting.dice)))

    def as_python(self) -> str:
        """Return Python that makes the picture again, bit for bit."""
        return python_of(self._setting)

    def as_command(self) -> str:
        """Return a command that makes the picture's file again, bit for bit."""
        return command_of(self._setting)

    def _step(self, setting: Setting) -> None:
        """Choose a setting, as a step that can be undone."""
        self.history.remember(self._setting)
        self._setting = setting
        self.history.remember(setting)

    def _knob(self, name: str) -> Knob:
        if name not in self._setting.knobs:
            raise UnknownName("knob", name, self._setting.knobs)
        return self._setting.knobs[name]


def _short(amount: float) -> float:
    """Return an amount in four digits, so that it can be read, and typed again."""
    return float(f"{amount:.4g}")


def _reread(reached: Reached, picture: Picture) -> Reached:
    """Return what was reached as the judge reads it of the first picture."""
    reading = picture.measured[reached.attribute.name][:1]
    residual = reached.attribute.difference(reading, torch.full_like(reading, reached.target))
    return replace(reached, readings=(float(reading),), residuals=(float(residual),))


def _checked(dice: Dice) -> Dice:
    """Return the dice once their latent was drawn, so that what cannot be drawn fails before it is chosen."""
    assert len(dice.latent) == dice.birds
    dice.model.generator.sampler_of(dice.latent, dice.sampler)
    return dice

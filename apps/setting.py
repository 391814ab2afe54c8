"""Settings: everything a person has chosen, frozen; dice, knobs and amounts that pictures follow from."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from threading import Lock
from time import perf_counter

import torch
from torch import Tensor

from steer.apps.fairness import FairLock
from steer.apps.holding import Holder
from steer.apps.processors import half_of_the_processors
from steer.attribute import Measurer, Worded
from steer.backend import Condition
from steer.choices import choose_words
from steer.condition import as_entry, read_entry
from steer.directions.background import BACKGROUND
from steer.directions.hold import Answers
from steer.errors import BadInput, SteerError, UnknownName
from steer.generator import Generator
from steer.knob import Knob, KnobSet, Window
from steer.latent import Latent
from steer.layout import Layout
from steer.prepare import PictureSource
from steer.recipe import Recipe
from steer.registry import load_generator, load_measurer, shipped_knobs
from steer.sampler import Sampler
from steer.steering import Steering, Turn

COLUMNS: Mapping[int, int] = {1: 1, 4: 2, 9: 3}
"""How many birds are shown at once, and in how many columns."""

MOST_BIRDS = max(COLUMNS)
LARGEST_SEED = 2**53 - 1

TYPICAL = 0.8
"""The truncation that a session begins with: it looks better than 1, and is hardly less varied."""


MOST_STEPS = 1000

STRENGTH, STRONGEST = "strength", 2.0
"""The condition that says how strongly a drawing is followed, and the most that can be asked for here."""

SLICE = 0.15
"""Seconds after which whoever makes pictures lets others go first."""


@dataclass(frozen=True, eq=False)
class Model:
    """A generator that all sessions of a process share.

    Attributes:
        source: the name or folder that it was loaded by.
        generator: the generator.
        knobs: the knobs shipped with it.
        lock: taken for each frame, so that sessions take turns.
    """

    source: str
    generator: Generator
    knobs: KnobSet
    lock: FairLock = field(default_factory=FairLock)

    @cached_property
    def measurer(self) -> Measurer | None:
        """What judges its pictures; None where that cannot be loaded."""
        try:
            return load_measurer(self.generator.backend.measurer)
        except (SteerError, ImportError):
            return None

    @cached_property
    def holder(self) -> Holder:
        """What holds locks on its pictures."""
        return Holder(self.generator, self.lock)

    @cached_property
    def label(self) -> Condition | None:
        """The condition that chooses a class, if there is one."""
        return next((each for each in self.generator.conditions.values() if each.kind == "label"), None)

    @cached_property
    def caption(self) -> Condition | None:
        """The condition that says in words what to draw, if there is one."""
        return self.generator.conditions[self.generator.words] if self.generator.words else None

    def suggested(self, seed: int) -> dict[str, str]:
        """Return words to ask for, under the name of their condition; empty where nobody knows what could be said."""
        if self.caption is None or not isinstance(self.measurer, Worded):
            return {}
        return {self.caption.name: choose_words(self.measurer.captions, seed)}

    @cached_property
    def drawings(self) -> Mapping[str, Condition]:
        """The kinds of drawings that can be followed, by name."""
        return {name: each for name, each in self.generator.conditions.items() if each.kind == "picture"}

    @property
    def final(self) -> Sampler | None:
        """The steps that are taken where none are asked for; None where there is no choice of them."""
        return self.generator.sampler or self.generator.backend.samplers.get("final")

    @cached_property
    def truncates(self) -> bool:
        """Whether truncation changes anything: the noise of a diffusion model cannot be drawn in."""
        drawn_in, plain = (self.generator.sample([0], truncation=truncation) for truncation in (0.5, 1.0))
        return any(not values.equal(plain[name]) for name, values in drawn_in.values.items())

    @property
    def dice_knobs(self) -> tuple[str, ...]:
        """The names of the knobs that can be thrown as one die: those along plain dice."""
        spaces = self.generator.spaces
        return tuple(
            name
            for name, knob in self.knobs.items()
            if spaces[knob.space].kind == "input" and spaces[knob.space].isotropic
        )

    def drafts(self, latent: Latent, sampler: Sampler | None = None) -> bool:
        """Whether a draft differs from the picture: where more steps are taken, and no inverted picture fixes them."""
        draft, asked = self.generator.draft, sampler or self.final
        return draft is not None and latent.anchor is None and asked is not None and asked.steps > draft.steps

    def decode(
        self,
        latent: Latent,
        steering: Steering | None = None,
        *,
        sampler: Sampler | None = None,
        draft: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Make pictures (batch, 3, height, width) in [0, 1] while nobody else does.

        What takes long lets others go first now and then.

        Args:
            latent: what to make pictures of.
            steering: the turns.
            sampler: the steps, where the generator takes steps; None for its own.
            draft: make do with few steps, where the generator takes steps, and with half of the processors.
            check: called after every stage; what it raises ends the work.
        """
        since = perf_counter()

        def pause(done: int, there_are: int) -> None:
            nonlocal since
            check()
            if perf_counter() - since > SLICE:
                self.lock.step_aside()
                since = perf_counter()

        sampler = self.generator.draft if draft and self.drafts(latent, sampler) else sampler
        with self.lock, torch.no_grad(), half_of_the_processors() if draft else nullcontext():
            since = perf_counter()
            return self.generator.decode(latent, steering, sampler=sampler, progress=pause)

    def measure(self, pictures: Tensor) -> dict[str, Tensor]:
        """Measure pictures; (batch,) per attribute, and nothing where there is no measurer."""
        if self.measurer is None:
            return {}
        with torch.no_grad(), half_of_the_processors():
            return self.measurer.measure(pictures)


_MODELS: dict[str, Model] = {}
_LOADING = Lock()


def shared_model(source: str) -> Model:
    """Return the one model of this name or folder in this process, loaded when it is first asked for."""
    if source not in _MODELS:  # nobody else waits while one is loaded
        with _LOADING:
            if source not in _MODELS:
                generator = load_generator(source)
                _MODELS[source] = Model(source, generator, shipped_knobs(generator))
    return _MODELS[source]


def is_loaded(source: str) -> bool:
    """Return whether this process has the model of this name or folder already."""
    return source in _MODELS


@dataclass(frozen=True, eq=False)
class Dice:
    """The dice as they lie: everything that a latent follows from.

    Attributes:
        model: whose dice they are.
        seeds: a seed for each of `MOST_BIRDS` birds, shown or not.
        birds: how many birds are shown.
        label: the class that is asked for; None for what the seed draws.
        asked: what else is asked for, such as a caption or a drawing: an entry for each condition.
        truncation: how far the dice are drawn in.
        sampler: the steps to the picture, where the generator takes steps; None for its own.
        thrown: the dice thrown singly, each a knob and the seed it was thrown with.
        held: birds that came as plain values, without a seed; they stand in for the first rows.
    """

    model: Model
    seeds: tuple[int, ...] = tuple(range(MOST_BIRDS))
    birds: int = 1
    label: str | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    truncation: float = TYPICAL
    sampler: Sampler | None = None
    thrown: tuple[tuple[Knob, int], ...] = ()
    held: Latent | None = None
    _answers: dict[bool, Answers] = field(default_factory=dict, init=False, repr=False)

    @property
    def plain(self) -> bool:
        """Whether every bird is simply that of its seed."""
        return self.held is None and not self.thrown

    @property
    def wanted(self) -> dict[str, str]:
        """Everything that is asked for, an entry for each condition, the class included."""
        label = self.model.label
        return {**self.asked, **({label.name: self.label} if label is not None and self.label is not None else {})}

    @property
    def caption(self) -> str:
        """The words that are asked for; empty where there are none."""
        return self.asked.get(self.model.caption.name, "") if self.model.caption else ""

    def captioned(self, caption: str) -> "Dice":
        """Return the dice with other words asked for, or none.

        Raises:
            BadInput: the generator reads no words.
        """
        if self.model.caption is None:
            raise BadInput(f"'{self.model.generator.name}' reads no captions; choose one that does")
        name, words = self.model.caption.name, caption.strip()
        others = {each: entry for each, entry in self.asked.items() if each != name}
        return replace(self, asked={**others, **({name: words} if words else {})})

    def suggested(self, seed: int) -> "Dice":
        """Return the dice asked in the words that a seed draws.

        Raises:
            BadInput: nobody knows what the generator could be asked for.
        """
        words = self.model.suggested(seed)
        if not words:
            raise BadInput(f"nobody knows which words '{self.model.generator.name}' could be asked in; write your own")
        return replace(self, asked={**self.asked, **words})

    @property
    def drawing_kind(self) -> str | None:
        """The kind of drawing that is followed; None where none is."""
        return next((name for name in self.model.drawings if name in self.asked), None)

    @cached_property
    def drawing(self) -> Tensor | None:
        """The drawing that is followed, (1, 3, height, width) in [0, 1]; None where none is."""
        kind = self.drawing_kind
        return read_entry(self.asked[kind], self.model.generator.backend.picture_size) if kind else None

    def drawn(self, kind: str, drawing: PictureSource | None) -> "Dice":
        """Return the dice with one drawing to follow, or none: where it is all paper nothing is drawn.

        Raises:
            UnknownName: the generator follows no drawings of that kind.
            BadInput: it is no picture.
        """
        if kind not in self.model.drawings:
            raise UnknownName("kind of drawing", kind, self.model.drawings)
        taken = {*self.model.drawings, *(() if drawing is not None else (STRENGTH,))}
        others = {name: entry for name, entry in self.asked.items() if name not in taken}
        if drawing is None:
            return replace(self, asked=others)
        size = self.model.generator.backend.picture_size
        entry = as_entry(drawing, size)
        if bool((read_entry(entry, size) == 1).all()):
            return self.drawn(kind, None)
        return replace(self, asked={**others, kind: entry})

    @property
    def strength(self) -> float:
        """How strongly the drawing is followed: 0 not at all, 1 as it is."""
        return float(self.asked.get(STRENGTH, 1.0))

    def followed(self, strength: float) -> "Dice":
        """Return the dice with the drawing followed more or less strongly.

        Raises:
            BadInput: there is no drawing, the generator follows all equally, or it is no number from 0 to `STRONGEST`.
        """
        if self.drawing_kind is None or STRENGTH not in self.model.generator.conditions:
            raise BadInput("strength is that of a drawing; draw one first, with a generator that follows drawings")
        if not 0 <= strength <= STRONGEST:
            raise BadInput(f"a drawing is followed with a strength of 0 to {STRONGEST:g}, not {strength:g}")
        others = {name: entry for name, entry in self.asked.items() if name != STRENGTH}
        return replace(self, asked=others if strength == 1 else {**others, STRENGTH: f"{float(strength)}"})

    @property
    def steps(self) -> int | None:
        """How many steps lead to the picture; None where there is no choice of them."""
        sampler = self.sampler or self.model.final
        return sampler.steps if sampler else None

    @property
    def drafts(self) -> bool:
        """Whether a draft of them takes fewer steps than the picture; see `Model.drafts`."""
        return self.model.drafts(self.latent, self.sampler)

    def stepped(self, steps: int) -> "Dice":
        """Return the dice with another number of steps to the picture.

        Raises:
            BadInput: there is no choice of steps, or it is no number of them.
        """
        final = self.model.final
        if final is None:
            raise BadInput(f"'{self.model.generator.name}' makes a picture in one go and has no choice of steps")
        if not 1 <= steps <= MOST_STEPS:
            raise BadInput(f"a picture takes 1 to {MOST_STEPS} steps, not {steps}")
        sampler = replace(self.sampler or final, steps=steps)
        return replace(self, sampler=None if sampler == final else sampler)

    def decode(
        self,
        latent: Latent,
        steering: Steering | None = None,
        *,
        draft: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Make pictures of a latent in the steps that are chosen; see `Model.decode`."""
        return self.model.decode(latent, steering, sampler=self.sampler, draft=draft, check=check)

    @cached_property
    def latent(self) -> Latent:
        """The birds' latent.

        Raises:
            SteerError: the generator cannot draw such dice.
        """
        latent = self._sample(self.seeds[: self.birds])
        if self.held is not None:
            latent = self._hold(self.held, latent)
        for knob, seed in self.thrown:
            latent = latent.rolled(knob, self._sample(consecutive(seed, self.birds)))
        return latent

    def stages(self, knob: Knob) -> tuple[tuple[float, float], ...]:
        """Return the parts of the way to the picture in which the values that a knob turns are met."""
        generator, latent = self.model.generator, self.latent.rows([0])
        stages = generator.backend.stages(latent, generator.sampler_of(latent, self.sampler))
        return tuple(stage.interval for stage in stages if knob.space in stage.spaces)

    def known(self, locks: Collection[str]) -> Answers | None:
        """Return how the birds answer to their dice, if that was measured for such locks."""
        return self._answers.get(BACKGROUND in locks)

    def answers(self, locks: Collection[str], check: Callable[[], None] = lambda: None) -> Answers:
        """Measure how the birds answer to their dice, once for all locks, and once more if the background is locked.

        Args:
            locks: what is locked.
            check: as in `Model.decode`.
        """
        known = self.known(locks)
        if known is None:
            draw = partial(self.decode, check=check)
            known = self.model.holder.answers(tuple(locks), self.latent, draw, check)
            self._answers[BACKGROUND in locks] = known
        return known

    def _sample(self, seeds: Sequence[int]) -> Latent:
        return self.model.generator.sample(list(seeds), condition=self.wanted or None, truncation=self.truncation)

    def _hold(self, held: Latent, drawn: Latent) -> Latent:
        """Put held birds in the place of the first drawn ones; what is not dice follows what is asked for."""
        count = min(len(held), len(drawn))
        own = (
            () if self.model.label is None else (self.model.label.name,)
        )  # drawn by the seed where it is not asked for
        asked_anew = any(set(held.condition.get(name, ())) != {entry} for name, entry in self.wanted.items()) or any(
            name not in self.asked for name in held.condition if name not in own
        )
        if held.anchor and count == len(drawn) and not asked_anew and self.truncation == held.truncation:
            return held.rows(range(count))  # an inverted picture stays what it is until something of it changes
        values = {}
        for name, fresh in drawn.values.items():
            kept = held[name][:count]
            if self.model.generator.spaces[name].isotropic:
                kept = kept if self.truncation == held.truncation else kept * (self.truncation / held.truncation)
            elif asked_anew:
                kept = fresh[:count]
            values[name] = torch.cat([kept, fresh[count:]])
        entries = drawn.condition if asked_anew else {**drawn.condition, **held.condition}
        condition = {name: (*entries[name][:count], *drawn.condition[name][count:]) for name in drawn.condition}
        return replace(drawn, values=values, condition=condition, seeds=(None,) * count + drawn.seeds[count:])


@dataclass(frozen=True, eq=False)
class Kept:
    """Turns that came with a restored recipe and hold its locks, to the last bit, as long as nothing else is turned.

    Attributes:
        setting: the setting that they belong to, without locks.
        turns: the turns.
    """

    setting: "Setting"
    turns: tuple[Turn, ...]

    def fit(self, setting: "Setting") -> bool:
        """Return whether a setting still has the dice and the turns that they were found for."""
        mine = self.setting
        return (mine.dice, mine.amounts, mine.windows) == (setting.dice, setting.amounts, setting.windows)


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything a person has chosen; a picture follows from it and from nothing else.

    Attributes:
        dice: the dice as they lie.
        knobs: what can be turned: the shipped knobs, and those that came with a restored recipe.
        amounts: how far each knob is turned, in its unit; a knob that is not named stands at 0.
        windows: where on the way to the picture a knob acts, for those that do not act in their own window.
        locks: what is held while knobs turn, in the order in which it was locked.
        kept: what holds it where a recipe says so.
    """

    dice: Dice
    knobs: Mapping[str, Knob]
    amounts: Mapping[str, float] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    locks: tuple[str, ...] = ()
    kept: Kept | None = None
    _held: list[tuple[Turn, ...]] = field(default_factory=list, init=False, repr=False)

    @property
    def generator(self) -> Generator:
        """The generator in use."""
        return self.dice.model.generator

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """The turns that a person made."""
        return tuple(Turn(self.knobs[name], amount, self.windows.get(name)) for name, amount in self.amounts.items())

    @property
    def holds(self) -> bool:
        """Whether there is anything to hold: something is locked, and something turned."""
        return bool(self.locks and self.amounts)

    @property
    def settled(self) -> bool:
        """Whether what holds the locks is known already."""
        return not self.holds or bool(self._held)

    @property
    def steering(self) -> Steering:
        """The turns, and those that hold what is locked."""
        return Steering([*self.turns, *self.held()])

    def held(self, check: Callable[[], None] = lambda: None) -> tuple[Turn, ...]:
        """Return the turns that hold what is locked, found when they are first asked for.

        Args:
            check: as in `Model.decode`.
        """
        if not self.holds:
            return ()
        if not self._held and self.kept is not None and self.kept.fit(self):
            self._held.append(self.kept.turns)
        if not self._held:
            dice, draw = self.dice, partial(self.dice.decode, check=check)
            answers = dice.answers(self.locks, check)
            held = dice.model.holder.correct(answers, self.locks, dice.latent, Steering(self.turns), draw)
            self._held.append(tuple(held))
        return self._held[0]

    def braced(self, turns: Sequence[Turn], rows: Sequence[int]) -> Steering:
        """Return turns of some of the birds, with those that should hold what is locked: quick, and not tried.

        Where it is not known yet how the birds answer, nothing is held.

        Args:
            turns: how the birds are turned.
            rows: which of the birds they are, repeats allowed.
        """
        answers, steering = self.dice.known(self.locks), Steering(turns)
        if not self.locks or answers is None or all(turn.idle for turn in turns):
            return steering
        some, latent = answers.rows(rows), self.dice.latent.rows(rows)
        return Steering([*turns, *self.dice.model.holder.guess(some, self.locks, latent, steering, self.dice.decode)])

    @property
    def layout(self) -> Layout:
        """How the pictures lie in a file: one bird bare, several on a sheet."""
        return Layout(bare=True) if self.dice.birds == 1 else Layout(columns=COLUMNS[self.dice.birds])

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the picture."""
        dice, label = self.dice, self.dice.model.label
        recipe = Recipe.of(self.generator, dice.latent, self.steering, sampler=dice.sampler, layout=self.layout)
        assert recipe.scene is not None
        if dice.label is None and dice.plain and label is not None:
            # No label was asked for, so none is written down: the seed draws the same one again.
            condition = {name: entries for name, entries in recipe.scene.condition.items() if name != label.name}
            recipe = recipe.model_copy(update={"scene": recipe.scene.model_copy(update={"condition": condition})})
        return recipe

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of each bird, asked for or drawn; empty where the generator has no classes."""
        label = self.dice.model.label
        return self.dice.latent.condition.get(label.name, ()) if label else ()

    @property
    def file_name(self) -> str:
        """A name for the picture's file, after generator, label and seed."""
        labels = set(self.labels)
        seeds = seed_text(self.dice.seeds[: self.dice.birds]) if self.dice.plain else "own-dice"
        parts = [self.generator.name, *(labels if len(labels) == 1 else ()), seeds]
        return "".join(c if c.isalnum() or c in "-_" else "-" for c in "-".join(parts)) + ".png"

    def turned(self, name: str, amount: float) -> "Setting":
        """Return the setting with one knob turned to an amount."""
        amounts = {**self.amounts, name: amount}
        return replace(self, amounts={each: value for each, value in amounts.items() if value != 0})

    def windowed(self, name: str, window: Window) -> "Setting":
        """Return the setting with one knob acting in a window."""
        windows = {**self.windows, name: window}
        own = {each: self.knobs[each].window for each in windows}
        return replace(self, windows={each: window for each, window in windows.items() if window != own[each]})


def consecutive(seed: int, count: int) -> tuple[int, ...]:
    """Return ``count`` seeds from ``seed`` on.

    >>> consecutive(7, 3)
    (7, 8, 9)

    Raises:
        BadInput: the seed is not a whole number from 0 up.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED - count:
        raise BadInput(f"a seed is a whole number from 0 up, not {seed!r:.40}")
    return tuple(range(seed, seed + count))


def seed_text(seeds: Sequence[int]) -> str:
    """Write seeds as `steer.parse_seeds` reads them.

    >>> seed_text([7, 8, 9]), seed_text([7]), seed_text([3, 1])
    ('7-9', '7', '3,1')
    """
    first, last = seeds[0], seeds[-1]
    if len(seeds) > 1 and tuple(seeds) == tuple(range(first, last + 1)):
        return f"{first}-{last}"
    return ",".join(map(str, seeds))

"""The engine: it runs any backend, and does once what every generator needs."""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from numbers import Real
from time import perf_counter
from typing import Any, final

import torch
from torch import Tensor

from steer.anchor import Anchor, Source
from steer.backend import Backend, Condition, Noisy, Sampler, Stage, State
from steer.choices import choose_words
from steer.condition import Asked
from steer.door import A_LATENT, A_STEERING, expect, whole_numbers
from steer.errors import BadInput, SteerError, UnknownName, WrongGenerator
from steer.inversion import Found, Inversion, Invertible, Report, options_of
from steer.latent import Latent
from steer.prepare import PictureSource, Prepared, prepare
from steer.progress import Progress as Progress
from steer.shapes import Pictures
from steer.space import Space
from steer.state_cache import StateCache
from steer.steering import Steering
from steer.way import Watch, Way

LARGEST_CHUNK = 16
CACHE_BYTES = 256 * 2**20
KEPT_INVERSIONS = 16
"""How many inversions a generator remembers: one takes seconds, and saving its recipe asks for it again."""


@dataclass(frozen=True, eq=False)
class Moment:
    """What a film shows of one stage.

    Attributes:
        name: the stage's name; "picture" once all are done.
        picture: the current guess, (batch, 3, height, width) in [0, 1]: what the stage made of what it was given.
        noisy: what the stage was given, noise and all, of the same shape; None for generators without noise.
    """

    name: str
    picture: Pictures
    noisy: Pictures | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """Pictures, and what passed in a space on the way to them.

    Attributes:
        pictures: (batch, 3, height, width) in [0, 1].
        values: (batch, stages, *space.shape).
        stages: those in which the space is met.
    """

    pictures: Tensor
    values: Tensor
    stages: tuple[Stage, ...]


@final
class Generator:
    """A generator to sample from, decode, observe and steer.

    Pictures are made in chunks of a fixed size, the last one padded, so that the same call gives the same bits.

    Attributes:
        name: the name or folder it was loaded by.
        backend: the plugin it runs.
        device: where it runs.
        sampler: the steps that it takes where none are asked for; None for the backend's own choice.
        asked: what its samples are asked for where nothing else is said; None where that was never said either.
    """

    def __init__(self, backend: Backend, *, name: str, device: torch.device | str = "cpu") -> None:
        self.name = name
        self.device = torch.device(device)
        self.backend = backend.to(self.device)
        self.sampler: Sampler | None = None
        self.asked: Mapping[str, str] | None = None
        self._cache = StateCache(CACHE_BYTES)
        self._inversions: OrderedDict[str, Inversion] = OrderedDict()

    def __repr__(self) -> str:
        height, width = self.backend.picture_size
        return f"Generator({self.name!r}, {width}x{height}, spaces {', '.join(self.spaces)})"

    @property
    def spaces(self) -> Mapping[str, Space]:
        """What can be steered, by name."""
        return self.backend.spaces

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """What it can be asked for, by name."""
        return self.backend.conditions

    @property
    def fingerprint(self) -> str:
        """A hash of weights and configuration."""
        return self.backend.fingerprint

    @property
    def draft(self) -> Sampler | None:
        """The sampler for looking while a hand moves; None for a generator that has no choice of steps."""
        return self.backend.samplers.get("draft")

    def with_sampler(self, sampler: Sampler | None) -> "Generator":
        """Return the same generator, which takes these steps where none are asked for.

        Raises:
            BadInput: it has no choice of steps.
        """
        self._check_sampler(sampler)
        other = copy(self)
        other.sampler = sampler
        return other

    def with_condition(self, condition: Mapping[str, Asked]) -> "Generator":
        """Return the same generator, whose samples are asked for this where nothing else is said.

        Raises:
            BadInput: it cannot be asked for that.
            UnknownName: there is no such condition or label.
        """
        other = copy(self)
        other.asked = {name: entry for name, (entry,) in self.entries(condition, 1).items()}
        return other

    def space(self, name: str) -> Space:
        """Return a space by name.

        Raises:
            UnknownName: there is no such space.
        """
        if name not in self.spaces:
            raise UnknownName("space", name, self.spaces)
        return self.spaces[name]

    def sample(
        self,
        seeds: Sequence[int],
        *,
        condition: Mapping[str, Asked | Sequence[Asked]] | None = None,
        truncation: float = 1.0,
    ) -> Latent:
        """Draw latents, one row a seed; the same seed gives the same row in any batch.

        Args:
            seeds: whole numbers from 0 up.
            condition: what to ask for, such as ``{"label": "robin"}`` or ``{"sketch": "bird.png"}``; one for all, or
                one per seed. In words ``{red|blue}`` is one or the other, by seed. Left out, what `asked` says.
            truncation: how far the dice are drawn in towards their mean, in (0, 1]; smaller is more typical.

        Raises:
            BadInput: seeds, condition or truncation are not usable.
            UnknownName: there is no such condition or label.

        Warns:
            SteerWarning: some of what was asked for was passed over, such as words that the generator does not know.
        """
        numbers = whole_numbers(seeds, "seeds are a list of whole numbers from 0 up, such as [0, 1, 2]")
        expect(truncation, Real, "truncation is a number")
        if not (math.isfinite(truncation) and 0 < truncation <= 1):
            raise BadInput(f"truncation is above 0 and at most 1, not {truncation}")
        asked = self.entries(self.asked if condition is None else condition, len(numbers))
        for name, entries in asked.items():
            if self.conditions[name].kind == "text":
                asked[name] = [choose_words(entry, seed) for entry, seed in zip(entries, numbers, strict=True)]
        return self.backend.sample(numbers, condition=asked, truncation=float(truncation)).to(self.device)

    @property
    def words(self) -> str | None:
        """The name of the condition that says in words what to draw; None where there is none."""
        return next((name for name, condition in self.conditions.items() if condition.kind == "text"), None)

    def entries(self, condition: Mapping[str, Asked | Sequence[Asked]] | None, count: int) -> dict[str, list[str]]:
        """Write down what is asked for, an entry for each of ``count`` rows, as latents and recipes hold it.

        Raises:
            BadInput: there are neither one nor ``count`` of it, or it is not of the condition's kind.
            UnknownName: there is no such condition or label.
        """
        expect(condition or {}, Mapping, 'what to ask for is written {"label": NAME}')
        for name in condition or {}:
            if name not in self.conditions:
                raise UnknownName("condition", name, self.conditions, f"'{self.name}' can be asked for nothing else")
        size = self.backend.picture_size
        return {name: self.conditions[name].rows(each, count, size) for name, each in (condition or {}).items()}

    def invert(
        self,
        picture: PictureSource,
        *,
        condition: Mapping[str, Asked | Sequence[Asked]] | None = None,
        sampler: Sampler | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Inversion:
        """Find the latent that leads to a picture, so that its knobs can be turned.

        The picture is prepared first: turned upright, cropped about its middle and scaled to the generator's size,
        with 8 bits a channel; the report says what was done. The latent found is anchored to the picture: `decode`
        without turns returns what was inverted, and `Latent.without_anchor` what the latent alone leads to.

        Args:
            picture: a file, an image, an array or a tensor, of any size and mode; see `steer.prepare.prepare`.
            condition: what is in it, such as ``{"label": "robin"}``, for generators that ask.
            sampler: the sampler to invert, for generators that have a choice of them.
            progress: called as the work goes on.
            **options: those of the generator's own method.

        Returns:
            The latent, one row, and a report of how well it went.

        Raises:
            BadInput: the generator cannot invert or has no choice of steps, it is no picture, or an option is not
                usable.
            UnknownName: there is no such condition, label or option.
        """
        backend = self.backend
        if not isinstance(backend, Invertible):
            raise BadInput(f"'{self.name}' cannot invert pictures; take one that can, such as 'aviary-biggan'")
        prepared = prepare(picture, backend.picture_size)
        asked = self.entries(condition, 1)
        self._check_sampler(sampler)
        sampler = sampler or self.sampler
        for name in options:
            if name not in (own := options_of(backend)):
                raise UnknownName(f"option of inversion by '{self.name}'", name, own)
        entries = {name: entry for name, (entry,) in asked.items()}
        settings = {"condition": entries, "sampler": sampler.to_json() if sampler else None, **options}
        known = Source(prepared.png, settings).digest
        if known in self._inversions:
            return self._inversions[known]
        start = perf_counter()
        found = backend.invert(
            prepared.picture.to(self.device), condition=asked, sampler=sampler, progress=progress, **options
        )
        used = {**settings, "sampler": found.sampler.to_json() if found.sampler else None, **found.settings}
        inversion = self._inversion(prepared, Source(prepared.png, used), found, perf_counter() - start)
        self._remember(known, inversion)
        return inversion

    def _inversion(self, prepared: Prepared, source: Source, found: Found, seconds: float) -> Inversion:
        """Anchor what was found to its source, and measure it without the anchor."""
        with torch.no_grad():
            returned = self.decode(found.latent, sampler=found.sampler)
        missed = (returned.cpu() - prepared.picture).double()
        report = Report(
            error=float(missed.abs().mean()),
            largest_error=float(missed.abs().max()),
            psnr=-10 * math.log10(squared) if (squared := float(missed.square().mean())) else math.inf,
            calls=found.calls,
            seconds=seconds,
            in_domain=self._in_domain(prepared),
            prepared=prepared,
            complaints=found.complaints,
            details=found.details,
        )
        anchor = Anchor((source,), found.sampler, found.states, found.landings)
        return Inversion(replace(found.latent, seeds=(None,), anchor=anchor).to(self.device), report)

    def _in_domain(self, prepared: Prepared) -> float | None:
        """Ask the measurer; one without a world to refer to knows every picture, which says nothing."""
        from steer.registry import load_measurer

        try:
            measurer = load_measurer(self.backend.measurer)
        except (SteerError, ImportError):
            return None
        return float(measurer.in_domain(prepared.picture)[0]) if measurer.reference else None

    def _remember(self, known: str, inversion: Inversion) -> None:
        """Keep an inversion under what it was asked with, and under what finds the same again."""
        assert inversion.latent.anchor is not None
        for key in (known, inversion.latent.anchor.sources[0].digest):
            self._inversions[key] = inversion
        while len(self._inversions) > KEPT_INVERSIONS:
            self._inversions.popitem(last=False)

    def decode(
        self,
        latent: Latent,
        steering: Steering | None = None,
        *,
        sampler: Sampler | None = None,
        progress: Progress | None = None,
        chunk: int | None = None,
    ) -> Pictures:
        """Make the pictures of a latent, steered.

        Differentiable in the latent's values and in the amounts. With no turns, or amounts of 0, the picture is
        bit-equal to the unsteered one. An inverted picture comes back as it was inverted until a turn touches it, and
        a small turn changes it a little, whatever error the inversion left.

        Args:
            latent: what to decode.
            steering: turns, with one amount or one per row.
            sampler: steps, for generators that have a choice of them; for inverted pictures those of the inversion.
            progress: called after every stage of every chunk.
            chunk: rows run at a time; by default all, up to 16.

        Returns:
            Pictures (batch, 3, height, width) in [0, 1].

        Raises:
            WrongGenerator: a knob was found on other weights.
            BadInput: a knob does not fit its space, the sampler is not that of the inversion, the generator has no
                choice of steps, or numbers ran over, as they do where a knob is turned much too far.
        """
        pictures = []
        for state in self._run(latent, steering, sampler, progress, chunk):
            pictures.append(self._picture(state, steering))
        return torch.cat(pictures)[: len(latent)]

    def film(
        self, latent: Latent, steering: Steering | None = None, *, sampler: Sampler | None = None
    ) -> Iterator[Moment]:
        """Yield what stands at each stage, all rows in one chunk; the last moment's picture is the finished one."""
        steering, sampler = self._checked(steering, latent).given(latent), self.sampler_of(latent, sampler)
        backend = self.backend
        stages = backend.stages(latent, sampler)
        way = Way(backend, latent, steering, stages)
        state = backend.begin(latent, sampler)
        for stage in stages:
            noisy = backend.noisy_picture(state) if isinstance(backend, Noisy) else None
            state = way.advance(state, stage, steering)
            yield Moment(stage.name, self._picture(state, steering), noisy)
        if isinstance(backend, Noisy):
            yield Moment("picture", self._picture(state, steering), backend.noisy_picture(state))

    def observe(
        self,
        latent: Latent,
        space: str,
        steering: Steering | None = None,
        *,
        sampler: Sampler | None = None,
        stage: int | None = None,
        chunk: int | None = None,
    ) -> Tensor:
        """Return the values that pass in a space, (batch, *space.shape), before any turn in it.

        Runs no further than it must.

        Args:
            latent: what to decode on the way.
            space: the space to look at.
            steering: turns made before.
            sampler: steps, for generators that have a choice of them.
            stage: index of the stage to look in; by default the first in which the space is met.
            chunk: rows run at a time; by default all, up to 16.

        Raises:
            UnknownName: there is no such space, or it is not met in that stage.
        """
        self.space(space)
        steering, sampler = self._checked(steering, latent), self.sampler_of(latent, sampler)
        seen = []
        for rows in self._chunks(len(latent), chunk):
            part = latent.rows(rows)
            turns = steering.rows(rows, len(latent)).given(part)
            stages = self.backend.stages(part, sampler)
            met = [each.index for each in stages if space in each.spaces]
            wanted = met[0] if stage is None else stage
            if wanted not in met:
                raise UnknownName(f"stage of space '{space}'", str(stage), map(str, met))
            watch = Watch(turns, space)
            way = Way(self.backend, part, turns, stages)
            state = self.backend.begin(part, sampler)
            for each in stages[:wanted]:
                state = way.advance(state, each, turns)
            self.backend.advance(state, stages[wanted], watch)
            seen.append(watch.seen[-1])
        return torch.cat(seen)[: len(latent)]

    def trace(
        self,
        latent: Latent,
        space: str,
        steering: Steering | None = None,
        *,
        sampler: Sampler | None = None,
        chunk: int | None = None,
    ) -> Trace:
        """Decode, and return with the pictures the values that pass in a space in every stage, before any turn in it.

        Args:
            latent: what to decode.
            space: the space to look at.
            steering: turns made on the way.
            sampler: steps, for generators that have a choice of them.
            chunk: rows run at a time; by default all, up to 16.

        Raises:
            UnknownName: there is no such space.
            BadInput: as in `decode`.
        """
        self.space(space)
        steering, sampler = self._checked(steering, latent), self.sampler_of(latent, sampler)
        stages = self.backend.stages(latent, sampler)
        pictures, values = [], []
        for rows in self._chunks(len(latent), chunk):
            part = latent.rows(rows)
            turns = steering.rows(rows, len(latent)).given(part)
            way, watch = Way(self.backend, part, turns, stages), Watch(turns, space)
            state = self.backend.begin(part, sampler)
            for stage in stages:
                state = way.advance(state, stage, watch, look=True)
            pictures.append(self._picture(state, steering))
            values.append(torch.stack(watch.seen, 1))
        met = tuple(stage for stage in stages if space in stage.spaces)
        return Trace(torch.cat(pictures)[: len(latent)], torch.cat(values)[: len(latent)], met)

    def _checked(self, steering: Steering | None, latent: Latent) -> Steering:
        """Return the steering, or none where none was given, once it and the latent turned out to fit."""
        expect(latent, Latent, A_LATENT)
        for name, values in latent.values.items():
            if tuple(values.shape[1:]) != self.space(name).shape:
                raise BadInput(
                    f"the latent is of another generator: its '{name}' has shape {tuple(values.shape[1:])}, that of "
                    f"'{self.name}' has {self.space(name).shape}"
                )
        steering = steering if steering is not None else Steering()
        expect(steering, Steering, A_STEERING)
        for turn in steering.turns:
            knob = turn.knob
            if knob.space not in self.spaces:
                raise UnknownName("space", knob.space, self.spaces, f"the knob '{knob.name}' turns it")
            made_for = knob.provenance.fingerprint
            if made_for is not None and made_for != self.fingerprint:
                raise WrongGenerator(
                    f"the knob '{knob.name}'",
                    made_for,
                    self.fingerprint,
                    "steer.adopt(knob, generator.fingerprint)",
                )
            if knob.shape != self.spaces[knob.space].shape:
                raise BadInput(
                    f"the knob '{knob.name}' has shape {knob.shape}, space '{knob.space}' of '{self.name}' has "
                    f"{self.spaces[knob.space].shape}; it was made for another generator and cannot turn this one"
                )
            turn.amounts(len(latent))
        return steering

    def sampler_of(self, latent: Latent, sampler: Sampler | None = None) -> Sampler | None:
        """Return the sampler that a latent is decoded with: its own, if it was inverted, or the one asked for.

        Raises:
            BadInput: the sampler asked for is not that of the inversion, or the generator has no choice of steps.
        """
        self._check_sampler(sampler)
        own = latent.anchor.sampler if latent.anchor else None
        if own is not None and sampler not in (None, own):
            raise BadInput(
                f"the picture was inverted in {own.steps} steps ({own.spacing}), and its way stands for no others; "
                f"leave sampler= (--steps) out, invert it in {sampler.steps}, or take latent.without_anchor()"
            )
        return own or sampler or self.sampler

    def _check_sampler(self, sampler: Sampler | None) -> None:
        expect(sampler, Sampler | None, "steps are chosen by sampler=steer.Sampler(steps=20)")
        if sampler is not None and not self.backend.samplers:
            raise BadInput(
                f"'{self.name}' makes a picture in one go and has no choice of steps; leave sampler= (--steps) out"
            )

    def _picture(self, state: State, steering: Steering | None) -> Pictures:
        """Return the picture of a state.

        Raises:
            BadInput: its numbers ran over.
        """
        pictures = self.backend.picture(state)
        if not bool(pictures.isfinite().all()):
            knobs = [turn.knob for turn in steering.turns] if steering is not None else []
            ranges = ", ".join(f"{knob.name} from {knob.range[0]:.3g} to {knob.range[1]:.3g}" for knob in knobs)
            cure = f"turn less far: {ranges}" if knobs else "its weights or the latent are damaged, so make them again"
            raise BadInput(f"'{self.name}' draws no picture here, for its numbers run over; {cure}")
        return pictures

    def _chunks(self, count: int, chunk: int | None) -> Iterator[list[int]]:
        expect(chunk, int | None, "a chunk is a whole number of rows")
        if chunk is not None and chunk < 1:
            raise BadInput(f"a chunk is one row or more, not {chunk}")
        size = chunk or min(count, LARGEST_CHUNK)
        for start in range(0, count, size):
            yield [min(row, count - 1) for row in range(start, start + size)]

    def _run(
        self,
        latent: Latent,
        steering: Steering | None,
        sampler: Sampler | None,
        progress: Progress | None,
        chunk: int | None,
    ) -> Iterator[State]:
        steering, sampler = self._checked(steering, latent), self.sampler_of(latent, sampler)
        stages = self.backend.stages(latent, sampler)
        chunks = list(self._chunks(len(latent), chunk))
        for number, rows in enumerate(chunks):
            part = latent.rows(rows)
            turns = steering.rows(rows, len(latent)).given(part)
            way = Way(self.backend, part, turns, stages)
            first = 0 if way.stored else next((stage.index for stage in stages if turns.touches(stage)), 0)
            state, done = self._resume(part, sampler, first)
            for stage in stages[done:]:
                state = way.advance(state, stage, turns)
                if progress is not None:
                    progress(number * len(stages) + stage.index + 1, len(chunks) * len(stages))
                if stage.index + 1 == first:
                    self._keep(part, sampler, first, state)
            yield state

    def _resume(self, latent: Latent, sampler: Sampler | None, first: int) -> tuple[State, int]:
        """Return a state to start from and the stages done by then: those before the first touched one, if kept."""
        state = self._cache.get(_key(latent, sampler, first)) if first and not _traced(latent) else None
        return (self.backend.begin(latent, sampler), 0) if state is None else (state, first)

    def _keep(self, latent: Latent, sampler: Sampler | None, first: int, state: State) -> None:
        if not _traced(latent):
            self._cache.put(_key(latent, sampler, first), state)


def _key(latent: Latent, sampler: Sampler | None, first: int) -> tuple[object, ...]:
    """Return what a kept state belongs to; another number of threads rounds differently, so states are not shared."""
    return latent.digest, sampler, first, torch.get_num_threads()


def _traced(latent: Latent) -> bool:
    return any(values.requires_grad for values in latent.values.values())

"""Films of how a picture comes about: noise condensing into it, a network building it, or a picture dissolving."""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from steer.anchor import Source
from steer.backend import Noisy, Sampler
from steer.errors import BadInput
from steer.generator import Generator, Moment, Progress
from steer.latent import Latent
from steer.layout import Layout
from steer.pictures import to_pictures
from steer.prepare import PictureSource, prepare
from steer.seeds import stream
from steer.steering import Steering

if TYPE_CHECKING:
    from steer.recipe import Recipe

PAUSE = 1.0
"""How long a film stands still on its first and on its last moment, in seconds."""

STILLS = 8
"""Moments on a strip."""

MOST_PICTURES = 16
"""The most pictures in one film: they are made together."""

FASTEST = 50
"""The most moments a second, as a GIF can show them."""

LONGEST = 600
"""The longest film, in seconds."""


@dataclass(frozen=True, eq=False)
class Reverse:
    """Pictures coming about, stage by stage: what a stage is given, noise and all, and what it guesses from it.

    Generators without noise have no such state; of them every moment is the picture as it would be if it were
    finished now.

    Attributes:
        generator: what makes them.
        latent: the pictures, up to 16.
        steering: their turns.
        sampler: steps, for generators that have a choice of them.
    """

    generator: Generator
    latent: Latent
    steering: Steering = field(default_factory=Steering)
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        _check_count(len(self.latent))

    @property
    def rows(self) -> tuple[str, ...]:
        """The pictures' seeds."""
        return tuple("" if seed is None else f"{seed}" for seed in self.latent.seeds)

    def __len__(self) -> int:
        backend = self.generator.backend
        own = self.latent.anchor.sampler if self.latent.anchor else None
        return len(backend.stages(self.latent, own or self.sampler)) + isinstance(backend, Noisy)

    def moments(self) -> Iterator[Moment]:
        """Yield the moments."""
        film = self.generator.film(self.latent, self.steering, sampler=self.sampler)
        while True:
            with torch.no_grad():  # not around the yield: there the caller's own code runs
                moment = next(film, None)
            if moment is None:
                return
            yield moment

    def recipe(self) -> "Recipe":
        """Record latent, turns and sampler."""
        from steer.recipe import Recipe
        from steer.scene import FilmRecord

        recipe = Recipe.of(self.generator, self.latent, self.steering, sampler=self.sampler)
        return recipe.model_copy(update={"film": FilmRecord(direction="reverse")})


@dataclass(frozen=True, eq=False)
class Forward:
    """A picture dissolving: noise is added from level to level, so that every pixel takes a random walk.

    It is the chain that a denoiser learns to undo, equation 2 of Ho et al. (2020), arXiv 2006.11239, through every
    level of the generator's schedule. A film with fewer steps shows fewer moments of the same walk.

    Attributes:
        generator: whose noise levels are taken.
        source: the picture, of the generator's size.
        seeds: one walk each.
        steps: how many moments there are after the clean picture, spread evenly over the levels.
    """

    generator: Generator
    source: Source
    seeds: tuple[int, ...] = (0,)
    steps: int = 50

    def __post_init__(self) -> None:
        _check_count(len(self.seeds))
        if not 1 <= self.steps <= len(self._levels):
            raise BadInput(f"'{self.generator.name}' takes 1 to {len(self._levels)} steps, not {self.steps}")

    @property
    def rows(self) -> tuple[str, ...]:
        """The walks' seeds."""
        return tuple(map(str, self.seeds))

    def __len__(self) -> int:
        return self.steps + 1

    @cached_property
    def _levels(self) -> list[float]:
        """Alpha_bar at every level."""
        backend = self.generator.backend
        if not isinstance(backend, Noisy):
            raise BadInput(
                f"'{self.generator.name}' has no noise levels to dissolve a picture by; take a diffusion model"
            )
        return backend.noise_levels().tolist()

    def moments(self) -> Iterator[Moment]:
        """Yield the moments, the clean picture first."""
        with Image.open(io.BytesIO(self.source.png), formats=["PNG"]) as image:
            x = 2 * to_pictures([image]).expand(len(self.seeds), -1, -1, -1) - 1
        dice = [stream(seed, "dissolving") for seed in self.seeds]
        shown = {round(moment * len(self._levels) / self.steps) - 1 for moment in range(1, self.steps + 1)}
        yield Moment("picture", (x + 1) / 2)
        for level, (b, a) in enumerate(pairwise([1.0, *self._levels])):
            fresh = torch.stack([torch.randn(x.shape[1:], generator=rng) for rng in dice])
            x = math.sqrt(a / b) * x + math.sqrt(1 - a / b) * fresh
            if level in shown:
                yield Moment(f"noise level {level}", ((x + 1) / 2).clamp(0, 1))

    def recipe(self) -> "Recipe":
        """Record picture, seeds and steps."""
        from steer.recipe import Recipe
        from steer.scene import FilmRecord, Scene, SourceRecord

        return Recipe(
            generator=self.generator.name,
            fingerprint=self.generator.fingerprint,
            scene=Scene(seeds=[None], sources=[SourceRecord.of(self.source)], rows=[0]),
            film=FilmRecord(direction="forward", seeds=self.seeds, steps=self.steps),
        )


def _check_count(count: int) -> None:
    if count > MOST_PICTURES:
        raise BadInput(f"a film shows up to {MOST_PICTURES} pictures side by side, not {count}; make several")


@dataclass(frozen=True, eq=False)
class Film:
    """A film of how pictures come about, or of one dissolving; `Film.reverse` and `Film.forward` make one.

    Attributes:
        process: what is shown.
        seconds: how long its moments take; on the first and on the last it stands still for about one more each.
        stills: how many moments there are on its strip, spread evenly from the first to the last.
    """

    process: Reverse | Forward
    seconds: float = 4.0
    stills: int = STILLS

    def __post_init__(self) -> None:
        if self.stills < 2:
            raise BadInput(f"a film shows at least 2 stills, not {self.stills}")
        least = len(self.process) / FASTEST
        if not (math.isfinite(self.seconds) and least <= self.seconds <= LONGEST):
            raise BadInput(
                f"{len(self.process)} moments take {least:g} to {LONGEST} seconds, at {FASTEST} a second at most; "
                f"not {self.seconds:g}"
            )

    @classmethod
    def reverse(
        cls,
        generator: Generator,
        latent: Latent,
        steering: Steering | None = None,
        *,
        sampler: Sampler | None = None,
        seconds: float = 4.0,
        stills: int = STILLS,
    ) -> "Film":
        """Film pictures as they come about: noise condensing into them, the current guess beside it.

        Raises:
            BadInput: there are more than 16 pictures, or more moments than the time can hold.
        """
        return cls(Reverse(generator, latent, steering or Steering(), sampler), seconds, stills)

    @classmethod
    def forward(
        cls,
        generator: Generator,
        picture: PictureSource,
        *,
        seeds: tuple[int, ...] = (0,),
        steps: int = 50,
        seconds: float = 4.0,
        stills: int = STILLS,
    ) -> "Film":
        """Film a picture as it dissolves in noise, once for each seed.

        Args:
            generator: a diffusion model; its noise levels are gone through, its network is not asked.
            picture: any picture; it is brought to the generator's size.
            seeds: one random walk each.
            steps: moments after the clean picture.
            seconds: how long it takes.
            stills: moments on its strip.

        Raises:
            BadInput: the generator has no noise levels, it is no picture, or seeds, steps or seconds are not usable.
        """
        source = Source(prepare(picture, generator.backend.picture_size).png)
        return cls(Forward(generator, source, tuple(seeds), steps), seconds, stills)

    def __len__(self) -> int:
        return len(self.process)

    @property
    def fps(self) -> float:
        """Moments a second."""
        return len(self) / self.seconds

    @property
    def duration(self) -> float:
        """How long the video takes, in seconds, with the first and the last moment standing still."""
        return (len(self) + 2 * self._still) / self.fps

    @property
    def _still(self) -> int:
        """Frames for which the first and the last moment are shown longer."""
        return round(PAUSE * self.fps)

    def frames(self, layout: Layout | None = None, progress: Progress | None = None) -> Iterator[Image.Image]:
        """Yield the frames, each with what is shown at one moment; few are in memory at a time."""
        for number, moment in enumerate(self.process.moments(), start=1):
            frame = _frame(moment, layout or Layout())
            yield from [frame] * (1 + self._still if number in (1, len(self)) else 1)
            if progress is not None:
                progress(number, len(self))

    def strip(self, layout: Layout | None = None, progress: Progress | None = None) -> Image.Image:
        """Lay the stills out: a column for each moment, rows for each picture."""
        count = min(self.stills, len(self))
        wanted = {round(place * (len(self) - 1) / max(1, count - 1)) for place in range(count)}
        shown = []
        for number, moment in enumerate(self.process.moments()):
            if number in wanted:
                shown.append(moment)
            if progress is not None:
                progress(number + 1, len(self))
        return _strip(shown, self.process.rows, layout or Layout())

    def recipe(self, layout: Layout | None = None) -> "Recipe":
        """Return the recipe that makes the film again, frame by frame."""
        recipe = self.process.recipe()
        assert recipe.film is not None
        record = recipe.film.model_copy(update={"seconds": self.seconds, "stills": self.stills})
        return recipe.model_copy(update={"film": record, "layout": layout or Layout()})

    def save(self, path: str | Path, progress: Progress | None = None) -> None:
        """Write a video (.mp4, .gif, .webp) or a strip of stills (.png, .jpg) with the recipe inside."""
        self.recipe().save(path, generator=self.process.generator, progress=progress)


def _frame(moment: Moment, layout: Layout) -> Image.Image:
    """Lay the pictures of one moment out, each beside the state it was guessed from, where there is one."""
    count = len(moment.picture)
    if moment.noisy is None:
        columns = max(1, round((1.5 * count) ** 0.5))
        shown, labels = moment.picture, (moment.name, *("",) * (columns - 1))
    else:
        pairs = max(1, round((0.75 * count) ** 0.5))
        columns = 2 * pairs
        shown = torch.stack([moment.noisy, moment.picture], 1).flatten(0, 1)  # (2 * batch, 3, height, width)
        labels = (moment.name, "guess") * pairs
    return layout.model_copy(update={"columns": columns, "column_labels": labels}).sheet(shown)


def _strip(moments: Sequence[Moment], rows: Sequence[str], layout: Layout) -> Image.Image:
    """Lay moments out as columns; a row for each picture, or two: what was given, and what was guessed."""
    guesses = torch.stack([moment.picture for moment in moments], 1)
    noisy = [moment.noisy for moment in moments if moment.noisy is not None]
    if noisy:
        shown = torch.stack([torch.stack(noisy, 1), guesses], 1)  # (batch, 2, moments, 3, height, width)
        labels = [label for row in rows for label in (f"{row} noise".strip(), "guess")]
    else:
        shown = guesses[:, None]
        labels = list(rows) if len(rows) > 1 else []
    names = tuple(moment.name for moment in moments)
    change = {"columns": len(moments), "column_labels": names, "row_labels": tuple(labels)}
    return layout.model_copy(update=change).sheet(shown.flatten(0, 2))

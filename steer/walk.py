"""Walks: pictures along a path through keyframes of latents and turns."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from steer.anchor import join
from steer.backend import Sampler
from steer.door import A_GENERATOR, A_KNOB, A_LATENT, expect
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import Knob
from steer.latent import Latent
from steer.shapes import Pictures
from steer.space import Space
from steer.steering import Steering, Turn

Easing = Literal["linear", "smooth", "in", "out"]
EASINGS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda u: u,
    "smooth": lambda u: u * u * (3 - 2 * u),
    "in": lambda u: u * u,
    "out": lambda u: u * (2 - u),
}
FRAMES_AT_ONCE = 8

LONGEST = 3600
"""The longest walk, in seconds."""


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A place that a walk passes.

    Attributes:
        latent: the birds shown side by side, one row each; as many in every keyframe.
        turns: their turns.
        seconds: time from here to the next keyframe.
    """

    latent: Latent
    turns: tuple[Turn, ...] = ()
    seconds: float = 1.0

    def __post_init__(self) -> None:
        expect(self.latent, Latent, A_LATENT)


@dataclass(frozen=True, eq=False)
class Walk:
    """A path through keyframes, frame by frame.

    Latents made of dice follow a great circle whose radius goes evenly from one to the other, so that every
    frame is as typical as its ends; other values and amounts follow a straight line.

    Attributes:
        generator: what draws it.
        keyframes: at least two.
        fps: frames a second.
        loop: go from the last keyframe back to the first, and never show one frame twice.
        easing: how the speed changes between two keyframes.
        sampler: steps, for generators that have a choice of them.
    """

    generator: Generator
    keyframes: Sequence[Keyframe]
    fps: int = 30
    loop: bool = False
    easing: Easing = "smooth"
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        expect(self.generator, Generator, A_GENERATOR)
        for keyframe in self.keyframes:
            expect(keyframe, Keyframe, "a walk goes through a list of steer.Keyframe")
        if len(self.keyframes) < 2:
            raise BadInput("a walk goes through at least two keyframes")
        if len({len(keyframe.latent) for keyframe in self.keyframes}) != 1:
            raise BadInput("every keyframe of a walk shows the same number of pictures")
        if not 1 <= self.fps <= 240:
            raise BadInput(f"a walk has 1 to 240 frames a second, not {self.fps}")
        if self.easing not in EASINGS:
            raise BadInput(f"the easing is one of {', '.join(EASINGS)}, not '{self.easing}'")
        for keyframe in self.keyframes:
            if not (math.isfinite(keyframe.seconds) and keyframe.seconds > 0):
                raise BadInput(
                    f"the seconds from a keyframe to the next are finite and above 0, not {keyframe.seconds}"
                )
        ways = self.keyframes if self.loop else self.keyframes[:-1]
        if (seconds := sum(keyframe.seconds for keyframe in ways)) > LONGEST:
            raise BadInput(f"a walk takes up to {LONGEST} seconds, and this one would take {seconds:.4g}; shorten it")

    @classmethod
    def sweep(
        cls,
        generator: Generator,
        knob: Knob,
        latent: Latent,
        *,
        start: float | None = None,
        end: float | None = None,
        seconds: float = 4.0,
        there_and_back: bool = False,
        fps: int = 30,
        easing: Easing = "smooth",
        sampler: Sampler | None = None,
    ) -> "Walk":
        """Turn one knob from one amount to another, over its whole range by default."""
        expect(knob, Knob, A_KNOB)
        ends = (knob.range[0] if start is None else start, knob.range[1] if end is None else end)
        time = seconds / 2 if there_and_back else seconds
        keyframes = [Keyframe(latent, (Turn(knob, float(amount)),), time) for amount in ends]
        return cls(generator, keyframes, fps, there_and_back, easing, sampler)

    @classmethod
    def between(
        cls,
        generator: Generator,
        latent: Latent,
        *,
        seconds: float = 2.0,
        loop: bool = True,
        fps: int = 30,
        easing: Easing = "smooth",
        sampler: Sampler | None = None,
    ) -> "Walk":
        """Visit the rows of a latent one after the other, ``seconds`` from each to the next."""
        expect(latent, Latent, A_LATENT)
        keyframes = [Keyframe(latent.rows([row]), (), seconds) for row in range(len(latent))]
        return cls(generator, keyframes, fps, loop, easing, sampler)

    def __len__(self) -> int:
        return sum(1 for _ in self._places())

    def _places(self) -> Iterator[tuple[Keyframe, Keyframe, float]]:
        keyframes = [*self.keyframes, self.keyframes[0]] if self.loop else list(self.keyframes)
        for here, there in pairwise(keyframes):
            count = max(1, round(here.seconds * self.fps))
            for frame in range(count):
                yield here, there, EASINGS[self.easing](frame / count)
        if not self.loop:
            yield keyframes[-1], keyframes[-1], 0.0

    def frames(self, progress: Progress | None = None) -> Iterator[Pictures]:
        """Yield the pictures of each frame, (batch, 3, height, width) in [0, 1]; few are in memory at a time."""
        places = list(self._places())
        batch = len(self.keyframes[0].latent)
        together = max(1, FRAMES_AT_ONCE // batch)
        for start in range(0, len(places), together):
            group = places[start : start + together]
            # The last group is padded, so that every frame is made in a chunk of the same size.
            padded = group + [group[-1]] * (together - len(group))
            latents, steerings = zip(*(self._between(*place) for place in padded), strict=True)
            with torch.no_grad():
                steering = _side_by_side(steerings, batch)
                pictures = self.generator.decode(_stack(latents), steering, sampler=self.sampler)
            for number, frame in enumerate(pictures.split(batch)[: len(group)]):
                yield frame
                if progress is not None:
                    progress(start + number + 1, len(places))

    def _between(self, here: Keyframe, there: Keyframe, u: float) -> tuple[Latent, tuple[Turn, ...]]:
        latent = interpolate(here.latent, there.latent, u, self.generator.spaces)
        return latent, _between_turns(here.turns, there.turns, u, len(latent))

    def save(self, path: str | Path, progress: Progress | None = None) -> None:
        """Write a video (.mp4, .gif or .webp) with the recipe inside; whole or not at all."""
        from steer.recipe import Recipe

        Recipe.of_walk(self).save(path, generator=self.generator, progress=progress)


def interpolate(here: Latent, there: Latent, u: float, spaces: Mapping[str, Space]) -> Latent:
    """Return the latent a part ``u`` of the way from one to the other, row by row.

    Between two inverted pictures it is a plain one: neither's anchor holds there.
    """
    if u == 0 or here is there or (here.anchor and there.anchor and here.digest == there.digest):
        return here
    values = {
        name: great_circle(here[name], there[name], u)
        if spaces[name].isotropic
        else torch.lerp(here[name], there[name], u)
        for name in here.values
    }
    return replace(here, values=values, seeds=(None,) * len(here), anchor=None)


def great_circle(here: Tensor, there: Tensor, u: float) -> Tensor:
    """Interpolate along a great circle, the radius going evenly from one to the other, (batch, *shape).

    Rows that point the same or opposite ways are interpolated in a straight line, since no circle is given.
    """
    first, second = here.flatten(1), there.flatten(1)
    first_norm, second_norm = first.norm(dim=1, keepdim=True), second.norm(dim=1, keepdim=True)
    tiny = torch.finfo(first.dtype).tiny
    cosine = (first * second).sum(1, keepdim=True) / (first_norm * second_norm).clamp_min(tiny)
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin().clamp_min(1e-6)
    direction = ((1 - u) * angle).sin() / sine * first / first_norm.clamp_min(tiny)
    direction = direction + (u * angle).sin() / sine * second / second_norm.clamp_min(tiny)
    circle = direction * torch.lerp(first_norm, second_norm, u)
    straight = torch.lerp(first, second, u)
    return torch.where(cosine.abs() > 0.9995, straight, circle).reshape(here.shape)


def _between_turns(here: Sequence[Turn], there: Sequence[Turn], u: float, batch: int) -> tuple[Turn, ...]:
    first = {_key(turn): turn for turn in here}
    second = {_key(turn): turn for turn in there}
    still = torch.zeros(batch)

    def amounts(turns: Mapping[tuple[str, str], Turn], key: tuple[str, str]) -> Tensor:
        return turns[key].amounts(batch) if key in turns else still

    return tuple(
        replace(turn, amount=torch.lerp(amounts(first, key), amounts(second, key), u))
        for key, turn in (second | first).items()
    )


def _key(turn: Turn) -> tuple[str, str]:
    return turn.knob.space, turn.knob.name


def _stack(latents: Sequence[Latent]) -> Latent:
    first = latents[0]
    anchors = [latent.anchor for latent in latents if latent.anchor is not None]
    return replace(
        first,
        values={name: torch.cat([latent[name] for latent in latents]) for name in first.values},
        condition={name: entries * len(latents) for name, entries in first.condition.items()},
        seeds=tuple(seed for latent in latents for seed in latent.seeds),
        anchor=join(anchors) if len(anchors) == len(latents) else None,
    )


def _side_by_side(frames: Sequence[Sequence[Turn]], batch: int) -> Steering:
    by_knob: dict[tuple[str, str], list[Turn]] = {}
    for turn in (turn for frame in frames for turn in frame):
        by_knob.setdefault(_key(turn), []).append(turn)
    return Steering(
        replace(same[0], amount=torch.cat([turn.amounts(batch) for turn in same])) for same in by_knob.values()
    )

"""The protocol a generator plugin implements; the engine in `steer.generator` does the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from steer.condition import Condition as Condition  # with the other words that a backend is written in
from steer.knob import KnobSet
from steer.latent import Latent
from steer.sampler import Sampler as Sampler
from steer.shapes import Pictures
from steer.space import Space


@dataclass(frozen=True)
class Stage:
    """One step on the way from latent to picture, coarse before fine.

    Attributes:
        index: its place in the sequence.
        interval: the part of [0, 1] it covers.
        spaces: the spaces whose values pass through ``steering`` in this stage.
        name: a short name for a person, such as "block 3".
    """

    index: int
    interval: tuple[float, float]
    spaces: frozenset[str]
    name: str = ""


@dataclass(frozen=True, eq=False)
class State:
    """Where a generator stands between two stages; frozen, so that it can be cached.

    Attributes:
        tensors: everything that differs between rows, batch first.
        truncation: the latent's truncation.
    """

    tensors: Mapping[str, Tensor]
    truncation: float = 1.0


@runtime_checkable
class SteeringCall(Protocol):
    """What a backend calls with the values of a space as they pass; it returns the values to go on with."""

    def __call__(self, space: str, stage: Stage, values: Tensor) -> Tensor:
        """Return the steered values, of the same shape; the same object where nothing is turned."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A generator as its author writes it: its spaces, and how one stage leads to the next.

    Attributes:
        spaces: what can be steered, by name.
        conditions: what it can be asked for, by name.
        fingerprint: a hash of weights and configuration; knobs and recipes are bound to it.
        picture_size: height and width of its pictures, in pixels.
        measurer: the registered measurer that judges its pictures, such as "aviary-judge"; "picture" where
            nothing better is known.
        samplers: for a generator with a free number of steps, the sampler for looking while a hand moves, "draft", and
            that for pictures to keep, "final", which is taken where none is given; empty for any other.
    """

    spaces: Mapping[str, Space]
    conditions: Mapping[str, Condition]
    fingerprint: str
    picture_size: tuple[int, int]
    measurer: str
    samplers: Mapping[str, Sampler]

    def to(self, device: torch.device) -> "Backend":
        """Move to a device and return itself."""
        ...

    def sample(
        self, seeds: Sequence[int], *, condition: Mapping[str, Sequence[str]], truncation: float = 1.0
    ) -> Latent:
        """Draw latents, one row a seed; ``condition`` has one entry a row for each condition that is asked for.

        A condition left out is drawn from the seed or left at its neutral value. Each (seed, space) has its own
        random stream (`steer.seeds`), so that another class keeps the dice.
        """
        ...

    def stages(self, latent: Latent, sampler: Sampler | None) -> Sequence[Stage]:
        """Return the stages that lead to the picture; their intervals tile [0, 1].

        A sampler is only ever given to a generator that has a choice of them.
        """
        ...

    def begin(self, latent: Latent, sampler: Sampler | None) -> State:
        """Return the state before the first stage."""
        ...

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        """Run one stage, passing the values of each of its spaces through ``steering``."""
        ...

    def picture(self, state: State) -> Pictures:
        """Return the finished picture, or the current guess of it, (batch, 3, height, width) in [0, 1]."""
        ...

    def linear_map(self, observed: str, space: str) -> Tensor | None:
        """Return the matrix of ``observed`` as a function of ``space``, (observed size, space size).

        None where the function is not exactly affine. Where it is, finders need no samples: so a backend does well to
        offer every layer that is affine in its dice as a space, those in the middle too.
        """
        ...

    def shipped_knobs(self) -> KnobSet:
        """Return the knobs that come with the weights; an empty set where none do."""
        ...


@runtime_checkable
class Noisy(Protocol):
    """A backend whose pictures condense out of noise: what its author adds to `Backend` for films to show it."""

    def noisy_picture(self, state: State) -> Pictures:
        """Return the state itself, noise and all, as a picture (batch, 3, height, width), clipped to [0, 1]."""
        ...

    def noise_levels(self) -> Tensor:
        """Return alpha_bar, the picture's share in the variance, at every noise level: (levels,) float64, falling."""
        ...

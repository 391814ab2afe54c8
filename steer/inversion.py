"""Inversion: from a picture back to the latent that leads to it, and how well that went."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from steer.latent import Latent
from steer.prepare import Prepared
from steer.progress import Progress
from steer.sampler import Sampler
from steer.shapes import Pictures


@dataclass(frozen=True, eq=False)
class Found:
    """What a backend finds for a picture.

    Attributes:
        latent: one row, without an anchor.
        settings: every option as it was used, JSON-able, so that the same can be found again.
        calls: how often the network was asked.
        sampler: the sampler that was inverted; None for generators that have no choice of them.
        states: for generators that store their way, every tensor of the `State` that changes from stage to stage, by
            name, (1, stages, ...); see `steer.anchor.Anchor`.
        landings: where the plain stages land, by the same names and of the same shapes.
        complaints: one sentence for everything that did not go well, such as a step that did not converge.
        details: what the method itself has to say, JSON-able.
    """

    latent: Latent
    settings: Mapping[str, Any]
    calls: int
    sampler: Sampler | None = None
    states: Mapping[str, Tensor] = field(default_factory=dict)
    landings: Mapping[str, Tensor] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Invertible(Protocol):
    """A backend that can also go back: what its author adds to `steer.backend.Backend`.

    Attributes:
        inversions: options of `invert` that are worth comparing, by a name for each; the best comes last.
    """

    inversions: Mapping[str, Mapping[str, Any]]

    def invert(
        self,
        picture: Pictures,
        *,
        condition: Mapping[str, Sequence[str]],
        sampler: Sampler | None,
        progress: Progress | None,
        **options: Any,
    ) -> Found:
        """Find the latent that leads to a picture.

        Args:
            picture: (1, 3, height, width) in [0, 1], of the generator's own size.
            condition: what is in it, one entry for each condition that is asked for.
            sampler: the sampler to invert, for generators that have a choice of them.
            progress: called as the work goes on.
            **options: the method's own; the author writes keywords with defaults in their place.

        Raises:
            BadInput: an option is not usable.
        """
        ...


def options_of(backend: Invertible) -> dict[str, Any]:
    """Return the names and types of the options that a backend's inversion has of its own."""
    shared = signature(Invertible.invert).parameters
    own = signature(backend.invert).parameters
    return {name: parameter.annotation for name, parameter in own.items() if name not in shared}


@dataclass(frozen=True, eq=False)
class Report:
    """How well an inversion went, measured *without the anchor*, so that nothing but the latent counts.

    Attributes:
        error: mean absolute difference between the picture and the one that the latent leads to, in [0, 1].
        largest_error: the largest difference of all pixels and channels, in [0, 1].
        psnr: peak signal-to-noise ratio of the same, in dB; infinite where they are equal.
        calls: how often the network was asked.
        seconds: how long it took.
        in_domain: how far the picture is something that the generator's measurer knows, in [0, 1]; None where there
            is none that says so.
        prepared: the picture, and what was done to it before.
        complaints: one sentence for everything that did not go well.
        details: what the method itself has to say, JSON-able.
    """

    error: float
    largest_error: float
    psnr: float
    calls: int
    seconds: float
    in_domain: float | None
    prepared: Prepared
    complaints: tuple[str, ...]
    details: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "error": self.error,
            "largest_error": self.largest_error,
            "psnr": self.psnr if math.isfinite(self.psnr) else None,
            "calls": self.calls,
            "seconds": self.seconds,
            "in_domain": self.in_domain,
            "original_size": list(self.prepared.size),
            "crop": list(self.prepared.box),
            "notes": list(self.prepared.notes),
            "complaints": list(self.complaints),
            "details": dict(self.details),
        }


@dataclass(frozen=True, eq=False)
class Inversion:
    """A picture turned into a latent, to be steered like any other.

    Attributes:
        latent: one row, anchored to the picture.
        report: how well it went.
    """

    latent: Latent
    report: Report

    @property
    def sampler(self) -> Sampler | None:
        """The sampler that was inverted; None for generators that have no choice of them."""
        return self.latent.anchor.sampler if self.latent.anchor else None

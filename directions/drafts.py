"""Drafts: how nearly a short walk shows what the long one will, and whether knobs do the same in both."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from steer.attribute import Measurer
from steer.backend import Sampler
from steer.directions.swept import Array
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import Knob
from steer.latent import Latent
from steer.progress import Progress
from steer.registry import load_measurer
from steer.steering import Steering

FIRST_SEED = 1_000_000
"""The first unseen sample: no finder looks at this one or those after it."""


@dataclass(frozen=True)
class KnobAgreement:
    """How one knob's turning agrees in draft and final picture.

    Attributes:
        knob: its name.
        target: the attribute that it is meant for, or that it changes most.
        pixels: mean absolute difference between turned draft and turned final picture, in [0, 1].
        correlation: of the target's changes, in the draft and in the final picture, over samples and both ends of the
            range.
        gain: how large the change in the final picture is for that in the draft, root mean square.
    """

    knob: str
    target: str
    pixels: float
    correlation: float
    gain: float


@dataclass(frozen=True)
class DraftAgreement:
    """How drafts agree with final pictures.

    Attributes:
        draft: steps of the draft.
        final: steps of the final picture.
        samples: how many unseen samples.
        pixels: mean absolute difference of unturned pictures, in [0, 1].
        between: the same between final pictures of different seeds, to compare it with.
        attributes: root-mean-square difference of every attribute, in spreads of it in the data.
        knobs: one entry a knob.
    """

    draft: int
    final: int
    samples: int
    pixels: float
    between: float
    attributes: Mapping[str, float]
    knobs: tuple[KnobAgreement, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {**asdict(self), "knobs": [asdict(knob) for knob in self.knobs]}

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the heading and the rows of a table: the pictures, their attributes, and every knob."""
        rows: list[tuple[str, ...]] = [
            ("pictures", f"{self.pixels:.4f} a pixel", f"{self.between:.4f} between different seeds"),
            *((name, f"{value:.3f} spreads", "") for name, value in self.attributes.items()),
            *(
                (
                    f"knob {each.knob}",
                    f"{each.pixels:.4f} a pixel",
                    f"{each.target}: r {each.correlation:.3f}, {each.gain:.2f} of the draft's change",
                )
                for each in self.knobs
            ),
        ]
        return (f"{self.draft} steps against {self.final}", "differ by", "beside it"), rows


def measure_drafts(
    generator: Generator,
    knobs: Mapping[str, Knob] | None = None,
    *,
    samples: int = 16,
    draft: Sampler | None = None,
    measurer: Measurer | None = None,
    progress: Progress | None = None,
) -> DraftAgreement:
    """Measure how drafts agree with final pictures, unturned and with each knob at both ends of its range.

    Args:
        generator: one with a choice of steps.
        knobs: by name.
        samples: how many unseen samples.
        draft: the draft; by default the generator's own.
        measurer: what judges; by default the generator's own judge.
        progress: called after each knob.

    Raises:
        BadInput: the generator has no choice of steps, or there are less than 2 samples.
    """
    samplers, knobs = generator.backend.samplers, knobs or {}
    if not samplers:
        raise BadInput(f"'{generator.name}' has no choice of steps, so it has no drafts")
    if samples < 2:
        raise BadInput(f"drafts are compared on 2 samples or more, not {samples}")
    measurer = measurer if measurer is not None else load_measurer(generator.backend.measurer)
    walks = (draft or samplers["draft"], samplers["final"])
    latent = generator.sample(range(FIRST_SEED, FIRST_SEED + samples))
    plain = [_Seen.of(generator.with_sampler(walk), latent, measurer) for walk in walks]
    entries = []
    for number, (name, knob) in enumerate(knobs.items(), 1):
        entries.append(_agreement(name, knob, generator, walks, latent, plain, measurer))
        if progress is not None:
            progress(number, len(knobs))
    final = plain[1].pictures
    return DraftAgreement(
        draft=walks[0].steps,
        final=walks[1].steps,
        samples=samples,
        pixels=_apart(plain[0].pictures, final),
        between=_apart(final, final.roll(1, 0)),
        attributes={name: _rms(plain[0].changes(plain[1], measurer)[name]) for name in measurer.attributes},
        knobs=tuple(entries),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """Pictures (batch, 3, height, width), and what is read off them, (batch,) per attribute."""

    pictures: torch.Tensor
    readings: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, generator: Generator, latent: Latent, measurer: Measurer, steering: Steering | None = None) -> "_Seen":
        with torch.no_grad():
            pictures = generator.decode(latent, steering).cpu()
            return cls(pictures, measurer.measure(pictures))

    def changes(self, before: "_Seen", measurer: Measurer) -> dict[str, Array]:
        """Return how every attribute differs from what it was, in spreads, (batch,)."""
        return {
            name: attribute.difference(self.readings[name], before.readings[name]).double().numpy() / attribute.spread
            for name, attribute in measurer.attributes.items()
        }


def _agreement(
    name: str,
    knob: Knob,
    generator: Generator,
    walks: Sequence[Sampler],
    latent: Latent,
    plain: Sequence[_Seen],
    measurer: Measurer,
) -> KnobAgreement:
    rows = [row for row in range(len(latent)) for _ in knob.range]
    turns, both = Steering([(knob, list(knob.range) * len(latent))]), latent.rows(rows)
    turned = [_Seen.of(generator.with_sampler(walk), both, measurer, turns) for walk in walks]
    changes = [
        after.changes(
            _Seen(before.pictures, {each: values[rows] for each, values in before.readings.items()}), measurer
        )
        for after, before in zip(turned, plain, strict=True)
    ]
    meant = knob.attribute if knob.attribute in measurer.attributes else None
    target = meant or max(changes[1], key=lambda each: _rms(changes[1][each]))
    short, long = (each[target] for each in changes)
    varied = float(short.std() * long.std())
    return KnobAgreement(
        knob=name,
        target=target,
        pixels=_apart(turned[0].pictures, turned[1].pictures),
        correlation=float(np.mean((short - short.mean()) * (long - long.mean())) / varied) if varied > 0 else 0.0,
        gain=_rms(long) / max(_rms(short), 1e-9),
    )


def _apart(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().mean())


def _rms(changes: Array) -> float:
    return float(np.sqrt(np.square(changes).mean()))

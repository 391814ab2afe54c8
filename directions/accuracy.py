"""Accuracy: how nearly dialled knobs show what they were asked for, on unseen samples, by the judge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from steer.attribute import Attribute, Measurer
from steer.directions.bootstrap import intervals
from steer.directions.dial import aim_of, dial
from steer.directions.readings import labeller, read_pictures, worded
from steer.directions.swept import Array
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import Knob
from steer.latent import Latent
from steer.progress import Progress
from steer.registry import load_measurer

FIRST_SEED = 1_000_000
"""The first unseen sample: no finder looks at this one or those after it."""

TARGETS = 10
"""How many things are asked for, evenly over the attribute's range; each of its own samples."""


@dataclass(frozen=True)
class DialScore:
    """How nearly one knob is dialled.

    Attributes:
        knob: its name.
        attribute: what it sets.
        unit: what the errors count in.
        error: by how much the median picture is off, by the judge.
        interval: the 90 % interval of that, if other samples had been drawn.
        error_90: 90 % of the pictures are off by this or less.
        searched: the median error by the measurer that the search went by.
        disagreed: the median difference between that measurer and the judge on the unturned pictures, below which no
            search can get.
        out_of_reach: the share of samples that show what was asked for nowhere on the knob's range.
        leakage: for every other attribute, its root-mean-square change in spreads, by the judge.
    """

    knob: str
    attribute: str
    unit: str
    error: float
    interval: tuple[float, float]
    error_90: float
    searched: float
    disagreed: float
    out_of_reach: float
    leakage: Mapping[str, float]


@dataclass(frozen=True)
class DialAccuracy:
    """How nearly knobs are dialled.

    Attributes:
        generator: name of the generator.
        samples: how many unseen samples each knob was dialled on.
        targets: how many things were asked for.
        knobs: one entry a knob.
    """

    generator: str
    samples: int
    targets: int
    knobs: tuple[DialScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return asdict(self)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the heading and the rows of a table, one a knob."""
        heading = (
            "knob",
            "off by (median)",
            "90 %",
            "by the search's own eyes",
            "out of reach",
            "changed most beside it",
        )
        rows: list[tuple[str, ...]] = []
        for each in self.knobs:
            worst = max(each.leakage, key=lambda name: each.leakage[name], default=None)
            rows.append(
                (
                    each.knob,
                    f"{each.error:.2g} [{each.interval[0]:.2g}, {each.interval[1]:.2g}] {each.unit}",
                    f"{each.error_90:.2g}",
                    f"{each.searched:.2g}; unturned they differ by {each.disagreed:.2g}",
                    f"{100 * each.out_of_reach:.0f} %",
                    "nothing" if worst is None else f"{worst} {each.leakage[worst]:.2f} spreads",
                )
            )
        return heading, rows


def measure_dial(
    generator: Generator,
    knobs: Mapping[str, Knob],
    *,
    samples: int = 100,
    measurer: Measurer | None = None,
    judge: Measurer | None = None,
    progress: Progress | None = None,
) -> DialAccuracy:
    """Dial each knob to ten targets, each on samples of its own, and measure how nearly they are reached.

    Angles are asked for evenly round the circle, numbers evenly over the attribute's range, from a twentieth of it to
    nineteen.

    Args:
        generator: what the knobs turn.
        knobs: by name; each is meant for a number or an angle.
        samples: how many unseen samples a knob.
        measurer: what the search goes by; by default the one that finders learn from.
        judge: what says how well it went; by default the generator's own.
        progress: called after each target.

    Raises:
        BadInput: there are no knobs, too few samples, or a knob is meant for nothing that is measured.
    """
    if not knobs or samples < TARGETS:
        raise BadInput(f"dials are measured with 1 knob and {TARGETS} samples or more")
    generator = worded(generator)
    measurer = measurer if measurer is not None else labeller(generator)
    judge = judge if judge is not None else load_measurer(generator.backend.measurer)
    scores = []
    for number, (name, knob) in enumerate(knobs.items()):
        attribute, _ = aim_of(knob, 0.0, generator, measurer)
        tries = []
        for place, part in enumerate(np.array_split(np.arange(samples), TARGETS)):
            latent = generator.sample([FIRST_SEED + int(each) for each in part])
            aim = attribute.low + (attribute.high - attribute.low) * (place + 0.5) / TARGETS
            tries.append(_tried(generator, knob, latent, aim, measurer, judge))
            if progress is not None:
                progress(number * TARGETS + place + 1, len(knobs) * TARGETS)
        scores.append(_score(name, judge.attributes[attribute.name], tries, samples))
    return DialAccuracy(generator.name, samples, TARGETS, tuple(scores))


@dataclass(frozen=True, eq=False)
class _Tried:
    """What came of dialling some samples to one target: errors by each measurer, (samples,), and all that changed."""

    judged: Array
    searched: Array
    disagreed: Array
    out_of_reach: int
    leakage: Mapping[str, float]


def _tried(generator: Generator, knob: Knob, latent: Latent, aim: float, measurer: Measurer, judge: Measurer) -> _Tried:
    found = dial(generator, {knob.name: knob}, latent, {knob.name: aim}, measurer=measurer, judge=judge)
    (reached,) = found.reached
    name, attribute = reached.attribute.name, reached.attribute
    turned = read_pictures(generator, latent, measurer.measure, found.steering)[name]
    unturned = [read_pictures(generator, latent, each.measure)[name] for each in (measurer, judge)]
    return _Tried(
        np.abs(reached.residuals),
        attribute.difference(turned, torch.tensor(aim)).abs().double().numpy(),
        attribute.difference(*unturned).abs().double().numpy(),
        reached.out_of_reach,
        found.leakage,
    )


def _score(name: str, attribute: Attribute, tries: Sequence[_Tried], samples: int) -> DialScore:
    judged = np.concatenate([each.judged for each in tries])
    low, high = intervals(lambda draw: [float(np.median(judged[draw(samples)]))])[0]
    weights = np.array([len(each.judged) for each in tries]) / samples
    return DialScore(
        knob=name,
        attribute=attribute.name,
        unit=attribute.unit,
        error=float(np.median(judged)),
        interval=(low, high),
        error_90=float(np.quantile(judged, 0.9)),
        searched=float(np.median(np.concatenate([each.searched for each in tries]))),
        disagreed=float(np.median(np.concatenate([each.disagreed for each in tries]))),
        out_of_reach=sum(each.out_of_reach for each in tries) / samples,
        leakage={
            other: math.sqrt(float(weights @ [each.leakage[other] ** 2 for each in tries]))
            for other in tries[0].leakage
        },
    )

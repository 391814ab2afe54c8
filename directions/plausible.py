"""How far a knob can be turned before its pictures stop being plausible."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from steer.attribute import Measurer
from steer.directions.readings import DOMAIN, domain, labeller, read_pictures, sweep, worded
from steer.generator import Generator, Progress
from steer.knob import Knob, KnobSet
from steer.latent import Latent

RANGE_SEEDS = range(2_000_000, 2_000_008)
"""The birds that ranges are measured on; finders and scorecards use others."""

LIMITS: Mapping[str, float] = {"sigma": 6.0, "degree": 180.0, "spread": 2.0}
"""The largest amount ever offered, by unit; 6 for others."""

STEPS = 4
HALVINGS = 3

UNMEASURED = "not measured; measure_ranges looks at pictures for them"

ROUND: Mapping[str, float] = {"degree": 5.0}
"""What ends are whole multiples of, by unit; 0.1 for others."""

STILL_MOVING = 0.2
"""A turn is spent where its attribute moves at less than this part of the pace it starts with."""


def plausible_range(
    generator: Generator,
    knob: Knob,
    *,
    seeds: Sequence[int] = RANGE_SEEDS,
    latent: Latent | None = None,
    measurer: Measurer | None = None,
    fraction: float = 0.8,
    limit: float | None = None,
    truncation: float = 1.0,
) -> tuple[float, float]:
    """Measure between which amounts a knob's pictures stay plausible and its turning still does something.

    An amount is plausible while the median in-domain score over the seeds is at least ``fraction`` of that of the
    unturned pictures. Where the knob turns a linear attribute, the median change of it must also go on the same way,
    at a fifth of its first pace or more, and stay within half of the attribute's range, from its middle to its end.
    Each side is tried at a quarter, half, three quarters and all of the limit (6 sigma, 180 degrees) and narrowed down
    by halving; a side that never fails gets exactly the limit. Ends are round: whole tenths, or 5 degrees, inwards.

    Args:
        generator: what the knob turns.
        knob: its own range is not looked at.
        seeds: a few birds.
        latent: other pictures to look at in their place.
        measurer: whose score decides; by default the one that finders learn from.
        fraction: the smallest share of the unturned score.
        limit: the largest amount that is tried; left out, that of the unit.
        truncation: see `Generator.sample`.

    Returns:
        The lowest and the highest amount, in the knob's unit.
    """
    measurer = measurer if measurer is not None else labeller(generator)
    meant = measurer.attributes.get(knob.attribute or "")
    attribute = meant if meant is not None and meant.kind == "linear" else None
    read = domain(measurer, attributes=attribute is not None)
    latent = latent if latent is not None else worded(generator).sample(list(seeds), truncation=truncation)
    unturned = read_pictures(generator, latent, read)
    least = fraction * float(unturned[DOMAIN].median())

    def look(amounts: Sequence[float]) -> tuple[list[float], list[float]]:
        """Return the median score and the median change of the attribute at each amount."""
        seen = sweep(generator, latent, knob, amounts, read)
        scores = _medians(seen[DOMAIN])
        if attribute is None:
            return scores, [0.0] * len(amounts)
        return scores, _medians(attribute.difference(seen[attribute.name], unturned[attribute.name][:, None]))

    limit = LIMITS.get(knob.unit, 6.0) if limit is None else limit
    grid = [limit * step / STEPS for step in range(1, STEPS + 1)]
    scores, changes = look([-amount for amount in grid] + grid)
    pace = (changes[STEPS] - changes[0]) / (2 * grid[0])
    followed = attribute is not None and abs(pace) * grid[0] > 0.1 * attribute.spread

    def holds(amount: float, score: float, change: float, good: tuple[float, float]) -> bool:
        if attribute is None or not followed:
            return score >= least
        slope = (change - good[1]) / (amount - good[0])
        within = 2 * abs(change) <= attribute.high - attribute.low
        return score >= least and within and slope / pace >= STILL_MOVING

    def end(sign: int, seen: Sequence[tuple[float, float]]) -> float:
        good = (0.0, 0.0)  # the last amount that holds, and the change it makes
        for step, (score, change) in zip(grid, seen, strict=True):
            if not holds(sign * step, score, change, good):
                bad = sign * step
                break
            good = (sign * step, change)
        else:
            return sign * limit
        for _ in range(HALVINGS):
            middle = (good[0] + bad) / 2
            (score,), (change,) = look([middle])
            if holds(middle, score, change, good):
                good = (middle, change)
            else:
                bad = middle
        return good[0]

    pairs = list(zip(scores, changes, strict=True))
    step = ROUND.get(knob.unit, 0.1)
    return -_rounded(-end(-1, pairs[:STEPS]), step), _rounded(end(1, pairs[STEPS:]), step)


def with_ranges(
    generator: Generator, knobs: KnobSet, measure: bool, truncation: float, progress: Progress | None
) -> KnobSet:
    """Return the knobs, each with its plausible range where ``measure`` says so; else with the ranges they have.

    The report says under ``ranges`` which. ``progress`` counts knobs.
    """
    if not measure:
        return KnobSet(knobs, {**knobs.report, "ranges": UNMEASURED})
    measured: dict[str, Knob] = {}
    for number, (name, knob) in enumerate(knobs.items(), 1):
        ends = plausible_range(generator, knob, truncation=truncation)
        measured[name] = replace(knob, range=ends)
        if progress is not None:
            progress(number, len(knobs))
    return KnobSet(measured, {**knobs.report, "ranges": "measured: where pictures stop being plausible"})


def _rounded(amount: float, step: float) -> float:
    """Return the largest multiple of a step within an amount from 0 up, and never nothing at all.

    >>> _rounded(2.4375, 0.1), _rounded(174.0, 5.0), _rounded(0.03, 0.1)
    (2.4, 170.0, 0.1)
    """
    return round(max(math.floor(amount / step + 1e-9), 1) * step, 10)


def _medians(values: Tensor) -> list[float]:
    """Return the median of each column of (rows, amounts)."""
    return values.double().median(dim=0).values.tolist()

"""Figures: what turning a knob does to its target and to everything else, in numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steer.attribute import Attribute
from steer.directions.readings import circular_mean, circular_r2
from steer.directions.swept import Array, Rows, Swept

FOLDS = 8
SMALLEST_CHANGE = 1e-3
"""Leakage is a ratio to the change of the target; a target that changes by less counts as this many spreads."""


@dataclass(frozen=True)
class Figures:
    """What turning does, in numbers.

    Attributes:
        gain: spreads by which the target changes per unit of the knob: the slope of the response over the range.
        r2: of each sample's change of the target, pooled, told from the amount alone by a monotone response that was
            fitted on other samples: 1 - sum(error²) / sum((change - mean)²). For angles
            1 - mean(1 - cos(error)) / mean(1 - cos(change - mean)).
        leakage: for every other attribute, its root-mean-square change over that of the target, in spreads, less (in
            quadrature) the same figure of the renderer's own true knob, where there is one; never negative.
        leakage_mean: mean of these.
        reach: median change of the target at the lower and the upper end of the range, in spreads; positive where it
            goes the way it should.
        species_kept: share of pictures that show the same species as when unturned; None where none is measured.
    """

    gain: float
    r2: float
    leakage: Mapping[str, float]
    leakage_mean: float
    reach: tuple[float, float]
    species_kept: float | None

    @property
    def leakage_worst(self) -> float:
        """The largest leakage."""
        return max(self.leakage.values(), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON-able values, four digits behind the point."""
        return {
            "gain": round(self.gain, 6),
            "r2": round(self.r2, 4),
            "leakage": {name: round(value, 4) for name, value in self.leakage.items()},
            "leakage_mean": round(self.leakage_mean, 4),
            "reach": [round(end, 4) for end in self.reach],
            "species_kept": None if self.species_kept is None else round(self.species_kept, 4),
        }


def figures_of(swept: Swept, target: Attribute, truth: Swept | None = None) -> Figures:
    """Return the figures of a knob.

    Args:
        swept: the knob, turned on many samples.
        target: what it is judged by.
        truth: the renderer's own knob for that target; what seems to leak from it are the errors of the measurer.
    """
    moved, amounts = swept.changes[target.name], swept.amounts
    gain = slope_of(response_of(target, moved, amounts), amounts)
    path = followed(target, moved, amounts)
    way = -1.0 if gain < 0 else 1.0
    reach = (-way * float(np.median(path[:, 0])), way * float(np.median(path[:, -1])))
    seeming, errors = _leakage(swept, target), {} if truth is None else _leakage(truth, target)
    leakage = {name: math.sqrt(max(0.0, value**2 - errors.get(name, 0.0) ** 2)) for name, value in seeming.items()}
    kept = float((swept.changes["species"] == 0).mean()) if "species" in swept.changes else None
    mean = sum(leakage.values()) / max(len(leakage), 1)
    return Figures(gain, _pooled_r2(swept, target), leakage, mean, reach, kept)


def _leakage(swept: Swept, target: Attribute) -> dict[str, float]:
    moved = max(swept.moved(target.name), SMALLEST_CHANGE)
    return {name: swept.moved(name) / moved for name in swept.changes if name != target.name}


def _pooled_r2(swept: Swept, target: Attribute) -> float:
    """Return how well the amount alone tells each sample's change, by the response of other samples."""
    moved = swept.changes[target.name]
    folds = swept.numbers % FOLDS  # by sample, so that one drawn twice is never on both sides
    _, others = group_responses(target, moved, swept.amounts, folds)
    return explained(target, moved, others[folds])


def explained(target: Attribute, moved: Array, told: Array) -> float:
    """Return the r2 of changes, (samples, amounts) in spreads, told by others; see `Figures`."""
    if target.kind == "circular":
        degrees = moved * target.spread
        return circular_r2(degrees - told * target.spread, degrees - circular_mean(degrees.reshape(-1, 1)))
    there = float(np.square(moved - moved.mean()).sum())
    return 1 - float(np.square(moved - told).sum()) / there if there > 0 else 0.0


def response_of(target: Attribute, moved: Array, amounts: Array) -> Array:
    """Return the monotone response to each amount, in spreads, that fits the samples' changes best, (amounts,)."""
    return _monotone(target, _phasors(target, moved).mean(0), amounts)


def group_responses(target: Attribute, moved: Array, amounts: Array, groups: Rows) -> tuple[Array, Array]:
    """Return the response of each group of samples, and that of all others, both (groups, amounts)."""
    member = np.eye(groups.max() + 1)[groups]  # (samples, groups)
    count = member.sum(0)[:, None]
    phasors = _phasors(target, moved)
    own = member.T @ phasors  # (groups, amounts)
    others = (phasors.sum(0) - own) / np.maximum(len(moved) - count, 1)
    return _monotone(target, own / np.maximum(count, 1), amounts), _monotone(target, others, amounts)


def _phasors(target: Attribute, moved: Array) -> NDArray[Any]:
    """Return what of changes can be averaged: for angles, points on the unit circle."""
    return np.exp(1j * np.deg2rad(moved * target.spread)) if target.kind == "circular" else moved


def _monotone(target: Attribute, mean: NDArray[Any], amounts: Array) -> Array:
    """Return the monotone response, (..., amounts) in spreads, nearest to mean phasors."""
    level = mean
    if target.kind == "circular":
        level = followed(target, np.rad2deg(np.angle(mean)) / target.spread, amounts)
    slope = (level - level.mean(-1, keepdims=True)) @ (amounts - amounts.mean())
    sign = np.where(slope < 0, -1.0, 1.0)[..., None]
    return sign * isotonic(sign * level)


def isotonic(level: Array) -> Array:
    """Return the rising values nearest to ``level`` in the least squares, (..., values).

    By the max-min formula of Ayer et al. (1955): the largest, over all starts up to here, of the smallest mean from
    there to any end from here on.
    """
    count = level.shape[-1]
    ends = np.concatenate([np.zeros((*level.shape[:-1], 1)), np.cumsum(level, axis=-1)], axis=-1)
    lengths = np.arange(1, count + 1) - np.arange(count)[:, None]  # (start, end)
    sums = ends[..., None, 1:] - ends[..., :-1, None]
    means = np.where(lengths > 0, sums / np.maximum(lengths, 1), np.inf)
    smallest = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
    rising: Array = np.where(lengths > 0, smallest, -np.inf).max(axis=-2)
    return rising


def slope_of(response: Array, amounts: Array) -> float:
    """Return the slope of the straight line that fits a response best, in spreads per unit."""
    centred = amounts - amounts.mean()
    return float(response @ centred / (centred @ centred))


def followed(target: Attribute, moved: Array, amounts: Array) -> Array:
    """Return changes of an angle, (..., amounts) in spreads, followed round the circle outwards from amount 0."""
    if target.kind != "circular":
        return moved
    middle = int(np.abs(amounts).argmin())
    period = 360 / target.spread
    up = np.unwrap(moved[..., middle:], period=period)
    down = np.unwrap(moved[..., middle::-1], period=period)[..., ::-1]
    return np.concatenate([down[..., :-1], up], axis=-1)


def average(figures: Sequence[Figures]) -> Figures:
    """Return the mean of each figure; of gains, of their size."""
    kept = [each.species_kept for each in figures if each.species_kept is not None]
    names = sorted({name for each in figures for name in each.leakage})
    return Figures(
        gain=_mean(abs(each.gain) for each in figures),
        r2=_mean(each.r2 for each in figures),
        leakage={name: _mean(each.leakage[name] for each in figures if name in each.leakage) for name in names},
        leakage_mean=_mean(each.leakage_mean for each in figures),
        reach=(_mean(each.reach[0] for each in figures), _mean(each.reach[1] for each in figures)),
        species_kept=_mean(kept) if kept else None,
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)

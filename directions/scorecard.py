"""The scorecard: what each knob really does, measured on unseen samples beside random directions.

For every knob, 64 unseen samples are decoded at 9 amounts over its whole range and read by the judge. A change is
always that from the sample's own unturned picture, in spreads: standard deviations of the attribute in the data (104
degrees for a uniform angle). The target is the attribute the knob is meant for, or, where it is meant for none, the
one that changes most.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steer.attribute import Attribute, Measurer
from steer.directions.readings import circular_mean, circular_r2, read_pictures, sweep
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import Knob, LinearKnob, RingKnob
from steer.latent import Latent
from steer.registry import load_generator, load_measurer, shipped_knobs

Array = NDArray[np.float64]

FIRST_SEED = 1_000_000
"""The first unseen sample: no finder looks at this one or those after it."""

RANDOM_DIRECTIONS = 8
RANDOM_SEEDS = 16
TRUTH_SEEDS = 8
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


@dataclass(frozen=True)
class KnobScore:
    """One knob on the scorecard.

    Attributes:
        name: of the knob.
        target: the attribute that it is judged by.
        meant: whether the knob is meant for that target, or it is only what changes most.
        finder: what found the knob.
        unit: of its amounts.
        range: its range, in that unit.
        figures: what it does.
        truth: what the renderer's own knob for that target does, its leakage as the judge reads it; None where there
            is no such knob.
        amounts: the amounts it was turned by.
        changes: change of the target in spreads, (samples, amounts).
        response: the monotone response to each amount, fitted on all samples.
    """

    name: str
    target: Attribute
    meant: bool
    finder: str
    unit: str
    range: tuple[float, float]
    figures: Figures
    truth: Figures | None
    amounts: tuple[float, ...]
    changes: tuple[tuple[float, ...], ...]
    response: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the knob's entry as JSON-able values."""
        return {
            "name": self.name,
            "attribute": self.target.name,
            "finder": self.finder,
            "unit": self.unit,
            "range": list(self.range),
            **self.figures.to_json(),
        }


@dataclass(frozen=True)
class Scorecard:
    """What every knob of a set does, and what random directions do.

    Attributes:
        generator: name of the generator.
        measurer: name of the measurer that judged.
        seeds: number of unseen samples.
        attributes: what was measured.
        knobs: one entry a knob.
        random_baseline: mean figures of random directions of the same kind, length and range, on the same targets.
    """

    generator: str
    measurer: str
    seeds: int
    attributes: Mapping[str, Attribute]
    knobs: tuple[KnobScore, ...]
    random_baseline: Figures

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-able values: generator, seeds, knobs and random_baseline."""
        return {
            "generator": self.generator,
            "seeds": self.seeds,
            "knobs": [knob.to_json() for knob in self.knobs],
            "random_baseline": self.random_baseline.to_json(),
        }

    def table(self) -> list[tuple[str, ...]]:
        """Return rows of text, the heading first.

        A target in brackets is only what changes most; an r² in brackets is that of the renderer's own knob.
        """
        heading = ("knob", "target", "range", "gain", "r²", "worst leakage", "mean", "reach", "species kept")
        rows: list[tuple[str, ...]] = [heading]
        for knob in self.knobs:
            mark = {"sigma": "σ", "degree": "°"}.get(knob.unit, "")
            ends = f"{knob.range[0]:+.3g} … {knob.range[1]:+.3g}{mark}"
            target = knob.target.name if knob.meant else f"({knob.target.name})"
            rows.append((knob.name, target, ends, *_cells(knob.figures, knob.truth)))
        rows.append(("random directions", "the same", "the same", *_cells(self.random_baseline)))
        return rows

    def figure(self, path: str | Path) -> None:
        """Draw response curves and the leakage of every knob on one page: PNG, PDF or SVG by the suffix.

        Raises:
            BadInput: the folder cannot be written, or the suffix is none that can be drawn.
        """
        from steer.directions.scorecard_page import draw_page

        draw_page(self, path)


def _cells(figures: Figures, truth: Figures | None = None) -> tuple[str, ...]:
    worst = max(figures.leakage, key=lambda name: figures.leakage[name], default="")
    kept = "" if figures.species_kept is None else f"{figures.species_kept:.0%}"
    return (
        f"{figures.gain:.2g}",
        f"{figures.r2:.2f}" + (f" (true {truth.r2:.2f})" if truth else ""),
        f"{figures.leakage_worst:.2f} {worst}",
        f"{figures.leakage_mean:.2f}",
        f"{figures.reach[0]:.2f}, {figures.reach[1]:.2f}",
        kept,
    )


def score_knobs(
    generator: Generator,
    knobs: Mapping[str, Knob],
    *,
    seeds: int = 64,
    amounts: int = 9,
    measurer: Measurer | None = None,
    progress: Progress | None = None,
) -> Scorecard:
    """Measure what each knob does.

    Args:
        generator: what the knobs turn.
        knobs: by name.
        seeds: how many unseen samples.
        amounts: how many amounts, evenly over each knob's range.
        measurer: what judges; by default the generator's own judge.
        progress: called with the number of pictures.

    Raises:
        BadInput: there are no knobs, too few samples or amounts, or the measurer measures nothing.
    """
    if not knobs or seeds < FOLDS or amounts < 3:
        raise BadInput(f"a scorecard takes 1 knob, {FOLDS} seeds and 3 amounts or more")
    measurer = measurer if measurer is not None else load_measurer(generator.backend.measurer)
    if not measurer.attributes:
        raise BadInput(f"the measurer '{measurer.name}' has no attributes to score a knob by")
    latent = generator.sample(range(FIRST_SEED, FIRST_SEED + seeds))
    unturned = read_pictures(generator, latent, measurer.measure)
    few = list(range(min(RANDOM_SEEDS, seeds)))
    total = amounts * (len(knobs) * seeds + RANDOM_DIRECTIONS * len(few))
    done = 0

    def part(pictures: int) -> Progress | None:
        """Return the progress of the next so many pictures."""
        nonlocal done
        start, done = done, done + pictures
        return None if progress is None else lambda now, count: progress(start + now * pictures // count, total)

    def true_figures(target: str) -> Figures | None:
        if target not in truths:
            truths[target] = _true_figures(measurer, target, amounts)
        return truths[target]

    scores: list[KnobScore] = []
    truths: dict[str, Figures | None] = {}
    for name, knob in knobs.items():
        grid = torch.linspace(*knob.range, amounts).tolist()
        changes = _changes(generator, measurer, latent, unturned, knob, grid, part(seeds * amounts))
        meant = knob.attribute is not None and knob.attribute in measurer.attributes
        target = knob.attribute if knob.attribute is not None and meant else _most_changed(changes)
        truth = true_figures(target)
        figures, response = _figures(changes, measurer.attributes, target, grid, truth)
        scores.append(
            KnobScore(
                name=name,
                target=measurer.attributes[target],
                meant=meant,
                finder=knob.provenance.finder,
                unit=knob.unit,
                range=knob.range,
                figures=figures,
                truth=truth,
                amounts=tuple(grid),
                changes=tuple(map(tuple, changes[target].tolist())),
                response=tuple(response.tolist()),
            )
        )

    rows = latent.rows(few)
    start = {name: values[few] for name, values in unturned.items()}
    baseline = []
    for number in range(RANDOM_DIRECTIONS):
        score = scores[number * len(scores) // RANDOM_DIRECTIONS]
        twin, grid, target = _random_twin(knobs[score.name], number), list(score.amounts), score.target.name
        changes = _changes(generator, measurer, rows, start, twin, grid, part(len(few) * amounts))
        baseline.append(_figures(changes, measurer.attributes, target, grid, score.truth)[0])
    return Scorecard(generator.name, measurer.name, seeds, measurer.attributes, tuple(scores), _average(baseline))


def _changes(
    generator: Generator,
    measurer: Measurer,
    latent: Latent,
    unturned: Mapping[str, Tensor],
    knob: Knob,
    amounts: Sequence[float],
    progress: Progress | None = None,
) -> dict[str, Array]:
    """Return how each attribute changes from its unturned value, in spreads, (samples, amounts)."""
    turning = [amount for amount in amounts if amount != 0]  # at 0 the picture is bit-equal to the unturned one
    turned = sweep(generator, latent, knob, turning, measurer.measure, progress=progress)
    columns = np.flatnonzero(amounts)
    changes = {name: np.zeros((len(latent), len(amounts))) for name in measurer.attributes}
    for name, attribute in measurer.attributes.items():
        moved = attribute.difference(turned[name], unturned[name][:, None])
        changes[name][:, columns] = moved.double().numpy() / attribute.spread
    return changes


def _rms(changes: Array) -> float:
    return float(np.sqrt(np.square(changes).mean()))


def _most_changed(changes: Mapping[str, Array]) -> str:
    return max(changes, key=lambda name: _rms(changes[name]))


def _leakage(changes: Mapping[str, Array], target: str) -> dict[str, float]:
    moved = max(_rms(changes[target]), SMALLEST_CHANGE)
    return {name: _rms(values) / moved for name, values in changes.items() if name != target}


def _true_figures(measurer: Measurer, target: str, amounts: int) -> Figures | None:
    """Return what the reference's own knob does; what seems to leak from it are the errors of the measurer itself."""
    if measurer.reference is None:
        return None
    reference = load_generator(measurer.reference, "cpu")
    knobs = shipped_knobs(reference)
    if target not in knobs:
        return None
    latent = reference.sample(range(FIRST_SEED, FIRST_SEED + TRUTH_SEEDS))
    unturned = read_pictures(reference, latent, measurer.measure)
    grid = torch.linspace(*knobs[target].range, amounts).tolist()
    changes = _changes(reference, measurer, latent, unturned, knobs[target], grid)
    return _figures(changes, measurer.attributes, target, grid, None)[0]


def _figures(
    changes: Mapping[str, Array],
    attributes: Mapping[str, Attribute],
    target: str,
    amounts: Sequence[float],
    truth: Figures | None,
) -> tuple[Figures, Array]:
    """Return the figures, and the response to each amount in spreads, fitted on all samples."""
    attribute, moved, grid = attributes[target], changes[target], np.asarray(amounts)
    response = _response(attribute, moved, grid)
    gain = float(np.polyfit(grid, response, 1)[0])
    unwrapped = _unwrapped(attribute, moved, grid)
    way = -1.0 if gain < 0 else 1.0
    reach = (-way * float(np.median(unwrapped[:, 0])), way * float(np.median(unwrapped[:, -1])))
    seeming, errors = _leakage(changes, target), {} if truth is None else truth.leakage
    leakage = {name: math.sqrt(max(0.0, value**2 - errors.get(name, 0.0) ** 2)) for name, value in seeming.items()}
    kept = float((changes["species"] == 0).mean()) if "species" in changes else None
    mean = sum(leakage.values()) / max(len(leakage), 1)
    return Figures(gain, _pooled_r2(attribute, moved, grid), leakage, mean, reach, kept), response


def _pooled_r2(attribute: Attribute, moved: Array, amounts: Array) -> float:
    """Return how well the amount alone tells each sample's change, by the response of other samples."""
    told = np.empty_like(moved)
    for fold in range(FOLDS):
        held = np.arange(len(moved)) % FOLDS == fold
        told[held] = _response(attribute, moved[~held], amounts)
    if attribute.kind == "circular":
        degrees = moved * attribute.spread
        return circular_r2(degrees - told * attribute.spread, degrees - circular_mean(degrees.reshape(-1, 1)))
    there = float(np.square(moved - moved.mean()).sum())
    return 1 - float(np.square(moved - told).sum()) / there if there > 0 else 0.0


def _response(attribute: Attribute, moved: Array, amounts: Array) -> Array:
    """Return the monotone response to each amount, in spreads, that fits the samples' changes best."""
    from sklearn.isotonic import IsotonicRegression

    level = moved.mean(0)
    if attribute.kind == "circular":
        level = _unwrapped(attribute, circular_mean(moved * attribute.spread) / attribute.spread, amounts)
    rising = float(np.cov(level, amounts)[0, 1]) >= 0
    fitted: Array = IsotonicRegression(increasing=rising).fit(amounts, level).predict(amounts)
    return fitted


def _unwrapped(attribute: Attribute, moved: Array, amounts: Array) -> Array:
    """Return changes of an angle, (..., amounts) in spreads, followed round the circle outwards from amount 0."""
    if attribute.kind != "circular":
        return moved
    middle = int(np.abs(amounts).argmin())
    period = 360 / attribute.spread
    up = np.unwrap(moved[..., middle:], period=period)
    down = np.unwrap(moved[..., middle::-1], period=period)[..., ::-1]
    return np.concatenate([down[..., :-1], up], axis=-1)


def _random_twin(knob: Knob, number: int) -> Knob:
    """Return a knob of the same kind, length and range in a random direction of the same space."""
    random = torch.Generator().manual_seed(number)
    match knob:
        case LinearKnob():
            direction = torch.randn(knob.direction.shape, generator=random)
            return replace(knob, direction=direction * (knob.direction.norm().cpu() / direction.norm()))
        case RingKnob():
            first, second = torch.linalg.qr(torch.randn((knob.plane[0].numel(), 2), generator=random)).Q.T
            return replace(knob, plane=torch.stack([first, second]).reshape(knob.plane.shape))
        case _:
            raise BadInput(f"there is no random direction like the knob '{knob.name}' of kind '{knob.kind}'")


def _average(figures: Sequence[Figures]) -> Figures:
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

"""The scorecard: what each knob really does, measured on unseen samples beside random directions.

For every knob, 64 unseen samples are decoded at 9 amounts over its whole range and read by the judge. The target is
the attribute the knob is meant for, or, where it is meant for none, the one that changes most. Every figure comes with
the interval in which it would lie if other samples had been drawn.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from steer.attribute import Attribute, Measurer
from steer.directions.bootstrap import LEVEL, Draw, intervals
from steer.directions.figures import FOLDS, Figures, average, figures_of, response_of
from steer.directions.limits import transformation_limits
from steer.directions.readings import WHOLE_WAY, passed, worded
from steer.directions.swept import Bench, Swept
from steer.directions.transfer import transfer
from steer.directions.winding import winding
from steer.door import SOME_KNOBS, expect
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import Changing, Knob, LinearKnob, RingKnob, given
from steer.latent import Latent
from steer.registry import load_generator, load_measurer, shipped_knobs

FIRST_SEED = 1_000_000
"""The first unseen sample: no finder looks at this one or those after it."""

RANDOM_DIRECTIONS = 8
RANDOM_SEEDS = 16
TRUTH_SEEDS = 8


@dataclass(frozen=True)
class KnobScore:
    """One knob on the scorecard.

    Attributes:
        name: what it is called in its set.
        knob: the knob.
        target: the attribute that it is judged by.
        meant: whether the knob is meant for that target, or it is only what changes most.
        swept: everything that was read off its pictures.
        figures: what it does.
        truth: what the renderer's own knob for that target does, its leakage as the judge reads it; None where there
            is no such knob.
        details: what there is beside the figures, JSON-able: see `Scorecard.to_json`.
        intervals: the 90 % interval of every number in figures and details, in the same mappings and lists.
    """

    name: str
    knob: Knob
    target: Attribute
    meant: bool
    swept: Swept
    figures: Figures
    truth: Figures | None
    details: Mapping[str, Any]
    intervals: Mapping[str, Any]

    @property
    def realism(self) -> float:
        """The lowest mean in-domain score along the range, over that at the amount nearest to 0."""
        scores = self.swept.in_domain.mean(0)
        return float(scores.min() / max(scores[np.abs(self.swept.amounts).argmin()], 1e-6))

    def to_json(self) -> dict[str, Any]:
        """Return the knob's entry as JSON-able values."""
        return {
            "name": self.name,
            "attribute": self.target.name,
            "finder": self.knob.provenance.finder,
            "unit": self.knob.unit,
            "range": list(self.knob.range),
            **self.figures.to_json(),
            "amounts": self.swept.amounts.tolist(),
            **self.details,
            "stability": self.knob.provenance.scores.get("angle_90"),
            "truth": self.truth.to_json() if self.truth else None,
            "intervals": self.intervals,
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
        random_intervals: the 90 % interval of each of these figures, when directions are drawn anew.
    """

    generator: str
    measurer: str
    seeds: int
    attributes: Mapping[str, Attribute]
    knobs: tuple[KnobScore, ...]
    random_baseline: Figures
    random_intervals: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-able values.

        ``knobs`` has an object for each: its ``name``, ``attribute``, ``finder``, ``unit`` and ``range``; the figures
        explained at `Figures`; for each of its ``amounts`` the ``response`` (monotone, in spreads), ``in_domain`` (mean
        score, how well the measurer knows the pictures) and ``species_kept_along``; ``transfer`` to each class (see
        `transfer`); ``winding`` (see `winding`; null unless it goes round); ``limits`` (see `transformation_limits`;
        null unless its target is linear); ``stability``, the interval of the angle in degrees by which the finder's
        direction turns when its samples are drawn anew, where it says so; ``truth``, figures of the renderer's own
        knob, or null; and ``intervals``, [low, high] for every number of those.
        """
        return {
            "generator": self.generator,
            "seeds": self.seeds,
            "knobs": [knob.to_json() for knob in self.knobs],
            "random_baseline": {**self.random_baseline.to_json(), "intervals": self.random_intervals},
            "measurer": self.measurer,
            "interval": LEVEL,
            "random_directions": RANDOM_DIRECTIONS,
            "attributes": {
                name: {"kind": attribute.kind, "unit": attribute.unit, "spread": attribute.spread}
                for name, attribute in self.attributes.items()
            },
        }

    def table(self) -> list[tuple[str, ...]]:
        """Return rows of text, the heading first; see `scorecard_table`."""
        from steer.directions.scorecard_table import text_rows

        return text_rows(self)

    def save_csv(self, path: str | Path) -> None:
        """Write every number with its interval as a table: knob, attribute, figure, of, value, low, high, n.

        Raises:
            BadInput: the folder cannot be written.
        """
        from steer.directions.scorecard_table import write_csv

        write_csv(self, path)

    def figure(self, path: str | Path) -> None:
        """Draw response curves and the leakage of every knob on one page: PNG, PDF or SVG by the suffix.

        Raises:
            BadInput: the folder cannot be written, or the suffix is none that can be drawn.
        """
        from steer.directions.scorecard_page import draw_page

        draw_page(self, path)


def scorecard(
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
    expect(knobs, Mapping, SOME_KNOBS)
    if not knobs or seeds < FOLDS or amounts < 3:
        raise BadInput(f"a scorecard takes 1 knob, {FOLDS} seeds and 3 amounts or more")
    generator = worded(generator)
    measurer = measurer if measurer is not None else load_measurer(generator.backend.measurer)
    if not measurer.attributes:
        raise BadInput(f"the measurer '{measurer.name}' has no attributes to score a knob by")
    bench = Bench(generator, measurer, range(FIRST_SEED, FIRST_SEED + seeds), amounts)
    few = Bench(generator, measurer, range(FIRST_SEED, FIRST_SEED + min(RANDOM_SEEDS, seeds)), amounts)
    parts = _parts(progress, [amounts * seeds] * len(knobs) + [amounts * len(few.latent)] * RANDOM_DIRECTIONS)

    truths: dict[str, Swept | None] = {}
    scores = []
    for name, knob in knobs.items():
        swept = bench.sweep(knob, next(parts))
        meant = knob.attribute is not None and knob.attribute in measurer.attributes
        target = measurer.attributes[knob.attribute if knob.attribute is not None and meant else swept.most_moved]
        if target.name not in truths:
            truths[target.name] = true_sweep(measurer, target.name, amounts)
        scores.append(_score(name, knob, target, meant, swept, truths[target.name]))

    baseline = []
    for number in range(RANDOM_DIRECTIONS):
        score = scores[number * len(scores) // RANDOM_DIRECTIONS]
        twin = random_twin(score.knob, number, generator, few.latent)
        baseline.append(figures_of(few.sweep(twin, next(parts)), score.target, truths[score.target.name]))
    return Scorecard(
        generator.name,
        measurer.name,
        seeds,
        measurer.attributes,
        tuple(scores),
        average(baseline),
        intervals(lambda draw: average([baseline[row] for row in draw(RANDOM_DIRECTIONS)]).to_json()),
    )


def _parts(progress: Progress | None, sizes: Sequence[int]) -> Iterator[Progress | None]:
    """Yield the progress of one part of the work after the other."""
    total, done = sum(sizes), 0
    for size in sizes:
        yield None if progress is None else partial(_report, progress, done, size, total)
        done += size


def _report(progress: Progress, start: int, size: int, total: int, done: int, count: int) -> None:
    progress(start + done * size // count, total)


def true_sweep(measurer: Measurer, target: str, amounts: int) -> Swept | None:
    """Sweep the reference's own knob; what seems to leak from it are the errors of the measurer itself."""
    if measurer.reference is None:
        return None
    reference = load_generator(measurer.reference, "cpu")
    knobs = shipped_knobs(reference)
    if target not in knobs:
        return None
    return Bench(reference, measurer, range(FIRST_SEED, FIRST_SEED + TRUTH_SEEDS), amounts).sweep(knobs[target])


def _score(name: str, knob: Knob, target: Attribute, meant: bool, swept: Swept, truth: Swept | None) -> KnobScore:
    def redrawn(draw: Draw) -> dict[str, Any]:
        other = None if truth is None else truth.rows(draw(len(truth)))
        some = swept.rows(draw(len(swept)))
        return {**figures_of(some, target, other).to_json(), **_details(some, target)}

    return KnobScore(
        name=name,
        knob=knob,
        target=target,
        meant=meant,
        swept=swept,
        figures=figures_of(swept, target, truth),
        truth=None if truth is None else figures_of(truth, target),
        details=_details(swept, target),
        intervals=intervals(redrawn),
    )


def _details(swept: Swept, target: Attribute) -> dict[str, Any]:
    kept = (swept.changes["species"] == 0).mean(0).round(4).tolist() if "species" in swept.changes else None
    return {
        "response": response_of(target, swept.changes[target.name], swept.amounts).round(4).tolist(),
        "in_domain": swept.in_domain.mean(0).round(4).tolist(),
        "species_kept_along": kept,
        "transfer": transfer(swept, target),
        "winding": winding(swept, target),
        "limits": transformation_limits(swept, target),
    }


def random_twin(knob: Knob, number: int, generator: Generator, latent: Latent) -> Knob:
    """Return a knob of the same length and range in a random direction of the same space.

    A ring has a random plane for its twin; any other knob a straight line, as long as its own way is on average over
    the rows of a latent, in every stage in which the space is met.
    """
    random, space = torch.Generator().manual_seed(number), generator.space(knob.space)
    met = passed(generator, latent, knob.space)
    if isinstance(knob, RingKnob):
        plane = torch.linalg.qr(torch.randn((math.prod(space.shape), 2), generator=random)).Q.T
        centres = torch.stack([plane @ values.mean(0) * (not space.isotropic) for values in met.values])
        planes = plane.reshape(2, *space.shape).expand(len(centres), 2, *space.shape)
        whole = (planes, centres) if met.edges else (planes[0], centres[0])
        return replace(knob, plane=whole[0], centre=whole[1], edges=met.edges)
    direction, far = torch.randn(space.shape, generator=random), max(knob.range, key=abs)
    situated, lengths = given(knob, latent.to("cpu").values), []
    for values, interval in zip(met.values, list(pairwise(met.edges)) or [WHOLE_WAY], strict=True):
        here = situated.at(interval) if isinstance(situated, Changing) else situated
        moved = here.displacement(values.reshape(-1, *space.shape), torch.full((len(values),), far))
        lengths.append(moved.flatten(1).norm(dim=1).mean() / abs(far) / direction.norm())
    scaled = torch.stack([length * direction for length in lengths])
    line = scaled if met.edges else scaled[0]
    return LinearKnob(knob.name, knob.space, line, knob.unit, knob.range, knob.window, knob.attribute, edges=met.edges)

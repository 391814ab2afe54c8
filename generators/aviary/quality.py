"""How good and how various a generator's birds are, in numbers that a person's eye agrees with.

Render-back (see `steer.generators.aviary.render_back`), a Fréchet distance (Heusel et al. (2017), arXiv 1706.08500,
here in the judge's features) and the coverage of every factor.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.generators.aviary.captions import caption_choices
from steer.generators.aviary.factors import FACTORS, sample_factors
from steer.generators.aviary.render_back import SIZE, TOGETHER, Judge, RenderedBack, render_back
from steer.generators.aviary.renderer import render
from steer.generators.frechet import frechet
from steer.pictures import save_picture, sheet
from steer.registry import load_measurer

CIRCLE_BINS = 24
LEAST_COUNT = 16
CEILING_COUNT = 32
"""True renders that are drawn back for the ceiling, at most."""


@dataclass(frozen=True)
class Quality:
    """What `measure_quality` found.

    Attributes:
        generator: name of the generator.
        median: render-back inside the mask, in dB: the median.
        p10: the 10th percentile of it.
        ceiling: the median of true renders drawn back the same way.
        frechet: Fréchet distance to renders.
        frechet_floor: the same between two sets of renders, as many of each.
        coverage: by factor: for linear ones the range from 5th to 95th percentile, in renderers' ranges; for circles
            and species exp(entropy) / bins.
        coverage_reference: the same of renders, which shows what this many pictures can reach.
        back: the pictures beside what was drawn back.
    """

    generator: str
    median: float
    p10: float
    ceiling: float
    frechet: float
    frechet_floor: float
    coverage: Mapping[str, float]
    coverage_reference: Mapping[str, float]
    back: RenderedBack = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, JSON-able, four digits behind the point."""
        return {
            "render_back_mask_db": {"median": round(self.median, 4), "p10": round(self.p10, 4)},
            "ceiling_mask_db": round(self.ceiling, 4),
            "frechet": round(self.frechet, 4),
            "frechet_floor": round(self.frechet_floor, 4),
            "coverage": {name: round(value, 4) for name, value in self.coverage.items()},
            "coverage_reference": {name: round(value, 4) for name, value in self.coverage_reference.items()},
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the numbers for a person: what, how much, and what it compares to."""
        ceiling = f"{self.ceiling:.1f} dB for true renders"
        return [
            ("drawn back, inside the mask, median", f"{self.median:.1f} dB", ceiling),
            ("drawn back, inside the mask, 10th percentile", f"{self.p10:.1f} dB", ""),
            ("Fréchet distance", f"{self.frechet:.3g}", f"{self.frechet_floor:.3g} between renders"),
            *(
                (f"coverage of {name}", f"{value:.2f}", f"{self.coverage_reference[name]:.2f} for renders")
                for name, value in self.coverage.items()
            ),
        ]

    def figure(self, path: str | Path, pairs: int = 32) -> None:
        """Draw pictures beside what was drawn back, from the best to the worst."""
        order = self.back.decibels.argsort(descending=True)
        chosen = order[torch.linspace(0, len(order) - 1, min(pairs, len(order))).round().long()]
        both = torch.stack([self.back.pictures[chosen], self.back.rendered[chosen]], 1).flatten(0, 1)
        captions = [text for value in self.back.decibels[chosen] for text in ("generated", f"back, {value:.1f} dB")]
        save_picture(sheet(both, 8, captions), path)


def measure_quality(
    generator: Generator,
    *,
    measurer: Judge | None = None,
    count: int = 512,
    seed: int = 0,
    truncation: float = 1.0,
    asked: bool = False,
    progress: Progress | None = None,
) -> Quality:
    """Measure how good and how various a generator of birds is.

    Args:
        generator: a generator that draws the aviary's birds.
        measurer: who judges; the shipped judge by default.
        count: pictures to draw, and renders to compare them with.
        seed: the first seed that is drawn; the renders follow from it too.
        truncation: see `Generator.sample`.
        asked: whether to ask for each bird by a caption of its own.
        progress: called as the work goes on.

    Raises:
        UnknownName: it is to be asked, and takes no captions.
        BadInput: the generator does not draw the aviary's birds, or there are too few pictures.
    """
    if count < LEAST_COUNT:
        raise BadInput(f"{count} pictures say too little; take at least {LEAST_COUNT}")
    if measurer is None:
        if generator.backend.measurer != "aviary-judge":
            raise BadInput(
                f"'{generator.name}' is judged by '{generator.backend.measurer}', but only birds of the aviary can be "
                "drawn back; measure a generator that was trained on the aviary"
            )
        measurer = load_measurer("aviary-judge").network  # type: ignore[attr-defined]
    if asked:
        generator = generator.with_condition({"prompt": caption_choices()})
    ceiling_count = min(count, CEILING_COUNT)
    report = _Share(progress, count + ceiling_count)
    with torch.no_grad():
        pictures = draw(generator, range(seed, seed + count), truncation)
        rng = torch.Generator().manual_seed(seed)
        truth, twin = (render(sample_factors(count, generator=rng), SIZE) for _ in range(2))
        back = render_back(pictures, measurer, progress=report.of(0))
        ceiling = render_back(truth[:ceiling_count], measurer, progress=report.of(count))
        drawn, expected, again = (_see(each, measurer) for each in (pictures, truth, twin))
    return Quality(
        generator=generator.name,
        median=float(back.decibels.median()),
        p10=float(back.decibels.quantile(0.1)),
        ceiling=float(ceiling.decibels.median()),
        frechet=frechet(drawn.features, expected.features),
        frechet_floor=frechet(again.features, expected.features),
        coverage=coverage(drawn.factors, expected.factors),
        coverage_reference=coverage(again.factors, expected.factors),
        back=back,
    )


def draw(generator: Generator, seeds: range, truncation: float = 1.0) -> Tensor:
    """Draw pictures of seeds, (len(seeds), 3, 64, 64) on the CPU; others are resized to that."""
    parts = []
    for start in range(0, len(seeds), TOGETHER):
        latent = generator.sample(list(seeds[start : start + TOGETHER]), truncation=truncation)
        parts.append(generator.decode(latent).cpu())
    pictures = torch.cat(parts)
    if pictures.shape[2:] != (SIZE, SIZE):
        pictures = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", antialias=True).clamp(0, 1)
    return pictures


@dataclass(frozen=True)
class _Seen:
    """What the judge sees in pictures: factors, (batch,) each, and features, (batch, channels)."""

    factors: Mapping[str, Tensor]
    features: Tensor


def _see(pictures: Tensor, judge: Judge) -> _Seen:
    groups = pictures.split(TOGETHER)
    measured = [judge.measure(group) for group in groups]
    factors = {name: torch.cat([each[name] for each in measured]) for name in FACTORS}
    return _Seen(factors, torch.cat([judge.pooled(group) for group in groups]))


class _Share:
    """Reports several parts of a work as one whole."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total = progress, total

    def of(self, before: int) -> Progress | None:
        """Return a callback for a part that begins after ``before``."""
        progress = self.progress
        return None if progress is None else lambda done, _: progress(before + done, self.total)


def coverage(measured: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how much of every factor's variety is there.

    Args:
        measured: factors measured on pictures, (batch,) each.
        reference: factors measured on renders.

    Returns:
        For linear factors the range from the 5th to the 95th percentile, divided by that of the reference; for
        circles (24 bins) and classes exp(entropy) / bins.
    """
    result = {}
    for name, factor in FACTORS.items():
        if factor.kind == "linear":
            result[name] = _middle_range(measured[name]) / _middle_range(reference[name])
        else:
            bins = CIRCLE_BINS if factor.kind == "circular" else len(factor.classes)
            places = (measured[name].double() / factor.high * bins).long().remainder(bins)
            result[name] = evenness(torch.bincount(places, minlength=bins))
    return result


def _middle_range(values: Tensor) -> float:
    low, high = values.float().quantile(torch.tensor([0.05, 0.95]))
    return float(high - low)


def evenness(counts: Tensor) -> float:
    """Return exp(entropy) / bins of a histogram: 1 where all bins are equally full.

    >>> round(evenness(torch.tensor([5, 5, 0, 0])), 3)
    0.5
    """
    shares = counts.double() / counts.sum()
    entropy = -torch.special.xlogy(shares, shares).sum()
    return math.exp(float(entropy)) / len(counts)

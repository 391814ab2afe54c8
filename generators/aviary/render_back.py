"""Render-back: read the factors off a picture, refine them until the renderer's picture is as close as it gets.

Compared inside the bird's mask, a real bird comes back nearly identical, a smear does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.generator import Progress
from steer.generators.aviary.factors import FACTORS
from steer.generators.aviary.renderer import render

SIZE = 64
"""Height and width at which pictures are compared, in pixels."""

SMALLEST_BIRD = 0.01
"""Share of the picture below which a mask holds no bird; such a picture counts as 0 dB."""

TOGETHER = 32
"""Pictures refined at a time, which bounds the memory that their derivatives take."""

PROBE_STEPS: Mapping[str, float] = {
    "hue": 4.0,
    "heading": 3.0,
    "tilt": 1.5,
    "size": 0.012,
    "x": 0.008,
    "y": 0.008,
    "background_hue": 6.0,
    "background_brightness": 0.02,
    "light": 5.0,
}
"""Steps of the finite differences, in each factor's unit: about one ray of the renderer where something moves."""

SCALES = (4, 2, 1)
"""Pixels averaged each way in every round; without the coarse ones, small parts such as legs hold a bird in place."""

TRIES = 4
"""Steps tried in a round, with one set of derivatives."""

FARTHEST = 20.0
"""The longest step, in PROBE_STEPS."""

OUTSIDE = 0.05
"""Weight of a pixel outside the mask against one inside, while factors are refined."""


Residual = Callable[[Tensor], Tensor]
"""From factors, (batch, factors) in the order of PROBE_STEPS, to what is left to explain, (batch, residuals)."""


@runtime_checkable
class Judge(Protocol):
    """What is asked of a measurer here; `steer.generators.aviary.measurer.Measurer` is one."""

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Measure every factor of pictures (batch, 3, 64, 64); (batch,) per factor."""
        ...

    def mask(self, images: Tensor) -> Tensor:
        """Return how much of each pixel is bird, (batch, 1, 64, 64) in [0, 1]."""
        ...

    def pooled(self, images: Tensor) -> Tensor:
        """Return features, (batch, channels)."""
        ...


@dataclass(frozen=True)
class RenderedBack:
    """Pictures beside what their refined factors draw.

    Attributes:
        pictures: (batch, 3, 64, 64) in [0, 1].
        rendered: the pictures drawn back, likewise.
        factors: the refined factors, (batch,) each.
        decibels: peak signal-to-noise ratio inside the mask, (batch,); 0 where the judge sees no bird.
    """

    pictures: Tensor
    rendered: Tensor
    factors: Mapping[str, Tensor]
    decibels: Tensor


def render_back(pictures: Tensor, judge: Judge, *, progress: Progress | None = None) -> RenderedBack:
    """Read the factors off pictures, refine them, and draw them again.

    Args:
        pictures: (batch, 3, 64, 64) in [0, 1].
        judge: who reads factors and mask.
        progress: called with the pictures done.
    """
    parts = []
    for start in range(0, len(pictures), TOGETHER):
        parts.append(_render_back(pictures[start : start + TOGETHER], judge))
        if progress is not None:
            progress(min(start + TOGETHER, len(pictures)), len(pictures))
    return RenderedBack(
        pictures=pictures,
        rendered=torch.cat([part.rendered for part in parts]),
        factors={name: torch.cat([part.factors[name] for part in parts]) for name in FACTORS},
        decibels=torch.cat([part.decibels for part in parts]),
    )


def mask_decibels(pictures: Tensor, others: Tensor, mask: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio inside a mask, (batch,) in dB; 0 where the mask holds no bird.

    Args:
        pictures: (batch, 3, height, width) in [0, 1].
        others: what to compare them with, likewise.
        mask: (batch, 1, height, width), at least 0.5 where the bird is.
    """
    inside = (mask >= 0.5).float()
    pixels = inside.sum((1, 2, 3))
    error = ((pictures - others).square() * inside).sum((1, 2, 3)) / (3 * pixels.clamp_min(1))
    decibels = -10 * error.clamp_min(1e-10).log10()
    return torch.where(pixels >= SMALLEST_BIRD * inside[0].numel(), decibels, 0.0)


def _render_back(pictures: Tensor, judge: Judge) -> RenderedBack:
    """Draw one batch back, from the factors among those of all rounds that came closest inside the mask."""
    mask, measured = judge.mask(pictures), judge.measure(pictures)

    weight = (OUTSIDE + (1 - OUTSIDE) * mask).sqrt()

    def paint(values: Tensor) -> Tensor:
        factors = dict(zip(PROBE_STEPS, values.unbind(1), strict=True))
        return render({"species": measured["species"], **factors}, SIZE)

    def residual(values: Tensor, scale: int) -> Tensor:
        return F.avg_pool2d((paint(values) - pictures) * weight, scale).flatten(1)

    values = best = _inside(torch.stack([measured[name].float() for name in PROBE_STEPS], 1))
    best_image = paint(best)
    best_decibels = mask_decibels(pictures, best_image, mask)
    for scale in SCALES:
        values = _refine(values, partial(residual, scale=scale))
        image = paint(values)
        decibels = mask_decibels(pictures, image, mask)
        closer = decibels > best_decibels
        best = torch.where(closer[:, None], values, best)
        best_image = torch.where(closer[:, None, None, None], image, best_image)
        best_decibels = torch.where(closer, decibels, best_decibels)
    factors = {"species": measured["species"], **dict(zip(PROBE_STEPS, best.unbind(1), strict=True))}
    return RenderedBack(pictures, best_image, {name: factors[name] for name in FACTORS}, best_decibels)


def _refine(values: Tensor, residual: Residual) -> Tensor:
    """Lower the squares of a residual by Levenberg-Marquardt steps, each row with its own damping.

    Derivatives are finite differences, brought up to date between steps by Broyden (1965). Steps are counted in
    PROBE_STEPS.

    Args:
        values: factors to begin with, (batch, factors) in the order of PROBE_STEPS.
        residual: from factors to (batch, residuals).
    """
    unit = torch.tensor(list(PROBE_STEPS.values()))
    damping = torch.full((len(values),), 0.03)
    now = residual(values)
    slopes = torch.stack([residual(values + probe) - now for probe in torch.diag(unit)], 2)
    for _ in range(TRIES):
        curvature = slopes.mT @ slopes  # (batch, factors, factors)
        size = curvature.diagonal(dim1=1, dim2=2)
        floor = 1e-6 * size.amax(1, keepdim=True) + 1e-12
        damped = curvature + torch.diag_embed(damping[:, None] * size + floor)
        step = torch.linalg.solve(damped, -(slopes.mT @ now[:, :, None])).squeeze(2).clamp(-FARTHEST, FARTHEST)
        moved = _inside(values + step * unit)
        taken = _difference(moved, values) / unit
        then = residual(moved)
        surprise = then - now - (slopes @ taken[:, :, None]).squeeze(2)
        length = taken.square().sum(1, keepdim=True).clamp_min(1e-9)
        slopes = slopes + surprise[:, :, None] * (taken / length)[:, None, :]
        better = then.square().sum(1) < now.square().sum(1)
        values = torch.where(better[:, None], moved, values)
        now = torch.where(better[:, None], then, now)
        damping = torch.where(better, damping / 4, damping * 6).clamp(1e-4, 1e4)
    return values


def _inside(values: Tensor) -> Tensor:
    """Wrap circles and clamp linear factors to their ranges, (batch, factors) in the order of PROBE_STEPS."""
    columns = []
    for name, column in zip(PROBE_STEPS, values.unbind(1), strict=True):
        factor = FACTORS[name]
        circular = factor.kind == "circular"
        columns.append(torch.remainder(column, 360) if circular else column.clamp(factor.low, factor.high))
    return torch.stack(columns, 1)


def _difference(values: Tensor, reference: Tensor) -> Tensor:
    """Return values less reference, the short way round for circles; (batch, factors) in the order of PROBE_STEPS."""
    circular = torch.tensor([FACTORS[name].kind == "circular" for name in PROBE_STEPS])
    difference = values - reference
    return torch.where(circular, torch.remainder(difference + 180, 360) - 180, difference)

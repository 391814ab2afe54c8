"""Edits: what can be done to any picture by an amount, differentiably, and which pixels it leaves undefined."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

DEFINED = 0.999
"""A pixel counts as defined where this much of it comes from inside the picture."""

BLUR_RADIUS = 3.0
"""How far a blur looks, in its widths."""

SMALLEST_WIDTH = 1e-3

ROUND_GREY = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
"""What turns colours about the grey axis (Rodrigues' formula), from red towards green."""


Walk = Literal["line", "round", "curve"]
"""How dice go: straight on; round, as a matrix says; or as a small network says."""


@dataclass(frozen=True)
class Edit:
    """Something to do to pictures, by an amount.

    Attributes:
        name: what it is called, and the knob that imitates it.
        unit: what amounts count in.
        reach: the largest amount worth trying, both ways.
        apply: from pictures (batch, 3, height, width) in [0, 1] and amounts (batch,) to the edited pictures and the
            mask of their pixels that are defined, (batch, 1, height, width) in {0, 1}. An amount of 0 changes nothing.
        walk: the simplest way of dice that can do the same. Where a turn of colours leads depends on the colours that
            there are, so that no straight line does it.
    """

    name: str
    unit: str
    reach: float
    apply: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    walk: Walk = "line"


def _zoom(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    return _warped(images, torch.exp2(-amount), torch.zeros_like(amount))


def _rotate(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    return _warped(images, torch.ones_like(amount), torch.deg2rad(amount))


def _shift_x(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    return _warped(images, torch.ones_like(amount), torch.zeros_like(amount), right=amount / 100)


def _shift_y(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    return _warped(images, torch.ones_like(amount), torch.zeros_like(amount), down=amount / 100)


def _warped(
    images: Tensor,
    scale: Tensor,
    angle: Tensor,
    right: Tensor | None = None,
    down: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return pictures as seen through a window that is scaled, turned and moved, and what of it lies inside."""
    nothing = torch.zeros_like(scale)
    height, width = images.shape[2:]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    across = torch.stack([cos, -sin * height / width, -2 * (nothing if right is None else right)], 1)
    along = torch.stack([sin * width / height, cos, -2 * (nothing if down is None else down)], 1)
    grid = F.affine_grid(torch.stack([across, along], 1), list(images.shape), align_corners=False)
    inside = F.grid_sample(torch.ones_like(images[:, :1]), grid, align_corners=False) > DEFINED
    return F.grid_sample(images, grid, align_corners=False, padding_mode="border"), inside.to(images)


def _brighten(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    return _whole(images + amount[:, None, None, None] / 100)


def _tint(channel: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def tint(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
        share = F.one_hot(torch.tensor(channel, device=images.device), 3).to(images)
        return _whole(images + amount[:, None, None, None] / 100 * share[:, None, None])

    return tint


def _contrast(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    mean = images.mean((1, 2, 3), keepdim=True)
    return _whole(mean + torch.exp2(amount)[:, None, None, None] * (images - mean))


def _hue(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    angle = torch.deg2rad(amount)[:, None, None]
    across = ROUND_GREY.to(images)
    turn = torch.eye(3).to(images) + angle.sin() * across + (1 - angle.cos()) * (across @ across)
    return _whole(torch.einsum("bij,bjhw->bihw", turn, images))


def _blur(images: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    """Blur by a Gaussian of this many pixels; below 0 add what such a blur would take away."""
    width = amount.abs().clamp_min(SMALLEST_WIDTH)
    radius = max(1, math.ceil(BLUR_RADIUS * float(width.detach().max())))
    radius = min(radius, min(images.shape[2:]) - 1)
    places = torch.arange(-radius, radius + 1).to(images)
    kernel = torch.exp(-0.5 * (places / width[:, None]).square())
    kernel = kernel / kernel.sum(1, keepdim=True)  # (batch, places)
    batch, channels = images.shape[:2]
    kernel = kernel.repeat_interleave(channels, 0)[:, None]
    blurred = F.pad(images, (radius,) * 4, mode="reflect").flatten(0, 1)[None]
    blurred = F.conv2d(blurred, kernel[:, :, None], groups=batch * channels)
    blurred = F.conv2d(blurred, kernel[..., None], groups=batch * channels)[0].unflatten(0, (batch, channels))
    below = amount[:, None, None, None] < 0
    return _whole(torch.where(below, 2 * images - blurred, blurred))


def _whole(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return edited pictures within [0, 1], defined everywhere."""
    return images.clamp(0, 1), torch.ones_like(images[:, :1])


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        edit.name: edit
        for edit in (
            Edit("zoom", "octave", 0.5, _zoom),
            Edit("shift_x", "percent", 10.0, _shift_x),
            Edit("shift_y", "percent", 10.0, _shift_y),
            Edit("rotate", "degree", 30.0, _rotate),
            Edit("brightness", "percent", 25.0, _brighten),
            Edit("red", "percent", 25.0, _tint(0)),
            Edit("green", "percent", 25.0, _tint(1)),
            Edit("blue", "percent", 25.0, _tint(2)),
            Edit("contrast", "octave", 0.8, _contrast),
            Edit("hue", "degree", 60.0, _hue, "round"),
            Edit("blur", "pixel", 1.5, _blur),
        )
    }
)
"""Zoom in, shift to the right and down, rotate anticlockwise, brighten, tint, stress contrast, turn colours from red
towards green, and blur; each also the other way round. A shift of 1 percent is one of the picture's width or height, an
octave a factor of 2."""

"""Targets: what a denoiser learns from, and the clean picture on which it is watched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from steer.errors import BadInput
from steer.generators.aviary.data import dataset
from steer.generators.aviary.factors import UNIFORM, sample_factors
from steer.generators.aviary.renderer import render_all
from steer.prepare import PictureSource, prepare
from steer.seeds import stream
from steer.shapes import Pictures

SIDE = 32
"""Height and width of every picture in the lab, in pixels."""

COUNT = 256
"""Pictures that a denoiser learns from."""

BIRDS_SEED = 32
"""The seed of the birds that are learnt from."""

SMALLEST_CROP = 0.5
"""The least part of an own picture's side that is learnt from at a time."""


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be denoised.

    Attributes:
        name: for a person.
        clean: the picture that is watched, in [0, 1]; it is not learnt from.
        family: what is learnt from: pictures of the same kind, in [0, 1].
    """

    name: str
    clean: Float[Tensor, "1 3 side side"]
    family: Float[Tensor, "count 3 side side"]

    @cached_property
    def mean(self) -> Pictures:
        """The mean of the family, (1, 3, SIDE, SIDE): the best answer of one who sees nothing."""
        return self.family.mean(0, keepdim=True)


def bird(seed: int = 0) -> Target:
    """Return a bird of the aviary; other birds are learnt from.

    Args:
        seed: the bird that is watched.

    Raises:
        BadInput: the seed is not a whole number from 0 up.
    """
    factors = sample_factors(1, generator=stream(_checked(seed), "lab bird"), prior=UNIFORM)
    others = dataset(COUNT, seed=BIRDS_SEED, size=SIDE).pictures.float() / 255
    return Target("a bird", render_all(factors, SIDE).picture, others)


def shapes(seed: int = 0) -> Target:
    """Return a disc, a square or a ring in two colours; others are learnt from.

    Args:
        seed: the shape that is watched.

    Raises:
        BadInput: the seed is not a whole number from 0 up.
    """
    return Target(
        "a shape", _draw_shapes(1, stream(_checked(seed), "lab shape")), _draw_shapes(COUNT, stream(0, "lab shapes"))
    )


def own_picture(picture: PictureSource) -> Target:
    """Return a picture of any form and size, cropped about its middle to a square; pieces of it are learnt from.

    Raises:
        BadInput: it is no picture.
    """
    prepared = prepare(picture, (2 * SIDE, 2 * SIDE)).picture
    rng = stream(0, "lab crops")
    size = SMALLEST_CROP + (1 - SMALLEST_CROP) * torch.rand(COUNT, 1, generator=rng)
    flip = 1.0 - 2.0 * torch.randint(2, (COUNT, 1), generator=rng)
    moved = (1 - size) * (2 * torch.rand(COUNT, 2, generator=rng) - 1)
    scale = torch.cat([size * flip, size], 1)
    crops = torch.cat([torch.diag_embed(scale), moved[..., None]], 2)  # (count, 2, 3)
    grid = F.affine_grid(crops, [COUNT, 3, SIDE, SIDE], align_corners=False)
    pieces = F.grid_sample(prepared.expand(COUNT, -1, -1, -1), grid, padding_mode="reflection", align_corners=False)
    return Target("your picture", F.avg_pool2d(prepared, 2), pieces.clamp(0, 1))


TARGETS: Mapping[str, Callable[[int], Target]] = {"bird": bird, "shapes": shapes}
"""The targets that need nothing but a seed."""


def _checked(seed: int) -> int:
    if isinstance(seed, bool) or not 0 <= seed < 2**53:
        raise BadInput(f"a seed is a whole number from 0 up, not {seed!r:.40}")
    return seed


def _draw_shapes(count: int, rng: torch.Generator) -> Pictures:
    """Draw discs, squares and rings of random place, size and colours."""

    def dice(low: float, high: float, *shape: int) -> Float[Tensor, "count *shape"]:
        return low + (high - low) * torch.rand(count, *shape, generator=rng)

    middle, radius, kind = dice(-0.4, 0.4, 2), dice(0.3, 0.6), torch.randint(3, (count,), generator=rng)
    colours = dice(0.05, 0.95, 2, 3)[..., None, None]  # (count, ground and shape, channel, 1, 1)
    axis = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = ((axis - middle[:, place, None]) for place in (0, 1))  # (count, SIDE) each
    far, wide = torch.hypot(x[:, None, :], y[:, :, None]), torch.maximum(x[:, None, :].abs(), y[:, :, None].abs())
    radius = radius[:, None, None]
    depth = torch.stack([radius - far, radius - wide, 0.12 - (far - radius).abs()], 1)  # (count, kind, SIDE, SIDE)
    inside = (depth[torch.arange(count), kind] * SIDE / 2 + 0.5).clamp(0, 1)[:, None]
    return torch.lerp(colours[:, 0].expand(-1, -1, SIDE, SIDE), colours[:, 1].expand(-1, -1, SIDE, SIDE), inside)

"""The background as something to measure: what stands around the thing, so that knobs can be kept from changing it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.attribute import Attribute, Masking, Measurer
from steer.directions.readings import read_pictures
from steer.errors import BadInput
from steer.generator import Generator
from steer.latent import Latent

BACKGROUND = "background"
CELLS = 4
"""The background is looked at in 4 by 4 parts of the picture, each by its mean colour."""


@dataclass(eq=False)
class WithBackground:
    """A measurer that also reads the background: three numbers for each of 16 parts of the picture.

    Together their changes count as one attribute: where all change as much as they differ between two pictures, that
    is about one spread.

    Attributes:
        measurer: what reads the rest and tells the thing from its background.
        attributes: those of the measurer, and ``background:0`` to ``background:47``.
        name: that of the measurer.
    """

    measurer: Masking
    attributes: Mapping[str, Attribute]
    name: str
    reference: str | None = None

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """See `Measurer.measure`."""
        cells = background_cells(self.measurer, images)
        return {**self.measurer.measure(images), **{_cell(k): each for k, each in enumerate(cells.unbind(1))}}

    def in_domain(self, images: Tensor) -> Tensor:
        """See `Measurer.in_domain`."""
        return self.measurer.in_domain(images)


def with_background(measurer: Measurer, generator: Generator, latent: Latent) -> WithBackground:
    """Let a measurer read the background too.

    Args:
        measurer: what reads the rest.
        generator: what draws the pictures.
        latent: samples that show how much backgrounds differ.

    Raises:
        BadInput: the measurer cannot tell the thing from its background.
    """
    if not isinstance(measurer, Masking):
        raise BadInput(f"'{measurer.name}' cannot tell a thing from its background; lock attributes by name instead")

    def read(images: Tensor) -> dict[str, Tensor]:
        return {_cell(k): each for k, each in enumerate(background_cells(measurer, images).unbind(1))}

    cells = read_pictures(generator, latent, read)
    spread = float(torch.stack(list(cells.values())).double().var(dim=1).sum().sqrt().clamp_min(1e-3))
    of_cells = {name: Attribute(name, "linear", 0, 1, "fraction", spread) for name in cells}
    return WithBackground(measurer, {**measurer.attributes, **of_cells}, measurer.name)


def background_cells(measurer: Masking, images: Tensor) -> Tensor:
    """Return the mean colour of the background in each part of the picture, (batch, 48) in [0, 1].

    A part that the thing covers wholly reads as the mean of all background.
    """
    free = 1 - F.interpolate(measurer.mask(images), images.shape[2:], mode="bilinear")
    weight = F.adaptive_avg_pool2d(free, CELLS)
    colour = F.adaptive_avg_pool2d(free * images, CELLS)
    whole = colour.mean((2, 3), keepdim=True) / weight.mean((2, 3), keepdim=True).clamp_min(1e-3)
    return ((colour + 1e-2 * whole) / (weight + 1e-2)).flatten(1)


def _cell(number: int) -> str:
    return f"{BACKGROUND}:{number}"

"""Frozen features that a training looks at pictures with, and their standardising."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.generators.biggan import START

Features = Callable[[Tensor], Sequence[Tensor]]
"""Frozen features of pictures (batch, 3, height, width) in [0, 1]: square maps, fine before coarse."""


class RandomFeatures:
    """Features of fixed random convolutions, for data that no measurer knows.

    Args:
        resolution: of the pictures, in pixels.
        seed: seeds the convolutions.
    """

    def __init__(self, resolution: int, seed: int = 0) -> None:
        halvings = int(math.log2(resolution // START))
        widths = (3, 32, 64, 128, *[192] * max(halvings - 3, 0))[: halvings + 1]
        generator = torch.Generator().manual_seed(seed)
        self.kernels = [
            torch.randn((b, a, 4, 4), generator=generator) * math.sqrt(2 / (a * 16)) for a, b in pairwise(widths)
        ]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return maps of 32, 64, 128 and then 192 channels, each half as wide as the one before, down to 4 pixels."""
        maps, h = [], 2 * images - 1
        for kernel in self.kernels:
            h = F.leaky_relu(F.conv2d(h, kernel, stride=2, padding=1), 0.2)
            maps.append(h)
        return maps


class Standardised(nn.Module):
    """Frozen features brought to mean 0 and deviation 1 in every channel.

    Args:
        features: the features.
        images: pictures (batch, 3, height, width) in [0, 1] to take the statistics from.
    """

    def __init__(self, features: Features, images: Tensor) -> None:
        super().__init__()
        self.features = features
        with torch.no_grad():
            maps = features(images)
        self.scales = [1 / (each.var((0, 2, 3), keepdim=True) + 1e-3).sqrt() for each in maps]
        self.shifts = [-each.mean((0, 2, 3), keepdim=True) * s for each, s in zip(maps, self.scales, strict=True)]
        self.widths = [each.shape[1] for each in maps]
        self.sizes = [each.shape[-1] for each in maps]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the standardised maps of pictures in [0, 1]."""
        maps = self.features(images)
        return [
            torch.addcmul(shift, each, scale) for each, scale, shift in zip(maps, self.scales, self.shifts, strict=True)
        ]

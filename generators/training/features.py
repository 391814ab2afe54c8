"""Frozen features that a training looks at pictures with, brought to one scale."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Features = Callable[[Tensor], Sequence[Tensor]]
"""Frozen features of pictures (batch, 3, height, width) in [0, 1]: square maps, fine before coarse."""


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

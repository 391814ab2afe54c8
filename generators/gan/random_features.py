"""Features of fixed random convolutions: what an encoder reads where no measurer knows the pictures.

Random ones already tell pictures apart, after Saxe et al. (2011), "On random weights and unsupervised feature
learning".
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.generators.gan.network import START

RANDOM = "random"
"""The name an encoder's file has for them."""


class RandomFeatures:
    """Features of fixed random convolutions, for data that no measurer knows.

    Args:
        resolution: of the pictures, in pixels; the same for the same resolution always.
    """

    def __init__(self, resolution: int) -> None:
        halvings = int(math.log2(resolution // START))
        widths = (3, 32, 64, 128, *[192] * max(halvings - 3, 0))[: halvings + 1]
        generator = torch.Generator().manual_seed(0)
        self.kernels = [
            torch.randn((b, a, 4, 4), generator=generator) * math.sqrt(2 / (a * 16)) for a, b in pairwise(widths)
        ]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return feature maps of pictures (batch, 3, height, width) in [0, 1].

        They have of 32, 64, 128 and then 192 channels, each half as wide as the one before, down to 4 pixels.
        """
        maps, h = [], 2 * images - 1
        for kernel in self.kernels:
            h = F.leaky_relu(F.conv2d(h, kernel, stride=2, padding=1), 0.2)
            maps.append(h)
        return maps

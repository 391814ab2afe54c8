"""The lab's denoiser: a convolutional network so small that one processor core teaches it within seconds."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 16
"""Channels at the top; twice as many further down."""

FINE = 8
"""Channels at the pictures' own size."""

POWERS = (1, 2, 4, 8)
"""Powers of the noise's share by which the gate is set: it falls late and steeply."""


class Denoiser(nn.Module):
    """Guess the clean picture behind a noisy one.

    The answer is the noisy picture itself, let through by a gate that learns how far to open at each level, plus what
    a U-Net of half, quarter and eighth size makes of it. At the start the gate is open and the rest silent: the answer
    *is* the noisy picture, and all that improves on it was learnt.

    Args:
        side: height and width of the pictures, in pixels; a multiple of 8.
        rng: draws the first weights.
    """

    place: Tensor

    def __init__(self, side: int, rng: torch.Generator) -> None:
        super().__init__()
        wide = 2 * WIDTH
        self.enter = _convolution(3 * 4 + 3, WIDTH)
        self.down = _convolution(WIDTH, wide, stride=2)
        self.deeper = _convolution(wide, wide, stride=2)
        self.deepest = _convolution(wide, wide)
        self.up = _convolution(2 * wide, wide)
        self.higher = _convolution(wide + WIDTH, WIDTH)
        self.unfold = _convolution(WIDTH, 4 * FINE)
        self.leave = _convolution(FINE, 3)
        self.gate = nn.utils.skip_init(nn.Linear, len(POWERS), 3)
        axis = torch.linspace(-1, 1, side // 2)
        self.register_buffer("place", torch.stack(torch.meshgrid(axis, axis, indexing="ij"))[None])  # (1, 2, ...)
        self._draw(rng)

    def _draw(self, rng: torch.Generator) -> None:
        """Draw the weights: as large as keep what passes in size (He et al., 2015), the last ones 0."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.weight[0].numel()), generator=rng)
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.gate.weight)
        nn.init.ones_(self.gate.bias)

    def forward(
        self, x: Float[Tensor, "batch 3 side side"], noise: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch 3 side side"]:
        """Guess.

        Args:
            x: noisy pictures, those without noise in [-1, 1].
            noise: the noise's share in each, sqrt(1 − alpha_bar).

        Returns:
            What they are without noise.
        """
        folded = F.pixel_unshuffle(x, 2)  # (batch, 12, side / 2, side / 2)
        batch, _, *size = folded.shape
        level = noise[:, None, None, None].expand(-1, 1, *size)
        top = F.silu(self.enter(torch.cat([folded, self.place.expand(batch, -1, -1, -1), level], 1)))
        middle = F.silu(self.down(top))
        bottom = F.silu(self.deepest(F.silu(self.deeper(middle))))
        middle = F.silu(self.up(torch.cat([_doubled(bottom), middle], 1)))
        top = F.silu(self.higher(torch.cat([_doubled(middle), top], 1)))
        made = self.leave(F.silu(F.pixel_shuffle(self.unfold(top), 2)))
        gate = self.gate(torch.stack([noise**power for power in POWERS], 1))  # (batch, 3)
        return gate[..., None, None] * x + made


def _convolution(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without weights yet: those of torch would be drawn from the stream that all share."""
    return nn.utils.skip_init(nn.Conv2d, channels, out, 3, stride=stride, padding=1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0)

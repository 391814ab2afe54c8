"""How the dice of real pictures spread, and two ways to make them spread like fresh ones.

Where they differ, fresh dice fall where no real picture ever was, and what is drawn there is no bird.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from steer.generators.gan.dice_encoder import DiceEncoder
from steer.generators.gan.network import BigGANNetwork

MEMORY = 0.05
"""Weight of a step in the running moments."""


class DiceSpread:
    """Running moments of the dice of real pictures, over many steps.

    Args:
        classes: number of classes.
        z_dim: number of dice.
    """

    def __init__(self, classes: int, z_dim: int) -> None:
        self.means, self.moments = torch.zeros((classes, z_dim)), torch.eye(z_dim)

    def mismatch(self, dice: Tensor, label: Tensor) -> Tensor:
        """Take in a batch's dice, and return how far all are from mean 0 in every class and covariance 1.

        Args:
            dice: (batch, z_dim).
            label: one-hot, (batch, classes).
        """
        counts = label.sum(0)[:, None]
        means = torch.lerp(self.means, label.T @ dice / counts.clamp(min=1), MEMORY * (counts > 0))
        moments = torch.lerp(self.moments, dice.T @ dice / len(dice), MEMORY)
        self.means, self.moments = means.detach(), moments.detach()
        gap = moments - torch.eye(len(moments))
        return (means.square().mean(0).sum() + gap.square().sum() / 2) / MEMORY


@torch.no_grad()
def settle(encoder: DiceEncoder, generators: Iterable[BigGANNetwork], read: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Give the dice of real pictures the spread of fresh ones, by moving a map from the encoder to the generators.

    Redrawn pictures stay what they are, and dreams begin where real pictures lie. All networks are changed in place.

    Args:
        encoder: what reads the dice.
        generators: what draws them.
        read: what the encoder reads off real pictures: means and log variances, (batch, z_dim) each.
    """
    z_dim = encoder.out.out_features // 2
    moment, variance, count = torch.zeros((z_dim, z_dim)), torch.zeros(z_dim), 0
    for mean, log_variance in read:
        moment += mean.T @ mean
        variance += log_variance.exp().sum(0)
        count += len(mean)
    variance /= count
    squares, axes = torch.linalg.eigh(moment / count + torch.diag(variance))
    root, inverse = ((axes * squares.clamp_min(1e-6) ** power) @ axes.T for power in (0.5, -0.5))
    for network in generators:
        for layer in (network.first, network.modulation):
            layer.weight[:, :z_dim] = layer.weight[:, :z_dim] @ root
    encoder.turn(inverse, variance)

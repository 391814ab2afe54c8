"""How the dice of real pictures spread while they are laid out: the first two moments, against those of fresh ones."""

import torch
from torch import Tensor

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

"""A flow from fresh dice to those of real pictures.

An encoder lays pictures out as it likes: a colour round a circle, say, with nothing in its middle, where fresh dice do
fall. The flow moves these to the circle. It moves dice no farther than it must, since it is learnt from pairs that lie
close together.

After Lipman et al. (2022), arXiv 2210.02747 (flow matching); Tong et al. (2023), arXiv 2302.00482 (pairs by optimal
transport within a batch).
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

TONES = (1.0, 2.0, 4.0, 8.0)
"""How often the waves that tell the time swing, in half turns."""

PAIRED = 48
"""Dice of a class that are paired with as many fresh ones in each step."""

INTERVALS = 12
"""Steps of Heun's method from fresh dice to real ones."""


class DiceFlow(nn.Module):
    """The speed at which fresh dice move to where real pictures lie, from time 0 to time 1.

    Args:
        classes: number of classes.
        z_dim: number of dice.
        width: of its hidden layers.
    """

    tones: Tensor
    learnt: Tensor

    def __init__(self, classes: int, z_dim: int, *, width: int = 256) -> None:
        super().__init__()
        self.inputs = nn.Linear(z_dim + classes + 2 * len(TONES), width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.out = nn.Linear(width, z_dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("tones", torch.tensor(TONES) * torch.pi / 2, persistent=False)
        self.register_buffer("learnt", torch.tensor(False))

    def forward(self, dice: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Return the speed of dice (batch, z_dim) at times (batch,); ``label`` is one-hot, (batch, classes)."""
        waves = time[:, None] * self.tones
        h = F.silu(self.inputs(torch.cat([dice, label, waves.sin(), waves.cos()], 1)))
        for layer in self.hidden:
            h = h + F.silu(layer(h))
        speed: Tensor = self.out(h)
        return speed

    @torch.no_grad()
    def move(self, dice: Tensor, label: Tensor, start: float, end: float) -> Tensor:
        """Move dice (batch, z_dim) from one time to another by Heun's method; fresh dice are at 0, real ones at 1."""
        for now, then in pairwise(torch.linspace(start, end, INTERVALS + 1).tolist()):
            speed = self(dice, dice.new_full((len(dice),), now), label)
            ahead = self(dice + (then - now) * speed, dice.new_full((len(dice),), then), label)
            dice = dice + (then - now) * (speed + ahead) / 2
        return dice

    def learn(self, real_dice: Callable[[int], tuple[Tensor, Tensor]], *, steps: int, rng: torch.Generator) -> None:
        """Learn the way from fresh dice to those of real pictures (in place).

        Args:
            real_dice: gives dice of that many real pictures of every class, and their one-hot labels; class by class.
            steps: how many steps; 4,000 take a minute.
            rng: draws.
        """
        optimiser = torch.optim.Adam(self.parameters(), 2e-3)
        average = {name: each.detach().clone() for name, each in self.named_parameters()}
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = 2e-3 * min((step + 1) / 100, 1.0) * (1 - 0.98 * step / steps)
            real, label = real_dice(PAIRED)
            fresh = _reordered(torch.randn(real.shape, generator=rng), real)
            time = (torch.randperm(len(real), generator=rng) + torch.rand(len(real), generator=rng)) / len(real)
            between = torch.lerp(fresh, real, time[:, None])
            loss = (self(between, time, label) - (real - fresh)).square().sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                for name, each in self.named_parameters():
                    average[name].lerp_(each, max(1 / (step + 1), 5e-3))
        self.load_state_dict(average, strict=False)
        self.learnt.fill_(True)


def _reordered(fresh: Tensor, real: Tensor) -> Tensor:
    """Return fresh dice in an order in which, group of `PAIRED` by group, they lie close to real ones, row by row."""
    groups = zip(fresh.split(PAIRED), real.split(PAIRED), strict=True)
    return torch.cat(
        [
            mine[torch.from_numpy(linear_sum_assignment(torch.cdist(theirs, mine).square().numpy())[1])]
            for mine, theirs in groups
        ]
    )

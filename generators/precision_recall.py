"""Precision and recall of a generator: are its samples like real ones, and are real ones like its samples.

After Kynkäänniemi et al. (2019), arXiv 1904.06991.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 3
"""How far a sample's surroundings reach: to which of its nearest neighbours, as in the paper."""

TOGETHER = 1_000


@dataclass(frozen=True)
class PrecisionRecall:
    """How much two sets of samples lie within each other.

    Attributes:
        within: how many of the generated samples lie among the real ones.
        generated: how many there are.
        covered: how many of the real samples lie among the generated ones.
        real: how many there are.
    """

    within: int
    generated: int
    covered: int
    real: int

    @property
    def precision(self) -> float:
        """The share of generated samples that lie among real ones."""
        return self.within / self.generated

    @property
    def recall(self) -> float:
        """The share of real samples that lie among generated ones."""
        return self.covered / self.real


def precision_recall(generated: Tensor, real: Tensor, neighbours: int = NEIGHBOURS) -> PrecisionRecall:
    """Compare features of generated and of real samples, (samples, channels) each.

    A sample lies among others if it is at least as near to one of them as that one's own third neighbour.

    >>> line = torch.arange(10.0)[:, None]
    >>> found = precision_recall(line[:5] + 0.1, line)
    >>> found.precision, found.recall
    (1.0, 0.8)
    """
    return PrecisionRecall(
        within=_among(generated, real, neighbours),
        generated=len(generated),
        covered=_among(real, generated, neighbours),
        real=len(real),
    )


def _among(samples: Tensor, others: Tensor, neighbours: int) -> int:
    """Return how many samples lie among others."""
    reach = nearest(others, others, neighbours + 1).distances[:, -1]  # the nearest is the sample itself
    return sum(int((torch.cdist(part, others) <= reach).any(1).sum()) for part in samples.split(TOGETHER))


@dataclass(frozen=True)
class Nearest:
    """The nearest of others.

    Attributes:
        distances: how far they are, nearest first, (samples, count).
        rows: which they are, (samples, count).
    """

    distances: Tensor
    rows: Tensor


def nearest(samples: Tensor, others: Tensor, count: int = 1) -> Nearest:
    """Find the nearest others of every sample, by features (samples, channels) and (others, channels)."""
    found = [torch.cdist(part, others).topk(count, largest=False) for part in samples.split(TOGETHER)]
    return Nearest(torch.cat([each.values for each in found]), torch.cat([each.indices for each in found]))

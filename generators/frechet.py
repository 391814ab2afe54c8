"""The Fréchet distance between two sets of features: Heusel et al. (2017), arXiv 1706.08500."""

import torch
from torch import Tensor


def frechet(features: Tensor, others: Tensor) -> float:
    """Return the Fréchet distance between Gaussians fitted to features, (samples, channels) each.

    >>> grid = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    >>> round(frechet(grid, grid + torch.tensor([3.0, 4.0, 0.0])), 3)
    25.0
    """
    first, second = features.double(), others.double()
    first_covariance, second_covariance = torch.cov(first.T), torch.cov(second.T)
    values, vectors = torch.linalg.eigh(first_covariance)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ second_covariance @ root).clamp_min(0).sqrt().sum()
    shift = (first.mean(0) - second.mean(0)).square().sum()
    return float(shift + first_covariance.trace() + second_covariance.trace() - 2 * cross)

"""Batch-norm statistics that stand: for each truncation, those of many pictures of all classes."""

import torch
from torch import Tensor

from steer.generators.gan.network import BigGANNetwork


@torch.no_grad()
def standing_statistics(network: BigGANNetwork, seed: int = 0, batch: int = 256, batches: int = 2) -> None:
    """Fill a network's tables of batch-norm statistics, one row a truncation, from pictures of all classes (in place).

    Args:
        network: the network.
        seed: seeds the dice; every row sees the same ones, drawn in.
        batch: pictures at a time.
        batches: how many times.
    """
    config = network.config
    rng = torch.Generator().manual_seed(seed)
    dice = torch.randn((batches, batch, config.z_dim), generator=rng)
    classes = network.embedding[torch.arange(batch) % len(config.labels)]
    for row in range(config.statistics):
        means, variances = [], []
        for z in dice * (row / (config.statistics - 1)):
            seen: list[tuple[Tensor, Tensor]] = []
            network(z, classes, seen)
            means.append(torch.cat([mean for mean, _ in seen]))
            variances.append(torch.cat([inverse.pow(-2) - config.eps for _, inverse in seen]))
        together = torch.stack(means)
        network.means[row] = together.mean(0)
        network.variances[row] = torch.stack(variances).mean(0) + together.var(0, correction=0)

"""Axes: along which ways a space varies, and what else tells its samples apart."""

import math

import torch
from torch import Tensor

from steer.directions.readings import space_values
from steer.errors import BadInput
from steer.generator import Generator
from steer.latent import Latent

LARGEST_CONTEXT = 128
"""Other inputs with more numbers are not looked at."""


def axes_of(generator: Generator, space: str, few: Latent) -> Tensor:
    """Return one sigma along each die, or along each principal component of what is not dice.

    Args:
        generator: whose space it is.
        space: its name.
        few: the samples that principal components are found in.

    Returns:
        (coordinates, *shape), orthogonal.

    Raises:
        BadInput: the space does not vary.
    """
    kind = generator.space(space)
    if kind.isotropic:
        return (kind.sigma * torch.eye(math.prod(kind.shape))).unflatten(1, kind.shape)
    values = space_values(generator, few, space).float()
    _, sizes, directions = torch.linalg.svd(values - values.mean(0), full_matrices=False)
    deviations = sizes / math.sqrt(len(values))
    kept = deviations > 1e-3 * deviations.max()
    if not bool(kept.any()) or float(deviations.max()) == 0:
        raise BadInput(f"'{space}' is the same in all samples, so nothing can be learnt about it")
    return (deviations[kept, None] * directions[kept]).unflatten(1, kind.shape)


def context_of(space: str, few: Latent) -> tuple[str, Tensor]:
    """Return which input beside a space tells samples apart, and its mean, (1, numbers); empty where there is none."""
    for name, values in few.values.items():
        if name != space and values[0].numel() <= LARGEST_CONTEXT and bool((values != values[:1]).any()):
            return name, values.flatten(1).mean(0, keepdim=True).cpu()
    return "", torch.zeros(1, 0)

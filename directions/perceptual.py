"""Perceptual distance: how different two pictures look, by features where there are some, by colour elsewhere."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.attribute import Perceptive
from steer.colour import cielab
from steer.directions.readings import labeller
from steer.errors import BadInput, MissingPart
from steer.generator import Generator
from steer.registry import load_measurer, registered

Distance = Callable[[Tensor, Tensor], Tensor]
"""From two batches of pictures, (batch, 3, height, width) in [0, 1], to their distances, (batch,)."""

SCALES = 4


def perceptual_distance(generator: Generator, by: str | None = None) -> Distance:
    """Return what tells how different two pictures of a generator look; 0 for the same picture.

    Args:
        generator: the one that the pictures come from.
        by: the name of a measurer that sees by features; "cielab", the difference in colour; or "lpips", the network
            of Zhang et al. (2018), where its package and weights are installed. By default the features of the
            measurer that finders learn from, where it has some, else "cielab".

    Raises:
        BadInput: there is no such distance.
        MissingPart: LPIPS is not installed.
    """
    if by is None:
        critic = labeller(generator)
        return _by_features(critic) if isinstance(critic, Perceptive) else colour_difference
    if by == "cielab":
        return colour_difference
    if by == "lpips":
        return _lpips()
    measurer = load_measurer(by) if by in registered("attributes") else None
    if not isinstance(measurer, Perceptive):
        raise BadInput(f"'{by}' tells no distance; take cielab, lpips, or a measurer with features: aviary-critic")
    return _by_features(measurer)


def feature_distance(features: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> Tensor:
    """Return the distance of pictures that have these feature maps, (batch,).

    The mean, over maps and places, of the squared distance between channels scaled to unit length, as in LPIPS
    (Zhang et al. (2018), arXiv 1801.03924, equation 1) with equal weights.
    """
    distances = [
        (F.normalize(one, dim=1) - F.normalize(other, dim=1)).square().sum(1).flatten(1).mean(1)
        for one, other in zip(features, others, strict=True)
    ]
    return torch.stack(distances).mean(0)


def colour_difference(images: Tensor, others: Tensor) -> Tensor:
    """Return the root-mean-square CIELAB difference of pictures, the mean over four scales, (batch,).

    In units of Delta E of 1976: 2.3 is just noticeable (Mahy et al., 1994). At each coarser scale 2 × 2 pixels are
    averaged, so that a shift of fine detail counts less than a change of what is large.
    """
    difference = cielab(images) - cielab(others)
    distances = []
    for _ in range(SCALES):
        distances.append(difference.square().sum(1).flatten(1).mean(1).sqrt())
        if min(difference.shape[2:]) > 1:
            difference = F.avg_pool2d(difference, 2)
    return torch.stack(distances).mean(0)


def _by_features(measurer: Perceptive) -> Distance:
    return lambda images, others: feature_distance(measurer.features(images), measurer.features(others))


def _lpips() -> Distance:
    try:
        import lpips
    except ImportError as error:
        raise MissingPart("the distance of LPIPS", "perceptual") from error
    network = lpips.LPIPS(net="alex", verbose=False).eval().requires_grad_(False)

    def distance(images: Tensor, others: Tensor) -> Tensor:
        told: Tensor = network(images, others, normalize=True)
        return told.flatten()

    return distance

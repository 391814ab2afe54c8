"""Slopes: how every attribute answers to small steps in the directions of a space, measured on many samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from steer.attribute import Attribute
from steer.directions.readings import Read, read_pictures, space_values
from steer.directions.swept import Array
from steer.generator import Generator, Progress
from steer.knob import WHOLE, LinearKnob, Window
from steer.latent import Latent
from steer.steering import Steering


@dataclass(frozen=True, eq=False)
class Slopes:
    """The slopes of attributes at samples.

    Attributes:
        basis: orthonormal directions of the space, (directions, values).
        places: where the samples stand in the basis, (samples, directions).
        slopes: of every attribute, in spreads per unit of the space, (samples, directions).
    """

    basis: Array
    places: Array
    slopes: Mapping[str, Array]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes."""
        return tuple(self.slopes)

    def within(self, direction: Tensor) -> Array:
        """Return directions of the space, (..., *shape), in the basis, (..., directions)."""
        flat = direction.detach().cpu().double().reshape(-1, self.basis.shape[1]).numpy()
        return np.asarray(flat @ self.basis.T)

    def without(self, parts: Array) -> Tensor:
        """Return what stands in the basis, (directions,), as a direction of the space, (values,)."""
        return torch.from_numpy(parts @ self.basis).float()


def measure_slopes(
    generator: Generator,
    latent: Latent,
    space: str,
    basis: Array,
    attributes: Mapping[str, Attribute],
    read: Read,
    *,
    step: float = 0.5,
    window: Window = WHOLE,
    progress: Progress | None = None,
) -> Slopes:
    """Step to both sides along every direction of a basis, and read the pictures.

    Args:
        generator: what draws them.
        latent: the samples.
        space: where to step.
        basis: orthonormal directions, (directions, values).
        attributes: what to read.
        read: what reads them.
        step: how far, in units of the space.
        window: where on the way to the picture the steps act.
        progress: called with the number of pictures.
    """
    shape = generator.space(space).shape
    rows = [row for row in range(len(latent)) for _ in (-1, 1)]
    slopes: dict[str, list[Array]] = {name: [] for name in attributes}
    for number, direction in enumerate(basis):
        knob = LinearKnob("step", space, torch.from_numpy(direction).float().reshape(shape), "absolute", window=window)
        steering = Steering([(knob, [-step, step] * len(latent))])
        readings = read_pictures(generator, latent.rows(rows), read, steering)
        for name, attribute in attributes.items():
            below, above = readings[name].double().reshape(len(latent), 2).unbind(1)
            slopes[name].append((attribute.difference(above, below) / (2 * step * attribute.spread)).numpy())
        if progress is not None:
            progress((number + 1) * len(rows), len(basis) * len(rows))
    places = space_values(generator, latent, space).numpy() @ basis.T
    return Slopes(basis, places, {name: np.stack(columns, axis=1) for name, columns in slopes.items()})

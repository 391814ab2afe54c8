"""Limits of a transformation: how far turning a knob shifts the distribution of its target.

After Jahanian, Chai and Isola (2020), arXiv 1907.07171, section 3.2: the shift of the mean, and the overlap of the
turned and the unturned distribution. The divergence beside them is that of Kullback and Leibler on 50 bins.
"""

from typing import Any

import numpy as np

from steer.attribute import Attribute
from steer.directions.swept import Array, Swept

BINS = 50
FLOOR = 1e-6
"""Added to every bin, so that the divergence from an empty one stays finite."""


def transformation_limits(swept: Swept, target: Attribute) -> dict[str, Any] | None:
    """Measure how the distribution of a linear target shifts with the amount; None for angles and classes.

    An angle that is as likely as any other stays so however far it is turned.

    Returns:
        For every amount, ``mean_shift``: |mean turned - mean unturned|, in the target's unit; ``overlap``: the sum of
        the smaller of both densities, 1 where they are the same; ``kl``: the divergence of the turned density from
        the unturned one, in nats; and ``kl_mean``, over all amounts.
    """
    if target.kind != "linear":
        return None
    readings = swept.readings[target.name]
    middle = int(np.abs(swept.amounts).argmin())
    unturned = readings[:, middle] - swept.changes[target.name][:, middle] * target.spread
    width = max(float(unturned.std()) * len(unturned) ** -0.2, (target.high - target.low) / BINS / 2)
    before = _density(unturned[:, None], target, width)
    after = _density(readings, target, width)
    divergence = (after * np.log((after + FLOOR) / (before + FLOOR))).sum(0)
    return {
        "mean_shift": np.abs(readings.mean(0) - unturned.mean()).round(6).tolist(),
        "overlap": np.minimum(before, after).sum(0).round(4).tolist(),
        "kl": divergence.round(4).tolist(),
        "kl_mean": round(float(divergence.mean()), 4),
    }


def _density(readings: Array, target: Attribute, width: float) -> Array:
    """Return the density of (samples, amounts) readings, (bins, amounts); Gaussians as wide as Scott (1979) says."""
    edges = np.linspace(target.low, target.high, BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    inside = readings.clip(target.low, target.high)
    heaps = np.exp(-0.5 * ((centres[:, None, None] - inside) / width) ** 2).sum(axis=1)  # (bins, amounts)
    density: Array = heaps / heaps.sum(axis=0)
    return density

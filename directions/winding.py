"""Winding: whether a ring knob carries its target once round the circle, how evenly, and past which sectors."""

from typing import Any

import numpy as np

from steer.attribute import Attribute
from steer.directions.figures import followed
from steer.directions.swept import Swept

SECTORS = 12


def winding(swept: Swept, target: Attribute) -> dict[str, Any] | None:
    """Measure how an angle goes round while its knob is turned once round; None for any other knob.

    Between neighbouring amounts the angle is taken to go the short way.

    Returns:
        ``winding``: the share of samples whose angle goes round exactly once, all the same way.
        ``speed_variation``: standard deviation of a sample's steps over the step of an even turn; the median sample.
        ``sectors``: how many of the 12 sectors of 30 degrees a sample passes, the mean.
    """
    if target.kind != "circular" or not np.isclose(swept.amounts[-1] - swept.amounts[0], 360):
        return None
    path = followed(target, swept.changes[target.name], swept.amounts) * target.spread  # (samples, amounts) in degrees
    turns = np.rint((path[:, -1] - path[:, 0]) / 360)
    way = -1 if np.median(turns) < 0 else 1
    steps = np.diff(path, axis=1) / np.diff(swept.amounts)
    start = swept.readings[target.name] - swept.changes[target.name] * target.spread  # the same at every amount
    sector = np.floor((start[:, :1] + path) / (360 / SECTORS))
    passed = np.minimum(sector.max(axis=1) - sector.min(axis=1) + 1, SECTORS)
    return {
        "winding": round(float((turns == way).mean()), 4),
        "speed_variation": round(float(np.median(steps.std(axis=1))), 4),
        "sectors": round(float(passed.mean()), 4),
    }

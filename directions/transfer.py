"""Transfer: whether a knob does in one class what it does in all the others."""

from typing import Any

import numpy as np

from steer.attribute import Attribute
from steer.directions.figures import explained, group_responses, slope_of
from steer.directions.swept import Swept

SMALLEST_CLASS = 4
"""With fewer samples of a class than this, nothing is said of it."""


def transfer(swept: Swept, target: Attribute) -> dict[str, Any]:
    """Measure a knob class by class; empty where there are no two classes with 4 samples each.

    Returns:
        For every class ``gain``, as on the scorecard, of its samples alone; and ``r2``: how well its changes are told
        by the response of all other classes.
    """
    counts = np.bincount(swept.groups, minlength=len(swept.classes))
    if (counts >= SMALLEST_CLASS).sum() < 2:
        return {}
    moved, amounts = swept.changes[target.name], swept.amounts
    own, others = group_responses(target, moved, amounts, swept.groups)
    told: dict[str, Any] = {}
    for number in np.flatnonzero(counts >= SMALLEST_CLASS):
        members = moved[swept.groups == number]
        r2 = explained(target, members, np.broadcast_to(others[number], members.shape))
        gain = slope_of(own[number], amounts)
        told[swept.classes[number]] = {"gain": round(gain, 6), "r2": round(r2, 4)}
    return told

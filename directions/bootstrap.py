"""Bootstrap: how far a figure would move if other samples had been drawn."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from steer.directions.swept import Rows

REPLICATES = 100
LEVEL = 0.9
"""The share of replicates that lie within an interval."""

Draw = Callable[[int], Rows]
"""From a number of samples to that many of their rows, drawn with repeats."""


def intervals(measure: Callable[[Draw], Any]) -> Any:
    """Return the 90 % interval of every number that ``measure`` gives, when samples are drawn anew.

    Args:
        measure: from a draw of rows to numbers, in mappings and lists as JSON has them.

    Returns:
        The same mappings and lists, with [low, high] in place of each number.

    Source: the percentile interval of Efron (1979).
    """
    rng = np.random.default_rng(0)
    return _ends([measure(lambda count: rng.integers(count, size=count)) for _ in range(REPLICATES)])


def _ends(drawn: Sequence[Any]) -> Any:
    there = [each for each in drawn if each is not None]
    match there[:1]:
        case []:
            return None
        case [Mapping() as first]:
            return {name: _ends([each[name] for each in there if name in each]) for name in first}
        case [list()]:
            return [_ends(column) for column in zip(*there, strict=True)]
        case _:
            ends = np.quantile(np.array(there, dtype=np.float64), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            return [round(float(end), 4) for end in ends]

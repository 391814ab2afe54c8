"""The edges of a knob that changes on the way: where its parts begin and end."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from steer.errors import BadInput


def check_edges(name: str, edges: Sequence[float], parts: int) -> None:
    """Check the edges of a knob with so many parts; there may be none.

    Raises:
        BadInput: there is not one edge more than there are parts, or they do not rise within 0 to 1.
    """
    rising = all(low < high for low, high in pairwise(edges))
    if edges and not (len(edges) == parts + 1 and rising and edges[0] >= 0 and edges[-1] <= 1):
        raise BadInput(f"the {parts} parts of the knob '{name}' need {parts + 1} edges that rise within 0 to 1")


def part_at(edges: Sequence[float], interval: tuple[float, float]) -> int:
    """Return the part of the way in which the middle of an interval lies, or the nearest."""
    return min(max(bisect_right(edges, sum(interval) / 2) - 1, 0), len(edges) - 2)

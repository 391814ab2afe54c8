"""A contest on one page: what the knob of each contestant tells and leaks, attribute by attribute."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steer.directions.bootstrap import LEVEL
from steer.directions.page import COOL, FADED, INK, PAPER, WARM, blank_page, check_page, plain, save_page, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from steer.directions.contest import Contest

GOOD, BAD = (PAPER, "#c9d8e0", "#7fa3ba", COOL), (PAPER, "#f0d3b0", "#e39b6b", WARM)
PARTS = (
    ("r2", "r²: how well the amount tells what happens", GOOD),
    ("leakage_mean", "mean leakage: what else changes", BAD),
)
DARK = 0.7
"""Beyond this a cell is so dark that it is written on in light."""

Cells = Mapping[tuple[int, int], tuple[float, float, float]]
"""By row and column a figure and the ends of its interval."""

COLUMN, ROW, LABELS, ABOVE = 1.15, 0.42, 1.2, 1.15
# All in inches.


def draw_page(contest: "Contest", path: str | Path) -> None:
    """Draw a contest as PNG, PDF or SVG: a row for each contestant, a column for each attribute, r2 above leakage.

    Raises:
        BadInput: the folder cannot be written, or the suffix is another.
    """
    check_page(path)
    attributes = list(dict.fromkeys(entry.attribute for entry in contest.entries))
    high = ROW * len(contest.contestants)
    width, height = LABELS + COLUMN * len(attributes) + 0.2, 2 * (ABOVE + high) + 0.1
    page = blank_page(width, height)
    page.text(0.15 / width, 1 - 0.25 / height, f"Ways to find a knob of {contest.generator}", color=INK, fontsize=13)
    said = f"{contest.seeds} unseen samples, read by {contest.measurer}; {LEVEL:.0%} intervals"
    page.text(0.15 / width, 1 - 0.45 / height, said, color=FADED, fontsize=8)
    for number, (name, title, shades) in enumerate(PARTS):
        top = ABOVE + number * (ABOVE - 0.1 + high)
        place = page.add_axes(
            (LABELS / width, 1 - (top + high) / height, COLUMN * len(attributes) / width, high / height)
        )
        cells = {
            (contest.contestants.index(entry.contestant), attributes.index(entry.attribute)): (
                getattr(entry.figures, name),
                *entry.intervals[name],
            )
            for entry in contest.entries
        }
        _map(place, cells, (contest.contestants, attributes), shades)
        place.set_title(title, color=INK, fontsize=10, loc="left", pad=28)
    save_page(page, path)


def _map(place: "Axes", cells: Cells, names: tuple[Sequence[str], Sequence[str]], shades: Sequence[str]) -> None:
    """Draw one figure of all entries, each with its interval."""
    from matplotlib.colors import LinearSegmentedColormap

    rows, columns = names
    table = np.full((len(rows), len(columns)), np.nan)
    for cell, (value, low, high) in cells.items():
        table[cell] = value
        shade = PAPER if value > DARK else INK
        place.text(cell[1], cell[0] - 0.1, f"{value:.2f}", ha="center", va="center", color=shade, fontsize=9)
        ends = f"{low:.2f} to {high:.2f}"
        place.text(cell[1], cell[0] + 0.27, ends, ha="center", va="center", color=shade, fontsize=6)
    plain(place)
    colours = LinearSegmentedColormap.from_list("figure", shades)
    place.imshow(np.ma.masked_invalid(table), cmap=colours, vmin=0, vmax=1, aspect="auto")
    place.set_xticks(range(len(columns)), [spoken(name).replace(" ", "\n") for name in columns])
    place.set_yticks(range(len(rows)), [spoken(name) for name in rows])
    place.xaxis.tick_top()
    place.tick_params(axis="both", labelsize=8.5, labelcolor=INK, length=0)

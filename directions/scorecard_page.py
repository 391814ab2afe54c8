"""The scorecard on one page: a response curve for every knob, and a map of what leaks."""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steer.directions.bootstrap import LEVEL
from steer.directions.page import FADED, INK, PAPER, SOFT, WARM, blank_page, check_page, plain, save_page, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection

    from steer.directions.scorecard import KnobScore, Scorecard

LEAKAGE = (PAPER, "#f0d3b0", "#e39b6b", WARM, "#7d2a2a")
UNITS: Mapping[str, str] = {"sigma": "σ", "degree": "degrees"}

COLUMNS = 4
WIDTH, MARGIN, LABELS = 11.0, 0.45, 1.75
CURVE_HEIGHT, CURVE_STEP = 1.35, 2.3
CELL_HEIGHT = 0.34
# All in inches.


def draw_page(card: "Scorecard", path: str | Path) -> None:
    """Draw a scorecard as PNG, PDF or SVG.

    Raises:
        BadInput: the folder cannot be written, or the suffix is another.
    """
    check_page(path)
    rows = math.ceil(len(card.knobs) / COLUMNS)
    map_height = CELL_HEIGHT * (len(card.knobs) + 1)
    height = 0.8 + rows * CURVE_STEP + 1.0 + map_height + 0.3
    page = blank_page(WIDTH, height)

    def axes(left: float, top: float, wide: float, high: float) -> "Axes":
        """Return axes at a place counted from the top left corner."""
        return page.add_axes((left / WIDTH, 1 - (top + high) / height, wide / WIDTH, high / height))

    title = f"What the knobs of {card.generator} do"
    page.text(MARGIN / WIDTH, 1 - 0.34 / height, title, color=INK, fontsize=15, va="center")
    source = (
        f"{card.seeds} unseen samples, read by {card.measurer}; changes in spreads of the data; {LEVEL:.0%} intervals"
    )
    page.text(1 - 0.2 / WIDTH, 1 - 0.34 / height, source, color=FADED, fontsize=9, va="center", ha="right")

    step = (WIDTH - MARGIN - 0.2) / COLUMNS
    limit = max(2.0, *(float(np.abs(_beside(knob)).max()) for knob in card.knobs)) * 1.05
    for number, knob in enumerate(card.knobs):
        row, column = divmod(number, COLUMNS)
        _curve(axes(MARGIN + column * step, 1.35 + row * CURVE_STEP, step - 0.4, CURVE_HEIGHT), knob, limit)
    top = 0.8 + rows * CURVE_STEP + 1.0
    _heat_map(axes(LABELS, top, WIDTH - LABELS - 0.2, map_height), card)
    save_page(page, path)


def _beside(knob: "KnobScore") -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Return every sample's changes; those of an angle not a turn of the circle away from the response."""
    changes, response = knob.swept.changes[knob.target.name], np.asarray(knob.details["response"])
    if knob.target.kind != "circular":
        return changes
    period = 360 / knob.target.spread
    return changes + period * np.round((response - changes) / period)


def _curve(place: "Axes", knob: "KnobScore", limit: float) -> None:
    """Draw the change of the target against the amount: every sample thin, the response thick with its interval.

    A line along the foot reddens where pictures are less realistic than unturned ones.
    """
    from matplotlib.collections import LineCollection

    plain(place)
    place.axhline(0, color=SOFT, linewidth=0.8)
    place.axvline(0, color=SOFT, linewidth=0.8)
    amounts = knob.swept.amounts
    lines = [np.column_stack([amounts, changes]) for changes in _beside(knob)]
    place.add_collection(LineCollection(lines, colors=INK, alpha=0.12, linewidths=0.7))
    low, high = np.transpose(knob.intervals["response"])
    place.fill_between(amounts, low, high, color=WARM, alpha=0.25, linewidth=0)
    place.plot(amounts, knob.details["response"], color=WARM, linewidth=2.2, solid_capstyle="round")
    place.add_collection(_realism(knob, -0.97 * limit))
    for line, height in zip(_captions(knob), (1.29, 1.15, 1.04), strict=True):
        size, shade = (10, INK) if height > 1.2 else (7.5, FADED)
        place.text(0, height, line, transform=place.transAxes, color=shade, fontsize=size)
    place.set_xlim(*knob.knob.range)
    place.set_ylim(-limit, limit)
    if knob.knob.unit == "degree":
        place.set_xticks(np.linspace(*knob.knob.range, 5))
    place.set_xlabel(UNITS.get(knob.knob.unit, knob.knob.unit), color=FADED, fontsize=8, labelpad=1)


def _captions(knob: "KnobScore") -> tuple[str, str, str]:
    """Return the lines above a curve: the knob, how well it tells its target, what else it does."""
    target = "" if knob.name == knob.target.name else f" → {spoken(knob.target.name)}"
    low, high = knob.intervals["r2"]
    true = f", true {knob.truth.r2:.2f}" if knob.truth else ""
    down, up = knob.figures.reach
    ring = knob.details["winding"]
    last = f"once round {ring['winding']:.0%}" if ring else f"reach {down:.1f}, {up:.1f}"
    return (
        f"{spoken(knob.name)}{target}",
        f"r² {knob.figures.r2:.2f} ({low:.2f}–{high:.2f}){true}",
        f"leaks {knob.figures.leakage_worst:.2f}   realism {knob.realism:.0%}   {last}",
    )


def _realism(knob: "KnobScore", height: float) -> "LineCollection":
    """Return a level line, grey where pictures are as realistic as unturned ones, red where half of that is left."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap

    amounts, scores = knob.swept.amounts, knob.swept.in_domain.mean(0)
    left = scores / max(scores[np.abs(amounts).argmin()], 1e-6)
    between = (left[1:] + left[:-1]) / 2
    pieces = [[(start, height), (end, height)] for start, end in pairwise(amounts)]
    shades = LinearSegmentedColormap.from_list("realism", (WARM, SOFT))((2 * between - 1).clip(0, 1))
    return LineCollection(pieces, colors=shades, linewidths=4)


def _heat_map(place: "Axes", card: "Scorecard") -> None:
    """Draw leakage: a row for each knob, a column for each attribute; the target is left open."""
    from matplotlib.colors import LinearSegmentedColormap

    names = list(card.attributes)
    rows = [(knob.name, knob.figures.leakage) for knob in card.knobs]
    rows.append(("random directions", card.random_baseline.leakage))
    leakage = np.array([[row.get(name, np.nan) for name in names] for _, row in rows])
    colours = LinearSegmentedColormap.from_list("leakage", LEAKAGE)
    plain(place)
    place.imshow(np.ma.masked_invalid(leakage), cmap=colours, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(leakage):
        text = f"{value:.2f}" if np.isfinite(value) else "–"
        shade = PAPER if value > 0.6 else FADED if not value >= 0.05 else INK
        place.text(column, row, text, ha="center", va="center", color=shade, fontsize=8.5)
    place.set_xticks(range(len(names)), [spoken(name).replace(" ", "\n") for name in names])
    place.set_yticks(range(len(rows)), [spoken(name) for name, _ in rows])
    place.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    place.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    place.grid(which="minor", color=PAPER, linewidth=2.5)
    place.axhline(len(rows) - 1.5, color=FADED, linewidth=0.8)
    place.xaxis.tick_top()
    place.tick_params(which="both", length=0)
    place.tick_params(axis="both", labelsize=8.5, labelcolor=INK)
    caption = "Leakage: how much of each attribute changes for one spread of change in the target"
    place.text(0, 1 + 0.55 / (CELL_HEIGHT * len(rows)), caption, transform=place.transAxes, color=INK, fontsize=11)

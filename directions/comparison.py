"""Comparison: the same attributes on several generators, from the scorecards of each."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steer.directions.page import (
    COOL,
    FADED,
    INK,
    SOFT,
    WARM,
    blank_page,
    check_page,
    plain,
    save_page,
    spoken,
)
from steer.errors import BadInput, BrokenFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = (WARM, COOL, "#6b8e4e", "#8a5a9c", INK)
COLUMNS = 4
WIDTH, MARGIN, STEP, CURVE = 11.0, 0.5, 1.9, 1.3
# All in inches.

NEEDED = ("name", "attribute", "finder", "r2", "leakage_mean", "reach", "amounts", "response", "intervals")

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What the best knob for each attribute does on each generator.

    Attributes:
        names: the scorecards, by their generators, numbered where one comes twice.
        best: by attribute and scorecard, of the knobs judged by that attribute the entry of the one with the highest
            r2 less mean leakage.
    """

    names: tuple[str, ...]
    best: Mapping[str, Mapping[str, Entry]]

    def to_json(self) -> dict[str, Any]:
        """Return the best entry of every attribute on every scorecard, as JSON-able values."""
        return {"scorecards": list(self.names), "best": {name: dict(entries) for name, entries in self.best.items()}}

    def table(self) -> list[tuple[str, ...]]:
        """Return rows of text, the heading first; r2 and mean leakage with their 90 % intervals."""
        rows: list[tuple[str, ...]] = [("attribute", "generator", "knob", "found by", "r²", "mean leakage", "reach")]
        for attribute, entries in self.best.items():
            for name, entry in entries.items():
                down, up = entry["reach"]
                figures = (_figure(entry, "r2"), _figure(entry, "leakage_mean"), f"{down:.2f}, {up:.2f}")
                rows.append((attribute, name, entry["name"], entry["finder"], *figures))
        return rows

    def figure(self, path: str | Path) -> None:
        """Draw every attribute's response on all generators, and their r2 and leakage: PNG, PDF or SVG by the suffix.

        Raises:
            BadInput: the folder cannot be written, or the suffix is none that can be drawn.
        """
        check_page(path)
        rows = math.ceil(len(self.best) / COLUMNS)
        below = 0.3 * len(self.best) + 0.6
        height = 1.0 + rows * STEP + 0.2 + below
        page = blank_page(WIDTH, height)
        page.text(MARGIN / WIDTH, 1 - 0.35 / height, "The same knob on several generators", color=INK, fontsize=15)
        for number, name in enumerate(self.names):
            page.text(0.55 + 0.22 * number, 1 - 0.35 / height, name, color=SHADES[number % len(SHADES)], fontsize=10)
        step = (WIDTH - MARGIN - 0.2) / COLUMNS
        for number, (attribute, entries) in enumerate(self.best.items()):
            row, column = divmod(number, COLUMNS)
            left, top = MARGIN + column * step, 0.95 + row * STEP
            place = (left / WIDTH, 1 - (top + CURVE) / height, (step - 0.4) / WIDTH, CURVE / height)
            self._curves(page.add_axes(place), attribute, entries)
        for number, (figure, title) in enumerate((("r2", "r²"), ("leakage_mean", "mean leakage"))):
            place = (0.15 + 0.45 * number, 0.35 / height, 0.36, (below - 0.6) / height)
            self._dots(page.add_axes(place), figure, title)
        save_page(page, path)

    def _curves(self, place: "Axes", attribute: str, entries: Mapping[str, Entry]) -> None:
        """Draw the response over the whole range of each generator's knob, whatever it counts in."""
        plain(place)
        place.axhline(0, color=SOFT, linewidth=0.8)
        for name, entry in entries.items():
            shade = SHADES[self.names.index(name) % len(SHADES)]
            way = np.linspace(0, 1, len(entry["amounts"]))
            low, high = np.transpose(entry["intervals"]["response"])
            place.fill_between(way, low, high, color=shade, alpha=0.2, linewidth=0)
            place.plot(way, entry["response"], color=shade, linewidth=2)
        place.set_title(spoken(attribute), color=INK, fontsize=10, loc="left")
        place.set_xticks([0, 1], ["lowest", "highest"])

    def _dots(self, place: "Axes", figure: str, title: str) -> None:
        """Draw one figure of every attribute and generator, with its interval."""
        plain(place)
        for number, entries in enumerate(self.best.values()):
            for name, entry in entries.items():
                order = self.names.index(name)
                height = number + 0.3 * ((order + 0.5) / len(self.names) - 0.5)
                shade = SHADES[order % len(SHADES)]
                place.plot(entry["intervals"][figure], [height, height], color=shade, linewidth=1.5, alpha=0.6)
                place.plot(entry[figure], height, "o", color=shade, markersize=4)
        place.set_yticks(range(len(self.best)), [spoken(name) for name in self.best])
        place.invert_yaxis()
        place.set_title(f"{title}, 90 % intervals", color=FADED, fontsize=9, loc="left")


def _figure(entry: Entry, name: str) -> str:
    low, high = entry["intervals"][name]
    return f"{entry[name]:.2f} ({low:.2f}–{high:.2f})"


def compare(cards: Sequence[Mapping[str, Any]]) -> Comparison:
    """Lay scorecards side by side, attribute by attribute.

    Args:
        cards: two or more, as `Scorecard.to_json` gives them.

    Raises:
        BadInput: there are fewer than two, or they have no attribute in common.
        BrokenFile: one is no scorecard, or of a version without intervals.
    """
    if len(cards) < 2:
        raise BadInput("a comparison takes two scorecards or more")
    named: dict[str, dict[str, Entry]] = {}
    for card in cards:
        best = _best(card)
        name = generator = str(card["generator"])
        while name in named:
            name = f"{generator} {int(name.removeprefix(generator) or 1) + 1}"
        named[name] = best
    shared = [
        attribute for attribute in next(iter(named.values())) if all(attribute in best for best in named.values())
    ]
    if not shared:
        raise BadInput(f"{' and '.join(named)} have knobs for no attribute in common; find some with steer find probe")
    return Comparison(
        tuple(named), {attribute: {name: best[attribute] for name, best in named.items()} for attribute in shared}
    )


def _best(card: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the best entry for each attribute; see `Comparison`."""

    def merit(entry: Entry) -> float:
        return float(entry["r2"] - entry["leakage_mean"])

    try:
        best: dict[str, Entry] = {}
        for entry in card["knobs"]:
            lacking = [name for name in NEEDED if name not in entry]
            if lacking:
                raise KeyError(lacking[0])
            attribute = entry["attribute"]
            if attribute not in best or merit(entry) > merit(best[attribute]):
                best[attribute] = entry
        return best
    except (KeyError, TypeError) as error:
        raise BrokenFile(f"this is no scorecard ({error}); make one: steer measure knobs GENERATOR --json") from error


def load_card(path: str | Path) -> dict[str, Any]:
    """Read a scorecard that `steer measure knobs --json` printed.

    Raises:
        BadInput: there is no such file.
        BrokenFile: it is not JSON.
    """
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"'{path}' cannot be read ({error.strerror}); name a file of steer measure knobs") from error
    except ValueError as error:
        raise BrokenFile(
            f"'{path}' is not JSON ({error}); make it with: steer measure knobs GENERATOR --json"
        ) from error
    if not isinstance(card, dict) or "generator" not in card:
        raise BrokenFile(f"'{path}' is no scorecard; make one with: steer measure knobs GENERATOR --json")
    return card

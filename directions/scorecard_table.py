"""The scorecard as rows of text and as a CSV file."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steer.directions.figures import Figures
from steer.files import atomic_path
from steer.strips import UNIT_MARKS

if TYPE_CHECKING:
    from steer.directions.scorecard import KnobScore, Scorecard

HEADING = (
    "knob",
    "target",
    "range",
    "gain",
    "r²",
    "worst leakage",
    "mean",
    "reach",
    "species kept",
    "realism",
    "goes round",
)
COLUMNS = ("knob", "attribute", "figure", "of", "value", "low", "high", "n")
ALONG = ("response", "in_domain", "species_kept_along")


def text_rows(card: "Scorecard") -> list[tuple[str, ...]]:
    """Return rows of text, the heading first.

    A target in brackets is only what changes most; r² has its 90 % interval behind it and that of the renderer's own
    knob. Realism is the lowest mean in-domain score along the range over that of the unturned pictures. For rings:
    the share of samples that go round once, and by how much their speed varies.
    """
    rows: list[tuple[str, ...]] = [HEADING]
    for score in card.knobs:
        mark = UNIT_MARKS.get(score.knob.unit, "")
        ends = f"{score.knob.range[0]:+.3g} … {score.knob.range[1]:+.3g}{mark}"
        target = score.target.name if score.meant else f"({score.target.name})"
        figures = _cells(score.figures, score.intervals, score.truth)
        rows.append((score.name, target, ends, *figures, f"{score.realism:.0%}", _round(score)))
    baseline = _cells(card.random_baseline, card.random_intervals)
    rows.append(("random directions", "the same", "the same", *baseline, "", ""))
    return rows


def _cells(figures: Figures, intervals: Mapping[str, Any], truth: Figures | None = None) -> tuple[str, ...]:
    worst = max(figures.leakage, key=lambda name: figures.leakage[name], default="")
    kept = "" if figures.species_kept is None else f"{figures.species_kept:.0%}"
    low, high = intervals["r2"]
    return (
        f"{figures.gain:.2g}",
        f"{figures.r2:.2f} ({low:.2f}–{high:.2f})" + (f", true {truth.r2:.2f}" if truth else ""),
        f"{figures.leakage_worst:.2f} {worst}",
        f"{figures.leakage_mean:.2f}",
        f"{figures.reach[0]:.2f}, {figures.reach[1]:.2f}",
        kept,
    )


def _round(score: "KnobScore") -> str:
    ring = score.details["winding"]
    return f"{ring['winding']:.0%}, speed ±{ring['speed_variation']:.0%}" if ring else ""


def write_csv(card: "Scorecard", path: str | Path) -> None:
    """Write a row for every number: knob, attribute, figure, of, value, low, high, n.

    ``of`` says which attribute leaks, at which end or amount, in which class; ``low`` and ``high`` are the ends of the
    90 % interval and ``n`` is the number of samples, for the baseline that of directions.

    Raises:
        BadInput: the folder cannot be written.
    """
    with atomic_path(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for score in card.knobs:
            amounts = [f"{amount:g}" for amount in score.swept.amounts]
            numbers = {**score.figures.to_json(), **score.details}
            for figure, of, value, interval in _numbers(numbers, score.intervals, amounts):
                writer.writerow((score.name, score.target.name, figure, of, value, *interval, card.seeds))
        baseline = card.random_baseline.to_json()
        count = card.to_json()["random_directions"]
        for figure, of, value, interval in _numbers(baseline, card.random_intervals, []):
            writer.writerow(("random directions", "", figure, of, value, *interval, count))


def _numbers(
    figures: Mapping[str, Any], intervals: Mapping[str, Any], amounts: list[str]
) -> Iterator[tuple[str, str, float, list[float]]]:
    """Yield figure, of, value and interval of every number in nested mappings and lists."""
    for figure, value in figures.items():
        ends = intervals.get(figure)
        match value:
            case None:
                continue
            case Mapping():
                for name, of, number, interval in _numbers(value, ends or {}, amounts):
                    yield (figure, f"{name} {of}".strip(), number, interval)
            case list():
                names = amounts if len(value) == len(amounts) else ["down", "up"]
                for name, number, interval in zip(names, value, ends or [["", ""]] * len(value), strict=True):
                    yield (figure, name, number, interval)
            case _:
                yield (figure, "", value, ends or ["", ""])

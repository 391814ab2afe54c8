"""Contests: every way to find a knob on the same attributes of one generator, judged alike, in one table.

Some finders are told an attribute, and bring a knob for it. Of those that are told nothing, components and edits of
pictures say, the knob that does most for the attribute takes part: the one with the highest r2 less mean leakage as the
critic reads it, on samples that are not judged. Random directions, chosen among in the same way, take part as well, so
that one sees what choosing alone brings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steer.attribute import Attribute, Measurer
from steer.directions.bootstrap import LEVEL, Draw, intervals
from steer.directions.figures import Figures, figures_of
from steer.directions.readings import labeller, worded
from steer.directions.scorecard import FIRST_SEED, random_twin, true_sweep
from steer.directions.swept import Bench, Swept
from steer.errors import BadInput, UnknownName
from steer.generator import Generator, Progress
from steer.knob import Knob
from steer.registry import load_measurer

SCREENED = range(3_000_000, 3_000_012)
"""The samples on which knobs that are meant for nothing are chosen among; ranges and scores use others."""

SCREENED_AMOUNTS = 5
AMOUNTS = 9

RANDOM = "random"
RANDOM_DIRECTIONS = 8
"""How many are chosen among, each as long as the first contestant's knob."""


@dataclass(frozen=True)
class Entry:
    """What one knob does for one attribute.

    Attributes:
        attribute: what it is judged by.
        contestant: whose knob it is.
        knob: its name.
        found_by: its finder.
        figures: what it does.
        intervals: the 90 % interval of each figure when samples are drawn anew, in the same mappings.
    """

    attribute: str
    contestant: str
    knob: str
    found_by: str
    figures: Figures
    intervals: Mapping[str, Any]

    @property
    def merit(self) -> float:
        """What entries are ordered by: r2 less mean leakage."""
        return self.figures.r2 - self.figures.leakage_mean

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        names = {"attribute": self.attribute, "contestant": self.contestant, "knob": self.knob, "finder": self.found_by}
        return {**names, **self.figures.to_json(), "intervals": self.intervals}


@dataclass(frozen=True)
class Contest:
    """What every contestant's knob does for every attribute.

    Attributes:
        generator: name of the generator.
        measurer: name of the measurer that judged.
        seeds: number of unseen samples.
        contestants: in the order given, random directions last.
        entries: attribute by attribute, the best first.
        truth: what the renderer's own knob does for each attribute, where there is one.
    """

    generator: str
    measurer: str
    seeds: int
    contestants: tuple[str, ...]
    entries: tuple[Entry, ...]
    truth: Mapping[str, Figures]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "generator": self.generator,
            "measurer": self.measurer,
            "seeds": self.seeds,
            "interval": LEVEL,
            "entries": [entry.to_json() for entry in self.entries],
            "truth": {name: figures.to_json() for name, figures in self.truth.items()},
        }

    def table(self) -> list[tuple[str, ...]]:
        """Return rows of text, the heading first; r2 and mean leakage with their 90 % intervals."""
        rows: list[tuple[str, ...]] = [("attribute", "by", "knob", "r²", "mean leakage", "worst leakage", "reach")]
        for entry in self.entries:
            figures = entry.figures
            worst = max(figures.leakage, key=lambda name: figures.leakage[name], default="")
            r2, mean = (
                _with_interval(getattr(figures, name), entry.intervals[name]) for name in ("r2", "leakage_mean")
            )
            leaks, reach = f"{figures.leakage_worst:.2f} {worst}", "{:.2f}, {:.2f}".format(*figures.reach)
            rows.append((entry.attribute, entry.contestant, entry.knob, r2, mean, leaks, reach))
        return rows

    def figure(self, path: str | Path) -> None:
        """Draw r2 and mean leakage of every contestant and attribute: PNG, PDF or SVG by the suffix.

        Raises:
            BadInput: the folder cannot be written, or the suffix is none that can be drawn.
        """
        from steer.directions.contest_page import draw_page

        draw_page(self, path)


def _with_interval(value: float, ends: Sequence[float]) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(value, *ends)


def contest(
    generator: Generator,
    sets: Mapping[str, Mapping[str, Knob]],
    attributes: Sequence[str] = (),
    *,
    seeds: int = 64,
    random_directions: int = RANDOM_DIRECTIONS,
    measurer: Measurer | None = None,
    progress: Progress | None = None,
) -> Contest:
    """Judge the best knob of every set for every attribute.

    Args:
        generator: what the knobs turn.
        sets: what every contestant found.
        attributes: what to judge by; left out, all that some knob is meant for.
        seeds: how many unseen samples.
        random_directions: how many of them are chosen among for each attribute.
        measurer: what judges; by default the generator's own judge.
        progress: called after every knob.

    Raises:
        BadInput: there are no knobs, or none is meant for anything and no attribute is named.
        UnknownName: nothing measures an attribute.
    """
    generator = worded(generator)
    measurer = measurer if measurer is not None else load_measurer(generator.backend.measurer)
    wanted = {name: measurer.attributes[name] for name in _wanted(sets, attributes, measurer)}
    chosen = list(_chosen(generator, sets, wanted, random_directions))
    bench = Bench(generator, measurer, range(FIRST_SEED, FIRST_SEED + seeds), AMOUNTS)
    truths = {name: true_sweep(measurer, name, AMOUNTS) for name in wanted}
    swept: dict[int, Swept] = {}
    entries = []
    for done, (attribute, contestant, knob) in enumerate(chosen, 1):
        if id(knob) not in swept:
            swept[id(knob)] = bench.sweep(knob)
        figures, ends = _told(swept[id(knob)], wanted[attribute], truths[attribute])
        found_by = RANDOM if contestant == RANDOM else knob.provenance.finder or contestant
        entries.append(Entry(attribute, contestant, knob.name, found_by, figures, ends))
        if progress is not None:
            progress(done, len(chosen))
    order = list(wanted)
    entries.sort(key=lambda entry: (order.index(entry.attribute), -entry.merit))
    truth = {name: figures_of(true, wanted[name]) for name, true in truths.items() if true is not None}
    return Contest(generator.name, measurer.name, seeds, (*sets, RANDOM), tuple(entries), truth)


def _wanted(sets: Mapping[str, Mapping[str, Knob]], attributes: Sequence[str], measurer: Measurer) -> Sequence[str]:
    known = [name for name, each in measurer.attributes.items() if each.kind != "categorical"]
    for name in attributes:
        if name not in known:
            raise UnknownName("number or angle", name, known, f"'{measurer.name}' measures them")
    meant = {knob.attribute for knobs in sets.values() for knob in knobs.values()}
    wanted = attributes or [name for name in known if name in meant]
    if not all(sets.values()) or not wanted:
        raise BadInput("a contest takes sets of knobs, one of them meant for an attribute, or the name of an attribute")
    return wanted


def _chosen(
    generator: Generator,
    sets: Mapping[str, Mapping[str, Knob]],
    wanted: Mapping[str, Attribute],
    random_directions: int,
) -> Iterator[tuple[str, str, Knob]]:
    """Yield attribute, contestant and knob: the one that is meant for it, else the best of those meant for nothing."""
    critic = labeller(generator)
    bench = Bench(generator, critic, SCREENED, SCREENED_AMOUNTS)
    screened: dict[int, Swept] = {}

    def merit(knob: Knob, name: str) -> float:
        if id(knob) not in screened:
            screened[id(knob)] = bench.sweep(knob)
        figures = figures_of(screened[id(knob)], critic.attributes[name])
        return figures.r2 - figures.leakage_mean

    for name in wanted:
        first: Knob | None = None
        for contestant, knobs in sets.items():
            meant = [knob for knob in knobs.values() if knob.attribute == name]
            open_ = meant or [knob for knob in knobs.values() if knob.attribute is None]
            if open_:
                best = open_[0] if len(open_) == 1 else max(open_, key=lambda knob: merit(knob, name))
                first = first or best
                yield name, contestant, best
        if first is not None:
            twins = [random_twin(first, number, generator, bench.latent) for number in range(random_directions)]
            best = max(twins, key=lambda knob: merit(knob, name))
            yield name, RANDOM, best


def _told(swept: Swept, target: Attribute, truth: Swept | None) -> tuple[Figures, Mapping[str, Any]]:
    """Return the figures of a knob, and the interval of each."""

    def redrawn(draw: Draw) -> dict[str, Any]:
        other = None if truth is None else truth.rows(draw(len(truth)))
        return figures_of(swept.rows(draw(len(swept))), target, other).to_json()

    return figures_of(swept, target, truth), intervals(redrawn)

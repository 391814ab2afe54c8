"""Grids: one setting varied along up to three axes, every cell a setting of its own."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steer.amounts import evenly
from steer.apps.setting import MOST_BIRDS, Setting, consecutive
from steer.errors import BadInput, UnknownName
from steer.files import atomic_path
from steer.knob import Window
from steer.latent import concatenate
from steer.layout import Layout
from steer.progress import Progress
from steer.recipe import Recipe
from steer.seeds import parse_seeds
from steer.steering import Steering, Turn
from steer.strips import UNIT_MARKS

MOST_CELLS = 256
"""Pictures of one grid."""

USUAL = 5
"""Values that an axis begins with."""

SOME_CAPTIONS = "a red bird; a blue bird"
SOME_STEPS = 20


@dataclass(frozen=True)
class Dimension:
    """Something that can be varied along an axis.

    Attributes:
        name: what a person picks.
        help: one line on how values are written.
        usual: values to begin with, as they are written.
        read: from what was written to values.
        put: from a setting and a value to the setting with that value.
        say: a value as a label.
        late: whether it changes how knobs act, so that it is put once they are turned.
        write: a value as it stands in a table.
    """

    name: str
    help: str
    usual: str
    read: Callable[[str], Sequence[Any]]
    put: Callable[[Setting, Any], Setting]
    say: Callable[[Any], str]
    late: bool = False
    write: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Axis:
    """A dimension with the values that it takes along an axis."""

    dimension: Dimension
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """One label a value."""
        return tuple(map(self.dimension.say, self.values))


def dimensions(setting: Setting) -> dict[str, Dimension]:
    """Return everything that can be varied about a setting, by name.

    Seed, class and caption, truncation, steps, every knob, and the window in which the turned knobs act, as far as the
    generator has them.
    """
    dice = setting.dice
    found = [_seeds(setting)]
    if dice.model.label is not None:
        found.append(_labels(dice.model.label.choices))
    if dice.model.caption is not None:
        found.append(_captions(setting))
    if dice.model.truncates:
        found.append(_truncations())
    if dice.model.final is not None and dice.latent.anchor is None:
        found.append(_steps(setting))
    found += map(partial(_amounts, setting), setting.knobs)
    if any(len(dice.stages(knob)) > 1 for knob in setting.knobs.values()):
        found.append(_windows())
    return {each.name: each for each in found}


def _seeds(setting: Setting) -> Dimension:
    def put(setting: Setting, seed: int) -> Setting:
        dice = replace(setting.dice, seeds=consecutive(seed, MOST_BIRDS), thrown=(), held=None)
        return replace(setting, dice=dice)

    first = setting.dice.seeds[0]
    return Dimension("seed", "Seeds, such as 1,2,5-10.", f"{first}-{first + USUAL - 1}", parse_seeds, put, str)


def _labels(choices: Sequence[str]) -> Dimension:
    def read(text: str) -> list[str]:
        labels = [text.strip()] if text.strip() in choices else [part.strip() for part in text.split(",")]
        for label in labels:
            if label not in choices:
                raise UnknownName("class", label, choices)
        return labels

    def put(setting: Setting, label: str) -> Setting:
        return replace(setting, dice=replace(setting.dice, label=label))

    return Dimension("class", "Class names, apart by commas.", ", ".join(choices[:USUAL]), read, put, str)


def _captions(setting: Setting) -> Dimension:
    def read(text: str) -> list[str]:
        captions = [part.strip() for part in text.split(";")]
        if not all(captions):
            raise BadInput(f"captions stand apart by semicolons, such as {SOME_CAPTIONS}; not '{text:.60}'")
        return captions

    def put(setting: Setting, caption: str) -> Setting:
        return replace(setting, dice=setting.dice.captioned(caption))

    caption = setting.dice.caption
    usual = f"{caption}; {SOME_CAPTIONS}" if caption else SOME_CAPTIONS
    return Dimension("caption", "Captions, apart by semicolons.", usual, read, put, str)


def _steps(setting: Setting) -> Dimension:
    def read(text: str) -> list[int]:
        counts = read_numbers(text)
        if any(count != int(count) for count in counts):
            raise BadInput(f"steps are whole numbers apart by commas, such as 8, 20, 50; not '{text:.60}'")
        return list(map(int, counts))

    def put(setting: Setting, steps: int) -> Setting:
        return replace(setting, dice=setting.dice.stepped(steps))

    model = setting.dice.model
    there = {sampler.steps for sampler in (model.generator.draft, model.final) if sampler}
    usual = ", ".join(map(str, sorted({*there, SOME_STEPS})))
    return Dimension("steps", "Steps to the picture, apart by commas.", usual, read, put, str)


def _windows() -> Dimension:
    def put(setting: Setting, window: Window) -> Setting:
        for name in setting.amounts:
            setting = setting.windowed(name, window)
        return setting

    def say(window: Window) -> str:
        return f"{window.start:.3g} to {window.end:.3g}"

    help_line = "Where turned knobs act, 0 coarse to 1 fine, apart by commas; or: 0 to 1 in 3."
    usual = "0 to 1, 0 to 0.33, 0.33 to 0.67, 0.67 to 1"
    return Dimension("window", help_line, usual, read_windows, put, say, late=True, write=say)


def _truncations() -> Dimension:
    def put(setting: Setting, truncation: float) -> Setting:
        return replace(setting, dice=replace(setting.dice, truncation=truncation))

    return Dimension(
        "truncation", "Above 0 to 1, apart by commas.", "0.2, 0.4, 0.6, 0.8, 1", read_numbers, put, "{:g}".format
    )


def _amounts(setting: Setting, name: str) -> Dimension:
    knob = setting.knobs[name]
    mark = UNIT_MARKS.get(knob.unit, "")

    def put(setting: Setting, amount: float) -> Setting:
        return setting.turned(name, amount)

    def say(amount: float) -> str:
        return f"{amount:+.3g}{mark}".replace("-", "−") if amount else f"0{mark}"

    low, high = knob.range
    if high - low == 360:  # once round, where both ends are one place
        low, high = low * 2 / 3, high * 2 / 3
    usual = ", ".join(f"{amount:.3g}" for amount in evenly(low, high, USUAL))
    return Dimension(name, f"Amounts, or: {_plain(knob.range)} in 7.", usual, read_numbers, put, say)


def _plain(ends: tuple[float, float]) -> str:
    return " to ".join(f"{end:.3g}" for end in ends)


def read_numbers(text: str) -> list[float]:
    """Read numbers apart by commas, or evenly spread ones.

    >>> read_numbers("-1, 0, 2.5"), read_numbers("-90 to 90 in 3")
    ([-1.0, 0.0, 2.5], [-90.0, 0.0, 90.0])

    Raises:
        BadInput: it is written in another way.
    """
    number = r"\s*([-+−]?[\d.]+)\s*"
    spread = re.fullmatch(rf"{number}to{number}in\s*(\d+)\s*", text)
    try:
        if spread:
            start, end, count = (part.replace("−", "-") for part in spread.groups())
            if not 2 <= int(count) <= MOST_CELLS:
                raise BadInput(f"an axis has 2 to {MOST_CELLS} values, not {count}")
            return evenly(float(start), float(end), int(count))
        return [float(part.replace("−", "-")) for part in text.split(",")]
    except ValueError as error:
        raise BadInput(f"values are numbers apart by commas, or '-90 to 90 in 5', not '{text:.60}'") from error


def read_windows(text: str) -> list[Window]:
    """Read windows apart by commas, or evenly cut ones.

    >>> read_windows("0 to 0.5, 0.25 to 1")
    [Window(start=0.0, end=0.5), Window(start=0.25, end=1.0)]
    >>> read_windows("0 to 1 in 2")
    [Window(start=0.0, end=0.5), Window(start=0.5, end=1.0)]

    Raises:
        BadInput: it is written in another way, or one is no part of 0 to 1.
    """
    number = r"\s*([\d.]+)\s*"
    if cut := re.fullmatch(rf"{number}to{number}in\s*(\d+)\s*", text):
        edges = read_numbers(f"{cut[1]} to {cut[2]} in {int(cut[3]) + 1}")
        return [Window(*ends) for ends in pairwise(edges)]
    parts = [re.fullmatch(rf"{number}to{number}", part) for part in text.split(",")]
    try:
        return [Window(float(part[1]), float(part[2])) for part in parts]  # type: ignore[index]
    except (TypeError, ValueError) as error:
        raise BadInput(f"windows are written '0 to 0.5, 0.5 to 1', or '0 to 1 in 3', not '{text:.60}'") from error


@dataclass(frozen=True, eq=False)
class Grid:
    """A setting varied along axes.

    Attributes:
        setting: what is varied; its first bird is shown.
        axes: across, down, and sheet by sheet: one to three.
    """

    setting: Setting
    axes: tuple[Axis, ...]

    @cached_property
    def cells(self) -> tuple[Setting, ...]:
        """The cells, sheet by sheet, row by row.

        Raises:
            SteerError: there are too many, or one of them cannot be drawn.
        """
        count = 1
        for axis in self.axes:
            count *= len(axis.values)
        if not 1 <= count <= MOST_CELLS:
            raise BadInput(f"a grid has up to {MOST_CELLS} cells, not {count}; take fewer values")
        return tuple(map(self._cell, product(*(axis.values for axis in reversed(self.axes)))))

    def _cell(self, values: tuple[Any, ...]) -> Setting:
        cell = replace(self.setting, dice=replace(self.setting.dice, birds=1))
        put = zip(reversed(self.axes), values, strict=True)
        for axis, value in sorted(put, key=lambda each: each[0].dimension.late):
            cell = axis.dimension.put(cell, value)
        return cell

    def along(self, place: int) -> Iterator[tuple[Axis, int]]:
        """Yield where a cell stands on each axis."""
        for axis in self.axes:
            place, index = divmod(place, len(axis.values))
            yield axis, index

    def labels(self, place: int) -> dict[str, str]:
        """Return what a cell stands for, by dimension, in the order of the axes."""
        return {axis.dimension.name: axis.labels[index] for axis, index in self.along(place)}

    def draw(self, progress: Progress) -> Iterator[Tensor]:
        """Yield the picture of each cell, (1, 3, height, width) in [0, 1]; ``progress`` is called after each."""
        for done, cell in enumerate(self.cells, start=1):
            yield cell.dice.decode(cell.dice.latent, cell.steering).cpu()
            progress(done, len(self.cells))

    @property
    def layout(self) -> Layout:
        """How the cells lie on one sheet."""
        across, *others = self.axes
        down = [", ".join(reversed(said)) for said in product(*(axis.labels for axis in reversed(others)))]
        return Layout(columns=len(across.values), column_labels=across.labels, row_labels=tuple(down) if others else ())

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the whole sheet; each picture is made by itself, so its bits are those of its cell."""
        alike: dict[Any, list[int]] = {}
        for place, cell in enumerate(self.cells):
            alike.setdefault(_said_once(cell), []).append(place)
        return Recipe.of_sheet([(self._recipe(places), places) for places in alike.values()], self.layout)

    def _recipe(self, places: Sequence[int]) -> Recipe:
        """Return the recipe of some cells that differ in nothing that is said once."""
        cells = [self.cells[place] for place in places]
        windows = {name: window for cell in cells for name, window in cell.windows.items() if name in cell.amounts}
        knobs = {name: self.setting.knobs[name] for cell in cells for name in cell.amounts}
        turns = [
            Turn(knob, [cell.amounts.get(name, 0.0) for cell in cells], windows.get(name))
            for name, knob in knobs.items()
        ]
        turns += [
            replace(turn, amount=[float(torch.as_tensor(turn.amount)) if each is cell else 0.0 for each in cells])
            for cell in cells
            for turn in cell.held()
        ]
        latent, sampler = concatenate([cell.dice.latent for cell in cells]), cells[0].dice.sampler
        return Recipe.of(self.setting.generator, latent, Steering(turns), sampler=sampler, chunk=1)

    def measure(self, pictures: Tensor) -> list[dict[str, Any]]:
        """Return a record of each cell: where it stands, and what is measured on it.

        Args:
            pictures: (cells, 3, height, width) in [0, 1].

        Raises:
            BadInput: nothing here can measure these pictures.
        """
        model = self.setting.dice.model
        if model.measurer is None:
            raise BadInput(f"nothing here can measure the pictures of '{model.generator.name}'")
        measured, attributes = model.measure(pictures), model.measurer.attributes

        def said(name: str, place: int) -> Any:
            value = float(measured[name][place])
            kind: Mapping[int, str] = dict(enumerate(attributes[name].classes))
            return kind.get(round(value), "") if kind else value

        return [
            {
                **{axis.dimension.name: axis.dimension.write(axis.values[index]) for axis, index in self.along(place)},
                **{f"measured {name}": said(name, place) for name in measured},
            }
            for place in range(len(pictures))
        ]

    def save_csv(self, pictures: Tensor, path: str | Path) -> None:
        """Write `measure` as a table with one row a cell."""
        records = self.measure(pictures)
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(records[0]))
            table.writeheader()
            table.writerows(records)


def _said_once(cell: Setting) -> tuple[Any, ...]:
    """Return what a scene of a recipe says once for all of its pictures."""
    latent = cell.dice.latent
    windows = {name: window for name, window in cell.windows.items() if name in cell.amounts}
    windowed = tuple(sorted((name, window.start, window.end) for name, window in windows.items()))
    return latent.truncation, cell.dice.sampler, windowed, tuple(sorted(latent.condition)), latent.anchor is None


def lay(setting: Setting, axes: Sequence[tuple[str, str]]) -> Grid:
    """Return the grid of a setting along axes, each a dimension's name and values as they were written.

    Raises:
        UnknownName: there is no such dimension.
        BadInput: there is no axis, one comes twice, its values are not written as they should be, or windows are asked
            for where no knob is turned.
    """
    known = dimensions(setting)
    names = [name for name, _ in axes]
    if not names or len(set(names)) < len(names):
        raise BadInput("a grid has one to three axes, each for something else")
    for name in names:
        if name not in known:
            raise UnknownName("axis", name, known)
    if "window" in names and not (setting.amounts or set(names) & set(setting.knobs)):
        raise BadInput("a window is that of a turn: turn a knob on Turn first, or let one change along another axis")
    return Grid(setting, tuple(Axis(known[name], tuple(known[name].read(text))) for name, text in axes))

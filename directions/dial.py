"""Dial: turn knobs until pictures show what was asked for: a number, a colour, or what another picture shows.

The response of each sample itself is looked up at a few amounts, and the crossing nearest to the unturned picture is
narrowed down by secant steps on real measurements. The measurer that finders learn from does this; the judge, which
had no part in it, says what came of it.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steer.attribute import Attribute, Measurer
from steer.colour import hue_of
from steer.directions.readings import labeller, read_pictures
from steer.door import SOME_KNOBS, expect
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.knob import Knob
from steer.latent import Latent
from steer.prepare import PictureSource, prepare
from steer.progress import Progress
from steer.registry import load_measurer
from steer.steering import Steering, Turn

Target = float | str | PictureSource
"""A number in the attribute's unit; a colour, such as "orange" or "#ffa500", for a hue; or a picture to match."""

GRID = 9
SECANTS = 4
LOOKS = 1 + SECANTS
FULL_CIRCLE = 360.0
CLOSEST = 0.05
"""A secant step stays this part of the bracket away from its ends, so that both ends move."""

REACHED = 0.05
"""A sample that never crosses its aim has reached it if it comes as near as this many spreads."""

ROUNDS = 2
"""How often all knobs are dialled, where there are several: each moves a little of what the others have set."""


@dataclass(frozen=True, eq=False)
class Reached:
    """What one knob was dialled to.

    Attributes:
        knob: the knob.
        attribute: what it was to set.
        amounts: how far it is turned on each sample, in its unit.
        target: what was asked for, as the judge counts it, in the attribute's unit.
        readings: what the judge reads of each sample.
        residuals: these less the target; the short way round for circles.
        out_of_reach: how many samples show the target nowhere on the knob's range, so that they stand where they come
            nearest to it, by the measurer that the search goes by.
        reach: from where to where the knob takes the median sample, by the same; None for circles.
    """

    knob: Knob
    attribute: Attribute
    amounts: tuple[float, ...]
    target: float
    readings: tuple[float, ...]
    residuals: tuple[float, ...]
    out_of_reach: int
    reach: tuple[float, float] | None

    @property
    def error(self) -> float:
        """The median size of the residuals, in the attribute's unit."""
        return statistics.median(abs(residual) for residual in self.residuals)

    @property
    def everywhere(self) -> bool:
        """Whether the target is within the knob's reach on every sample."""
        return self.out_of_reach == 0

    def to_json(self) -> dict[str, Any]:
        """Return everything but the knob itself as JSON-able values."""
        return {
            "knob": self.knob.name,
            "attribute": self.attribute.name,
            "unit": self.attribute.unit,
            "target": self.target,
            "amounts": list(self.amounts),
            "readings": list(self.readings),
            "residuals": list(self.residuals),
            "median_error": self.error,
            "reached": self.everywhere,
            "out_of_reach": self.out_of_reach,
            "reach": None if self.reach is None else list(self.reach),
        }


@dataclass(frozen=True, eq=False)
class Dialled:
    """Where knobs stand after they were dialled.

    Attributes:
        steering: the turns, to decode the same latent with.
        reached: what each knob was dialled to.
        leakage: for every attribute that was not asked for, its root-mean-square change in spreads, by the judge.
    """

    steering: Steering
    reached: tuple[Reached, ...]
    leakage: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return what was reached and what else changed as JSON-able values."""
        return {"reached": [each.to_json() for each in self.reached], "leakage": dict(self.leakage)}


def dial(
    generator: Generator,
    knobs: Mapping[str, Knob],
    latent: Latent,
    targets: Mapping[str, Target],
    *,
    steering: Steering | None = None,
    measurer: Measurer | None = None,
    judge: Measurer | None = None,
    progress: Progress | None = None,
) -> Dialled:
    """Turn knobs until every sample shows what was asked for, or as nearly as their ranges allow.

    Args:
        generator: what the knobs turn.
        knobs: by name; a knob sets the attribute that it is meant for.
        latent: the samples.
        targets: for each knob to be dialled, by name, what its attribute is to be.
        steering: other turns, which stay.
        measurer: what the search goes by; by default the one that finders learn from.
        judge: what says how well it went; by default the generator's own.
        progress: called after each look at the samples, some times for every knob; what it raises ends the search.

    Raises:
        UnknownName: there is no such knob.
        BadInput: a knob is meant for no attribute that is measured, or a target is not usable.

    >>> import steer
    >>> birds = steer.load_generator("aviary")
    >>> found = steer.dial(birds, steer.shipped_knobs(birds), birds.sample([1, 2]), {"hue": "orange"})
    >>> found.reached[0].error < 10
    True
    """
    measurer = measurer if measurer is not None else labeller(generator)
    expect(knobs, Mapping, SOME_KNOBS)
    expect(
        targets, Mapping, "targets are a dict of knobs' names and what they are dialled to, such as {'hue': 'orange'}"
    )
    judge = judge if judge is not None else load_measurer(generator.backend.measurer)
    kept = (steering if steering is not None else Steering()).turns
    if not targets:
        raise BadInput("say what to dial, such as hue to orange")
    for name in targets:
        if name not in knobs:
            raise UnknownName("knob", name, knobs)
    aims = {name: aim_of(knobs[name], target, generator, measurer) for name, target in targets.items()}
    work = [*aims] * (ROUNDS if len(aims) > 1 else 1)
    turns: dict[str, Turn] = {}
    solved: dict[str, _Solved] = {}
    looks = itertools.count(1)

    def looked() -> None:
        if progress is not None:
            progress(next(looks), len(work) * LOOKS)

    for name in work:
        others = Steering([*kept, *(turn for other, turn in turns.items() if other != name)])
        solved[name] = _solve(generator, latent, knobs[name], others, *aims[name], measurer, looked)
        turns[name] = Turn(knobs[name], solved[name].amounts.tolist())
    final = Steering([*kept, *turns.values()])
    before, after = (read_pictures(generator, latent, judge.measure, each) for each in (Steering(kept), final))
    judged = {name: aim_of(knobs[name], target, generator, judge) for name, target in targets.items()}
    wanted = {attribute.name for attribute, _ in judged.values()}
    return Dialled(
        final,
        tuple(_reached(turn, *judged[name], after, solved[name]) for name, turn in turns.items()),
        {
            name: _rms(attribute.difference(after[name], before[name])) / attribute.spread
            for name, attribute in judge.attributes.items()
            if name not in wanted
        },
    )


def _rms(changes: Tensor) -> float:
    return float(changes.double().square().mean().sqrt())


def _reached(
    turn: Turn, attribute: Attribute, target: float, readings: Mapping[str, Tensor], solved: "_Solved"
) -> Reached:
    there = readings[attribute.name].double()
    residuals = attribute.difference(there, torch.tensor(target)).tolist()
    amounts = turn.amounts(len(there)).tolist()
    return Reached(
        turn.knob,
        attribute,
        tuple(amounts),
        target,
        tuple(there.tolist()),
        tuple(residuals),
        solved.out_of_reach,
        solved.reach,
    )


def aim_of(knob: Knob, target: Target, generator: Generator, measurer: Measurer) -> tuple[Attribute, float]:
    """Return the attribute that a knob is meant for, and what it is to be, as this measurer counts it."""
    attribute = measurer.attributes.get(knob.attribute or "")
    if attribute is None or attribute.kind == "categorical":
        known = ", ".join(name for name, each in measurer.attributes.items() if each.kind != "categorical")
        raise BadInput(f"'{knob.name}' is meant for no number that '{measurer.name}' measures; there are {known}")
    if isinstance(target, int | float):
        number = float(target)
    elif isinstance(target, str) and not Path(target).is_file():
        number = _written(target, attribute)
    else:
        picture = prepare(target, generator.backend.picture_size).picture
        with torch.no_grad():
            number = float(measurer.measure(picture)[attribute.name][0])
    if not math.isfinite(number):
        unit = f" in its unit, {attribute.unit}" if attribute.unit else ""
        raise BadInput(f"'{knob.name}' cannot be dialled to {number}; give a finite number{unit}")
    if attribute.kind == "circular" and abs(number) > FULL_CIRCLE:
        raise BadInput(f"'{knob.name}' cannot be dialled to {number:g}; an angle is from -360 to 360 degrees")
    return attribute, number


def _written(target: str, attribute: Attribute) -> float:
    """Return the number that is written, or the hue of the colour that is."""
    try:
        return float(target)
    except ValueError:
        if "hue" in attribute.name.split("_"):
            return hue_of(target)
        raise BadInput(
            f"'{target}' is neither a number nor a picture; {attribute.name} goes from {attribute.low:g} to "
            f"{attribute.high:g} {attribute.unit}"
        ) from None


@dataclass(frozen=True, eq=False)
class _Solved:
    """The amounts that bring each sample nearest to its aim, (samples,), and `Reached.out_of_reach` and ``reach``."""

    amounts: Tensor
    out_of_reach: int
    reach: tuple[float, float] | None


def _solve(
    generator: Generator,
    latent: Latent,
    knob: Knob,
    others: Steering,
    attribute: Attribute,
    aim: float,
    measurer: Measurer,
    looked: Callable[[], None],
) -> _Solved:
    """Look for the amounts that bring each sample nearest to the aim, calling ``looked`` `LOOKS` times."""

    def missed(amounts: Tensor) -> Tensor:
        """Return how far each sample is off, (samples, amounts), when turned by each of its amounts."""
        rows = [row for row in range(len(latent)) for _ in range(amounts.shape[1])]
        steering = Steering([*others.rows(rows, len(latent)).turns, (knob, amounts.flatten())])
        read = read_pictures(generator, latent.rows(rows), measurer.measure, steering)
        looked()
        return attribute.difference(read[attribute.name].double(), torch.tensor(aim)).reshape(amounts.shape)

    amounts = torch.linspace(*knob.range, GRID, dtype=torch.float64).expand(len(latent), GRID)
    off = missed(amounts)
    low, high, off_low, off_high = _brackets(amounts, off, attribute)
    missing = off_low * off_high > 0
    for _ in range(SECANTS):
        # Where both ends lie on one side there is no crossing, and the middle between them is as good as any.
        crossed = off_low * off_high < 0
        part = torch.where(crossed, off_low / (off_low - off_high), 0.5).clamp(CLOSEST, 1 - CLOSEST)
        between = low + part * (high - low)
        there = missed(between[:, None])[:, 0]
        amounts, off = torch.cat([amounts, between[:, None]], 1), torch.cat([off, there[:, None]], 1)
        lower = torch.where(crossed, there * off_low > 0, off_low.abs() > off_high.abs())  # is the new end the lower
        low, off_low = torch.where(lower, between, low), torch.where(lower, there, off_low)
        high, off_high = torch.where(lower, high, between), torch.where(lower, off_high, there)
    missing &= off.abs().amin(dim=1) > REACHED * attribute.spread
    ends: tuple[float, float] | None = None
    if attribute.kind != "circular":
        ends = (float(off.amin(dim=1).median()) + aim, float(off.amax(dim=1).median()) + aim)
    return _Solved(_at(amounts, off.abs().argmin(dim=1)).float(), int(missing.sum()), ends)


def _brackets(grid: Tensor, off: Tensor, attribute: Attribute) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return for each sample the two neighbouring amounts to look between, and how far off both are.

    Those are the ones nearest to 0 between which the aim is crossed; of samples that never cross it, those about the
    amount that comes nearest.
    """
    crossed = off[:, 1:] * off[:, :-1] <= 0
    if attribute.kind == "circular":
        crossed &= (off[:, 1:] - off[:, :-1]).abs() < 180  # the other crossing is on the far side of the circle
    away = torch.maximum(grid[:, 1:].abs(), grid[:, :-1].abs()).masked_fill(~crossed, math.inf)
    nearest = off.abs().argmin(dim=1)
    left = nearest - (nearest > 0).long() * (
        (nearest == grid.shape[1] - 1) | (_at(off.abs(), nearest - 1) < _at(off.abs(), nearest + 1))
    )
    start = torch.where(crossed.any(dim=1), away.argmin(dim=1), left)
    return _at(grid, start), _at(grid, start + 1), _at(off, start), _at(off, start + 1)


def _at(table: Tensor, columns: Tensor) -> Tensor:
    """Return one entry of each row, (rows,)."""
    return table.gather(1, columns.clamp(0, table.shape[1] - 1)[:, None])[:, 0]

"""Knobs: one displacement of a space's values per amount, with unit, range, window and provenance."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from steer.door import expect
from steer.errors import BadInput, BrokenFile, UnknownName
from steer.files import read_tensors, write_tensors
from steer.flow import CIRCLE, Response

KNOB_SCHEMA = 3
"""2 came with knobs that change on the way, 3 with tensors that knobs share and knobs along flows and curves."""

SMALLEST = 1e-12

LEAST_RADIUS = 0.5
"""The part of a ring's radius that a turn leads out to where a sample is nearer to the centre."""

CURVE_STEPS = 6
"""Steps between the ends of a turn along a curve."""


@dataclass(frozen=True)
class Window:
    """The part of the way from latent to picture, [0, 1] coarse to fine, in which a turn acts."""

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise BadInput(f"a window is 0 <= start < end <= 1, not {self.start} to {self.end}")

    def weight(self, interval: tuple[float, float]) -> float:
        """Return how much of ``interval`` the window covers, 0 to 1.

        >>> Window(0.25, 1.0).weight((0.0, 0.5))
        0.5
        """
        low, high = interval
        overlap = min(self.end, high) - max(self.start, low)
        return min(max(overlap / (high - low), 0.0), 1.0)


WHOLE = Window()


@dataclass(frozen=True)
class Provenance:
    """Where a knob comes from.

    Attributes:
        generator: name of the generator it was found on.
        fingerprint: hash of that generator's weights; None for a knob made by hand.
        finder: name of the finder.
        options: the finder's options.
        scores: what was measured when it was found, such as a cross-validated score.
    """

    generator: str = ""
    fingerprint: str | None = None
    finder: str = "hand"
    options: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Knob(Protocol):
    """Something to turn: in a space, by an amount in its own unit.

    Attributes:
        name: a short name, such as "heading".
        space: the space whose values it displaces.
        shape: shape of one sample's values there.
        unit: unit of the amount: "sigma", "degree" or "absolute".
        range: the amounts between which pictures stay plausible, measured.
        window: where on the way to the picture it acts.
        attribute: the attribute it is meant to turn, where there is one.
        provenance: where it comes from.
    """

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def space(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def range(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def window(self) -> Window: ...  # noqa: D102
    @property
    def attribute(self) -> str | None: ...  # noqa: D102
    @property
    def provenance(self) -> Provenance: ...  # noqa: D102

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """Return what to add to unsteered ``values`` (batch, *shape) for ``amount`` (batch,).

        Exactly 0 for a relative amount of 0. An absolute amount is the coordinate to arrive at.
        """
        ...

    def coordinate(self, values: Tensor) -> Tensor:
        """Return where ``values`` stand along the knob, (batch,), in its unit."""
        ...

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """Return ``values`` with what the knob's turning can change taken from ``fresh``, both (batch, *shape)."""
        ...


@runtime_checkable
class Changing(Protocol):
    """A knob that may change on the way to the picture: what its author adds to `Knob`."""

    def at(self, interval: tuple[float, float]) -> Knob:
        """Return the knob as it turns in the stage of an interval: itself, where it does not change."""
        ...


@runtime_checkable
class Situated(Protocol):
    """A knob that turns samples by what else they are made of: what its author adds to `Knob`."""

    def given(self, values: Mapping[str, Tensor]) -> Knob:
        """Return the knob as it turns samples with these values, (batch, ...) by input space."""
        ...


def given(knob: Knob, values: Mapping[str, Tensor]) -> Knob:
    """Return a knob as it turns samples with these values, (batch, ...) by input space."""
    return knob.given(values) if isinstance(knob, Situated) else knob


def is_round(knob: Knob) -> bool:
    """Whether a knob goes round a circle, so that a dial fits it: a ring, or a flow once round an angle."""
    low, high = knob.range
    return knob.kind == "ring" or (knob.unit == "degree" and high - low == 360)


@dataclass(frozen=True, eq=False)
class LinearKnob:
    """A knob along a straight line; in a space that is met in many stages, along another line in each part of the way.

    Asked about values alone it answers for its first part, where `Generator.observe` looks too.

    Attributes:
        direction: displacement for one unit, of the space's shape. In unit "sigma" its length is one standard
            deviation of the space along it. Of a knob that changes on the way, (parts, *shape).
        edges: where its parts begin and end in [0, 1], rising, one more than there are parts; empty for a knob that
            does not change.
    """

    kind: ClassVar[str] = "linear"
    name: str
    space: str
    direction: Tensor
    unit: str = "sigma"
    range: tuple[float, float] = (-3.0, 3.0)
    window: Window = WHOLE
    attribute: str | None = None
    provenance: Provenance = Provenance()
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_edges(self.name, self.edges, len(self.direction))

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self._direction.shape)

    def at(self, interval: tuple[float, float]) -> "LinearKnob":
        """See `Changing.at`."""
        if not self.edges:
            return self
        return replace(self, direction=self.direction[_part(self.edges, interval)], edges=())

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`."""
        amount = amount - self.coordinate(values) if absolute else amount
        return _rowwise(amount, values) * self._direction.to(values)

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`."""
        direction = self._direction.to(values).flatten()
        return values.flatten(1) @ direction / direction.square().sum()

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        return values + _rowwise(self.coordinate(fresh) - self.coordinate(values), values) * self._direction.to(values)

    @property
    def _direction(self) -> Tensor:
        return self.direction[0] if self.edges else self.direction


@dataclass(frozen=True, eq=False)
class ArcKnob:
    """A knob along great circles: values keep their distance from 0, which dice that are drawn hardly vary in.

    A small turn is that of a linear knob, less what would change the distance. The walk ends where values point along
    the direction, or against it: a further turn would lead back, and changes nothing. After Spingarn, Banner &
    Michaeli (2021), arXiv 2012.05328.

    Attributes:
        direction: its length is the arc of one unit.
    """

    kind: ClassVar[str] = "arc"
    name: str
    space: str
    direction: Tensor
    unit: str = "sigma"
    range: tuple[float, float] = (-3.0, 3.0)
    window: Window = WHOLE
    attribute: str | None = None
    provenance: Provenance = Provenance()

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self.direction.shape)

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`."""
        direction, along, across = self._parts(values)
        beside = across.flatten(1).norm(dim=1)
        radius = torch.hypot(along, beside).clamp_min(SMALLEST)
        start, pole = torch.atan2(along, beside), torch.full_like(along, math.pi / 2)
        length = self.direction.to(values).norm()
        turn = length * (amount - self.coordinate(values) if absolute else amount) / radius
        turn = turn.clamp(-pole - start, pole - start)
        shrunk, turned = turn.cos() - 1, turn.sin()  # exactly 0 where nothing is turned
        onwards = shrunk * along + turned * beside
        inwards = shrunk - turned * along / beside.clamp_min(SMALLEST)
        return _rowwise(onwards, values) * direction + _rowwise(inwards, values) * across

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`: the arc from where values are at right angles to the direction."""
        _, along, across = self._parts(values)
        beside = across.flatten(1).norm(dim=1)
        return torch.hypot(along, beside) * torch.atan2(along, beside) / self.direction.to(values).norm()

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        direction, along, _ = self._parts(values)
        return values + _rowwise(self._parts(fresh)[1] - along, values) * direction

    def _parts(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the direction at length 1, how far values go along it, (batch,), and what they have beside it."""
        direction = self.direction.to(values)
        direction = direction / direction.norm()
        along = values.flatten(1) @ direction.flatten()
        return direction, along, values - _rowwise(along, values) * direction


@dataclass(frozen=True, eq=False)
class RingKnob:
    """A knob round a circle: it rotates the values within a plane, for hue, heading and other angles.

    A sample near the centre is led out to half the radius on its way round, and home again in a whole turn: at the
    centre an angle means nothing, and turning about it would show nothing. (aviary-biggan, hue, 64 unseen seeds: 100 %
    of the birds go once round instead of 95, r2 0.97 instead of 0.92.)

    Like a `LinearKnob` it may have another plane in each part of the way.

    Attributes:
        plane: two orthonormal directions, (2, *shape); the angle counts from the first to the second. Of a knob that
            changes on the way, (parts, 2, *shape).
        radius: the typical distance from the centre, taken by an absolute turn where a sample's own is smaller.
        centre: where the circle's middle lies in the plane, (2,) or (parts, 2); 0 in dice, which have no mean.
        edges: see `LinearKnob`.
    """

    kind: ClassVar[str] = "ring"
    name: str
    space: str
    plane: Tensor
    radius: float = 2**0.5
    unit: str = "degree"
    range: tuple[float, float] = (-180.0, 180.0)
    window: Window = WHOLE
    attribute: str | None = None
    provenance: Provenance = Provenance()
    centre: Tensor = field(default_factory=lambda: torch.zeros(2))
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_edges(self.name, self.edges, len(self.plane))

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self._plane.shape[1:])

    def at(self, interval: tuple[float, float]) -> "RingKnob":
        """See `Changing.at`."""
        if not self.edges:
            return self
        part = _part(self.edges, interval)
        return replace(self, plane=self.plane[part], centre=self.centre[part], edges=())

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`."""
        first, second = self._coordinates(values)
        angle = torch.deg2rad(amount)
        if absolute:
            radius = torch.hypot(first, second).clamp_min(self.radius)
            moved_first, moved_second = radius * angle.cos() - first, radius * angle.sin() - second
        else:
            near = (LEAST_RADIUS * self.radius / torch.hypot(first, second).clamp_min(SMALLEST) - 1).clamp_min(0)
            wider = 1 + near * (1 - (angle / 2).cos().pow(8))  # by half of it after 47 degrees
            turn, shift = wider * angle.cos() - 1, wider * angle.sin()
            moved_first, moved_second = turn * first - shift * second, shift * first + turn * second
        return self._place(moved_first, moved_second, values)

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`."""
        first, second = self._coordinates(values)
        return torch.rad2deg(torch.atan2(second, first))

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`: both the angle and the distance from the centre."""
        here, there = self._coordinates(values), self._coordinates(fresh)
        return values + self._place(there[0] - here[0], there[1] - here[1], values)

    def _coordinates(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return where values stand in the plane, from the centre."""
        centre = (self.centre[0] if self.edges else self.centre).to(values)
        first, second = (values.flatten(1) @ self._plane.to(values).flatten(1).T - centre).unbind(1)
        return first, second

    def _place(self, first: Tensor, second: Tensor, values: Tensor) -> Tensor:
        plane = self._plane.to(values)
        return _rowwise(first, values) * plane[0] + _rowwise(second, values) * plane[1]

    @property
    def _plane(self) -> Tensor:
        return self.plane[0] if self.edges else self.plane


def _check_edges(name: str, edges: Sequence[float], parts: int) -> None:
    rising = all(low < high for low, high in pairwise(edges))
    if edges and not (len(edges) == parts + 1 and rising and edges[0] >= 0 and edges[-1] <= 1):
        raise BadInput(f"the {parts} parts of the knob '{name}' need {parts + 1} edges that rise within 0 to 1")


def _part(edges: Sequence[float], interval: tuple[float, float]) -> int:
    """Return the part of the way in which the middle of an interval lies, or the nearest."""
    return min(max(bisect_right(edges, sum(interval) / 2) - 1, 0), len(edges) - 2)


@dataclass(frozen=True, eq=False)
class CalibratedKnob:
    """A knob whose amounts count in its attribute: the same amount moves every sample by as much, as measured.

    In unit "spread" an amount of 1 moves the attribute by one standard deviation of it in the data; in unit "degree" an
    amount of 1 moves an angle by one degree, and the scale closes after 360.

    Attributes:
        base: the knob that is turned.
        coordinates: rising places along the base, in its unit, (points,); of a ring once round.
        levels: what the attribute is there, in the knob's own unit, rising, (points,); of a ring by 360 in all.
    """

    kind: ClassVar[str] = "calibrated"
    name: str
    base: Knob
    coordinates: Tensor
    levels: Tensor
    unit: str = "spread"
    range: tuple[float, float] = (-1.0, 1.0)
    window: Window = WHOLE
    attribute: str | None = None
    provenance: Provenance = Provenance()

    @property
    def space(self) -> str:
        """See `Knob`."""
        return self.base.space

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return self.base.shape

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`. Beyond the first and the last level a linear knob stands still."""
        if absolute:
            return self.base.displacement(values, self._place(amount.to(values)), absolute=True)
        level = self.coordinate(values)
        return self.base.displacement(values, self._place(level + amount.to(values)) - self._place(level))

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`."""
        return _interpolated(self.base.coordinate(values), self.coordinates, self.levels)

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        return self.base.roll(values, fresh)

    def _place(self, level: Tensor) -> Tensor:
        """Return where the attribute has a level, along the base."""
        if self.unit == "degree":
            level = self.levels[0].to(level) + torch.remainder(level - self.levels[0].to(level), 360)
        return _interpolated(level, self.levels, self.coordinates)


@dataclass(frozen=True, eq=False)
class FlowKnob:
    """A knob that follows an attribute: the shortest way that moves it by the amount and holds the others.

    Where to go it knows from a small network that tells attributes from values. An amount counts in spreads of the
    attribute, or in degrees of an angle; after a whole turn of 360 values are back where they were.

    Attributes:
        axes: see `steer.flow.Response`, as with the next three.
        widths: of the network's layers.
        weights: the network.
        circles: which attributes are angles.
        target: which of the attributes is turned.
        context: what the network sees of a sample beside its values, (batch, numbers); one typical row of it, until
            `given` puts in the samples' own.
        context_space: the input space that it is taken from; empty where there is none.
    """

    kind: ClassVar[str] = "flow"
    name: str
    space: str
    axes: Tensor
    widths: tuple[int, ...]
    weights: Tensor
    circles: tuple[bool, ...]
    target: int
    context: Tensor
    context_space: str = ""
    unit: str = "spread"
    range: tuple[float, float] = (-1.0, 1.0)
    window: Window = WHOLE
    attribute: str | None = None
    provenance: Provenance = Provenance()

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self.axes.shape[1:])

    def given(self, values: Mapping[str, Tensor]) -> "FlowKnob":
        """See `Situated.given`."""
        return replace(self, context=values[self.context_space].flatten(1)) if self.context_space else self

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`.

        Round a circle, the way onwards and the way back end together, each counting the more the shorter it is.
        """
        response, context = self._response(values), self._context(values)
        start = response.coordinates(values)
        amount = amount.to(values) - (self.coordinate(values) if absolute else 0)
        if self.unit == "degree":
            end = response.follow_round(start, context, self.target, amount / 360)
        else:
            end = response.follow(start, context, self.target, amount)
        return response.values(end - start)

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`."""
        response = self._response(values)
        reading = response.readings(response.coordinates(values), self._context(values))[:, self.target]
        return torch.rad2deg(reading * CIRCLE) if self.unit == "degree" else reading

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        return values + self.displacement(values, self.coordinate(fresh), absolute=True)

    def _response(self, values: Tensor) -> Response:
        return Response(self.axes.to(values), self.widths, self.weights.to(values), self.circles)

    def _context(self, values: Tensor) -> Tensor:
        return self.context.to(values).expand(len(values), -1)


@dataclass(frozen=True, eq=False)
class CurveKnob:
    """A knob along curves: from wherever a sample stands, a small network tells which way the next bit of it leads.

    After the non-linear walks of Jahanian, Chai & Isola (2020), arXiv 1907.07171, section 3.1, whose network tells
    whole steps; here it tells a velocity, which is followed by the midpoint rule, so that any amount can be asked for.

    Attributes:
        direction: which way one unit leads on average, of the space's shape; the network tells what comes on top.
        axes: see `steer.flow.Response`, as with the next two; the network puts out coordinates for a turn of ``reach``.
        widths: of the network's layers.
        weights: the network.
        reach: the amount that what the network puts out is for.
        context: see `FlowKnob`.
        context_space: see `FlowKnob`.
    """

    kind: ClassVar[str] = "curve"
    name: str
    space: str
    direction: Tensor
    axes: Tensor
    widths: tuple[int, ...]
    weights: Tensor
    reach: float
    context: Tensor
    context_space: str = ""
    unit: str = "sigma"
    range: tuple[float, float] = (-3.0, 3.0)
    window: Window = WHOLE
    attribute: str | None = None
    provenance: Provenance = Provenance()

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self.direction.shape)

    def given(self, values: Mapping[str, Tensor]) -> "CurveKnob":
        """See `Situated.given`."""
        return replace(self, context=values[self.context_space].flatten(1)) if self.context_space else self

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`."""
        amount = amount.to(values) - (self.coordinate(values) if absolute else 0)
        response = Response(self.axes.to(values), self.widths, self.weights.to(values), (False,) * len(self.axes))
        context = self.context.to(values).expand(len(values), -1)
        straight = response.coordinates(self.direction.to(values)[None]) * self.reach
        step = amount[:, None] / (self.reach * CURVE_STEPS)
        start = place = response.coordinates(values)
        for _ in range(CURVE_STEPS):
            half_way = place + step / 2 * (straight + response.outputs(place, context))
            place = place + step * (straight + response.outputs(half_way, context))
        return response.values(place - start)

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`: along the straight line that it bends away from; 0 where there is no such line."""
        direction = self.direction.to(values).flatten()
        return values.flatten(1) @ direction / direction.square().sum().clamp_min(SMALLEST)

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        return values + self.displacement(values, self.coordinate(fresh), absolute=True)


def _interpolated(given: Tensor, places: Tensor, levels: Tensor) -> Tensor:
    """Return the levels at the places given, (batch,), on straight lines between neighbours, even beyond the ends."""
    places, levels = places.to(given), levels.to(given)
    given = torch.minimum(torch.maximum(given, places[0]), places[-1])
    right = torch.searchsorted(places, given.detach()).clamp(1, len(places) - 1)
    left = right - 1
    part = (given - places[left]) / (places[right] - places[left])
    return levels[left] + part * (levels[right] - levels[left])


def _rowwise(amount: Tensor, values: Tensor) -> Tensor:
    return amount.to(values).reshape(-1, *(1,) * (values.dim() - 1))


KNOB_KINDS: Mapping[str, Callable[..., Knob]] = {
    kind.kind: kind for kind in (LinearKnob, ArcKnob, RingKnob, CalibratedKnob, FlowKnob, CurveKnob)
}


def knob_to_parts(knob: Knob) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Split a knob into JSON and tensors, the form it has in files and recipes."""
    record: dict[str, Any] = {"kind": knob.kind}
    tensors: dict[str, Tensor] = {}
    for entry in fields(knob):  # type: ignore[arg-type]
        value = getattr(knob, entry.name)
        if isinstance(value, Tensor):
            kept = value.detach().cpu()
            tensors[entry.name] = kept if kept.dtype == torch.float16 else kept.float()
        elif isinstance(value, Window):
            record[entry.name] = [value.start, value.end]
        elif isinstance(value, Provenance):
            record[entry.name] = {part.name: getattr(value, part.name) for part in fields(value)}
        elif isinstance(value, Knob):
            record[entry.name], within = knob_to_parts(value)
            tensors.update({f"{entry.name}/{name}": tensor for name, tensor in within.items()})
        else:
            record[entry.name] = list(value) if isinstance(value, tuple) else value
    return record, tensors


def knob_from_parts(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Knob:
    """Put a knob together again.

    Raises:
        BrokenFile: the parts do not make a knob of a known kind.
    """
    parts: dict[str, Any] = {**record, **tensors}
    kind = parts.pop("kind", None)
    if kind not in KNOB_KINDS:
        raise BrokenFile(f"a knob of kind '{kind}' is unknown here; there are {', '.join(KNOB_KINDS)}")
    try:
        if "base" in record:
            within = {name[5:]: parts.pop(name) for name in tensors if name.startswith("base/")}
            parts["base"] = knob_from_parts(record["base"], within)
        parts = {name: tuple(value) if isinstance(value, list) else value for name, value in parts.items()}
        parts["window"] = Window(*parts["window"])
        parts["provenance"] = Provenance(**parts["provenance"])
        return KNOB_KINDS[kind](**parts)
    except (KeyError, TypeError) as error:
        raise BrokenFile(f"the knob '{parts.get('name')}' is incomplete ({error}); find and save it again") from error


class KnobSet(Mapping[str, Knob]):
    """Knobs by name, and what their finder has to say about them.

    Attributes:
        report: diagnostics of the finder, JSON-able.
    """

    def __init__(self, knobs: Mapping[str, Knob], report: Mapping[str, Any] | None = None) -> None:
        self._knobs = dict(knobs)
        self.report: Mapping[str, Any] = dict(report or {})

    def __getitem__(self, name: str) -> Knob:
        if name not in self._knobs:
            raise UnknownName("knob", name, self._knobs)
        return self._knobs[name]

    def __contains__(self, name: object) -> bool:
        return name in self._knobs

    def __iter__(self) -> Iterator[str]:
        return iter(self._knobs)

    def __len__(self) -> int:
        return len(self._knobs)

    def only(self, *names: str) -> "KnobSet":
        """Return some knobs of the set.

        Raises:
            UnknownName: there is no such knob.
        """
        return KnobSet({name: self[name] for name in names}, self.report)

    def __or__(self, other: "KnobSet") -> "KnobSet":
        """Return both sets' knobs; a name in both is the other's."""
        return KnobSet({**self._knobs, **other._knobs}, {**self.report, **other.report})

    def __repr__(self) -> str:
        return f"KnobSet({', '.join(self._knobs) or 'empty'})"

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with a JSON header; a tensor that knobs share is written once."""
        records, tensors, shared = [], {}, {}
        first: dict[tuple[int, torch.Size], str] = {}
        for knob in self.values():
            record, parts = knob_to_parts(knob)
            records.append(record)
            for name, tensor in parts.items():
                entry = f"{knob.name}/{name}"
                written = first.setdefault((tensor.data_ptr(), tensor.shape), entry) if tensor.numel() else entry
                if written == entry:
                    tensors[entry] = tensor
                else:
                    shared[entry] = written
        header = {"schema": KNOB_SCHEMA, "kind": "knobs", "knobs": records, "shared": shared, "report": self.report}
        write_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> "KnobSet":
        """Read what `save` wrote.

        Raises:
            BadInput: there is no such file, or it is a pickle.
            BrokenFile: it holds no knobs, or knobs of a newer schema.
        """
        tensors, header = read_tensors(path)
        if header.get("kind") != "knobs":
            raise BrokenFile(f"'{path}' holds no knobs; make such a file with: steer find FINDER GENERATOR --out FILE")
        if header["schema"] > KNOB_SCHEMA:
            raise BrokenFile(
                f"'{path}' has knob schema {header['schema']}, newer than {KNOB_SCHEMA}; update latent-steer"
            )
        tensors |= {entry: tensors[written] for entry, written in header.get("shared", {}).items()}
        knobs = {}
        for record in header["knobs"]:
            prefix = f"{record['name']}/"
            parts = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            knobs[record["name"]] = knob_from_parts(record, parts)
        return cls(knobs, header["report"])


def load_knobs(path: str | Path) -> KnobSet:
    """Read a knob file.

    Raises:
        BadInput: there is no such file, or it is a pickle.
        BrokenFile: it holds no knobs, or knobs of a newer schema.
    """
    expect(path, str | Path, "a knob file is loaded from its path")
    return KnobSet.load(path)


def adopt(knob: Knob, fingerprint: str) -> Knob:
    """Return the knob as one made for the weights with this fingerprint: the explicit way to insist."""
    return replace(knob, provenance=replace(knob.provenance, fingerprint=fingerprint))  # type: ignore[type-var]

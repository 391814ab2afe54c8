"""Curve knobs: along curves, which a network bends by where a sample stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from steer.flow import Response
from steer.knob.context import context_of, with_own_context
from steer.knob.provenance import BY_HAND, Provenance
from steer.knob.window import WHOLE, Window

STEPS = 6
"""Steps between the ends of a turn."""

SMALLEST_SQUARE = 1e-12


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
        context: see `steer.knob.context.Contextual`.
        context_space: likewise.
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
    provenance: Provenance = BY_HAND

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self.direction.shape)

    def given(self, values: Mapping[str, Tensor]) -> "CurveKnob":
        """See `Situated.given`."""
        return with_own_context(self, values)

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`."""
        amount = amount.to(values) - (self.coordinate(values) if absolute else 0)
        response = Response(self.axes.to(values), self.widths, self.weights.to(values), (False,) * len(self.axes))
        context = context_of(self, values)
        straight = response.coordinates(self.direction.to(values)[None]) * self.reach
        step = amount[:, None] / (self.reach * STEPS)
        start = place = response.coordinates(values)
        for _ in range(STEPS):
            half_way = place + step / 2 * (straight + response.outputs(place, context))
            place = place + step * (straight + response.outputs(half_way, context))
        return response.values(place - start)

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`: along the straight line that it bends away from; 0 where there is no such line."""
        direction = self.direction.to(values).flatten()
        return values.flatten(1) @ direction / direction.square().sum().clamp_min(SMALLEST_SQUARE)

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        return values + self.displacement(values, self.coordinate(fresh), absolute=True)

"""Flow knobs: the shortest way along an attribute, which the network of `steer.flow` tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steer.flow import CIRCLE, Response
from steer.knob.context import context_of, with_own_context
from steer.knob.provenance import BY_HAND, Provenance
from steer.knob.window import WHOLE, Window


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
        context: see `steer.knob.context.Contextual`.
        context_space: likewise.
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
    provenance: Provenance = BY_HAND

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self.axes.shape[1:])

    def given(self, values: Mapping[str, Tensor]) -> "FlowKnob":
        """See `Situated.given`."""
        return with_own_context(self, values)

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`.

        Round a circle, the way onwards and the way back end together, each counting the more the shorter it is.
        """
        response, context = self._response(values), context_of(self, values)
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
        reading = response.readings(response.coordinates(values), context_of(self, values))[:, self.target]
        return torch.rad2deg(reading * CIRCLE) if self.unit == "degree" else reading

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        return values + self.displacement(values, self.coordinate(fresh), absolute=True)

    def _response(self, values: Tensor) -> Response:
        return Response(self.axes.to(values), self.widths, self.weights.to(values), self.circles)

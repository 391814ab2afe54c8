"""Linear knobs: along a straight line."""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from steer.knob.edges import check_edges, part_at
from steer.knob.provenance import BY_HAND, Provenance
from steer.knob.rowwise import rowwise
from steer.knob.window import WHOLE, Window


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
    provenance: Provenance = BY_HAND
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_edges(self.name, self.edges, len(self.direction))

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self._direction.shape)

    def at(self, interval: tuple[float, float]) -> "LinearKnob":
        """See `Changing.at`."""
        if not self.edges:
            return self
        return replace(self, direction=self.direction[part_at(self.edges, interval)], edges=())

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`."""
        amount = amount - self.coordinate(values) if absolute else amount
        return rowwise(amount, values) * self._direction.to(values)

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`."""
        direction = self._direction.to(values).flatten()
        return values.flatten(1) @ direction / direction.square().sum()

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        return values + rowwise(self.coordinate(fresh) - self.coordinate(values), values) * self._direction.to(values)

    @property
    def _direction(self) -> Tensor:
        return self.direction[0] if self.edges else self.direction

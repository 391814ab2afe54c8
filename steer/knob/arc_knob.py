"""Arc knobs: along great circles."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steer.knob.provenance import BY_HAND, Provenance
from steer.knob.rowwise import rowwise
from steer.knob.window import WHOLE, Window

SMALLEST_LENGTH = 1e-12


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
    provenance: Provenance = BY_HAND

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Knob`."""
        return tuple(self.direction.shape)

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """See `Knob.displacement`."""
        direction, along, across = self._parts(values)
        beside = across.flatten(1).norm(dim=1)
        radius = torch.hypot(along, beside).clamp_min(SMALLEST_LENGTH)
        start, pole = torch.atan2(along, beside), torch.full_like(along, math.pi / 2)
        length = self.direction.to(values).norm()
        turn = length * (amount - self.coordinate(values) if absolute else amount) / radius
        turn = turn.clamp(-pole - start, pole - start)
        shrunk, turned = turn.cos() - 1, turn.sin()  # exactly 0 where nothing is turned
        onwards = shrunk * along + turned * beside
        inwards = shrunk - turned * along / beside.clamp_min(SMALLEST_LENGTH)
        return rowwise(onwards, values) * direction + rowwise(inwards, values) * across

    def coordinate(self, values: Tensor) -> Tensor:
        """See `Knob.coordinate`: the arc from where values are at right angles to the direction."""
        _, along, across = self._parts(values)
        beside = across.flatten(1).norm(dim=1)
        return torch.hypot(along, beside) * torch.atan2(along, beside) / self.direction.to(values).norm()

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """See `Knob.roll`."""
        direction, along, _ = self._parts(values)
        return values + rowwise(self._parts(fresh)[1] - along, values) * direction

    def _parts(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the direction at length 1, how far values go along it, (batch,), and what they have beside it."""
        direction = self.direction.to(values)
        direction = direction / direction.norm()
        along = values.flatten(1) @ direction.flatten()
        return direction, along, values - rowwise(along, values) * direction

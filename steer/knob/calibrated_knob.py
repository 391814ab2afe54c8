"""Calibrated knobs: any knob, counted in its attribute."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steer.knob.protocol import Knob
from steer.knob.provenance import BY_HAND, Provenance
from steer.knob.window import WHOLE, Window


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
    provenance: Provenance = BY_HAND

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


def _interpolated(given: Tensor, places: Tensor, levels: Tensor) -> Tensor:
    """Return the levels at the places given, (batch,), on straight lines between neighbours, even beyond the ends."""
    places, levels = places.to(given), levels.to(given)
    given = torch.minimum(torch.maximum(given, places[0]), places[-1])
    right = torch.searchsorted(places, given.detach()).clamp(1, len(places) - 1)
    left = right - 1
    part = (given - places[left]) / (places[right] - places[left])
    return levels[left] + part * (levels[right] - levels[left])

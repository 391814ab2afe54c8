"""Samplers: how a generator with a free number of steps walks to its picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, Literal, get_args

from steer.door import expect
from steer.errors import BadInput, UnknownName

Spacing = Literal["leading", "trailing", "linspace", "quad"]
"""How steps are spread over noise levels."""

A_LIST = "noise levels are a list of whole numbers that rise from 0 up, such as [20, 250, 999]"


@dataclass(frozen=True)
class Sampler:
    """How a generator with a free number of steps walks to its picture.

    Attributes:
        steps: number of steps, from 1 up.
        spacing: how the steps are spread over the noise levels; "custom" where ``levels`` lists them.
        eta: fresh noise per step, 0 (none, deterministic) to 1.
        levels: the noise levels to step at, rising, for a sampler made by `Sampler.at`; a tuple, empty for all others.
    """

    steps: int = 50
    spacing: Spacing | Literal["custom"] = "trailing"
    eta: float = 0.0
    levels: Sequence[int] = ()

    def __post_init__(self) -> None:
        expect(self.steps, Real, "a sampler takes a whole number of steps from 1 up")
        expect(self.eta, Real, "eta, the fresh noise in a step, is a number from 0 to 1")
        expect(self.levels, Sequence, A_LIST)
        object.__setattr__(self, "levels", tuple(self.levels))  # a recipe holds a list
        if self.steps < 1 or self.steps != int(self.steps):
            raise BadInput(f"a sampler takes a whole number of steps from 1 up, not {self.steps}")
        if (self.spacing == "custom") != bool(self.levels):
            raise BadInput("a list of noise levels makes a sampler by itself: Sampler.at([20, 250, 500, 999])")
        if self.levels:
            whole = all(isinstance(level, int) for level in self.levels)
            rising = whole and all(low < high for low, high in pairwise((-1, *self.levels)))
            if not rising or self.steps != len(self.levels):
                raise BadInput(f"noise levels are whole numbers that rise from 0 up, one a step; not {self.levels}")
        elif self.spacing not in get_args(Spacing):
            raise UnknownName("spacing", f"{self.spacing}", get_args(Spacing))
        if not 0 <= self.eta <= 1:
            raise BadInput(f"eta, the fresh noise in a step, is 0 to 1, not {self.eta}")

    @classmethod
    def at(cls, levels: Sequence[int], *, eta: float = 0.0) -> "Sampler":
        """Return a sampler that steps at these noise levels, rising, and from the lowest to the clean picture.

        >>> Sampler.at([20, 250, 999]).steps
        3
        """
        expect(levels, Sequence, A_LIST)
        return cls(len(levels), "custom", eta, tuple(levels))

    def to_json(self) -> dict[str, Any]:
        """Return what makes the same sampler again: ``Sampler(**sampler.to_json())``."""
        told = {"steps": self.steps, "spacing": self.spacing, "eta": self.eta}
        return told | ({"levels": list(self.levels)} if self.levels else {})

"""Samplers: how a generator with a free number of steps walks to its picture."""

from dataclasses import dataclass
from typing import Literal, get_args

from steer.errors import BadInput, UnknownName

Spacing = Literal["leading", "trailing", "linspace", "quad"]
"""How steps are spread over noise levels."""


@dataclass(frozen=True)
class Sampler:
    """How a generator with a free number of steps walks to its picture.

    Attributes:
        steps: number of steps, from 1 up.
        spacing: how the steps are spread over the noise levels.
        eta: fresh noise per step, 0 (none, deterministic) to 1.
    """

    steps: int = 50
    spacing: Spacing = "trailing"
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.steps != int(self.steps):
            raise BadInput(f"a sampler takes a whole number of steps from 1 up, not {self.steps}")
        if self.spacing not in get_args(Spacing):
            raise UnknownName("spacing", f"{self.spacing}", get_args(Spacing))
        if not 0 <= self.eta <= 1:
            raise BadInput(f"eta, the fresh noise in a step, is 0 to 1, not {self.eta}")

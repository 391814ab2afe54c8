"""Samplers: how a generator with a free number of steps walks to its picture."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sampler:
    """How a generator with a free number of steps walks to its picture.

    Attributes:
        steps: number of steps.
        spacing: how the steps are spread over the noise levels.
        eta: fresh noise per step, 0 (none, deterministic) to 1.
    """

    steps: int = 50
    spacing: Literal["leading", "trailing", "linspace", "quad"] = "trailing"
    eta: float = 0.0

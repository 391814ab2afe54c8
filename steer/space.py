"""Spaces: what can be steered in a generator."""

from dataclasses import dataclass
from typing import Literal

from steer.seeds import TRUNCATED_DEVIATION

Distribution = Literal["normal", "truncated_normal", "learned"]


@dataclass(frozen=True)
class Space:
    """One set of values that a generator passes through and that a knob can turn.

    Attributes:
        name: its name, such as "z" or "layer:3".
        kind: "input" (values live in the latent) or "inner" (only met on the way).
        shape: shape of one sample's values.
        distribution: how values are drawn; "learned" for everything that is not plain dice.
        summary: one line for a person.
    """

    name: str
    kind: Literal["input", "inner"]
    shape: tuple[int, ...]
    distribution: Distribution = "learned"
    summary: str = ""

    @property
    def isotropic(self) -> bool:
        """Whether every direction of the space has the same spread, so that PCA of it finds nothing."""
        return self.distribution != "learned"

    @property
    def sigma(self) -> float:
        """Standard deviation of one die at truncation 1; 1 where the space is not made of dice."""
        return TRUNCATED_DEVIATION if self.distribution == "truncated_normal" else 1.0

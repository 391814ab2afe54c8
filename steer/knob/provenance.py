"""The provenance of a knob: the generator, the finder, and what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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


BY_HAND = Provenance()

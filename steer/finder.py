"""The protocol of a finder."""

from typing import Protocol, runtime_checkable

from steer.generator import Generator, Progress
from steer.knob import KnobSet


@runtime_checkable
class Finder(Protocol):
    """A way to find knobs: a frozen dataclass of options with one verb."""

    def find(self, generator: Generator, *, progress: Progress | None = None) -> KnobSet:
        """Find knobs of a generator; diagnostics go into the set's report."""
        ...

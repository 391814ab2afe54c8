"""The window of a knob: the part of the way to the picture in which it acts."""

from dataclasses import dataclass

from steer.errors import BadInput


@dataclass(frozen=True)
class Window:
    """The part of the way from latent to picture, [0, 1] coarse to fine, in which a turn acts."""

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise BadInput(f"a window is 0 <= start < end <= 1, not {self.start} to {self.end}")

    def weight(self, interval: tuple[float, float]) -> float:
        """Return how much of ``interval`` the window covers, 0 to 1.

        >>> Window(0.25, 1.0).weight((0.0, 0.5))
        0.5
        """
        low, high = interval
        overlap = min(self.end, high) - max(self.start, low)
        return min(max(overlap / (high - low), 0.0), 1.0)


WHOLE = Window()

"""What a session was set to: steps that can be undone, done again and gone back to."""

from steer.apps.setting import Setting

MOST_REMEMBERED = 60
"""Steps of a history; the oldest go first."""


class History:
    """Settings as steps, and the place among them.

    Args:
        first: the setting that everything begins with.
    """

    def __init__(self, first: Setting) -> None:
        self._steps, self._place = [first], 0

    @property
    def steps(self) -> tuple[Setting, ...]:
        """The settings, the oldest first."""
        return tuple(self._steps)

    @property
    def place(self) -> int:
        """Which step was remembered or gone to last."""
        return self._place

    def remember(self, setting: Setting) -> None:
        """Make a setting the next step; what had been undone is forgotten. One that stands here already is no step."""
        if setting is not self._steps[self._place]:
            self._steps = [*self._steps[: self._place + 1], setting][-MOST_REMEMBERED:]
            self._place = len(self._steps) - 1

    def go(self, place: int) -> Setting:
        """Go to a step, or to the first or last where there is none there, and return it."""
        self._place = min(max(place, 0), len(self._steps) - 1)
        return self._steps[self._place]

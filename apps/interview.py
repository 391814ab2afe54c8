"""Interview: a person answers one sheet of pictures after the other, and a knob appears as they do."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from torch import Tensor

from steer.apps.discovering import Candidate, options_of_form
from steer.apps.setting import Model
from steer.directions.clicks import Answering, Clicks
from steer.knob import KnobSet
from steer.progress import Progress


class Interview:
    """One person's answers on their way to a knob; may be called from several threads.

    Args:
        model: where a knob is looked for.
        answering: what is asked first.

    Attributes:
        sheet: which sheet is asked, counted from 1.
        pictures: those that stand on it, (count, 3, height, width) in [0, 1].
        growth: by how many sheets were answered, the knob as they told it, over its range on a few seeds; each
            (seeds * steps, 3, height, width) in [0, 1].
    """

    def __init__(self, model: Model, answering: Answering) -> None:
        self.model, self.sheet, self.pictures = model, 1, answering.pictures
        self.growth: Mapping[int, Tensor] = {}
        self._answering = answering
        self._lock = Lock()

    @classmethod
    def begin(cls, model: Model, filled: Mapping[str, Any], progress: Progress) -> "Interview":
        """Look at the pictures that may be asked about, as a form says; see `fields_of`.

        Raises:
            SteerError: an option cannot be used; the message names the cure.
        """
        finder = Clicks(**options_of_form("clicks", model, filled))
        return cls(model, finder.begin(model.generator, progress=progress))

    @property
    def answering(self) -> Answering:
        """What was answered, and what is asked next."""
        return self._answering

    def answer(self, sheet: Any, said: Sequence[str]) -> None:
        """Take the answers to a sheet, unless it was answered before.

        Raises:
            BadInput: they are not one of three for each picture.
        """
        with self._lock:
            if sheet == self.sheet:
                answering = self._answering.answered(said)
                pictures = answering.pictures  # drawn first, so that the next sheet appears whole
                self._answering, self.pictures, self.sheet = answering, pictures, self.sheet + 1

    def grow(self) -> None:
        """Draw the knob as the answers tell it; nothing while none said more or none less, or once it is drawn."""
        answering, answered = self._answering, self.sheet - 1
        if answering.sided and answered not in self.growth:
            strip = Candidate(answering.sketch()).strip(self.model)
            with self._lock:
                self.growth = dict(sorted({**self.growth, answered: strip}.items()))

    def find(self, progress: Progress) -> KnobSet:
        """Find the knob with the answers that there are, as the finder does; the answers stay.

        Raises:
            BadInput: none said more or none less.
        """
        return self._answering.find(progress=progress)

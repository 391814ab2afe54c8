"""Desks: what each open page works on, kept apart by the page's session hash."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import islice
from math import isfinite
from threading import Event, Lock
from typing import Any

from steer.apps.session import Picture, Session
from steer.apps.setting import Setting
from steer.apps.studio.panels import Strip
from steer.knob import Knob

POOL = 32
"""Sliders on the page; a fixed pool, since sliders made on the fly lose what was dialled."""

MOST_DESKS = 1000
"""Open pages that are remembered; the one unused for longest goes first."""


class Desk:
    """One open page: its session, and how far the page shows it.

    Attributes:
        session: what the page turns.
        edition: counted up whenever the sliders are set from here; what was dialled before then is void. 0 until
            the page was opened.
        moved: set at every move of the sliders, for the loop that waits for one.
        easel: held while a picture is made and sent, so that no older one arrives after it.
        shown: the picture that the page shows.
        read: the picture that the page's readings are of.
        read_at: when it was measured, in seconds of `time.perf_counter`.
        readings: the readings, as HTML.
        wants_strips: whether strips are wanted.
        strips: the strips drawn last, in the sliders' order.
        settled: the setting that all of them show.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.edition = 0
        self.moved = Event()
        self.easel = Lock()
        self.shown: Picture | None = None
        self.read: Picture | None = None
        self.read_at = 0.0
        self.readings = ""
        self.wants_strips = True
        self.strips: list[Strip] = []
        self.settled: Setting | None = None
        self._lock = Lock()
        self._newest = 0.0
        self._painter = 0

    @property
    def knobs(self) -> Mapping[str, Knob]:
        """The knobs that have a slider, in the sliders' order: those that came with a recipe, then the shipped."""
        setting = self.session.setting
        shipped = setting.dice.model.knobs
        order = sorted(setting.knobs, key=lambda name: name in shipped)
        return {name: setting.knobs[name] for name in islice(order, POOL)}

    def dial(self, edition: Any, stamp: Any, truncation: Any, amounts: Sequence[Any]) -> None:
        """Set truncation and knobs as the sliders stand, unless newer ones were seen.

        Args:
            edition: the edition of the sliders.
            stamp: the page's clock; requests may overtake each other.
            truncation: see `Session.truncation`.
            amounts: one a slider; what is not a number leaves its knob as it is.
        """
        with self._lock:
            if edition != self.edition or not _is_number(stamp) or stamp < self._newest:
                return
            self._newest = stamp
            if _is_number(truncation) and truncation != self.session.setting.dice.truncation:
                self.session.truncation(float(truncation))
            for (name, knob), amount in zip(self.knobs.items(), amounts, strict=False):
                if _is_number(amount):
                    low, high = slider_range(knob, self.session.setting.amounts.get(name, 0.0))
                    self.session.turn(name, float(min(max(amount, low), high)))
        self.moved.set()

    def set_sliders(self) -> int:
        """Begin a new edition of the sliders and return its number."""
        with self._lock:
            self.edition += 1
            self._newest = 0.0
            return self.edition

    def take_brush(self) -> int:
        """Become the one who paints the page; whoever painted before stops."""
        with self._lock:
            self._painter += 1
            return self._painter

    def holds_brush(self, painter: int) -> bool:
        """Return whether nobody has taken over since."""
        return painter == self._painter


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def slider_range(knob: Knob, amount: float) -> tuple[float, float]:
    """Return the ends of a knob's slider: its range, wide enough for 0 and for where it stands."""
    low, high = knob.range
    return min(low, amount, 0.0), max(high, amount, 0.0)


class Desks:
    """The desks of all open pages.

    Args:
        generators: the generators that may be chosen, by name or folder; the first is what a page begins with.

    Attributes:
        session: a session of no page, for what belongs to none.
    """

    def __init__(self, generators: Sequence[str]) -> None:
        self._generators = tuple(generators)
        self.session = Session(self._generators[0], self._generators)
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._desks)

    def of(self, page: str) -> Desk:
        """Return the desk of a page, laid when it is first asked for."""
        with self._lock:
            if page not in self._desks:
                self._desks[page] = Desk(Session(self._generators[0], self._generators))
                while len(self._desks) > MOST_DESKS:
                    self._desks.popitem(last=False)
            self._desks.move_to_end(page)
            return self._desks[page]

    def clear(self, page: str) -> None:
        """Forget a page."""
        with self._lock:
            self._desks.pop(page, None)

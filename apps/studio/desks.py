"""Desks: what each open page works on, kept apart by the page's session hash."""

import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import BoundedSemaphore, Lock
from typing import Any, TypeGuard, TypeVar

from torch import Tensor

from steer.apps.session import Picture, Session
from steer.apps.setting import Setting
from steer.directions.plausible import LIMITS
from steer.errors import Cancelled
from steer.knob import Knob, is_round

Result = TypeVar("Result")

MOST_DESKS = 1000
"""Open pages that are remembered; the one unused for longest goes first."""

MOST_CALLS = 4
"""Calls of one page that are answered at a time; a page itself never makes more."""

BEYOND = 0.15
"""How far a slider goes on beyond the plausible range, in parts of its width."""


STEPS: Mapping[str, float] = {"degree": 1.0, "sigma": 0.05}
SMALL_STEPS = 200
"""Steps over the range of a knob in any other unit."""


class Desk:
    """One open page: its session, and how far the page shows it.

    Attributes:
        session: what the page turns.
        key: what the page proves itself with; nobody can guess it.
        revision: counted up whenever the controls are set from here; what was turned on the page before then is void.
            0 until the page was opened.
        travels: the ends of each knob's slider, as the controls were set.
        calls: taken for every call of the page.
        shown: the picture that the page shows.
        thumbs: an address of a small picture of each step of the history.
        ticks: counted up whenever the page shall look again, though none of its knobs was moved.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.key = secrets.token_urlsafe(16)
        self.revision = 0
        self.travels: Mapping[str, tuple[float, float]] = {}
        self.calls = BoundedSemaphore(MOST_CALLS)
        self.shown: Picture | None = None
        self.thumbs: dict[Setting, str] = {}
        self.ticks = 0
        self._told: tuple[Any, ...] = ()
        self._lock = Lock()
        self._newest = 0.0

    @property
    def knobs(self) -> Mapping[str, Knob]:
        """The knobs in the order of the page: those that came with a recipe, then the shipped."""
        setting = self.session.setting
        shipped = setting.dice.model.knobs
        order = sorted(setting.knobs, key=lambda name: name in shipped)
        return {name: setting.knobs[name] for name in order}

    def revise(self) -> int:
        """Void what the page turned until now, since its controls are set anew; return the revision's number.

        Where the knobs stand as the page has them nothing is void, so that no move under way is lost.
        """
        with self._lock:
            return self._revise()

    def do(self, verb: Callable[[Session], Result]) -> Result:
        """Do something with the session; where that moves knobs, what was turned on the page before then is void."""
        with self._lock:
            result = verb(self.session)
            self._revise()
            return result

    def move(self, revision: Any, stamp: Any, amounts: Mapping[str, Any], windows: Mapping[str, Any]) -> None:
        """Turn the knobs as they stand on the page, unless newer moves were seen; what is no number turns nothing.

        Args:
            revision: that of the page's controls.
            stamp: the page's clock; calls may overtake each other.
            amounts: how far each knob is turned; beyond the end of its slider it stops there.
            windows: start and end of the windows that were moved.
        """
        with self._lock:
            if revision != self.revision or not is_number(stamp) or stamp < self._newest:
                return
            self._newest = stamp
            for name, (low, high) in self.travels.items():
                amount, window = amounts.get(name), windows.get(name)
                if is_number(amount):
                    self.session.turn(name, float(min(max(amount, low), high)))
                if _is_pair(window):
                    self.session.window(name, float(window[0]), float(window[1]))
            self._told = self._stand()

    def glimpse(self, setting: Setting) -> Tensor:
        """Return the first bird of a setting, (1, 3, height, width): as it is shown if it is, else as a draft."""
        shown = self.shown
        return shown.pixels[:1] if shown is not None and shown.setting is setting else self.session.glimpse(setting)

    def _revise(self) -> int:
        if not self.revision or self._stand() != self._told:
            self._told = self._stand()
            amounts = self.session.setting.amounts
            self.travels = {name: travel(knob, amounts.get(name, 0.0)) for name, knob in self.knobs.items()}
            self.revision += 1
            self._newest = 0.0
        return self.revision

    def _stand(self) -> tuple[Any, ...]:
        """Return how the knobs stand."""
        setting = self.session.setting
        return dict(setting.knobs), dict(setting.amounts), dict(setting.windows)

    def check(self, stamp: Any) -> None:
        """Do nothing while no newer move than the one of this stamp was made.

        Raises:
            Cancelled: there was one, so that whatever is made for the older one is of no use.
        """
        if not is_number(stamp) or stamp < self._newest:
            raise Cancelled("a newer move was made")


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value that came from a page is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_pair(value: Any) -> TypeGuard[Sequence[float]]:
    return isinstance(value, Sequence) and len(value) == 2 and all(map(is_number, value))


def travel(knob: Knob, amount: float) -> tuple[float, float]:
    """Return the ends of a knob's slider: a little beyond its range, and as far as 0 and where it stands.

    A circle has no beyond, and a range that ends where knobs were measured to at all has none there either.
    """
    low, high = knob.range
    more = 0.0 if is_round(knob) else BEYOND * (high - low)
    limit = LIMITS.get(knob.unit, max(-low, high) + more)
    low, high = min(max(low - more, -limit), low), max(min(high + more, limit), high)
    step = step_of(knob)
    return math.floor(min(low, amount, 0.0) / step) * step, math.ceil(max(high, amount, 0.0) / step) * step


def step_of(knob: Knob) -> float:
    """Return the step of a knob's slider, in the knob's unit."""
    low, high = knob.range
    return STEPS.get(knob.unit, (high - low) / SMALL_STEPS)


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
        self._by_key: dict[str, str] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._desks)

    def of(self, page: str) -> Desk:
        """Return the desk of a page, laid when it is first asked for."""
        with self._lock:
            if page not in self._desks:
                desk = self._desks[page] = Desk(Session(self._generators[0], self._generators))
                self._by_key[desk.key] = page
                while len(self._desks) > MOST_DESKS:
                    self._forget(next(iter(self._desks)))
            self._desks.move_to_end(page)
            return self._desks[page]

    def with_key(self, key: Any) -> Desk | None:
        """Return the desk of the page that has this key, if there is one."""
        with self._lock:
            page = self._by_key.get(key) if isinstance(key, str) else None
            if page is None:
                return None
            self._desks.move_to_end(page)
            return self._desks[page]

    def clear(self, page: str) -> None:
        """Forget a page."""
        with self._lock:
            self._forget(page)

    def _forget(self, page: str) -> None:
        desk = self._desks.pop(page, None)
        if desk is not None:
            del self._by_key[desk.key]

"""Jobs: long work beside the page, with how far it is, how long it will take, and a way to stop it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event, Thread
from time import perf_counter
from typing import Any, Generic, TypeVar

from steer.errors import Cancelled
from steer.progress import Progress

Result = TypeVar("Result")

TICK = 0.25
"""Seconds between two looks at a job."""

HEAVY: dict[str, Any] = {
    "concurrency_id": "heavy",
    "concurrency_limit": 1,
    "show_progress": "minimal",
    "api_visibility": "private",
}
"""How what starts a job is listened to: one job at a time on the whole server, the others wait and see their place."""


@dataclass(frozen=True)
class Pace:
    """How far a job is.

    Attributes:
        done: how much is done.
        total: how much there is; 0 as long as nobody knows.
        seconds: since it began.
    """

    done: int
    total: int
    seconds: float

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1; None as long as nobody knows."""
        return min(self.done / self.total, 1.0) if self.total > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """How long it will still take at the pace so far; None as long as nobody knows.

        >>> Pace(done=25, total=100, seconds=10).seconds_left
        30.0
        """
        return self.seconds / self.share - self.seconds if self.share else None


class Job(Generic[Result]):
    """Work that goes on in a thread of its own while a page watches it.

    Args:
        work: does it, calling back as it goes on; the callback raises `Cancelled` once the job was stopped.
    """

    def __init__(self, work: Callable[[Progress], Result]) -> None:
        self._work = work
        self._stopped, self._ended = Event(), Event()
        self._begun = perf_counter()
        self._counted = (0, 0)
        self._outcome: Callable[[], Result] = self._unfinished

    @property
    def pace(self) -> Pace:
        """How far it is now."""
        return Pace(*self._counted, perf_counter() - self._begun)

    def watch(self) -> Iterator[Pace]:
        """Begin, and yield how far it is until it ends; whoever stops watching stops the job."""
        self._begun = perf_counter()
        Thread(target=self._run, daemon=True).start()
        try:
            while not self._ended.wait(TICK):
                yield self.pace
        finally:
            self.stop()

    def stop(self) -> None:
        """Let the work end at its next sign of life."""
        self._stopped.set()

    def result(self) -> Result:
        """Return what came of it.

        Raises:
            Cancelled: it was stopped.
            Exception: whatever the work raised.
        """
        return self._outcome()

    def _run(self) -> None:
        try:
            result = self._work(self._count)
        except BaseException as error:
            raised = error  # the name after `as` is gone when the block ends

            def fail() -> Result:
                raise raised

            self._outcome = fail
        else:
            self._outcome = lambda: result
        self._ended.set()

    def _count(self, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise Cancelled("this was stopped before it was done")
        self._counted = (done, total)

    def _unfinished(self) -> Result:
        raise Cancelled("this was stopped before it was done")

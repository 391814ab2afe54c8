"""Jobs: long work beside the page, with how far it is, how long it will take, and a way to stop it."""

from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from threading import Condition, Event, Thread
from time import perf_counter
from typing import Any, Generic, TypeVar

from steer.errors import Cancelled
from steer.progress import Progress

Result = TypeVar("Result")

TICK = 0.25
"""Seconds between two looks at a job."""


@dataclass(frozen=True)
class Pace:
    """How far a job is.

    Attributes:
        done: how much is done.
        total: how much there is; 0 as long as nobody knows.
        seconds: since it began.
        ahead: how many others come before it begins.
    """

    done: int
    total: int
    seconds: float
    ahead: int = 0

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


class Line:
    """Jobs one behind the other: the first is at work, the others wait."""

    def __init__(self) -> None:
        self._jobs: list[Job[Any]] = []
        self._moved = Condition()

    def join(self, job: "Job[Any]") -> None:
        """Let a job stand behind the others."""
        with self._moved:
            self._jobs.append(job)

    def ahead(self, job: "Job[Any]") -> int:
        """Return how many come before a job."""
        with self._moved:
            return self._jobs.index(job) if job in self._jobs else 0

    def wait(self, job: "Job[Any]") -> None:
        """Return once a job is the first, or has left."""
        with self._moved:
            self._moved.wait_for(lambda: job not in self._jobs or self._jobs[0] is job)

    def leave(self, job: "Job[Any]", *, waiting: bool = False) -> None:
        """Let a job out of the line, or only if it still waits."""
        with self._moved:
            if job in self._jobs[int(waiting) :]:
                self._jobs.remove(job)
                self._moved.notify_all()


class Job(Generic[Result]):
    """Work that goes on in a thread of its own while a page watches it.

    Args:
        work: does it, calling back as it goes on; the callback raises `Cancelled` once the job was stopped.
        line: where it waits for its turn.
    """

    def __init__(self, work: Callable[[Progress], Result], line: Line) -> None:
        self._work, self._line = work, line
        self._stopped, self._over = Event(), Event()
        self._begun = perf_counter()
        self._counted = (0, 0)
        self._outcome: Callable[[], Result] = self._unfinished

    @property
    def pace(self) -> Pace:
        """How far it is now."""
        return Pace(*self._counted, perf_counter() - self._begun, self._line.ahead(self))

    def watch(self) -> Iterator[Pace]:
        """Begin as soon as it is its turn, and yield how far it is until it ends or is stopped.

        Whoever stops watching stops the job.
        """
        self._line.join(self)
        Thread(target=copy_context().run, args=(self._run,), daemon=True).start()
        try:
            yield self.pace
            while not self._over.wait(TICK):
                yield self.pace
        finally:
            self.stop()

    def stop(self) -> None:
        """Let nobody wait for it any longer; the work ends at its next sign of life, and the next in line goes on."""
        self._stopped.set()
        self._line.leave(self, waiting=True)
        self._over.set()

    def result(self) -> Result:
        """Return what came of it.

        Raises:
            Cancelled: it was stopped.
            Exception: whatever the work raised.
        """
        return self._outcome()

    def _run(self) -> None:
        self._line.wait(self)
        self._begun = perf_counter()
        try:
            if not self._stopped.is_set():
                result = self._work(self._count)
                self._outcome = lambda: result
        except BaseException as error:
            raised = error  # the name after `as` is gone when the block ends

            def fail() -> Result:
                raise raised

            self._outcome = fail
        self._line.leave(self)
        self._over.set()

    def _count(self, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise Cancelled("this was stopped before it was done")
        self._counted = (done, total)

    def _unfinished(self) -> Result:
        raise Cancelled("this was stopped before it was done")

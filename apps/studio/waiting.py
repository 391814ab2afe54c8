"""The line that shows a job: a bar, how long it will still take, and a button that stops it."""

from collections.abc import Callable, Generator
from html import escape
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import gradio as gr

from steer.apps.studio.desks import Desk
from steer.apps.studio.frame import QUIET, Frame
from steer.apps.studio.jobs import Job, Pace
from steer.errors import Cancelled
from steer.progress import Progress

Result = TypeVar("Result")


class Waiting:
    """The place on a tab where its job is shown; empty while there is none.

    What starts a job is listened to under `EACH`. A page has one job here at a time, and what starts it is the only one
    to fill and to empty the place. The button merely stops the job: Gradio's own ``cancels`` would close the page's
    stream of results, with every other event on it, and what it empties would be filled again by the job's last sign
    of life.

    Args:
        frame: the frame of the page.
        name: the beginning of the components' ids.
        doing: what is being done, such as "Inverting".
        stop: the word on the button that stops it.
    """

    def __init__(self, frame: Frame, name: str, doing: str, stop: str = "Cancel") -> None:
        self.frame = frame
        self._name, self._doing, self._word = name, doing, stop
        self._jobs: WeakKeyDictionary[Desk, Job[Any]] = WeakKeyDictionary()

    def lay_out(self) -> None:
        """Make the components."""
        with gr.Row(elem_id=f"{self._name}-job", elem_classes="job"):
            self._bar = gr.HTML("", elem_id=f"{self._name}-progress", min_height=0)
            self._stop = gr.Button(self._word, size="sm", visible=False, elem_id=f"{self._name}-cancel", min_width=0)
        self._stop.click(self._halt, None, None, queue=False, **QUIET)

    @property
    def parts(self) -> list[Any]:
        """The components, to be named among the outputs of what starts a job."""
        return [self._bar, self._stop]

    def show(
        self, desk: Desk, work: Callable[[Progress], Result], also: Callable[[], dict[Any, Any]] = dict
    ) -> Generator[dict[Any, Any], None, Result]:
        """Do the work while the page shows how far it is, and return what came of it.

        Args:
            desk: the page's.
            work: see `Job`.
            also: what else the page shows meanwhile.

        Raises:
            Cancelled: it was stopped, or the page has a job here already.
            Exception: whatever the work raised.
        """
        job = Job(work, self.frame.line)
        if self._jobs.setdefault(desk, job) is not job:
            raise Cancelled("this page is at it already")
        try:
            for pace in job.watch():
                yield {self._bar: self._html(pace), self._stop: gr.Button(visible=True), **also()}
        finally:
            del self._jobs[desk]
        return job.result()

    def idle(self, desk: Desk) -> dict[Any, Any]:
        """Return what empties the place, unless the page has a job here."""
        if desk in self._jobs:
            return {self._bar: gr.skip(), self._stop: gr.skip()}
        return {self._bar: "", self._stop: gr.Button(visible=False)}

    def _halt(self, request: gr.Request) -> None:
        if job := self._jobs.get(self.frame.anyone(request)):
            job.stop()

    def _html(self, pace: Pace) -> str:
        if pace.ahead:
            others = "one other job" if pace.ahead == 1 else f"{pace.ahead} other jobs"
            return f'<p class="pace"><b>Waiting</b><span>{others} first</span></p><progress max="1"></progress>'
        share = f' value="{pace.share:.4f}"' if pace.share is not None else ""
        left = f"{_spoken(pace.seconds_left)} left" if pace.seconds_left is not None else "no telling how long yet"
        counted = f"{pace.done} of {pace.total}" if pace.total else ""
        return (
            f'<p class="pace"><b>{escape(self._doing)}</b><span>{counted}</span><span>{left}</span></p>'
            f'<progress max="1"{share} aria-label="{escape(self._doing)}"></progress>'
        )


def _spoken(seconds: float) -> str:
    """Write a time as a person says it.

    >>> _spoken(0.2), _spoken(42.4), _spoken(100)
    ('1 s', '42 s', '2 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"

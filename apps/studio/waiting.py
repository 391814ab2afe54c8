"""The line that shows a job: a bar, how long it will still take, and a button that stops it."""

from collections.abc import Callable, Generator
from html import escape
from typing import Any, TypeVar

import gradio as gr

from steer.apps.studio.jobs import HEAVY, Job, Pace
from steer.progress import Progress

Result = TypeVar("Result")


class Waiting:
    """The place on a tab where its job is shown; empty while there is none.

    Args:
        name: the beginning of the components' ids.
        doing: what is being done, such as "Inverting".
        stop: the word on the button that stops it.
    """

    def __init__(self, name: str, doing: str, stop: str = "Cancel") -> None:
        self._name, self._doing, self._word = name, doing, stop

    def lay_out(self) -> None:
        """Make the components."""
        with gr.Row(elem_id=f"{self._name}-job", elem_classes="job"):
            self._bar = gr.HTML("", elem_id=f"{self._name}-progress", min_height=0)
            self._stop = gr.Button(self._word, size="sm", visible=False, elem_id=f"{self._name}-cancel", min_width=0)

    @property
    def parts(self) -> list[Any]:
        """The components, to be named among the outputs of what starts a job."""
        return [self._bar, self._stop]

    @property
    def listening(self) -> dict[str, Any]:
        """How what starts a job is listened to."""
        return {**HEAVY, "show_progress_on": [self._bar]}

    def cancel(self, *starts: Any) -> None:
        """Let the button stop what these events started, waiting or at work."""
        self._stop.click(
            self._idle,
            None,
            self.parts,
            cancels=list(starts),
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )

    def show(
        self, work: Callable[[Progress], Result], also: Callable[[], dict[Any, Any]] = dict
    ) -> Generator[dict[Any, Any], None, Result]:
        """Do the work while the page shows how far it is, and return what came of it.

        Args:
            work: see `Job`.
            also: what else the page shows meanwhile.

        Raises:
            Exception: whatever the work raised.
        """
        job = Job(work)
        yield {self._bar: self._html(job.pace), self._stop: gr.Button(visible=True), **also()}
        for pace in job.watch():
            yield {self._bar: self._html(pace), **also()}
        return job.result()

    def idle(self) -> dict[Any, Any]:
        """Return what empties the line."""
        return dict(zip(self.parts, self._idle(), strict=True))

    def _idle(self) -> tuple[Any, Any]:
        return "", gr.Button(visible=False)

    def _html(self, pace: Pace) -> str:
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

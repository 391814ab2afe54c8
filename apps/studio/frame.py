"""The frame that holds the tabs: what they share, and how one lets the others know that the setting changed."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import gradio as gr

from steer.apps.asides import asides
from steer.apps.session import Session
from steer.apps.studio.desks import Desk, Desks
from steer.apps.studio.jobs import Line
from steer.errors import Cancelled, SteerError

TITLE = "latent-steer studio"

QUIET: Mapping[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LATEST: Mapping[str, Any] = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": None}
"""How what a hand does is listened to: while one call runs the newest waits, and it is never lost."""

EACH: Mapping[str, Any] = {**QUIET, "trigger_mode": "multiple", "concurrency_limit": None}
"""How deeds are listened to that must each be done, such as a click on one of several things. What waits under
`LATEST` is called with the data of the event before it, so that a click would do again what the last one did."""

KEPT = [".png", ".jpg", ".jpeg", ".webp", ".json"]
"""Files that may carry a recipe."""

FETCH = """(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""
"""Lets the page fetch the file that was put into a hidden `gr.DownloadButton`."""

log = logging.getLogger(__name__)


@contextmanager
def plainly(hidden: str = "") -> Iterator[None]:
    """Show what goes wrong on the page, in plain words, or is passed over; what is our fault is logged as well.

    Of what was cancelled nothing is said: whoever did it knows.

    Args:
        hidden: a folder of the server, cut from what is shown.
    """
    try:
        with asides(_show_aside):
            yield
    except Cancelled:
        log.info("a job was cancelled")
    except SteerError as error:
        gr.Warning(f"<b>That did not work:</b> {escape(str(error).replace(hidden, ''))}", duration=15)
    except Exception as error:
        log.exception("a defect in the studio")
        gr.Warning(
            f"<b>That did not work.</b> This is a defect of the studio ({escape(type(error).__name__)}); nothing was "
            "changed. Please report it with the lines that the server printed.",
            duration=None,
        )


def _show_aside(line: str) -> None:
    gr.Info(f"<b>Passed over:</b> {escape(line)}", duration=15)


@runtime_checkable
class Tab(Protocol):
    """One tab: its components, and what happens when they are touched.

    Handlers call a verb of the page's `Session` and show what came of it; nothing else is done in them.

    Attributes:
        name: the word on the tab, and its id.
    """

    name: str

    def lay_out(self) -> None:
        """Make the components; called once, within the tab's place on the page."""
        ...

    def wire(self) -> None:
        """Say what happens when they are touched; called once, when every tab is laid out."""
        ...

    def follow(self, event: Any) -> None:
        """Show the page's setting as it stands after an event that changed it, on whatever tab."""
        ...


class Frame:
    """The frame of the page: the masthead, with what concerns every tab, and the tabs.

    Args:
        desks: the desks of all open pages.
        tabs: the tabs' classes, in their order.

    Attributes:
        desks: the desks of all open pages.
        line: where the jobs of all pages wait for their turn.
        demo: the page; there from `lay_out` on.
        pin: the button that pins what is shown, for a walk.
        places: the row of tabs; an event that returns ``gr.Tabs(selected=name)`` for it changes to that tab.
    """

    def __init__(self, desks: Desks, tabs: Sequence[Callable[["Frame"], Tab]]) -> None:
        self.desks = desks
        self.line = Line()
        self._tabs = [tab(self) for tab in tabs]

    def lay_out(self, demo: gr.Blocks) -> None:
        """Lay the page out within the open `gr.Blocks`, and wire it."""
        self.demo = demo
        with gr.Row(elem_id="masthead"):
            gr.HTML(
                '<header class="masthead"><h1>latent-steer <span>studio</span></h1>'
                "<p>Dice in, picture out. Turn a knob, and see what really changed.</p></header>"
            )
            self._generator = gr.Dropdown(
                list(self.desks.session.available),
                value=self.desks.session.available[0],
                label="Generator",
                elem_id="generator",
            )
            self._open = gr.UploadButton(
                "Open a picture made here", file_types=KEPT, size="sm", elem_id="open", min_width=0
            )
            self.pin = gr.Button("Pin", size="sm", elem_id="pin", min_width=0)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as self.places:
            for tab in self._tabs:
                with gr.Tab(tab.name, id=tab.name):
                    tab.lay_out()
        self._wire()
        for tab in self._tabs:
            tab.wire()

    def changed(self, event: Any) -> None:
        """Let every tab show what is set after an event that changed it."""
        event.then(self._show, None, self._generator, **LATEST)
        for tab in self._tabs:
            tab.follow(event)

    def anyone(self, request: gr.Request) -> Desk:
        """Return the desk of a page, laid now if need be."""
        return self.desks.of(str(request.session_hash))

    def desk(self, request: gr.Request) -> Desk:
        """Return the desk of a page.

        Raises:
            SteerError: it was left alone for so long that it was forgotten.
        """
        desk = self.anyone(request)
        if desk.revision == 0:
            raise SteerError("this page was left alone for so long that it was forgotten; reload it")
        return desk

    def do(self, request: gr.Request, verb: Callable[[Session], object]) -> Desk:
        """Do something with the page's session, show what goes wrong, and return the desk."""
        with plainly():
            self.desk(request).do(verb)
        return self.anyone(request)

    def _wire(self) -> None:
        self.changed(self.demo.load(self._begin, None, None, **LATEST))
        self.changed(self._generator.input(self._use, self._generator, None, **LATEST))
        self.changed(self._open.upload(self._restore, self._open, None, **LATEST))
        self.demo.unload(self._leave)

    def _begin(self, request: gr.Request) -> None:
        self.anyone(request).revise()

    def _leave(self, request: gr.Request) -> None:
        self.desks.clear(str(request.session_hash))

    def _use(self, request: gr.Request, generator: str) -> None:
        if not self.anyone(request).session.is_ready(generator):
            gr.Info(f"Loading {generator}; that takes some seconds, but only the first time.")
        self.do(request, lambda session: session.use(generator))

    def _restore(self, request: gr.Request, path: str) -> None:
        with plainly(hidden=f"{Path(path).parent}/"):
            if note := self.desk(request).do(lambda session: session.restore(path)):
                gr.Info(note)

    def _show(self, request: gr.Request) -> str:
        return self.anyone(request).session.setting.generator.name

"""Build the page and serve it."""

import sys
from collections.abc import Callable, Sequence
from itertools import dropwhile
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import gradio as gr
from gradio.events import api

from steer.apps.setting import shared_model
from steer.apps.studio.desks import Desks
from steer.apps.studio.endpoints import endpoints
from steer.apps.studio.frame import TITLE, Frame
from steer.apps.studio.look import THEME
from steer.apps.studio.tabs import TABS
from steer.errors import BadInput, SteerError
from steer.registry import list_generators, needs_folder

BEST = ("aviary-biggan", "aviary")
"""What a page begins with where nothing is asked for: the first of these that can be loaded."""

FIRST_PORT = 7860
PORTS_TRIED = 100

LARGEST_UPLOAD = "32mb"
SWEEP_EVERY, SWEEP_AFTER = 60, 600
"""Seconds between two sweeps of the server's temporary files, and how old a file is then."""

PAUSE = 0.1
"""Seconds between two looks at whether the page is still served."""

FOLDER = Path(__file__).parent
SCRIPTS = ("studio.js", "pump.js", "view.js", "board.js", "dial.js", "pad.js", "colour.js", "drawing.js")
"""In the order in which they build on each other."""

Auth = tuple[str, str] | list[tuple[str, str]] | Callable[[str, str], bool]


def offered_generators() -> list[str]:
    """Return the names of the generators that come with what they need, the best first.

    None of them is loaded by that: it takes seconds, so each is when somebody chooses it.
    """
    names = [entry.name for entry in list_generators() if _complete(entry.name)]
    return [name for name in BEST if name in names] + [name for name in names if name not in BEST]


def _complete(name: str) -> bool:
    try:
        return not needs_folder(name)
    except (SteerError, ImportError, AttributeError):  # one broken plugin must not hide the others
        return False


def _fails(name: str) -> bool:
    try:
        shared_model(name)
    except (SteerError, ImportError, OSError):
        return True
    return False


def build(generators: Sequence[str] | None = None) -> gr.Blocks:
    """Build the page.

    Args:
        generators: names or folders of the generators that may be chosen, the first to begin with; by default all
            that come with what they need, from the first that loads on.

    Raises:
        SteerError: the first cannot be loaded.
    """
    generators = list(dropwhile(_fails, offered_generators())) if generators is None else list(generators)
    if not generators:
        raise BadInput("there is no generator to show; see: steer list generators")
    desks = Desks(generators)
    Thread(target=_warm_up, args=(desks,)).start()  # until a browser has fetched the page
    with gr.Blocks(title=TITLE, delete_cache=(SWEEP_EVERY, SWEEP_AFTER), analytics_enabled=False) as demo:
        Frame(desks, TABS).lay_out(demo)
        for endpoint in endpoints(desks, demo.GRADIO_CACHE):
            api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)
    demo.queue(api_open=False, default_concurrency_limit=None)
    return demo


def _warm_up(desks: Desks) -> None:
    """Make one picture and measure it, so that the first page is as quick as the next."""
    desks.session.readings(desks.session.picture(draft=True))


def launch(
    generator: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    auth: Auth | None = None,
    share: bool = False,
    open_browser: bool = True,
    block: bool = True,
) -> gr.Blocks:
    """Serve the studio until it is stopped.

    In a notebook, where an event loop is running already, ``launch(block=False)`` serves it while other cells run;
    ``close()`` on what it returns ends that.

    Args:
        generator: what pages begin with, a name or a folder of weights; by default the best that is here.
        host: address to listen on; the default can be reached from this machine only.
        port: port to listen on; by default 7860, or the next that is free.
        auth: user name and password, or several, or a function that checks them.
        share: ask Gradio's servers for a public address.
        open_browser: show the page in the browser.
        block: stay until the server is stopped.

    Returns:
        The page, which is being served if ``block`` is off.

    Raises:
        SteerError: the generator cannot be loaded, or the port is taken.
    """
    others = [name for name in offered_generators() if name != generator]
    demo = build(None if generator is None else [generator, *others])
    try:
        demo.launch(
            server_name=host,
            server_port=port,
            auth=auth,
            share=share,
            inbrowser=open_browser,
            prevent_thread_lock=True,
            _frontend=False,  # it would ask for the page once more, and give up where that takes three seconds
            **look(),
        )
    except OSError as error:
        where = f"port {port}" if port else "no port"
        raise BadInput(f"{where} of {host} can be used ({error}); choose another with --port") from error
    sys.stdout.flush()  # whoever reads the address through a pipe waits for it
    if block:
        stay(demo)
    return demo


def stay(page: gr.Blocks) -> None:
    """Wait until a page that is served is closed; where the process is stopped before, close it."""
    try:
        while page.is_running:
            sleep(PAUSE)
    finally:
        page.close(verbose=False)


def look() -> dict[str, Any]:
    """Return how the page looks and what it lets in, as `gradio.Blocks.launch` takes it."""
    return {
        "theme": THEME,
        "css_paths": [FOLDER / "studio.css", *sorted((FOLDER / "tabs").glob("*.css"))],
        "head": "".join(f"<script>{(FOLDER / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS),
        "max_file_size": LARGEST_UPLOAD,
        "ssr_mode": False,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "show_error": False,
    }

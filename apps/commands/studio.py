"""`steer studio`: the page with the sliders."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from steer.apps.commands.typed import complete_generator
from steer.errors import BadInput


def studio(
    generator: Annotated[
        str | None,
        typer.Argument(
            metavar="GENERATOR",
            help="What to begin with; by default the best that is here.",
            autocompletion=complete_generator,
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="By default 7860, or the next that is free.")] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="0.0.0.0 to let other machines in; think of --auth then.")
    ] = "127.0.0.1",
    share: Annotated[bool, typer.Option("--share", help="Ask Gradio's servers for a public address.")] = False,
    auth: Annotated[
        str | None, typer.Option(metavar="USER:PASSWORD", envvar="STEER_AUTH", help="Let in who knows these.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
) -> None:
    """Open the studio: knobs on sliders, in the browser.

    Example: steer studio aviary-biggan --port 8000
    """
    if port is not None and not 1 <= port <= 65535:
        raise BadInput(f"a port is 1 to 65535, not {port}")
    user, colon, password = (auth or "").partition(":")
    if auth is not None and not (user and colon and password):
        raise BadInput("--auth is written USER:PASSWORD")

    # Gradio asks matplotlib at every event what it draws on, which would look for a screen before the first picture.
    os.environ.setdefault("MPLBACKEND", "agg")
    # The threads of a computation wait for each other asleep. Awake they would keep processors from the browser, and
    # where it takes one all the same, wait in vain: a pass of a diffusion model then takes up to ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with _unswept():
        from steer.apps.studio import launch, stay

        page = launch(
            generator,
            host=host,
            port=port,
            share=share,
            auth=(user, password) if auth else None,
            open_browser=not no_browser and _has_screen(),
            block=False,
        )
    stay(page)


@contextmanager
def _unswept() -> Iterator[None]:
    """Let nobody look for garbage among what is made here, now or later: it is much, and stays until the end.

    To look through it again and again is a seventh of the time that the studio takes to open.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _has_screen() -> bool:
    """Whether a browser has a screen to open on; on a bare server a text browser would take the terminal."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))

"""`steer studio`: the page with the sliders."""

import os
import sys
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

    from steer.apps.studio import launch

    launch(
        generator,
        host=host,
        port=port,
        share=share,
        auth=(user, password) if auth else None,
        open_browser=not no_browser and _has_screen(),
    )


def _has_screen() -> bool:
    """Whether a browser has a screen to open on; on a bare server a text browser would take the terminal."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))

"""What a verb shows and writes: results on stdout, progress on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from steer.errors import BadInput

if TYPE_CHECKING:
    from steer.generator import Generator
    from steer.layout import Layout

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
FILMS = (".mp4", ".gif", ".webp")
FIGURES = (".png", ".pdf", ".svg")
RECIPES = (".json",)
TABLES = (".csv",)
TENSORS = (".safetensors",)

SMALLEST_FILM = 256
"""Height, in pixels, that small pictures are enlarged to in films."""

LINE_EVERY = 30
"""Seconds between two lines on progress, where no bar can be shown."""

Report = Callable[[int, int], None]


class _Enough(Exception):
    """Leaves a file's block before anything is written."""


def check_out(path: Path | None, suffixes: Sequence[str]) -> None:
    """Check that a file can be written, before any long work is done for it.

    Raises:
        BadInput: its suffix says no format that is known, or its folder cannot take it.
    """
    from steer.files import atomic_path

    if path is None:
        return
    known = dict.fromkeys(suffixes)
    if path == Path():
        raise BadInput(f"the file to write has no name; give one that ends in {', '.join(known)}")
    if path.suffix.lower() not in suffixes:
        kind = f"as '{path.suffix}'" if path.suffix else "without a suffix"
        raise BadInput(f"'{path}' cannot be written {kind}; end its name in {', '.join(known)}")
    try:
        with atomic_path(path):
            raise _Enough
    except _Enough:
        pass


def check_folder(path: Path) -> None:
    """Check that a folder is there or can be made, before any long work is done for it.

    Raises:
        BadInput: it can be neither.
    """
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise BadInput(f"cannot make the folder '{path}' in '{there}'; choose another")


class _Lines:
    """Lines on stderr that say how far something is: none for what is quick, and never many."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = self._said = monotonic()

    def report(self, done: int, total: int) -> None:
        """Say how far it is, if nothing was said for long."""
        now = monotonic()
        if now - self._said < LINE_EVERY:
            return
        self._said = now
        left = f", about {(now - self._begun) * (total - done) / done:.0f} s left" if 0 < done <= total else ""
        of = f" of {total}" if total else ""
        sys.stderr.write(f"steer: {self._what}: {done}{of}{left}\n")
        sys.stderr.flush()


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """Yield a callback that moves a bar on stderr, or where that is no terminal says a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines(what).report
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def film_layout(scale: int | None, generator: "Generator") -> "Layout":
    """Return how the pictures of a film lie; left out, the scale makes small ones large enough to look at."""
    from steer.layout import Layout

    return Layout(scale=max(1, -(-SMALLEST_FILM // generator.backend.picture_size[0])) if scale is None else scale)


def say(text: str) -> None:
    """Print a line of results."""
    sys.stdout.write(f"{text}\n")


def say_aside(text: str) -> None:
    """Say on stderr what is worth knowing, and no reason to stop."""
    sys.stderr.write(f"steer: note: {text}\n")


def say_written(path: Path, what: str) -> None:
    """Print which file was written and what is in it."""
    say(f"{path}: {what}")


def say_json(value: Any) -> None:
    """Print JSON."""
    say(json.dumps(value, indent=1, ensure_ascii=False))


def say_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, as wide as the terminal, or as wide as it is where no terminal shows it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 4096
    Console(file=sys.stdout, width=width, markup=False, highlight=False).print(table)

"""Asides: what was passed over on the way is said to whoever asked for the work, and to nobody else."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from steer.errors import SteerWarning

Say = Callable[[str], object]

_hearing: ContextVar[Say | None] = ContextVar("hearing", default=None)
_installing = Lock()
_usual: Callable[..., Any] = warnings.showwarning


@contextmanager
def asides(say: Say) -> Iterator[None]:
    """Say the toolkit's warnings in one line each, and none twice; those of others go their usual way.

    Only those of this thread, and of threads that were begun in a copy of its context: a server does the work of many.
    `warnings.catch_warnings` would mix them up.
    """
    said: set[str] = set()

    def hear(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    _listen()
    before = _hearing.get()
    _hearing.set(hear)
    try:
        yield
    finally:
        _hearing.set(before)  # no token: a generator may go on in another copy of the context


def _listen() -> None:
    """Let warnings come by here, unless they do."""
    global _usual
    with _installing:
        if warnings.showwarning is not _pass_on:
            _usual = warnings.showwarning
            warnings.showwarning = _pass_on
        warnings.simplefilter("always", SteerWarning)


def _pass_on(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    hear = _hearing.get()
    if hear is None or not issubclass(category, SteerWarning):
        _usual(message, category, *place, **more)
    else:
        hear(" ".join(f"{message}".split()))

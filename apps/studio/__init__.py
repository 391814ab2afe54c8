"""The studio: the page where people turn the knobs."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Gradio reads these when it is imported. It would report to another host, and tabulate all past events at each new one.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", f"{10**9}")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")


@contextmanager
def _without_stubs() -> Iterator[None]:
    """Keep Gradio from writing type stubs beside its components, which is two fifths of the time its import takes.

    It leaves out classes that stand in no file, so for this while its own do not.
    """
    find = inspect.getfile

    def find_others(object: Any) -> str:
        if inspect.isclass(object) and object.__module__.startswith("gradio."):
            raise FileNotFoundError(f"{object} is a class of Gradio's")
        return find(object)

    inspect.getfile = find_others
    try:
        yield
    finally:
        inspect.getfile = find


with _without_stubs():
    from steer.apps.studio.serving import build, launch

__all__ = ["build", "launch"]

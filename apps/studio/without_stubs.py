"""Importing Gradio without the type stubs that it writes beside its components, two fifths of the time of its import.

Gradio 6 has no setting for that: as each class of a component is made, ``gradio.component_meta`` reads the file that it
stands in, parses it, and writes a ``.pyi`` beside it, for editors. It passes over classes that stand in no file, which
it asks ``inspect.getfile`` about, and so do we.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_stubs() -> Iterator[None]:
    """Let classes of Gradio's stand in no file for as long as the block lasts; all others stand where they do."""
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

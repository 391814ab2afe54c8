"""Asking a person about pictures, on the terminal and a sheet beside it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from steer.apps.commands.writing import say_aside
from steer.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

Answer = Literal["more", "less", "skip"]


def asking(what: str | None, sheet: Path) -> "Callable[[Tensor, int], list[Answer]]":
    """Return what shows pictures on a sheet, numbered, and asks which show more of something, and which less.

    Args:
        what: what is asked about; None for what only the person knows.
        sheet: the file of the sheet, written anew for every batch.

    Raises:
        BadInput: nobody sits at a terminal.
    """
    if not sys.stdin.isatty():
        raise BadInput(
            "nobody can be asked: 'steer find clicks' asks on a terminal; without one, answer in Python: "
            "steer.find('clicks', generator, ask=FUNCTION)"
        )
    of = what or "of it"

    def ask(pictures: "Tensor", left: int) -> "list[Answer]":
        from steer.pictures import save_picture
        from steer.pictures import sheet as laid_out

        count = len(pictures)
        save_picture(laid_out(pictures, captions=[str(number) for number in range(1, count + 1)]), sheet)
        more_to_come = f"{left - 1} more sheet{'s' if left > 2 else ''} after it" if left > 1 else "the last sheet"
        say_aside(f"look at {sheet} ({more_to_come})")
        say_aside("answer with numbers such as 1 4, or Enter for none; all others are skipped")
        more = _numbers(f"more {of}: ", count, taken=set())
        less = _numbers(f"less {of}: ", count, taken=more)
        return ["more" if row in more else "less" if row in less else "skip" for row in range(1, count + 1)]

    return ask


def _numbers(question: str, count: int, taken: set[int]) -> set[int]:
    """Ask until the answer is some of the numbers 1 to ``count`` that are not taken, or none."""
    while True:
        sys.stderr.write(question)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise BadInput("nobody answers: 'steer find clicks' asks on a terminal; in Python give ask=FUNCTION")
        words = line.replace(",", " ").split()
        numbers = {int(word) for word in words if word.isdecimal()}
        if len(words) == len(numbers) and numbers <= set(range(1, count + 1)) - taken:
            return numbers
        say_aside(f"answer with numbers from 1 to {count}, each of them once, or with nothing at all")

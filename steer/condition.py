"""Conditions: what a generator can be asked for, and the text in which that is written down."""

import base64
import binascii
import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image, UnidentifiedImageError

from steer.errors import BadInput, SteerWarning, UnknownName
from steer.prepare import PictureSource, Prepared, prepare
from steer.shapes import Pictures

ConditionKind = Literal["label", "text", "picture", "number"]

Asked = float | PictureSource
"""What a condition is asked by: a text, a number, or a picture in any form."""

PNG_PREFIX = "data:image/png;base64,"

UNREADABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError)
"""What Pillow raises where something is no picture, or one that is too large."""


@dataclass(frozen=True)
class Condition:
    """Something a generator can be asked for.

    Attributes:
        name: its name, such as "label".
        kind: how it is given.
        choices: the names there are, for labels.
        summary: one line for a person.
        colours: of a picture that a person may draw on white paper, what its colours stand for, each with its red,
            green and blue, 0 to 255; empty where any colour will do.
    """

    name: str
    kind: ConditionKind
    choices: tuple[str, ...] = ()
    summary: str = ""
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)

    def rows(self, asked: Asked | Sequence[Asked], count: int, size: tuple[int, int]) -> list[str]:
        """Write down what is asked for, an entry for each of ``count`` rows, as latents and recipes hold it.

        Args:
            asked: one for all rows, or one a row: a label or text, a number, or a picture in any form.
            count: how many rows there are.
            size: height and width of the generator's pictures, in pixels.

        Warns:
            SteerWarning: a picture has another shape than the generator's, and was cropped.

        Raises:
            BadInput: there are neither one nor ``count``, or one is not of the condition's kind.
            UnknownName: there is no such label.
        """
        each: Sequence[Asked] = [asked] if isinstance(asked, str) or not isinstance(asked, Sequence) else asked
        if len(each) not in (1, count):
            raise BadInput(f"condition '{self.name}' takes one entry, or one for each of {count}, not {len(each)}")
        entries = [_ENTRIES[self.kind](self, one, size) for one in each]
        return entries if len(entries) == count else entries * count


def _label(condition: Condition, asked: Asked, size: tuple[int, int]) -> str:
    if condition.choices and asked not in condition.choices:
        raise UnknownName(condition.name, f"{asked}", condition.choices)
    return f"{asked}"


def _number(condition: Condition, asked: Asked, size: tuple[int, int]) -> str:
    try:
        number = float(asked)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{condition.name} is a number, not '{asked!s:.40}'")
    return repr(number)


def _picture(condition: Condition, asked: Asked, size: tuple[int, int]) -> str:
    if isinstance(asked, str) and asked.startswith(PNG_PREFIX):
        return asked
    prepared = prepare(asked, size)  # type: ignore[arg-type]
    left, upper, right, lower = prepared.box
    if (right - left, lower - upper) != prepared.size:
        cropped = next(note for note in prepared.notes if note.startswith("cropped"))
        warnings.warn(f"the {condition.name} was {cropped}", SteerWarning, stacklevel=5)
    return _as_url(prepared)


_ENTRIES: Mapping[ConditionKind, Callable[[Condition, Asked, tuple[int, int]], str]] = {
    "label": _label,
    "text": lambda condition, asked, size: f"{asked}",
    "picture": _picture,
    "number": _number,
}


def as_entry(picture: PictureSource, size: tuple[int, int]) -> str:
    """Return a picture of any form as the entry of a condition: a PNG as a data URL.

    Args:
        picture: a file, an image, an array or a tensor; see `steer.prepare.prepare`.
        size: height and width to bring it to, in pixels; the generator's `picture_size`.

    Raises:
        BadInput: it is no picture.
    """
    return _as_url(prepare(picture, size))


def _as_url(prepared: Prepared) -> str:
    return PNG_PREFIX + base64.b64encode(prepared.png).decode("ascii")


def read_entry(entry: str, size: tuple[int, int]) -> Pictures:
    """Return the picture in the entry of a condition, (1, 3, height, width) in [0, 1], brought to a size.

    Raises:
        BadInput: it is not the data URL of a picture.
    """
    try:
        data = base64.b64decode(entry.removeprefix(PNG_PREFIX), validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return prepare(image, size).picture
    except (*UNREADABLE, binascii.Error) as error:
        raise BadInput(
            f"'{entry:.40}' is not the data URL of a PNG, '{PNG_PREFIX}…', as recipes hold pictures that were asked for"
        ) from error

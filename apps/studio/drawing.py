"""The drawing pad as the page is told about it, and what it sends; `drawing.js` draws it."""

import base64
import binascii
import hashlib
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from steer.apps.session import Session
from steer.apps.setting import STRENGTH, STRONGEST, Dice
from steer.apps.studio.desks import Desk, is_number
from steer.apps.studio.panels import plain
from steer.condition import PNG_PREFIX, UNREADABLE, Condition, as_entry
from steer.errors import BadInput

PAPER = (255, 255, 255)

THIN, THICK = 40, 10
"""Parts of the picture's width that a line, and a brush that paints areas or rubs out, is wide to begin with."""


def describe_drawing(desk: Desk) -> dict[str, Any]:
    """Describe the pad of a desk: what can be drawn there, and the drawing that is followed."""
    dice = desk.session.setting.dice
    size = height, width = dice.model.generator.backend.picture_size
    desk.ticks += 1
    return {
        "tick": desk.ticks,
        "generator": dice.model.generator.name,
        "width": width,
        "height": height,
        "kinds": [_kind(name, each, width) for name, each in dice.model.drawings.items()],
        "kind": dice.drawing_kind,
        "address": None if dice.drawing is None else as_entry(dice.drawing, size),
        "strength": dice.strength if STRENGTH in dice.model.generator.conditions else None,
        "strongest": STRONGEST,
        "drawn": drawn(dice),
    }


def drawn(dice: Dice) -> str:
    """Return a name for a drawing and how strongly it is followed; the same for the same, and empty for none."""
    kind = dice.drawing_kind
    return hashlib.sha256(f"{kind} {dice.strength} {dice.asked[kind]}".encode()).hexdigest()[:16] if kind else ""


def _kind(name: str, condition: Condition, width: int) -> dict[str, Any]:
    colours = {what: colour for what, colour in condition.colours.items() if colour != PAPER}
    line = len(colours) == 1
    return {
        "name": name,
        "title": plain(name).capitalize(),
        "help": condition.summary,
        "line": line,
        "brushes": [
            {"name": plain(what), "colour": "#{:02x}{:02x}{:02x}".format(*colour)} for what, colour in colours.items()
        ],
        "width": _half(width / (THIN if line else THICK)),
        "rubber": _half(width / THICK),
    }


def _half(width: float) -> float:
    """Return a width in the half pixels that widths are chosen in."""
    return max(1.0, round(2 * width) / 2)


def draw(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Follow what stands on the pad now."""
    kind, strength = str(asked.get("kind")), asked.get("strength")
    picture = read_drawing(asked.get("drawing"), desk.session.setting.dice.model.generator.backend.picture_size)

    def follow(session: Session) -> None:
        session.draw(kind, picture)
        if session.setting.dice.drawing_kind and is_number(strength):
            session.strength(float(strength))

    desk.do(follow)
    return {"drawn": drawn(desk.session.setting.dice)}


def read_drawing(sent: Any, size: tuple[int, int]) -> Image.Image | None:
    """Return the picture that a page sent, or None where its pad is empty.

    Args:
        sent: a PNG as a data URL.
        size: height and width that it must have, in pixels.

    Raises:
        BadInput: it is something else.
    """
    if sent is None:
        return None
    height, width = size
    longest = 8 * width * height + 4096  # twice the plain pixels, in base64
    wanted = f"the pad sends a PNG of {width}x{height} pixels"
    if not isinstance(sent, str) or not sent.startswith(PNG_PREFIX) or len(sent) > longest:
        raise BadInput(f"{wanted}, and this is something else; reload the page")
    try:
        with Image.open(
            io.BytesIO(base64.b64decode(sent.removeprefix(PNG_PREFIX), validate=True)), formats=["PNG"]
        ) as image:
            if image.size != (width, height):
                raise BadInput(f"{wanted}, not of {image.width}x{image.height}; reload the page")
            image.load()
            return image
    except (*UNREADABLE, binascii.Error) as error:
        raise BadInput(f"{wanted}, and this one cannot be read; reload the page") from error

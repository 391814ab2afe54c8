"""Colours that knobs are dialled to: `colour.js` asks, here it is looked for and said what came of it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from steer.apps.studio.desks import Desk
from steer.apps.studio.panels import HUES, number
from steer.attribute import Attribute
from steer.directions.dial import Reached
from steer.errors import BadInput

COLOUR = re.compile("#[0-9a-f]{6}")

NOTED = 3.0
"""Degrees that a colour may be off before the page says by how much."""


def can_aim(attribute: Attribute | None) -> bool:
    """Whether a knob of this attribute can be dialled to a colour."""
    return attribute is not None and attribute.name in HUES and attribute.kind == "circular"


def aim(desk: Desk, asked: Mapping[str, Any], check: Callable[[], None]) -> dict[str, Any]:
    """Turn a knob until the picture shows a colour, and say what was reached."""
    name, colour = str(asked.get("knob")), asked.get("colour")
    if not isinstance(colour, str) or not COLOUR.fullmatch(colour):
        raise BadInput("a colour is sent as #rrggbb; reload the page")
    try:
        reached = desk.session.dial(name, colour, check=check)
    except BadInput as error:
        return {"says": f"{error}."}
    now = desk.session.setting
    draft = now.dice.drafts and not now.holds  # what is locked is read on the very picture
    return {"amount": now.amounts.get(name, 0.0), "says": told(reached) + " (in a draft)" * draft}


def told(reached: Reached) -> str:
    """Say in plain words what the picture shows, beside what was asked for."""
    (reading,), (missed,) = reached.readings, reached.residuals
    unit = reached.attribute.unit
    asked, shown, off = (number(value, unit) for value in (reached.target, reading, abs(missed)))
    if not reached.everywhere:
        return f"Out of reach of this knob here: {asked}. The nearest it comes to is {shown}, {off} off."
    return f"Asked for {asked}, shows {shown}{f': {off} off' if abs(missed) >= NOTED else ''}."

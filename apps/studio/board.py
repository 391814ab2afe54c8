"""The board of knobs as the page is told about it; `board.js` draws it."""

from typing import Any

from steer.apps.studio.aiming import can_aim
from steer.apps.studio.desks import Desk, step_of
from steer.apps.studio.panels import HUES, knob_info, plain
from steer.knob import Knob, is_round
from steer.strips import UNIT_MARKS

FINEST = 0.02
"""The smallest step of a window, for generators of many stages."""


def describe(desk: Desk) -> dict[str, Any]:
    """Describe every knob of a desk as it stands, and what the page proves itself with."""
    desk.ticks += 1
    return {
        "key": desk.key,
        "revision": desk.revision,
        "tick": desk.ticks,
        "generator": desk.session.setting.generator.name,
        "knobs": [_knob(desk, name, knob) for name, knob in desk.knobs.items() if name in desk.travels],
    }


def _knob(desk: Desk, name: str, knob: Knob) -> dict[str, Any]:
    setting = desk.session.setting
    measurer = setting.dice.model.measurer
    attribute = measurer.attributes.get(knob.attribute or "") if measurer else None
    (least, most), (low, high) = desk.travels[name], knob.range
    stages = setting.dice.stages(knob)
    window = setting.windows.get(name, knob.window)
    return {
        "name": name,
        "title": plain(name),
        "round": is_round(knob),
        "face": "hue" if knob.attribute in HUES else "heading" if knob.attribute == "heading" else "plain",
        "attribute": knob.attribute,
        "aims": can_aim(attribute),
        "help": knob_info(knob, attribute.summary if attribute else ""),
        "unit": UNIT_MARKS.get(knob.unit, ""),
        "least": _short(least),
        "most": _short(most),
        "low": low,
        "high": high,
        "step": _short(step_of(knob)),
        "amount": setting.amounts.get(name, 0.0),
        "window": [window.start, window.end] if len(stages) > 1 else None,
        "grain": max(FINEST, _short(stages[0][1] - stages[0][0])) if stages else 1.0,
        "shipped": name in setting.dice.model.knobs,
        "group": "" if knob.attribute else f"found by {knob.provenance.finder}",
    }


def _short(number: float) -> float:
    return round(number, 6)

"""What the judge sees, as a table beside what the knobs ask for, with the locks."""

import math
from collections.abc import Sequence
from html import escape

from steer.apps.session import Reading
from steer.apps.studio.locks import lock_button, locks_said
from steer.apps.studio.panels import HUES, number, plain


def readings_html(readings: Sequence[Reading], birds: int) -> str:
    """Lay out what is measured beside what the knobs ask for."""
    if not readings:
        return (
            '<section class="readings"><h2>What the judge sees</h2><p class="hint">'
            "Nothing here can measure this generator's pictures yet, so only your eyes judge.</p></section>"
        )
    locks = " A lock holds what it stands at." if any(each.locked is not None for each in readings) else ""
    which = "of the first picture" if birds > 1 else "of the picture"
    rows = "".join(map(_reading_row, readings))
    return (
        f'<section class="readings"><h2>What the judge sees</h2><p class="hint">Measured {which}. '
        f"Hollow: before you turned anything. Filled: now.{locks}</p>"
        '<div role="table" aria-label="What the judge sees"><div role="row" class="head"><span role="columnheader">'
        'measured</span><span role="columnheader"></span><span role="columnheader">value</span>'
        '<span role="columnheader">moved</span><span role="columnheader">asked</span></div>'
        f"{rows}</div>{locks_said(readings)}</section>"
    )


def _reading_row(reading: Reading) -> str:
    attribute = reading.attribute
    asked = " ".join(number(amount, unit, signed=True) for amount, unit in reading.asked)
    if attribute.kind == "categorical":
        value = plain(attribute.classes[round(reading.value)])
        was = plain(attribute.classes[round(reading.before)])
        gauge, moved = "", "" if value == was else f"was {was}"
    elif math.isnan(reading.value):
        value = gauge = moved = ""
    else:
        value = number(reading.value, attribute.unit)
        moved = number(reading.moved, attribute.unit, signed=True)
        gauge = _gauge(reading)
    return (
        f'<div role="row" class="{"asked" if asked else ""}" data-attribute="{escape(attribute.name)}" '
        f'data-value="{reading.value:.4f}" title="{escape(attribute.summary)}">'
        f'<span role="rowheader">{lock_button(reading)}{escape(plain(attribute.name))}</span>'
        f'<span role="cell">{gauge}</span>'
        f'<span role="cell" class="value">{_swatch(reading)}{escape(value)}</span>'
        f'<span role="cell">{escape(moved)}</span>'
        f'<span role="cell" class="ask">{asked}</span></div>'
    )


def _gauge(reading: Reading) -> str:
    """Draw where a value stands in its range, where it stood, and the way between."""
    low, high = reading.attribute.low, reading.attribute.high
    now, before = (_share(value, low, high) for value in (reading.value, reading.before))
    hue = " hues" if reading.attribute.name in HUES else ""
    way = ""
    if reading.attribute.kind == "linear" or abs(now - before) <= 50:
        way = f'<i class="way" style="left:{min(now, before):.1f}%;width:{abs(now - before):.1f}%"></i>'
    return (
        f'<span class="gauge{hue}" aria-hidden="true">{way}<i class="was" style="left:{before:.1f}%"></i>'
        f'<i class="now" style="left:{now:.1f}%"></i></span>'
    )


def _share(value: float, low: float, high: float) -> float:
    return 100 * min(max((value - low) / (high - low), 0.0), 1.0)


def _swatch(reading: Reading) -> str:
    if reading.attribute.name in HUES:
        return f'<i class="swatch" aria-hidden="true" style="background:hsl({reading.value:.0f} 70% 55%)"></i>'
    if reading.attribute.kind != "circular":
        return ""
    angle = math.radians(reading.value)  # seen from above, the viewer at the bottom
    x, y = 8 + 6 * math.sin(angle), 8 + 6 * math.cos(angle)
    return (
        '<svg class="dial" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="7"/>'
        f'<line x1="8" y1="8" x2="{x:.1f}" y2="{y:.1f}"/></svg>'
    )

"""Locks on the page: the button at each attribute, and plain words of how well it is held."""

from collections.abc import Sequence
from html import escape

from steer.apps.session import Reading
from steer.apps.studio.panels import number, plain

HELD = 0.15
"""Spreads within which what is locked counts as held: about what measuring is wrong by."""

HALF = 0.5
"""The part of its change that may be left of what is held in part."""


def lock_button(reading: Reading) -> str:
    """Return the button that locks an attribute; its place is kept where it cannot be."""
    if reading.locked is None:
        return '<i class="no-lock"></i>'
    name, pressed = reading.attribute.name, "true" if reading.locked else "false"
    does = "locked: it is held while knobs turn; press to let it go" if reading.locked else "hold it while knobs turn"
    shackle = "M4.5 7V5a3 3 0 0 1 6 0v2" if reading.locked else "M4.5 7V4.5a3 3 0 0 1 5.6 -1.5"
    return (
        f'<button type="button" class="lock" data-lock="{escape(name)}" aria-pressed="{pressed}" '
        f'aria-label="lock {escape(plain(name))}" title="{does}"><svg viewBox="0 0 15 15" aria-hidden="true">'
        f'<path d="{shackle}"/><rect x="2.5" y="7" width="10" height="6.5" rx="1.5"/></svg></button>'
    )


def locks_said(readings: Sequence[Reading]) -> str:
    """Say of everything locked whether it holds, as measured with the lock and without; empty where nothing turns."""
    lines = "".join(f"<li>{_said(each)}</li>" for each in readings if each.locked and each.loose is not None)
    return f'<ul class="locks" aria-label="what is locked">{lines}</ul>' if lines else ""


def _said(reading: Reading) -> str:
    attribute, loose = reading.attribute, reading.loose or 0.0
    name = f"<b>{escape(plain(attribute.name))}</b>"
    if reading.asked:
        return f"{name} has a knob turned that is meant for it, so it is not held."
    now, was = (number(value, attribute.unit, signed=True) for value in (reading.moved, loose))
    left, there = abs(reading.moved) / attribute.spread, abs(loose) / attribute.spread
    if left >= there or now == was:
        return f"The lock on {name} does not help here: {now}, without the lock {was}."
    if left <= HELD:
        return f"{name} holds: {now}, without the lock {was}."
    if left <= HALF * there:
        return f"{name} holds in part: {now}, without the lock {was}."
    return f"{name} cannot be held here: {now}, without the lock {was}."

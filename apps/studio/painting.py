"""The loop that keeps a page up to date: the newest setting first, everything else once the hand rests."""

from collections.abc import Iterator
from time import perf_counter, sleep
from typing import Any

import torch

from steer.apps.rebuilding import command_of, python_of
from steer.apps.session import Picture
from steer.apps.studio.desks import Desk
from steer.apps.studio.page import Page
from steer.apps.studio.panels import picture_html, readings_html, status_html, strip_html

READ_EVERY = 0.25
"""Seconds between two measurements while the hand moves."""

REST = 0.3
"""Seconds without a change after which the hand rests and the strips are drawn."""

Update = dict[Any, Any]
"""New values by component; what is not named stays."""


def paint(desk: Desk, page: Page) -> Iterator[Update]:
    """Yield updates until the page shows the newest setting, whatever changes meanwhile.

    Whoever calls last paints; an earlier loop stops at its next step.
    """
    painter = desk.take_brush()
    while desk.holds_brush(painter):
        setting = desk.session.setting
        if desk.shown is None or desk.shown.setting is not setting:
            yield from _picture(desk, page)
        elif desk.settled is not setting:
            yield from _rest(desk, page, desk.shown, painter)
        else:
            return


def _picture(desk: Desk, page: Page) -> Iterator[Update]:
    picture = desk.session.picture()
    update = {page.picture: picture_html(picture), page.status: status_html(picture)}
    now = perf_counter()
    if now - desk.read >= READ_EVERY:
        desk.read = now
        update[page.readings] = readings_html(desk.session.readings(picture), picture.setting.dice.birds)
    yield update
    desk.shown = picture


def _rest(desk: Desk, page: Page, picture: Picture, painter: int) -> Iterator[Update]:
    """Yield all that may wait; stop as soon as something changes."""
    session, setting = desk.session, picture.setting

    def still() -> bool:
        return session.setting is setting and desk.holds_brush(painter)

    yield {
        page.readings: readings_html(session.readings(picture), setting.dice.birds),
        page.python: python_of(setting),
        page.command: command_of(setting),
    }
    until = perf_counter() + REST
    while still() and perf_counter() < until:
        sleep(0.02)
    for place, (name, knob) in enumerate(desk.knobs.items() if desk.strips else ()):
        frames = []
        for some in session.strip(name):
            if not still():
                return
            frames.append(some)
        yield {page.strips[place]: strip_html(name, knob, torch.cat(frames))}
    if still():
        desk.settled = setting

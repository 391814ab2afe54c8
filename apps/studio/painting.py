"""The loops that keep a page up to date: the newest picture at once, everything else once the hand rests."""

from collections.abc import Iterator
from time import perf_counter

import torch

from steer.apps.rebuilding import command_of, python_of
from steer.apps.studio.desks import Desk
from steer.apps.studio.panels import Strip, draw_strip, picture_html, readings_html, status_html

READ_EVERY = 0.2
"""Seconds between two measurements while the hand moves."""

BREATH = 0.06
"""Seconds without a move after which the picture is measured in any case."""

REST = 0.3
"""Seconds without a move after which the hand rests."""

Seen = tuple[str, str, str]
"""The picture, the line under it and the readings, as HTML. All three every time: a part that is left out costs Gradio
a millisecond, since it builds the component again; one that did not change costs nothing."""

Settled = tuple[str, str, list[Strip]]
"""Command, Python, and a strip for each knob in the sliders' order, as far as they are drawn."""


def paint(desk: Desk) -> Iterator[Seen]:
    """Yield what is seen until it is the newest setting and the hand rests, whatever changes meanwhile.

    Whoever calls last paints; an earlier loop stops at its next step.
    """
    painter = desk.take_brush()
    while True:
        desk.moved.clear()
        setting = desk.session.setting
        with desk.easel:
            if not desk.holds_brush(painter):
                return
            if desk.shown is None or desk.shown.setting is not setting:
                desk.shown = desk.session.picture()
                if perf_counter() - desk.read_at >= READ_EVERY:
                    _read(desk)
                yield _seen(desk)
                continue
        if desk.read is not desk.shown:
            if not desk.moved.wait(BREATH):
                with desk.easel:
                    _read(desk)
                    yield _seen(desk)
        elif not desk.moved.wait(REST):
            return


def _read(desk: Desk) -> None:
    """Measure the picture that is shown."""
    picture = desk.shown
    assert picture is not None
    desk.readings = readings_html(desk.session.readings(picture), picture.setting.dice.birds)
    desk.read, desk.read_at = picture, perf_counter()


def _seen(desk: Desk) -> Seen:
    assert desk.shown is not None
    return picture_html(desk.shown), status_html(desk.shown), desk.readings


def settle(desk: Desk) -> Iterator[Settled]:
    """Yield texts, and strips as they are drawn, until all show the newest setting or something changes."""
    session, setting = desk.session, desk.session.setting
    texts = command_of(setting), python_of(setting)
    yield *texts, desk.strips
    if desk.settled is setting or not desk.wants_strips:
        return
    for place, (name, knob) in enumerate(desk.knobs.items()):
        frames = []
        for some in session.strip(name):
            if session.setting is not setting:
                return
            frames.append(some)
        desk.strips = [*desk.strips[:place], draw_strip(name, knob, torch.cat(frames)), *desk.strips[place + 1 :]]
        yield *texts, desk.strips
    desk.settled = setting

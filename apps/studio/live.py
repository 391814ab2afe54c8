"""What the page asks for while the hand moves: pictures, readings, strips and maps, drawings and colours.

These calls pass by Gradio's queue, which takes longer than a picture does. So everything is checked here: the page's
key, how much it asks for at a time, and every number. What goes wrong is answered in plain words, under ``error``.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from steer.apps.asides import asides
from steer.apps.session import Picture
from steer.apps.studio import aiming
from steer.apps.studio.desks import Desk, Desks
from steer.apps.studio.drawing import draw
from steer.apps.studio.panels import addresses, contact, descriptions, heat_map, plain, summary
from steer.apps.studio.readings import readings_html
from steer.errors import BadInput, Cancelled, SteerError, UnknownName
from steer.knob import is_round

Answer = dict[str, Any]
Verb = Callable[[Desk, Mapping[str, Any]], Answer]

SLIDER_FRAMES, RING_FRAMES, MAP_SIDE = 7, 8, 7
"""Pictures along a slider, round a dial, and along each side of a map."""

FORGOTTEN = "this page was left alone for so long that it was forgotten; reload it"

log = logging.getLogger(__name__)


def look(desk: Desk, asked: Mapping[str, Any]) -> Answer:
    """Take up the newest move and make its picture, as a draft where that is quicker."""
    desk.move(asked.get("revision"), asked.get("stamp"), _mapping(asked, "amounts"), _mapping(asked, "windows"))
    desk.shown = desk.session.picture(draft=True)
    return _shown(desk, desk.shown, asked)


def finish(desk: Desk, asked: Mapping[str, Any]) -> Answer:
    """Make the picture that a draft was shown of, as well as it gets."""
    desk.shown = desk.session.picture(check=_unmoved(desk, asked))
    return _shown(desk, desk.shown, asked)


def judge(desk: Desk, asked: Mapping[str, Any]) -> Answer:
    """Measure the picture that is shown."""
    if desk.shown is None:
        return {}
    unmoved = _unmoved(desk, asked)
    readings = desk.session.readings(desk.shown, check=unmoved)
    readings += filter(None, [desk.session.background(desk.shown, check=unmoved)])
    before = {reading.attribute.name: reading.before for reading in readings}
    desk.session.prepare(check=unmoved)
    return {"readings": readings_html(readings, desk.shown.setting.dice.birds), "before": before}


def strip(desk: Desk, asked: Mapping[str, Any]) -> Answer:
    """Draw the first bird over a knob, side by side: along the slider, or round the dial from 0 on."""
    name = str(asked.get("knob"))
    known = _known(desk, asked, name)
    if known == asked.get("known"):
        return {"known": known}
    goes_round = name in desk.travels and is_round(desk.session.setting.knobs[name])
    round_it = [360 / RING_FRAMES * place for place in range(RING_FRAMES)]
    amounts = round_it if goes_round else _middles(desk, name, SLIDER_FRAMES)
    pictures = desk.session.strip(name, amounts, check=_unmoved(desk, asked))
    return {"known": known, "address": contact(pictures, len(amounts)), "text": f"the bird over {plain(name)}"}


def chart(desk: Desk, asked: Mapping[str, Any]) -> Answer:
    """Draw the map of two knobs: the first bird over both, the first knob across and the second up."""
    across, up = str(asked.get("across")), str(asked.get("up"))
    known = _known(desk, asked, across, up)
    if known == asked.get("known"):
        return {"known": known}
    columns, rows = _middles(desk, across, MAP_SIDE), _middles(desk, up, MAP_SIDE)
    pictures = desk.session.map(across, up, columns, rows[::-1], check=_unmoved(desk, asked))
    return {"known": known, "address": contact(pictures, len(columns))}


def aim(desk: Desk, asked: Mapping[str, Any]) -> Answer:
    """Dial a knob to a colour."""
    return aiming.aim(desk, asked, _unmoved(desk, asked))


CALLS: tuple[Verb, ...] = (look, finish, judge, strip, chart, draw, aim)


def calls(desks: Desks) -> list[Callable[[Any], Answer]]:
    """Return the functions that a page calls, by the names of the verbs above."""
    return [_call(desks, verb) for verb in CALLS]


def _call(desks: Desks, verb: Verb) -> Callable[[Any], Answer]:
    def call(asked: Any) -> Answer:
        desk = desks.with_key(asked.get("key")) if isinstance(asked, dict) else None
        if desk is None:
            return {"error": FORGOTTEN}
        if not desk.calls.acquire(blocking=False):
            return {"busy": True}
        try:
            with asides(log.debug):  # said already, where it was asked for
                return {"stamp": asked.get("stamp"), **verb(desk, asked)}
        except Cancelled:
            return {"overtaken": True}
        except SteerError as error:
            return {"error": str(error)}
        except Exception as error:
            log.exception("a defect in the studio")
            return {"error": f"a defect of the studio ({type(error).__name__}); please report what the server printed"}
        finally:
            desk.calls.release()

    call.__name__ = verb.__name__
    return call


def _shown(desk: Desk, picture: Picture, asked: Mapping[str, Any]) -> Answer:
    """Return a picture as the page wants to see it: plain, beside what it was, or with what differs."""
    answer: Answer = {
        "birds": addresses(picture.pixels),
        "texts": descriptions(picture.setting),
        "height": picture.pixels.shape[-2],
        "says": summary(picture.setting),
        "milliseconds": round(1000 * picture.seconds),
        "finished": not picture.draft,
    }
    if asked.get("view") == "before":
        answer["before"] = addresses(desk.session.unturned(picture).pixels)
    if asked.get("view") == "difference":
        answer["heat"], answer["changed"] = heat_map(picture.pixels, desk.session.unturned(picture).pixels)
    return answer


def _unmoved(desk: Desk, asked: Mapping[str, Any]) -> Callable[[], None]:
    """Return what ends work for a resting hand at once when the hand moves on."""
    return lambda: desk.check(asked.get("stamp"))


def _known(desk: Desk, asked: Mapping[str, Any], *free: str) -> str:
    """Return a name for everything that a drawing with these knobs left free depends on."""
    setting = desk.session.setting
    amounts = sorted((name, amount) for name, amount in setting.amounts.items() if name not in free)
    what = (
        setting.generator.fingerprint,
        free,
        setting.dice.latent.digest,
        amounts,
        sorted((n, w.start, w.end) for n, w in setting.windows.items()),
        setting.locks,
        setting.dice.known(setting.locks) is not None,
    )
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _middles(desk: Desk, name: str, parts: int) -> list[float]:
    if name not in desk.travels:
        raise UnknownName("knob", name, desk.travels)
    low, high = desk.travels[name]
    return [low + (high - low) * (place + 0.5) / parts for place in range(parts)]


def _mapping(asked: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = asked.get(name, {})
    if not isinstance(value, Mapping):
        raise BadInput(f"'{name}' is a value for each knob, by its name")
    return value

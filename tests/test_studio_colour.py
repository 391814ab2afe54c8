"""Knobs dialled to a colour: by the session, by the server, and by the picker in a browser."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import page_of, read_address, wait_until
from tiny_diffusion import write_tiny_ddim

import steer
from steer.apps.session import Session
from steer.apps.setting import shared_model
from steer.apps.studio import live
from steer.apps.studio.board import describe
from steer.apps.studio.desks import Desk, Desks
from steer.errors import BadInput, Cancelled, UnknownName
from steer.pictures import to_images, to_pictures

ORANGE, BLUE = "#ff8800", "#0044ff"
HUES = {ORANGE: 32.0, BLUE: 224.0}
"""Degrees, by the definition of hue: 60 * 0x88 / 0xff, and 240 - 60 * 0x44 / 0xff."""


@pytest.fixture
def session() -> Session:
    session = Session("aviary")
    session.throw(3)
    return session


def read(session: Session, name: str = "hue") -> float:
    """Return what the judge reads of the first picture, in degrees."""
    return float(session.picture().measured[name][0])


def missed(value: float, wanted: float) -> float:
    return abs((value - wanted + 180) % 360 - 180)


def narrow(session: Session, low: float, high: float, name: str = "hue") -> None:
    """Let a knob go no further than so many degrees."""
    knobs = session.setting.knobs
    session._setting = replace(session.setting, knobs={**knobs, name: replace(knobs[name], range=(low, high))})


# --- what a session makes of a colour


@pytest.mark.parametrize("colour", HUES)
@pytest.mark.parametrize("generator", ["aviary", "aviary-biggan"])
def test_a_knob_is_turned_until_the_picture_shows_the_colour(generator: str, colour: str) -> None:
    session = Session(generator)
    reached = session.dial("background_hue", colour)
    assert reached.everywhere
    assert missed(read(session, "background_hue"), HUES[colour]) < 12
    assert read(session, "background_hue") == pytest.approx(reached.readings[0], abs=0.5)
    assert len(f"{abs(session.setting.amounts['background_hue'])}") <= 6  # digits that a person could type


def test_other_turns_stay_and_the_dial_is_undone_like_any_turn(session: Session) -> None:
    session.turn("size", 1)
    session.remember()
    session.dial("hue", ORANGE)
    assert session.setting.amounts["size"] == 1
    session.undo()
    assert session.setting.amounts == {"size": 1}
    session.redo()
    assert missed(read(session), HUES[ORANGE]) < 12


def test_what_is_out_of_reach_is_said_and_the_knob_goes_as_near_as_it_can(session: Session) -> None:
    began = read(session)
    narrow(session, -20, 20)
    reached = session.dial("hue", f"hsl({(began + 90) % 360:.0f}, 80%, 50%)")
    assert not reached.everywhere
    assert session.setting.amounts["hue"] == pytest.approx(20, abs=1)


def test_of_several_pictures_the_first_shows_the_colour_and_all_are_turned_alike(session: Session) -> None:
    session.birds(4)
    session.dial("hue", BLUE)
    assert missed(read(session), HUES[BLUE]) < 12
    assert set(session.setting.amounts) == {"hue"}


def test_a_knob_is_dialled_within_its_window() -> None:
    session = Session("aviary-biggan")
    session.window("hue", 0.2, 0.8)
    reached = session.dial("hue", ORANGE)
    assert session.setting.windows["hue"] == steer.Window(0.2, 0.8)
    assert read(session) == pytest.approx(reached.readings[0], abs=0.5)


def test_what_is_said_to_be_reached_is_what_the_picture_shows_with_its_locks_held() -> None:
    session = Session("aviary-biggan")
    session.throw(2)
    session.turn("x", 1.7)
    session.lock("heading")
    session.lock("background_hue")
    reached = session.dial("hue", ORANGE)
    shows = read(session)
    assert shows == pytest.approx(reached.readings[0], abs=0.01)
    assert missed(shows, HUES[ORANGE]) == pytest.approx(abs(reached.residuals[0]), abs=0.01)


def test_a_diffusion_model_is_dialled_in_drafts(tmp_path: Path) -> None:
    session = Session(str(write_tiny_ddim(tmp_path / "tiny", levels=60)))
    direction = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    knob = steer.LinearKnob("warm", "noise", direction, attribute="warmth")
    session._setting = replace(session.setting, knobs={"warm": knob})
    reached = session.dial("warm", 0.0)
    drafted = session.picture(draft=True)
    assert drafted.draft
    assert float(drafted.measured["warmth"][0]) == pytest.approx(reached.readings[0], abs=0.01)


def test_a_dial_that_was_overtaken_changes_nothing(session: Session) -> None:
    def turn_another() -> None:
        session.turn("size", 1)

    with pytest.raises(Cancelled, match="something else was chosen"):
        session.dial("hue", ORANGE, check=turn_another)
    assert session.setting.amounts == {"size": 1}

    def stop() -> None:
        raise Cancelled("a newer move was made")

    with pytest.raises(Cancelled, match="newer move"):
        session.dial("hue", ORANGE, check=stop)
    assert session.setting.amounts == {"size": 1}
    assert not session.setting.dice.model.lock.held


def test_what_cannot_be_dialled_is_refused_and_nothing_changes(session: Session) -> None:
    before = session.setting
    with pytest.raises(UnknownName, match="no knob named 'colour'"):
        session.dial("colour", ORANGE)
    with pytest.raises(BadInput, match="grey"):
        session.dial("hue", "#808080")
    with pytest.raises(BadInput, match="neither a number nor a picture"):
        session.dial("size", ORANGE)
    assert session.setting is before


# --- what the server answers


@pytest.fixture
def ask() -> tuple[Desk, Callable[..., live.Answer]]:
    """Return a page's desk, and a function that asks for a colour as the page does."""
    desks = Desks(["aviary"])
    desk = desks.of("page")
    desk.revise()
    named = {call.__name__: call for call in live.calls(desks)}
    return desk, lambda **asked: named["aim"]({"key": desk.key, "stamp": 1.0, "knob": "hue", "colour": ORANGE, **asked})


def test_a_page_is_told_the_amount_and_what_was_reached(ask: tuple[Desk, Callable[..., live.Answer]]) -> None:
    desk, aim = ask
    answer = aim()
    assert answer["amount"] == desk.session.setting.amounts["hue"]
    assert answer["says"].startswith("Asked for 32°, shows ")
    desk.session.reset()
    far = min(HUES, key=lambda colour: -missed(read(desk.session), HUES[colour]))
    narrow(desk.session, -20, 20)
    says = aim(colour=far)["says"]
    assert says.startswith(f"Out of reach of this knob here: {HUES[far]:.0f}°. The nearest it comes to is ")
    assert "is grey and has no hue" in aim(colour="#777777")["says"]


@pytest.mark.parametrize("colour", ["/etc/passwd", "orange", "#FF8800", "#ff880", 5, None, {}])
def test_a_page_sends_colours_and_nothing_else(ask: tuple[Desk, Callable[..., live.Answer]], colour: Any) -> None:
    desk, aim = ask
    assert "#rrggbb" in aim(colour=colour)["error"]
    assert "no knob named" in aim(knob={})["error"]
    assert desk.session.setting.amounts == {}


def test_colours_are_offered_where_a_knob_turns_one(ask: tuple[Desk, Callable[..., live.Answer]]) -> None:
    desk, _ = ask
    assert {knob["name"] for knob in describe(desk)["knobs"] if knob["aims"]} == {"hue", "background_hue"}
    blind = replace(desk.session.setting.knobs["hue"], attribute=None)
    desk.session._setting = replace(desk.session.setting, knobs={"hue": blind})
    desk.revise()
    assert not any(knob["aims"] for knob in describe(desk)["knobs"])


# --- the picker in a browser


@pytest.fixture
def page(window: Any, studio: str) -> Iterator[Any]:
    with page_of(window, studio, "Turn") as page:
        page.wait_for_selector('#readings [data-attribute="hue"]')
        yield page


def shown(page: Any) -> torch.Tensor:
    return read_address(page.locator("#picture img.now").get_attribute("src"))


def hue(page: Any, name: str = "hue") -> float:
    """Measure what the page shows, in degrees, by the judge."""
    return float(steer.measure_attributes(shown(page), shared_model("aviary").generator)[name][0])


def amount_of(page: Any, name: str = "hue") -> float:
    return float(page.get_by_label(f"{name}, amount", exact=True).input_value())


def pick(page: Any, colour: str, name: str = "hue") -> None:
    page.get_by_label(f"colour to dial {name} to", exact=True).fill(colour)


def said(page: Any, name: str = "hue") -> str:
    return page.locator(f'[data-knob="{name}"] .reached').inner_text()


@pytest.mark.browser
def test_the_picture_shows_the_colour_that_is_picked_and_the_page_says_so(page: Any) -> None:
    before = shown(page)
    pick(page, BLUE)
    wait_until(page, lambda: "shows" in said(page), "what was reached")
    session = Session("aviary")
    session.turn("hue", amount_of(page))
    wait_until(page, lambda: shown(page).equal(to_pictures(to_images(session.picture().pixels))), "the picture")
    assert missed(hue(page), HUES[BLUE]) < 12
    assert said(page).startswith("Asked for 224°, shows ")
    steps = page.get_by_role("button", name="go to step")
    wait_until(page, lambda: steps.count() == 2, "the step")
    page.locator("#undo").click()
    wait_until(page, lambda: shown(page).equal(before) and amount_of(page) == 0, "the picture before")
    wait_until(page, lambda: said(page) == "", "nothing said of what is no more")


@pytest.mark.browser
def test_the_last_of_several_colours_is_shown_and_other_knobs_stay(page: Any) -> None:
    page.get_by_label("size, amount", exact=True).fill("1")
    for colour in (ORANGE, "#00ff00", BLUE):
        pick(page, colour, "background hue")
    place = "background_hue"
    wait_until(page, lambda: said(page, place).startswith("Asked for 224°"), "the last colour")
    wait_until(page, lambda: missed(hue(page, place), HUES[BLUE]) < 12, "the picture")
    assert amount_of(page, "size") == 1
    page.get_by_label("size, amount", exact=True).fill("0.5")
    wait_until(page, lambda: said(page, place) == "", "nothing said of a picture that is no more")


@pytest.mark.browser
def test_the_picker_begins_with_the_colour_of_the_bird(page: Any) -> None:
    from steer.colour import hue_of

    picker = page.get_by_label("colour to dial hue to", exact=True)
    wait_until(page, lambda: missed(hue_of(picker.input_value()), hue(page)) < 5, "the bird's colour")
    assert page.locator(".aim input").count() == 2  # hue and background hue, and no other knob


@pytest.mark.browser
def test_out_of_reach_and_grey_are_said_in_plain_words(page: Any, tmp_path: Path) -> None:
    aviary, name = steer.load_generator("aviary"), "narrow hue"
    knob = replace(steer.shipped_knobs(aviary)["hue"], name=name, range=(-20.0, 20.0))
    bare = steer.Layout(bare=True)
    steer.Recipe.of(aviary, aviary.sample([0]), steer.Steering([(knob, 1.0)]), layout=bare).save(tmp_path / "bird.png")
    page.locator("#masthead input[type=file]").set_input_files(tmp_path / "bird.png")
    page.get_by_label(f"{name}, amount", exact=True).wait_for()
    pick(page, "#808080", name)
    wait_until(page, lambda: "is grey and has no hue" in said(page, name), "what is wrong with grey")
    assert amount_of(page, name) == 1
    opposite = (hue(page) + 180) % 360
    pick(page, "#ff0000" if missed(opposite, 0) < 90 else "#00ffff", name)
    wait_until(page, lambda: "Out of reach of this knob here" in said(page, name), "that it is out of reach")
    assert abs(amount_of(page, name)) == pytest.approx(20, abs=1)

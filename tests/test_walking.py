"""What a walk through pins promises."""

from pathlib import Path

import pytest

import steer
from steer.apps.session import Session
from steer.apps.setting import Setting
from steer.apps.walking import Pace, film_of, pins_of, walk_through
from steer.errors import BadInput


@pytest.fixture
def pins() -> list[Setting]:
    session = Session("aviary")
    first = session.setting
    session.turn("hue", 90)
    second = session.setting
    session.throw(5)
    return [first, second, session.setting]


def test_a_walk_passes_every_pin_and_comes_back_in_a_loop(pins: list[Setting]) -> None:
    walk = walk_through(pins, Pace(seconds=0.5, fps=4, loop=True, easing="linear"))
    frames = list(walk.frames())
    assert len(frames) == 6  # two a stretch, and three stretches
    for frame, pin in zip(frames[::2], pins, strict=True):
        assert frame.sub(pin.dice.model.decode(pin.dice.latent, pin.steering)).abs().max() < 1e-5


def test_pins_and_pace_come_back_from_the_film(pins: list[Setting], tmp_path: Path) -> None:
    pace = Pace(seconds=0.5, fps=4, loop=False, easing="out")
    recipe = film_of(walk_through(pins, pace), pins[0])
    recipe.save(tmp_path / "walk.gif", pins[0].generator)
    again, same_pace = pins_of(steer.Recipe.load(tmp_path / "walk.gif"), pins[0].dice.model)
    assert same_pace == pace
    assert [pin.amounts for pin in again] == [{}, {"hue": 90.0}, {"hue": 90.0}]
    for pin, before in zip(again, pins, strict=True):
        assert pin.dice.latent["z"].equal(before.dice.latent["z"])


def test_pins_that_no_walk_joins_are_refused_with_the_reason(pins: list[Setting]) -> None:
    session = Session("aviary")
    session.truncation(0.5)
    with pytest.raises(BadInput, match="takes two"):
        walk_through(pins[:1], Pace())
    with pytest.raises(BadInput, match=r"one truncation, and these pins have 0\.5 and"):
        walk_through([pins[0], session.setting], Pace())
    with pytest.raises(BadInput, match="holds no walk"):
        pins_of(pins[0].recipe, pins[0].dice.model)

"""Locks in a session: what is locked is held on the very picture, or it is said that it is not."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from steer.apps.gridding import lay
from steer.apps.session import Reading, Session
from steer.apps.studio.locks import locks_said
from steer.attribute import Attribute
from steer.errors import UnknownName

GENERATOR = "aviary-biggan"


@pytest.fixture
def session() -> Session:
    """A bird that turns its head by 50 degrees when it is moved to the side."""
    session = Session(GENERATOR)
    session.throw(2)
    session.turn("x", 1.7)
    return session


def read(session: Session) -> Mapping[str, Reading]:
    return {reading.attribute.name: reading for reading in session.readings(session.picture())}


def test_what_is_locked_is_held_and_what_was_turned_stays_turned(session: Session) -> None:
    loose = read(session)
    assert abs(loose["heading"].moved) > 40
    session.lock("heading")
    held = read(session)
    assert abs(held["heading"].moved) < abs(loose["heading"].moved) / 3
    assert held["heading"].loose == pytest.approx(loose["heading"].moved, abs=0.1)
    assert held["x"].moved == pytest.approx(loose["x"].moved, abs=0.25 * held["x"].attribute.spread)


def test_letting_go_brings_back_what_was(session: Session) -> None:
    before = session.picture().pixels
    session.lock("heading")
    assert not session.picture().pixels.equal(before)
    session.lock("heading", False)
    assert session.picture().pixels.equal(before)
    session.undo()
    assert session.setting.locks == ("heading",)


def test_where_a_lock_would_change_more_than_it_holds_it_does_not_hold(session: Session) -> None:
    session.throw(3)  # drawn with a head on either side
    loose = session.picture().pixels
    session.lock("heading")
    reading = read(session)["heading"]
    assert reading.moved == reading.loose
    assert session.picture().pixels.equal(loose)


@pytest.mark.parametrize(
    ("moved", "loose", "said"),
    [
        (3.0, 50.0, "<b>heading</b> holds: +3°, without the lock +50°."),
        (20.0, 50.0, "<b>heading</b> holds in part: +20°, without the lock +50°."),
        (40.0, -50.0, "<b>heading</b> cannot be held here: +40°, without the lock −50°."),
        (7.0, 4.0, "The lock on <b>heading</b> does not help here: +7°, without the lock +4°."),
        (-60.0, 50.0, "The lock on <b>heading</b> does not help here: −60°, without the lock +50°."),
        (4.1, 4.3, "The lock on <b>heading</b> does not help here: +4°, without the lock +4°."),
    ],
)
def test_a_lock_is_said_to_hold_only_where_it_changes_less_than_the_turns_alone(
    moved: float, loose: float, said: str
) -> None:
    heading = Attribute("heading", "circular", -180, 180, "degree", 100)
    reading = Reading(heading, moved, 0.0, moved, locked=True, loose=loose)
    assert f"<li>{said}</li>" in locks_said([reading])


def test_drafts_and_strips_hold_once_it_is_known_how_the_picture_answers(session: Session) -> None:
    strip = session.strip("x", [1.7])
    session.lock("heading")
    assert session.picture(draft=True).draft
    assert session.strip("x", [1.7]).equal(strip)
    session.prepare()
    assert not session.strip("x", [1.7]).equal(strip)
    session.picture()
    assert not session.picture(draft=True).draft  # it is known now, and a draft would be no quicker


def test_a_held_picture_is_restored_with_its_locks_to_the_last_bit(session: Session, tmp_path: Path) -> None:
    session.lock("heading")
    session.lock("background")
    picture = session.picture()
    session.recipe().save(tmp_path / "held.png", session.setting.generator)
    again = Session(GENERATOR)
    again.restore(tmp_path / "held.png")
    assert again.setting.locks == ("heading", "background")
    assert again.setting.amounts == {"x": 1.7}
    assert again.picture().pixels.equal(picture.pixels)
    assert again.as_command().startswith("steer render")
    again.turn("x", 0.0)
    assert again.picture().pixels.equal(again.unturned(picture).pixels)


def test_a_grid_holds_in_every_cell_and_so_does_its_recipe(session: Session) -> None:
    session.lock("heading")
    grid = lay(session.setting, [("x", "0, 1.7")])
    pictures = list(grid.draw(lambda done, total: None))
    assert pictures[1].equal(session.picture().pixels)
    made = grid.recipe.render(session.setting.generator)
    assert made[1].equal(pictures[1][0])


def test_the_background_is_looked_at_once_it_is_locked(session: Session) -> None:
    unlocked = session.background(session.picture())
    assert unlocked is not None
    assert unlocked.locked is False
    assert math.isnan(unlocked.value)
    session.lock("background")
    locked = session.background(session.picture())
    assert locked is not None
    assert locked.loose is not None
    assert 0 <= locked.moved <= locked.loose


def test_what_cannot_be_locked_is_refused_and_nothing_changes(session: Session) -> None:
    before = session.setting
    with pytest.raises(UnknownName, match="no thing to lock named 'species'"):
        session.lock("species")
    assert session.setting is before

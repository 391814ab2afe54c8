"""While the hand moves a diffusion model is seen in drafts, and nothing that can wait keeps them waiting."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_diffusion import write_tiny_ddim

import steer
from steer.apps.gridding import dimensions
from steer.apps.session import Session
from steer.apps.studio.desks import Desk
from steer.errors import Cancelled

KNOB = steer.LinearKnob("loud", "noise", torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_ddim(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def session(folder: Path) -> Session:
    session = Session(str(folder))
    session._setting = replace(session.setting, knobs={KNOB.name: KNOB})
    return session


class Stages:
    """Counts the stages that are gone through, and stops after so many."""

    def __init__(self, most: int = 1000) -> None:
        self.count, self.most = 0, most

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.most:
            raise Cancelled("a newer move was made")


def stages_of(work: Callable[[Callable[[], None]], object]) -> int:
    """Return how many stages some work goes through."""
    stages = Stages()
    work(stages)
    return stages.count


def test_a_draft_takes_few_of_the_steps(session: Session) -> None:
    session.turn("loud", 0.1)
    draft = stages_of(lambda check: session.picture(draft=True, check=check))
    assert 0 < 4 * draft < stages_of(lambda check: session.picture(check=check))


def test_a_draft_is_compared_and_measured_beside_a_draft(session: Session) -> None:
    before = session.picture(draft=True)
    session.turn("loud", 0.5)
    turned = session.picture(draft=True)
    assert session.unturned(turned).draft and session.unturned(turned).pixels.equal(before.pixels)
    assert {reading.moved for reading in session.readings(turned)} != {0.0}


def test_what_was_before_any_turn_is_made_once(session: Session) -> None:
    session.turn("loud", 0.5)
    picture = session.picture()
    assert stages_of(lambda check: session.readings(picture, check=check)) > 0
    assert stages_of(lambda check: session.readings(picture, check=check)) == 0
    assert stages_of(lambda check: session.unturned(picture, check=check)) == 0
    session.reset()
    assert stages_of(lambda check: session.picture(check=check)) == 0
    session.throw(3)
    assert stages_of(lambda check: session.picture(check=check)) > 0


def test_strips_and_maps_are_drafts(session: Session) -> None:
    strip = session.strip("loud", [0.25, -0.25, 0.5])
    session.turn("loud", 0.5)
    assert torch.allclose(strip[2], session.picture(draft=True).pixels[0], atol=1e-5)


@pytest.mark.parametrize(
    "work",
    [
        lambda session, check: session.picture(check=check),
        lambda session, check: session.strip("loud", [0.1, 0.2, 0.3], check=check),
        lambda session, check: session.readings(session.picture(draft=True), check=check),
    ],
)
def test_work_for_a_resting_hand_ends_within_a_stage_of_the_next_move(
    session: Session, work: Callable[[Session, Callable[[], None]], object]
) -> None:
    session.turn("loud", 0.5)
    stages = Stages(most=2)
    with pytest.raises(Cancelled):
        work(session, stages)
    assert stages.count == 2
    assert not session.setting.dice.model.lock.held


def test_a_step_is_remembered_as_it_is_shown(session: Session) -> None:
    desk = Desk(session)
    session.turn("loud", 0.5)
    desk.shown = session.picture()
    assert desk.glimpse(session.setting).equal(desk.shown.pixels)
    older = session.setting
    session.turn("loud", 0.6)
    desk.shown = session.picture()
    assert desk.glimpse(older).equal(session.glimpse(older))


def test_truncation_is_offered_only_where_it_changes_something(session: Session) -> None:
    assert "truncation" not in dimensions(session.setting)
    assert "truncation" in dimensions(Session("aviary").setting)

"""What a person's answers on the page come to; the person here answers by the true size."""

import pytest
import torch
from torch import Tensor

from steer.apps.interview import Interview
from steer.apps.setting import Model, shared_model
from steer.directions.clicks import Answer, Clicks
from steer.errors import BadInput
from steer.registry import load_measurer

FORM = {
    "name": "plump",
    "answers": 18,
    "pool": 64,
    "samples": 100,
    "space": "z",
    "look": "readings",
    "condition": "any",
}
QUIET = lambda done, total: None  # noqa: E731


def by_size(pictures: Tensor, left: int = 0) -> list[Answer]:
    judge = load_measurer("aviary-judge")
    size = judge.attributes["size"]
    with torch.no_grad():
        off = judge.measure(pictures)["size"] - (size.low + size.high) / 2
    return ["skip" if abs(each) < 0.3 * size.spread else "more" if each > 0 else "less" for each in off.tolist()]


@pytest.fixture(scope="module")
def model() -> Model:
    return shared_model("aviary")


def begun(model: Model) -> Interview:
    return Interview.begin(model, FORM, QUIET)


def test_the_knob_kept_is_the_one_that_the_finder_finds_with_the_same_answers(model: Model) -> None:
    interview = begun(model)
    while interview.answering.left:
        interview.answer(interview.sheet, by_size(interview.pictures))
    kept = interview.find(QUIET)["plump"]
    found = Clicks(by_size, "plump", answers=18, pool=64, samples=100).find(model.generator)["plump"]
    assert kept.direction.equal(found.direction)  # type: ignore[attr-defined]
    assert kept.range == found.range


def test_the_knob_is_drawn_after_every_sheet_once_there_was_more_and_less(model: Model) -> None:
    interview = begun(model)
    interview.grow()
    assert interview.growth == {}
    interview.answer(1, ["skip"] * 6)
    interview.grow()
    assert interview.growth == {}
    interview.answer(2, ["more", "less"] * 3)
    interview.grow()
    interview.answer(3, by_size(interview.pictures))
    interview.grow()
    assert list(interview.growth) == [2, 3]
    strip = interview.growth[3]
    assert strip.shape == (21, 3, 64, 64)
    assert strip[0].sub(strip[6]).abs().mean() > 0.01
    assert interview.growth[2].sub(strip).abs().mean() > 0.001


def test_a_sheet_is_answered_once(model: Model) -> None:
    interview = begun(model)
    interview.answer(1, ["more"] * 6)
    interview.answer(1, ["less"] * 6)
    interview.answer(7, ["less"] * 6)
    assert (interview.sheet, interview.answering.counts["more"], interview.answering.counts["less"]) == (2, 6, 0)


@pytest.mark.parametrize("said", [(), ["more"], ["yes"] * 6, ["more"] * 7])
def test_what_is_no_answer_is_refused_and_the_sheet_stays(model: Model, said: list[str]) -> None:
    interview = begun(model)
    with pytest.raises(BadInput, match="each of 6 pictures"):
        interview.answer(1, said)
    assert (interview.sheet, interview.answering.given) == (1, {})


def test_who_answers_on_after_the_last_sheet_is_still_asked(model: Model) -> None:
    interview = begun(model)
    for sheet in range(1, 5):
        interview.answer(sheet, ["more", "less"] * 3)
    assert (interview.answering.left, len(interview.answering.given), len(interview.answering.rows)) == (0, 24, 6)

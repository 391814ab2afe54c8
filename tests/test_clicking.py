"""What a person's answers on the page come to; the person here answers by the true size."""

import pytest
import torch
from torch import Tensor

from steer.apps.clicking import Clicking
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


def begun(model: Model) -> Clicking:
    return Clicking.begin(model, FORM, QUIET)


def test_the_knob_kept_is_the_one_that_the_finder_finds_with_the_same_answers(model: Model) -> None:
    clicking = begun(model)
    while clicking.answering.left:
        clicking.answer(clicking.sheet, by_size(clicking.answering.pictures))
    kept = clicking.find(QUIET)["plump"]
    found = Clicks(by_size, "plump", answers=18, pool=64, samples=100).find(model.generator)["plump"]
    assert kept.direction.equal(found.direction)  # type: ignore[attr-defined]
    assert kept.range == found.range


def test_the_knob_is_drawn_after_every_sheet_once_there_was_more_and_less(model: Model) -> None:
    clicking = begun(model)
    clicking.grow()
    assert clicking.growth == {}
    clicking.answer(1, ["skip"] * 6)
    clicking.grow()
    assert clicking.growth == {}
    clicking.answer(2, ["more", "less"] * 3)
    clicking.grow()
    clicking.answer(3, by_size(clicking.answering.pictures))
    clicking.grow()
    assert list(clicking.growth) == [2, 3]
    strip = clicking.growth[3]
    assert strip.shape == (21, 3, 64, 64)
    assert strip[0].sub(strip[6]).abs().mean() > 0.01
    assert clicking.growth[2].sub(strip).abs().mean() > 0.001


def test_a_sheet_is_answered_once(model: Model) -> None:
    clicking = begun(model)
    clicking.answer(1, ["more"] * 6)
    clicking.answer(1, ["less"] * 6)
    clicking.answer(7, ["less"] * 6)
    assert (clicking.sheet, clicking.answering.counts["more"], clicking.answering.counts["less"]) == (2, 6, 0)


@pytest.mark.parametrize("said", [(), ["more"], ["yes"] * 6, ["more"] * 7])
def test_what_is_no_answer_is_refused_and_the_sheet_stays(model: Model, said: list[str]) -> None:
    clicking = begun(model)
    with pytest.raises(BadInput, match="each of 6 pictures"):
        clicking.answer(1, said)
    assert (clicking.sheet, clicking.answering.given) == (1, {})


def test_who_answers_on_after_the_last_sheet_is_still_asked(model: Model) -> None:
    clicking = begun(model)
    for sheet in range(1, 5):
        clicking.answer(sheet, ["more", "less"] * 3)
    assert (clicking.answering.left, len(clicking.answering.given), len(clicking.answering.rows)) == (0, 24, 6)

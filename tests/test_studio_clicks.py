"""Clicks on the tab Discover as a person meets them: the person here answers by what the judge reads off the pixels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import choose, held, page_of, pictures, wait_until

import steer
from steer.apps.setting import shared_model
from steer.registry import load_measurer

pytestmark = pytest.mark.browser

GENERATOR = "aviary"


@pytest.fixture
def page(window: Any, studio: str) -> Iterator[Any]:
    with page_of(window, studio, "Discover") as page:
        yield page


def ask(page: Any) -> None:
    """Choose to be asked about plumpness, of a few pictures."""
    choose(page, "#finder", "clicks: what you mean")
    form = page.locator("#discover-form")
    form.get_by_label("Answers").wait_for()
    form.get_by_label("Name").fill("plump")
    for option, value in (("Answers", "24"), ("Pool", "96"), ("Samples", "200")):
        form.get_by_label(option).fill(value)
    page.locator("#find").click()


def sizes(page: Any) -> torch.Tensor:
    """Return the sizes of the birds that are asked about, in spreads from the middle."""
    judge = load_measurer("aviary-judge")
    size = judge.attributes["size"]
    with torch.no_grad():
        read = judge.measure(torch.cat(pictures(page, "#clicks-sheet")))["size"]
    return (read - (size.low + size.high) / 2) / size.spread


def answer(page: Any, sheet: int) -> None:
    """Answer a sheet by size, and wait for the next one."""
    page.locator(f'form[data-sheet="{sheet}"]').wait_for()
    for number, off in enumerate(sizes(page).tolist(), start=1):
        said = "Skip" if abs(off) < 0.3 else "More" if off > 0 else "Less"
        page.get_by_role("group", name=f"Picture {number} of 6").get_by_text(said, exact=True).click()
    page.get_by_role("button", name="Next sheet").click()
    page.locator(f'form[data-sheet="{sheet + 1}"]').wait_for()


def knob_after(page: Any, sheets: int) -> torch.Tensor:
    """Return the strips of the knob once it is drawn, (3, height, width)."""
    page.locator(f'#clicks-knob img.latest[alt="The knob after {sheets} sheets"]').wait_for()
    return pictures(page, "#clicks-knob")[0][0]


def test_a_person_answers_sheet_by_sheet_and_the_knob_appears_and_is_kept(page: Any, tmp_path: Path) -> None:
    ask(page)
    answer(page, 1)
    answer(page, 2)
    first = knob_after(page, 2)
    said = page.locator(".asking .pace").inner_text()
    assert "Sheet 3" in said and "12 answers" in said and "2 sheets to go" in said
    answer(page, 3)
    assert not knob_after(page, 3).equal(first)
    page.locator("#clicks-keep").click()
    page.locator("#candidate-apply").wait_for()
    assert page.locator("#clicks-sheet form").count() == 0
    assert page.locator("#candidate-name textarea, #candidate-name input").first.input_value() == "plump"

    with page.expect_download() as download:
        page.locator("#discover-save").click()
    download.value.save_as(tmp_path / "knobs.safetensors")
    knob = steer.load_knobs(tmp_path / "knobs.safetensors")["plump"]
    model = shared_model(GENERATOR)
    latent = model.generator.sample(range(200))
    true = model.knobs["size"].coordinate(latent["z"])
    told = torch.corrcoef(torch.stack([knob.coordinate(latent["z"]), true]))[0, 1]
    assert told > 0.7

    page.locator("#discover-put").click()
    page.get_by_label("plump, amount", exact=True).wait_for()


def test_sheets_are_answered_from_the_keyboard_and_every_sheet_begins_with_skip(page: Any) -> None:
    ask(page)
    page.locator('form[data-sheet="1"]').wait_for()
    page.get_by_role("group", name="Picture 1 of 6").get_by_role("radio", name="Skip").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator('form[data-sheet="2"]').wait_for()
    wait_until(page, lambda: page.evaluate("document.activeElement.value") == "skip", "the focus on the next sheet")
    assert page.evaluate("document.activeElement.name") == "asked-1"
    assert "1 more, 1 less, 4 skipped" in page.locator(".asking .pace").inner_text()
    chosen = page.eval_on_selector_all("#clicks-sheet input:checked", "inputs => inputs.map(each => each.value)")
    assert chosen == ["skip"] * 6


def test_nothing_is_kept_without_more_and_less_and_asking_can_be_left(page: Any) -> None:
    ask(page)
    page.locator('form[data-sheet="1"]').wait_for()
    assert page.locator("#clicks-keep").is_disabled()
    page.locator("#clicks-leave").click()
    page.locator("#clicks-sheet form").wait_for(state="detached")
    page.get_by_text("Look for new knobs").wait_for()


def test_looking_at_the_pool_can_be_cancelled_and_nobody_else_is_asked(
    page: Any, window: Any, studio: str, gate: Path
) -> None:
    with page_of(window, studio, "Discover") as other:
        with held(gate):
            ask(page)
            bar = page.locator("#discover-progress progress")
            wait_until(page, lambda: bar.count() and float(bar.get_attribute("value") or 0), "progress")
            page.locator("#discover-cancel").click()
            bar.wait_for(state="detached")
        assert page.locator("#clicks-sheet form").count() == 0
        ask(page)
        answer(page, 1)
        assert other.locator("#clicks-sheet form").count() == 0

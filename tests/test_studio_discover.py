"""The tab Discover as a person meets it: every test looks at pixels or values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import choose, held, page_of, pictures, wait_until

import steer
from steer.apps.setting import shared_model
from steer.pictures import to_images, to_pictures

pytestmark = pytest.mark.browser

GENERATOR = "aviary"
CONTRAST, PROBE = "contrast: from one set to another", "probe: turns an attribute"


@pytest.fixture
def page(window: Any, studio: str) -> Iterator[Any]:
    with page_of(window, studio, "Discover") as page:
        yield page


def ask_for_contrast(page: Any) -> None:
    """Ask for the knob from eight seeds to eight others."""
    choose(page, "#finder", CONTRAST)
    page.get_by_label("Towards").fill("0-7")
    page.get_by_label("Away").fill("8-15")
    page.get_by_label("Measure ranges").uncheck()
    page.locator("#find").click()


def look(page: Any) -> None:
    """Find that knob."""
    ask_for_contrast(page)
    page.locator("#candidate-apply").wait_for()


def bar_of(page: Any) -> Any:
    return page.locator("#discover-progress progress")


def begin(page: Any) -> None:
    """Begin to look for something else, and wait until there is something to see of it."""
    choose(page, "#finder", PROBE)
    page.get_by_label("Folds").wait_for()
    page.locator("#find").click()
    bar = bar_of(page)
    wait_until(page, lambda: bar.count() and float(bar.get_attribute("value") or 0), "progress")


def strip(page: Any) -> torch.Tensor:
    """Return the strips of the only candidate, (rows, columns, 3, height, width)."""
    paper = pictures(page, "#discover-view")[0][0]
    return torch.stack([torch.stack(row.split(64, dim=2)) for row in paper.split(64, dim=1)])


def saved(page: Any, folder: Path) -> steer.KnobSet:
    with page.expect_download() as download:
        page.locator("#discover-save").click()
    download.value.save_as(folder / "knobs.safetensors")
    return steer.load_knobs(folder / "knobs.safetensors")


def edit(page: Any, **values: str) -> None:
    before = page.locator("#discover-view img").get_attribute("src")
    for field, value in values.items():
        page.locator(f"#candidate-{field} :is(input, textarea)").fill(value)
    page.locator("#candidate-apply").click()
    changed = lambda: page.locator("#discover-view img").get_attribute("src") != before  # noqa: E731
    wait_until(page, changed, "the strip drawn anew")


def test_a_finder_is_run_with_its_options_and_what_it_finds_is_shown_on_several_seeds(
    page: Any, tmp_path: Path
) -> None:
    look(page)
    model = shared_model(GENERATOR)
    found = steer.find("contrast", model.generator, towards="0-7", away="8-15", measure_ranges=False)["contrast"]
    assert saved(page, tmp_path)["contrast"].direction.equal(found.direction)
    shown = strip(page)
    assert shown.shape[:2] == (3, 7)
    for row in range(3):
        still = to_pictures(to_images(model.decode(model.generator.sample([row]))))[0]
        assert shown[row, 3].sub(still).abs().mean() < 0.03  # a JPEG's worth
        assert shown[row, 0].sub(shown[row, 6]).abs().mean() > 0.03


def test_a_candidate_is_named_trimmed_windowed_and_noted_and_the_file_holds_all_of_it(
    page: Any, tmp_path: Path
) -> None:
    look(page)
    edit(page, name="warmth", low="-1", high="2", start="0.25", note="mostly colour")
    found = saved(page, tmp_path)
    assert list(found) == ["warmth"]
    assert found["warmth"].range == (-1.0, 2.0)
    assert found["warmth"].window == steer.Window(0.25, 1.0)
    assert found.report["notes"] == {"warmth": "mostly colour"}


def test_a_flipped_candidate_runs_the_other_way(page: Any) -> None:
    look(page)
    before = strip(page)
    page.locator("#candidate-flip").click()
    wait_until(page, lambda: strip(page).sub(before.flip(1)).abs().mean() < 0.01, "the flipped strip")


def test_a_candidate_is_put_on_the_sliders_and_turns_the_picture(page: Any) -> None:
    look(page)
    page.locator("#discover-put").click()
    slider = page.get_by_label("contrast, amount", exact=True)
    slider.wait_for()
    wait_until(page, lambda: pictures(page, "#picture"), "the picture")
    before = pictures(page, "#picture")[0]
    slider.fill("2.5")
    wait_until(page, lambda: not pictures(page, "#picture")[0].equal(before), "the turned picture")


def test_finding_shows_how_far_it_is_and_can_be_cancelled(page: Any, gate: Path) -> None:
    with held(gate):
        begin(page)
        assert float(bar_of(page).get_attribute("value")) < 1
        page.locator("#discover-cancel").click()
        bar_of(page).wait_for(state="detached")
        assert pictures(page, "#discover-view") == []
    look(page)  # and the next one starts
    assert len(pictures(page, "#discover-view")) == 1
    assert page.get_by_test_id("toast-body").count() == 0


def test_what_was_typed_stays_whatever_else_the_page_does(page: Any) -> None:
    choose(page, "#finder", CONTRAST)
    page.get_by_label("Towards").fill("0-7")
    choose(page, "#finder", CONTRAST)
    page.locator("#throw").evaluate("button => button.click()")
    page.get_by_label("Away").fill("8-15")
    page.wait_for_timeout(500)
    page.locator("#find").click()
    page.locator("#candidate-apply").wait_for()
    assert page.get_by_label("Towards").input_value() == "0-7"


def test_jobs_of_two_people_go_one_after_the_other_and_whoever_waits_is_told(
    page: Any, window: Any, studio: str, gate: Path
) -> None:
    with page_of(window, studio, "Discover") as other:
        with held(gate):
            begin(page)
            ask_for_contrast(other)
            other.get_by_text("one other job first").wait_for()
            page.locator("#discover-cancel").click()
            other.get_by_text("one other job first").wait_for(state="detached")
        other.locator("#candidate-apply").wait_for()
    assert pictures(page, "#discover-view") == []


def test_an_option_that_cannot_be_used_is_refused_in_plain_words(page: Any) -> None:
    choose(page, "#finder", CONTRAST)
    page.get_by_label("Towards").fill("/etc/passwd")
    page.get_by_label("Away").fill("1")
    page.locator("#find").click()
    message = page.get_by_test_id("toast-body")
    message.wait_for()
    assert "towards is seeds such as 1,2,5-10" in message.inner_text()


@pytest.mark.slow
def test_what_the_knobs_do_is_measured_and_drawn_as_a_scorecard(page: Any) -> None:
    look(page)
    page.locator("#discover-judge").click()
    chart = page.locator("#discover-chart img")
    chart.wait_for()
    assert chart.evaluate("image => image.naturalWidth") > 600

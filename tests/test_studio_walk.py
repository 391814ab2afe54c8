"""The tab Walk as a person meets it: every test looks at pixels or values."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import held, page_of, pictures, wait_until
from PIL import Image, ImageSequence

import steer
from steer.pictures import to_pictures

pytestmark = pytest.mark.browser

GENERATOR = "aviary"


@pytest.fixture
def page(window: Any, studio: str) -> Iterator[Any]:
    with page_of(window, studio, "Turn") as page:
        yield page


def pin(page: Any, *hues: int) -> list[torch.Tensor]:
    """Turn the hue and pin, as often as there are hues; return what was pinned."""
    pinned = []
    for number, hue in enumerate(hues, start=1):
        before = pictures(page, "#picture")[0]
        page.get_by_label("hue, amount", exact=True).fill(str(hue))
        wait_until(page, lambda before=before: not pictures(page, "#picture")[0].equal(before), "another colour")
        page.wait_for_function("steer.pump.still")
        page.locator("#pin").click()
        page.get_by_text(f"Pinned as number {number}").wait_for()
        pinned += pictures(page, "#picture")[:1]
    return pinned


def to_walk(page: Any, count: int) -> None:
    page.get_by_role("tab", name="Walk", exact=True).click()
    wait_until(page, lambda: page.locator(".pins li").count() == count, "the pins")


def settle(page: Any, seconds: str, fps: str) -> None:
    page.get_by_label("number input for Seconds").fill(seconds)
    page.locator("#walk-desk").get_by_label(fps, exact=True).check()


INSIDE = (16, 16, 272, 272)
"""A picture of 64 pixels, enlarged four times, within the edge of its sheet."""


def film(page: Any) -> list[torch.Tensor]:
    address = page.locator("#walk-view img.film").get_attribute("src")
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return [
        to_pictures([frame.convert("RGB").crop(INSIDE).resize((64, 64))]) for frame in ImageSequence.Iterator(image)
    ]


def test_pins_stand_in_their_order_can_change_places_and_load_into_turn(page: Any) -> None:
    pinned = pin(page, 60, 120)
    to_walk(page, 2)
    assert [each.equal(was) for each, was in zip(pictures(page, ".pins"), pinned, strict=True)] == [True, True]
    page.get_by_label("later: pin 1").click()
    wait_until(page, lambda: pictures(page, ".pins")[0].equal(pinned[1]), "the other order")
    page.get_by_label("remove pin 1").click()
    wait_until(page, lambda: page.locator(".pins li").count() == 1, "one pin")
    page.get_by_label("turn on from pin 1").click()
    wait_until(page, lambda: pictures(page, "#picture")[0].equal(pinned[0]), "the pin on Turn")


def test_the_preview_goes_from_pin_to_pin(page: Any) -> None:
    pinned = pin(page, 60, 120)
    to_walk(page, 2)
    settle(page, "1", "12")
    page.locator("#walk-preview").click()
    page.locator("#walk-view img.film").wait_for()
    frames = film(page)
    assert len(frames) == 16  # a second there and one back, at eight frames a second
    for frame, was in ((frames[0], pinned[0]), (frames[8], pinned[1])):
        assert frame.sub(was).abs().mean() < 0.03
    assert frames[4].sub(pinned[0]).abs().mean() > frames[0].sub(pinned[0]).abs().mean()


def test_a_film_is_rendered_with_time_left_downloaded_and_restores_its_pins(
    page: Any, tmp_path: Path, gate: Path
) -> None:
    pin(page, 60, 120)
    to_walk(page, 2)
    settle(page, "1.5", "24")
    said = page.locator("#walk-progress")
    with held(gate):
        page.locator("#walk-render").click()
        wait_until(page, lambda: "of 72" in said.inner_text() and " left" in said.inner_text(), "time left")
    with page.expect_download() as download:
        page.locator("#walk-file").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == ".mp4"
    assert len(steer.Recipe.load(path).to_walk()) == 72

    page.get_by_label("remove pin 1").click()
    wait_until(page, lambda: page.locator(".pins li").count() == 1, "one pin")
    page.locator("#walk-desk input[type=file]").set_input_files(path)
    wait_until(page, lambda: page.locator(".pins li").count() == 2, "both pins again")
    assert float(page.get_by_label("number input for Seconds").input_value()) == 1.5


def test_rendering_can_be_cancelled_and_leaves_no_film(page: Any, gate: Path) -> None:
    pin(page, 60, 120)
    to_walk(page, 2)
    bar = page.locator("#walk-progress progress")
    with held(gate):
        page.locator("#walk-render").click()
        wait_until(page, lambda: bar.count() and bar.get_attribute("value"), "progress")
        page.locator("#walk-cancel").click()
        bar.wait_for(state="detached")
    assert not page.locator("#walk-file").is_visible()
    page.locator("#walk-preview").click()  # it waits until the work on the film has ended
    page.locator("#walk-view img.film").wait_for()
    assert not page.locator("#walk-file").is_visible()


def test_one_pin_is_no_walk_and_the_page_says_so(page: Any) -> None:
    pin(page, 60)
    to_walk(page, 1)
    page.locator("#walk-preview").click()
    message = page.get_by_test_id("toast-body").filter(has_text="takes two")
    message.wait_for()
    assert pictures(page, "#walk-view img.film") == []


def test_easing_and_loop_are_those_of_the_film(page: Any) -> None:
    pinned = pin(page, 60, 120)
    to_walk(page, 2)
    settle(page, "1", "12")
    page.locator("#walk-desk").get_by_label("Easing").click()
    page.get_by_role("option", name="linear", exact=True).click()
    page.locator("#walk-desk").get_by_label("Loop").uncheck()
    page.locator("#walk-preview").click()
    page.locator("#walk-view img.film").wait_for()
    frames = film(page)
    assert len(frames) == 9  # a second at eight frames a second, and the last pin, where nothing leads back
    assert frames[-1].sub(pinned[1]).abs().mean() < 0.03
    early = [frame.sub(pinned[0]).abs().mean() for frame in frames]
    assert early[8] > early[4] > early[2] > early[0]

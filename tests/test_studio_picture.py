"""The tab Picture as a person meets it: every test looks at pixels or values."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import PATIENCE, choose, held, page_of, pictures, wait_until
from PIL import Image

import steer
from steer.pictures import to_images, to_pictures
from steer.prepare import prepare

pytestmark = pytest.mark.browser

GENERATOR = "aviary-biggan"


@pytest.fixture
def page(window: Any, studio: str) -> Iterator[Any]:
    with opened(window, studio) as page:
        yield page


@pytest.fixture(scope="module")
def inverted(window: Any, studio: str, bird: Path) -> Iterator[Any]:
    """A page on which the bird was inverted."""
    with opened(window, studio) as page:
        bring(page, bird)
        page.get_by_role("button", name="Invert", exact=True).click()
        wait_until(page, lambda: len(pictures(page, "#picture-view")) == 2, "the inverted picture", 4 * PATIENCE)
        yield page


@pytest.fixture(scope="module")
def bird(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bird that no generator here has drawn, wider than high."""
    aviary = steer.load_generator("aviary")
    (image,) = to_images(aviary.decode(aviary.sample([3])))
    path = tmp_path_factory.mktemp("pictures") / "bird.png"
    image.resize((192, 192), Image.Resampling.LANCZOS).crop((0, 8, 192, 184)).save(path)
    return path


@pytest.fixture
def oddity(tmp_path: Path) -> Path:
    """A picture of nothing."""
    tiles = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(tiles).resize((300, 200), Image.Resampling.NEAREST).save(tmp_path / "odd.png")
    return tmp_path / "odd.png"


@contextmanager
def opened(window: Any, studio: str) -> Iterator[Any]:
    with page_of(window, studio, "Picture") as page:
        choose(page, "#generator", GENERATOR)
        page.get_by_text("Bring a picture").wait_for()
        yield page


def bring(page: Any, path: Path) -> None:
    page.locator("#picture-file input[type=file]").set_input_files(path)
    wait_until(page, lambda: pictures(page, "#picture-view"), "the crop")


def fact(page: Any, name: str) -> float:
    return float(page.locator(f'#picture-report [data-name="{name}"] b').inner_text().split()[0])


def test_a_picture_is_shown_as_the_generator_takes_it_before_anything_is_inverted(page: Any, bird: Path) -> None:
    bring(page, bird)
    assert pictures(page, "#picture-view")[0].equal(prepare(bird, (64, 64)).picture)
    assert "cropped to 176x176 of 192x176 pixels" in page.locator("#picture-view").inner_text()


def test_a_picture_may_be_pasted(page: Any, bird: Path) -> None:
    page.evaluate(
        """(data) => {
          const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
        }""",
        base64.b64encode(bird.read_bytes()).decode(),
    )
    wait_until(page, lambda: pictures(page, "#picture-view"), "the crop")
    assert pictures(page, "#picture-view")[0].equal(prepare(bird, (64, 64)).picture)


def test_a_bird_comes_out_of_inversion_as_it_went_in_and_the_report_says_how_nearly(inverted: Any) -> None:
    taken, found = pictures(inverted, "#picture-view")
    missed = (found - taken).abs().mean().item()
    assert missed < 0.03
    assert fact(inverted, "error") == pytest.approx(missed, abs=0.003)
    assert fact(inverted, "likeness") == pytest.approx(-10 * (found - taken).square().mean().log10().item(), abs=0.2)
    assert fact(inverted, "known to the judge") > 0.5


def test_the_saved_picture_carries_the_recipe_that_makes_it_again(inverted: Any, tmp_path: Path) -> None:
    with inverted.expect_download() as download:
        inverted.locator("#picture-save").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    again = steer.Recipe.load(path).render()
    assert to_pictures(to_images(again)).equal(to_pictures([Image.open(path)]))
    assert again.sub(pictures(inverted, "#picture-view")[1]).abs().max() < 0.02


def test_the_knobs_then_turn_the_picture_that_was_brought(inverted: Any) -> None:
    found = pictures(inverted, "#picture-view")[1]
    inverted.get_by_role("button", name="Turn its knobs").click()
    wait_until(inverted, lambda: pictures(inverted, "#picture")[0].sub(found).abs().max() < 0.02, "the picture on Turn")
    inverted.get_by_label("hue, amount", exact=True).fill("90")
    wait_until(inverted, lambda: pictures(inverted, "#picture")[0].sub(found).abs().mean() > 0.03, "another colour")


def test_a_picture_of_something_else_is_warned_of_in_plain_words(page: Any, oddity: Path, bird: Path) -> None:
    bring(page, oddity)
    warning = page.locator("#picture-report [role=alert]")
    warning.wait_for()
    assert "Outside what aviary-biggan knows" in warning.inner_text()
    assert fact(page, "known to the judge") < 0.25
    page.locator("#picture-file").get_by_label("Clear").click()
    bring(page, bird)
    wait_until(page, lambda: not warning.is_visible(), "no warning")


def test_inversion_shows_how_far_it_is_and_can_be_cancelled(page: Any, oddity: Path, gate: Path) -> None:
    bring(page, oddity)
    with held(gate):
        page.get_by_role("button", name="Invert", exact=True).click()
        bar = page.locator("#invert-progress progress")
        wait_until(page, lambda: bar.count() and float(bar.get_attribute("value") or 0), "progress")
        assert float(bar.get_attribute("value")) < 1
        assert "of 160" in page.locator("#invert-progress").inner_text()
        page.locator("#invert-cancel").click()
        bar.wait_for(state="detached")
    assert len(pictures(page, "#picture-view")) == 1
    assert page.locator("#picture-report").get_by_text("Before you invert").is_visible()


def test_a_file_that_is_no_picture_is_refused_in_plain_words(page: Any, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    page.locator("#picture-file input[type=file]").set_input_files(tmp_path / "cut.png")
    message = page.get_by_test_id("toast-body")
    message.wait_for()
    assert "no picture that can be read" in message.inner_text()
    assert "/tmp" not in message.inner_text()


def test_what_a_picture_shows_is_said_in_words_where_the_generator_takes_them(
    page: Any, bird: Path, oddity: Path
) -> None:
    words = page.locator("#picture-words textarea")
    bring(page, bird)
    choose(page, "#generator", "aviary-ddim")
    wait_until(page, lambda: words.count() and words.input_value(), "words for what is seen")
    assert re.search(r"(robin|wren|cardinal|parrot|heron|duck|owl|toucan) .*(background|backdrop)", words.input_value())
    page.locator("#picture-file").get_by_label("Clear").click()
    wait_until(page, lambda: words.input_value() == "", "no words for no picture")
    words.fill("an owl")
    bring(page, oddity)
    wait_until(page, lambda: words.input_value() == "", "no words for what nobody knows")

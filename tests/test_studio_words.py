"""Words in the page: a caption draws what it says, and two phrases make a knob that leads from one to the other."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from browsing import choose, page_of, pictures, wait_until
from serving import served
from tiny_diffusion import write_tiny_ddim
from torch import Tensor

from steer.apps.session import Session
from steer.pictures import to_images, to_pictures

pytestmark = pytest.mark.browser

FROM, TO = "a blue wren", "a red owl"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a diffusion model that reads words, of four steps to a picture."""
    return str(write_tiny_ddim(tmp_path_factory.mktemp("models") / "tiny", levels=4))


@pytest.fixture
def discover(window: Any, tiny: str) -> Iterator[Any]:
    with served(tiny) as address, page_of(window, address, "Discover") as page:
        yield page


def ask(page: Any, caption: str) -> None:
    page.locator("#caption textarea").fill(caption)
    page.keyboard.press("Enter")


def shown(page: Any) -> Tensor:
    return pictures(page, "#picture .bird:first-child")[0]


def captioned(generator: str, caption: str) -> Tensor:
    """Return the picture that a caption asks for, as a page shows it."""
    session = Session(generator)
    session.caption(caption)
    return to_pictures(to_images(session.picture().pixels))


def above_others(page: Any, channel: int) -> float:
    """Return by how much one channel stands out among the three where the background shows, in the upper corners."""
    colour = torch.cat([shown(page)[..., :8, :8], shown(page)[..., :8, -8:]]).mean((0, 2, 3))
    return float(colour[channel] - max(colour[each] for each in range(3) if each != channel))


def test_a_caption_changes_what_the_picture_shows(window: Any, studio: str) -> None:
    with page_of(window, studio, "Turn") as page:
        choose(page, "#generator", "aviary-ddim")
        words = page.locator("#caption textarea")
        wait_until(page, words.input_value, "words to begin with")
        begun = words.input_value()
        page.locator("#suggest").click()
        wait_until(page, lambda: words.input_value() not in ("", begun), "other words")
        steps = page.locator("#steps input")
        steps.fill("2")
        steps.press("Enter")
        for colour, channel in (("blue", 2), ("green", 1)):
            ask(page, f"a red owl on a {colour} background")
            wait_until(page, lambda channel=channel: above_others(page, channel) > 0.05, f"a {colour} background")


def test_words_that_are_not_known_are_named_on_the_page(discover: Any) -> None:
    page = discover
    page.get_by_role("tab", name="Turn", exact=True).click()
    ask(page, "a zebra <b>gnu</b> wren")
    page.get_by_text("were passed over in 'a zebra <b>gnu</b> wren': zebra, b, gnu, b").wait_for()
    page.get_by_role("tab", name="Discover", exact=True).click()
    choose(page, "#finder", "contrast: from one set to another")
    page.get_by_label("Towards").fill("a red okapi")
    page.get_by_label("Away").fill(FROM)
    page.locator("#find").click()
    page.get_by_text("were passed over in 'a red okapi': okapi").wait_for()


def test_two_phrases_make_a_knob_that_leads_from_one_to_the_other_on_turn(discover: Any, tiny: str) -> None:
    page = discover
    choose(page, "#finder", "contrast: from one set to another")
    page.get_by_label("Towards").fill(TO)
    page.get_by_label("Away").fill(FROM)
    page.get_by_label("Measure ranges").uncheck()
    page.locator("#find").click()
    page.locator("#candidate-apply").wait_for()
    page.locator("#discover-put").click()
    slider = page.get_by_label("contrast, amount", exact=True)
    slider.wait_for()
    ask(page, FROM)
    before, wanted = captioned(tiny, FROM), captioned(tiny, TO)
    wait_until(page, lambda: shown(page).equal(before), "the caption")
    assert before.sub(wanted).abs().mean() > 0.02
    slider.fill("1")  # the whole way
    wait_until(page, lambda: shown(page).sub(wanted).abs().max() < 0.01, "what the other phrase asks for")

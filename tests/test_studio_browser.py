"""The studio as a person meets it, in headless Chromium: every test looks at pixels or values."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch
from PIL import Image
from serving import served
from torch import Tensor

import steer
from steer.apps.session import Session
from steer.apps.setting import shared_model
from steer.pictures import to_images, to_pictures

pytestmark = pytest.mark.browser

GENERATOR = "aviary"
PATIENCE = 60_000
"""Milliseconds."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(GENERATOR) as where:
        yield where


@pytest.fixture(scope="module")
def requested() -> list[str]:
    """Every address that any page of this module asked for."""
    return []


@pytest.fixture
def open_page(browser: Any, address: str, requested: list[str]) -> Iterator[Callable[..., Any]]:
    """Return a function that opens the studio in a browser of its own."""
    contexts = []

    def open_one(**options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: pytest.fail(f"the page threw {error}"))
        page.goto(address)
        page.wait_for_selector("#picture img")
        page.wait_for_selector('[aria-label="range slider for hue"]')
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    return open_page()


def shown(page: Any) -> Tensor:
    """Return the pictures on the page, (birds, 3, height, width) in [0, 1]."""
    addresses = page.eval_on_selector_all("#picture img", "images => images.map(image => image.src)")
    images = [Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) for address in addresses]
    return to_pictures(images)


def expected(turns: dict[str, float] | None = None, seed: int = 0, label: str | None = None, birds: int = 1) -> Tensor:
    """Return what the page must show, to the last bit."""
    session = Session(GENERATOR)
    session.throw(seed)
    session.label(label)
    session.birds(birds)
    for name, amount in (turns or {}).items():
        session.turn(name, amount)
    return to_pictures(to_images(session.picture().pixels))


def wait_until(page: Any, true: Callable[[], bool], what: str) -> None:
    until = monotonic() + PATIENCE / 1000
    while not true():
        assert monotonic() < until, f"waited in vain for {what}"
        page.wait_for_timeout(30)


def wait_for(page: Any, pictures: Tensor) -> None:
    wait_until(page, lambda: shown(page).shape == pictures.shape and shown(page).equal(pictures), "the picture")


def knob(page: Any, name: str) -> Any:
    return page.get_by_label(f"range slider for {name}", exact=True)


def drag(page: Any, name: str, share: float, steps: int = 30) -> float:
    """Drag a knob to a share of its track, quickly; return the value that it then has."""
    slider = knob(page, name)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, middle, steps=steps)
    page.mouse.up()
    return float(slider.input_value())


def body_hue(pictures: Tensor) -> float:
    """Measure the plumage's hue in degrees, by the judge, or where there is none by what differs from the corners."""
    model = shared_model(GENERATOR)
    if model.measurer is not None:
        return float(steer.measure_attributes(pictures, model.generator)["hue"][0])
    import colorsys

    red, green, blue = pictures[0, :, 24:40, 26:38].flatten(1).mean(1).tolist()
    return 360 * colorsys.rgb_to_hsv(red, green, blue)[0]


def chosen(page: Any) -> dict[str, Any]:
    """Return what the controls of a page say."""
    fields = {name: page.locator(f"#{name} input").input_value() for name in ("generator", "label", "seed")}
    fields["truncation"] = page.get_by_label("number input for Truncation").input_value()
    fields["birds"] = page.locator("#birds input:checked").get_attribute("value")
    for name in ("hue", "size"):
        fields[name] = page.get_by_label(f"number input for {name}", exact=True).input_value()
    return fields


def choose(page: Any, field: str, choice: str) -> None:
    page.locator(f"#{field} input").click()
    page.get_by_role("option", name=choice, exact=True).click()


def test_the_page_begins_with_the_first_bird(page: Any) -> None:
    wait_for(page, expected())
    assert page.title() == "latent-steer studio"


def test_a_dragged_hue_knob_turns_the_hue_of_the_picture_and_its_last_value_is_shown(page: Any) -> None:
    wait_for(page, expected())
    before = body_hue(shown(page))
    amount = drag(page, "hue", 0.85, steps=60)
    assert 100 < amount < 150
    wait_for(page, expected({"hue": amount}))
    moved = (body_hue(shown(page)) - before) % 360
    assert moved == pytest.approx(amount, abs=25)


def test_two_knobs_dragged_one_after_the_other_without_a_pause_are_both_shown(page: Any) -> None:
    amounts = {"heading": drag(page, "heading", 0.3, steps=8), "size": drag(page, "size", 0.9, steps=8)}
    wait_for(page, expected(amounts))


def test_arrow_keys_turn_a_knob(page: Any) -> None:
    knob(page, "heading").focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    wait_for(page, expected({"heading": 12}))
    page.keyboard.press("End")
    wait_for(page, expected({"heading": 180}))


def test_a_typed_amount_turns_a_knob_and_one_beyond_the_range_stops_at_its_end(page: Any) -> None:
    box = page.get_by_label("number input for size", exact=True)
    box.fill("-1.3")
    wait_for(page, expected({"size": -1.3}))
    box.fill("99")
    box.press("Tab")
    wait_for(page, expected({"size": 2.5}))


def test_reset_turns_one_knob_or_all_back(page: Any) -> None:
    amounts = {"heading": drag(page, "heading", 0.2, steps=5), "size": drag(page, "size", 0.9, steps=5)}
    wait_for(page, expected(amounts))
    page.locator(".knob", has=knob(page, "size")).get_by_test_id("reset-button").click()
    wait_for(page, expected({"heading": amounts["heading"]}))
    page.get_by_role("button", name="Reset all").click()
    wait_for(page, expected())
    wait_until(page, lambda: float(knob(page, "heading").input_value()) == 0, "the slider")


def test_dice_label_and_number_of_pictures_follow_their_controls(page: Any) -> None:
    page.get_by_label("Seed").fill("7")
    wait_for(page, expected(seed=7))
    choose(page, "label", "toucan")
    wait_for(page, expected(seed=7, label="toucan"))
    page.locator("#birds label", has_text="4").click()
    wait_for(page, expected(seed=7, label="toucan", birds=4))
    page.get_by_role("button", name="Throw all dice").click()
    wait_until(page, lambda: page.get_by_label("Seed").input_value() != "7", "another seed")
    wait_for(page, expected(seed=int(page.get_by_label("Seed").input_value()), label="toucan", birds=4))


def test_one_die_is_thrown_and_the_rest_of_the_picture_stays(page: Any) -> None:
    wait_for(page, expected())
    before = shown(page)
    choose(page, "die", "background hue")
    page.get_by_role("button", name="Throw this die").click()
    wait_until(page, lambda: not shown(page).equal(before), "another background")
    changed = (shown(page) - before).abs().mean(1)[0]
    assert changed[:8, :8].mean() > 5 * changed[28:40, 28:36].mean()


def test_a_saved_picture_dropped_on_a_fresh_page_restores_everything(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    first = open_page(accept_downloads=True)
    first.get_by_label("Seed").fill("7")
    wait_for(first, expected(seed=7))
    choose(first, "label", "heron")
    wait_for(first, expected(seed=7, label="heron"))
    amounts = {"hue": drag(first, "hue", 0.7, steps=5), "size": drag(first, "size", 0.2, steps=5)}
    wait_for(first, expected(amounts, seed=7, label="heron"))
    with first.expect_download() as download:
        first.get_by_role("button", name="Save PNG").click()
    assert download.value.suggested_filename == f"{GENERATOR}-heron-7.png"
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert to_pictures(to_images(steer.Recipe.load(path).render())).equal(shown(first))

    second = open_page()
    second.locator("#masthead input[type=file]").set_input_files(path)
    wait_for(second, shown(first))
    wait_until(second, lambda: chosen(second) == chosen(first), "the controls")


def test_a_picture_may_be_dropped_anywhere_on_the_page(page: Any, tmp_path: Path) -> None:
    session = Session(GENERATOR)
    session.throw(11)
    session.recipe().save(tmp_path / "bird.png")
    data = base64.b64encode((tmp_path / "bird.png").read_bytes()).decode()
    page.evaluate(
        """([data, target]) => {
          const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], "bird.png", { type: "image/png" }));
          const event = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
          document.querySelector(target).dispatchEvent(event);
        }""",
        [data, "#picture"],
    )
    wait_for(page, expected(seed=11))


def test_a_picture_without_a_recipe_is_refused_in_plain_words_and_the_page_lives_on(page: Any, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "photo.png")
    page.locator("#masthead input[type=file]").set_input_files(tmp_path / "photo.png")
    message = page.get_by_test_id("toast-body")
    message.wait_for()
    said = message.inner_text()
    assert "photo.png' carries no recipe" in said
    assert "Traceback" not in said
    assert not re.search(r"/tmp|gradio", said)
    amount = drag(page, "hue", 0.7, steps=5)
    wait_for(page, expected({"hue": amount}))


def test_two_browsers_stay_apart(open_page: Callable[..., Any]) -> None:
    one, other = open_page(), open_page()
    amount = drag(one, "heading", 0.8, steps=5)
    other.get_by_label("Seed").fill("5")
    wait_for(one, expected({"heading": amount}))
    wait_for(other, expected(seed=5))
    assert float(knob(other, "heading").input_value()) == 0


def test_a_strip_under_each_knob_shows_the_bird_over_its_range(page: Any) -> None:
    strips = page.locator(".knob .strip[src]")
    wait_until(page, lambda: strips.count() == len(shared_model(GENERATOR).knobs), "the strips")
    address = page.locator(".knob", has=knob(page, "hue")).locator(".strip").get_attribute("src")
    strip = to_pictures([Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))])
    frames = torch.stack(strip.split(64, dim=3)).squeeze(1)  # (steps, 3, height, width)
    assert (frames[3] - expected()[0]).abs().mean() < 0.02
    assert body_hue(frames[4:5]) != pytest.approx(body_hue(frames[3:4]), abs=20)


def test_every_control_has_a_name_and_one_line_of_help(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, button, select, textarea")]
          .filter(field => field.offsetParent && !field.closest("footer"))
          .filter(field => !(field.labels?.length || field.ariaLabel || field.innerText || field.title))
          .map(field => field.outerHTML)"""
    )
    assert nameless == []
    assert page.locator(".knob:visible .info-text").count() == page.locator(".knob:visible").count()


@pytest.mark.parametrize("width", [420, 1280])
def test_nothing_hangs_over_the_edge(open_page: Callable[..., Any], width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#picture img").bounding_box()["width"] >= min(300, 0.7 * width)


def test_no_other_host_was_asked_for_anything(page: Any, address: str, requested: list[str]) -> None:
    page.wait_for_timeout(500)
    assert requested
    assert [each for each in requested if not each.startswith((f"{address}/", "data:", "blob:"))] == []

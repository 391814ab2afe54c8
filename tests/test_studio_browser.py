"""The studio as a person meets it, in headless Chromium: every test looks at pixels or values."""

import base64
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import choose, page_of, read_address, wait_until
from PIL import Image
from torch import Tensor

import steer
from steer.apps.session import Session
from steer.apps.setting import shared_model
from steer.pictures import to_images, to_pictures

pytestmark = pytest.mark.browser

GENERATOR = "aviary"


@pytest.fixture(scope="module")
def requested() -> list[str]:
    """Every address that any page of this module asked for."""
    return []


@pytest.fixture
def page(window: Any, studio: str, requested: list[str]) -> Iterator[Any]:
    with page_of(window, studio, "Turn") as page:
        page.on("request", lambda request: requested.append(request.url))
        yield page


def shown(page: Any, kind: str = "now") -> Tensor:
    """Return the pictures on the page, (birds, 3, height, width) in [0, 1]."""
    addresses = page.eval_on_selector_all(f"#picture img.{kind}", "images => images.map(image => image.src)")
    return torch.cat([read_address(address) for address in addresses])


def expected(
    turns: dict[str, float] | None = None,
    seed: int = 0,
    label: str | None = None,
    birds: int = 1,
    windows: dict[str, tuple[float, float]] | None = None,
) -> Tensor:
    """Return what the page must show, to the last bit."""
    session = Session(GENERATOR)
    session.throw(seed)
    session.label(label)
    session.birds(birds)
    for name, amount in (turns or {}).items():
        session.turn(name, amount)
    for name, window in (windows or {}).items():
        session.window(name, *window)
    return to_pictures(to_images(session.picture().pixels))


def wait_for(page: Any, pictures: Tensor) -> None:
    wait_until(page, lambda: shown(page).shape == pictures.shape and shown(page).equal(pictures), "the picture")


def knob(page: Any, name: str) -> Any:
    return page.get_by_role("slider", name=name, exact=True)


def drag(page: Any, name: str, share: float, steps: int = 30) -> float:
    """Drag a slider to a share of its track, quickly; return the value that it then has."""
    slider = knob(page, name)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, middle, steps=steps)
    page.mouse.up()
    return float(slider.input_value())


def spin(page: Any, name: str, clockwise: float, steps: int = 30) -> float:
    """Drag the hand of a dial from where it points by so many degrees; return the amount that it then stands at."""
    dial = knob(page, name)
    dial.scroll_into_view_if_needed()
    box = dial.bounding_box()
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.3 * box["width"]
    begin = float(dial.evaluate("dial => dial.style.getPropertyValue('--hand')"))
    for step in range(steps + 1):
        angle = math.radians(begin + clockwise * step / steps)
        page.mouse.move(x + radius * math.sin(angle), y - radius * math.cos(angle))
        if step == 0:
            page.mouse.down()
    page.mouse.up()
    return float(dial.get_attribute("aria-valuenow"))


def measured(page: Any) -> None:
    """Wait until the judge has read the picture, after which the dials stay where they are."""
    page.wait_for_selector('#readings [data-attribute="hue"]')


def amount_of(page: Any, name: str) -> float:
    return float(page.get_by_label(f"{name}, amount", exact=True).input_value())


def body_hue(pictures: Tensor) -> float:
    """Measure the plumage's hue in degrees, by the judge."""
    return float(steer.measure_attributes(pictures, shared_model(GENERATOR).generator)["hue"][0])


def chosen(page: Any) -> dict[str, Any]:
    """Return what the controls of a page say."""
    fields = {name: page.locator(f"#{name} input").input_value() for name in ("generator", "label", "seed")}
    fields["truncation"] = page.get_by_label("number input for Truncation").input_value()
    fields["birds"] = page.locator("#birds input:checked").get_attribute("value")
    return {**fields, "hue": amount_of(page, "hue"), "size": amount_of(page, "size")}


def test_the_page_begins_with_the_first_bird(page: Any) -> None:
    wait_for(page, expected())
    assert page.title() == "latent-steer studio"
    assert page.locator("#picture img.now").get_attribute("alt").endswith("seed 0")


def test_a_dial_turned_by_hand_turns_the_hue_as_far_and_its_last_value_is_shown(page: Any) -> None:
    wait_for(page, expected())
    measured(page)
    before = body_hue(shown(page))
    amount = spin(page, "hue", 110, steps=60)
    assert amount == pytest.approx(110, abs=2)
    wait_for(page, expected({"hue": amount}))
    assert (body_hue(shown(page)) - before) % 360 == pytest.approx(amount, abs=25)


def test_the_hand_of_a_dial_points_at_the_hue_that_the_bird_gets(page: Any) -> None:
    measured(page)
    spin(page, "hue", 75)
    hand = float(knob(page, "hue").evaluate("dial => dial.style.getPropertyValue('--hand')"))
    amount = amount_of(page, "hue")
    wait_for(page, expected({"hue": amount}))
    assert abs((hand - body_hue(shown(page)) + 180) % 360 - 180) < 25


def test_two_sliders_dragged_one_after_the_other_without_a_pause_are_both_shown(page: Any) -> None:
    amounts = {"tilt": drag(page, "tilt", 0.3, steps=40), "size": drag(page, "size", 0.7, steps=40)}
    assert amounts["tilt"] < 0 < amounts["size"]
    wait_for(page, expected(amounts))


def test_keys_turn_sliders_and_dials(page: Any) -> None:
    knob(page, "size").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    wait_for(page, expected({"size": 0.2}))
    knob(page, "heading").focus()
    for key in ("ArrowRight", "ArrowUp", "PageUp", "ArrowLeft"):
        page.keyboard.press(key)
    wait_for(page, expected({"size": 0.2, "heading": 16}))
    assert knob(page, "heading").get_attribute("aria-valuetext") == "+16°"
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    wait_for(page, expected({"size": 0.2, "heading": -179}))


def test_a_typed_amount_turns_a_knob_and_one_beyond_the_range_is_marked(page: Any) -> None:
    box = page.get_by_label("size, amount", exact=True)
    box.fill("-1.3")
    wait_for(page, expected({"size": -1.3}))
    assert "far" not in page.locator('[data-knob="size"]').get_attribute("class")
    box.fill("99")
    box.press("Tab")
    most = float(knob(page, "size").get_attribute("max"))
    assert most > shared_model(GENERATOR).knobs["size"].range[1]
    wait_for(page, expected({"size": most}))
    assert amount_of(page, "size") == most
    assert "far" in page.locator('[data-knob="size"]').get_attribute("class")
    assert "beyond what stays plausible" in knob(page, "size").get_attribute("aria-valuetext")


def test_reset_turns_one_knob_or_all_back(page: Any) -> None:
    tilt = drag(page, "tilt", 0.3, steps=5)
    size = drag(page, "size", 0.7, steps=5)
    wait_for(page, expected({"tilt": tilt, "size": size}))
    page.get_by_role("button", name="reset size").click()
    wait_for(page, expected({"tilt": tilt}))
    page.get_by_role("button", name="Reset all").click()
    wait_for(page, expected())
    wait_until(page, lambda: amount_of(page, "tilt") == 0, "the slider")


def test_steps_are_undone_done_again_and_gone_back_to(page: Any) -> None:
    steps = page.get_by_role("button", name="go to step")
    wait_until(page, lambda: steps.count() == 1, "the first step")
    amount = drag(page, "size", 0.7, steps=5)
    wait_until(page, lambda: steps.count() == 2, "the second step")
    page.locator("#seed input").fill("7")
    wait_for(page, expected({"size": amount}, seed=7))
    wait_until(page, lambda: steps.count() == 3, "the third step")
    page.locator("h1").click()
    page.keyboard.press("Control+z")
    wait_for(page, expected({"size": amount}))
    page.get_by_role("button", name="Undo").click()
    wait_for(page, expected())
    wait_until(page, lambda: amount_of(page, "size") == 0, "the slider")
    page.get_by_role("button", name="Redo").click()
    wait_for(page, expected({"size": amount}))
    steps.nth(2).click()
    wait_for(page, expected({"size": amount}, seed=7))
    wait_until(page, lambda: page.locator("#seed input").input_value() == "7", "the seed")
    thumbs = page.eval_on_selector_all(".steps img", "images => images.map(image => image.src)")
    assert (read_address(thumbs[2]) - shown(page)).abs().mean() < 0.02


def test_dice_label_and_number_of_pictures_follow_their_controls(page: Any) -> None:
    page.locator("#seed input").fill("7")
    wait_for(page, expected(seed=7))
    choose(page, "#label", "toucan")
    wait_for(page, expected(seed=7, label="toucan"))
    page.locator("#birds label", has_text="4").click()
    wait_for(page, expected(seed=7, label="toucan", birds=4))
    page.get_by_role("button", name="Throw all dice").click()
    wait_until(page, lambda: page.locator("#seed input").input_value() != "7", "another seed")
    wait_for(page, expected(seed=int(page.locator("#seed input").input_value()), label="toucan", birds=4))


def test_one_die_is_thrown_and_the_rest_of_the_picture_stays(page: Any) -> None:
    wait_for(page, expected())
    before = shown(page)
    choose(page, "#die", "background hue")
    page.get_by_role("button", name="Throw this die").click()
    wait_until(page, lambda: not shown(page).equal(before), "another background")
    changed = (shown(page) - before).abs().mean(1)[0]
    assert changed[:8, :8].mean() > 5 * changed[28:40, 28:36].mean()


def test_the_same_turns_are_shown_on_nine_seeds(page: Any) -> None:
    page.locator("#birds label", has_text="9").click()
    wait_for(page, expected(birds=9))
    amount = drag(page, "size", 0.7, steps=5)
    wait_for(page, expected({"size": amount}, birds=9))


def test_the_picture_before_lies_beside_the_line_and_follows_it(page: Any) -> None:
    amount = drag(page, "size", 0.7, steps=5)
    page.locator("#view label", has_text="Before").click()
    wait_until(page, lambda: page.locator("#picture img.other[src]").count() == 1, "the picture before")
    wait_for(page, expected({"size": amount}))
    assert shown(page, "other").equal(expected())
    line = page.get_by_label("how much of the picture before is shown")
    line.focus()
    page.keyboard.press("Home")
    clip = "image => getComputedStyle(image).clipPath"
    assert page.locator("img.other").evaluate(clip) == "inset(0px 100% 0px 0px)"
    box = page.locator(".bird").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 20)
    share = float(re.search(r"inset\(0px ([\d.]+)%", page.locator("img.other").evaluate(clip))[1])
    assert share == pytest.approx(75, abs=2)


def test_the_difference_shows_where_a_knob_leaks(page: Any) -> None:
    page.get_by_label("background hue, amount", exact=True).fill("90")
    page.locator("#view label", has_text="Difference").click()
    wait_until(page, lambda: page.locator("#picture img.other[src]").count() == 1, "the map")
    heat = shown(page, "other")[0].mean(0)
    assert heat[:8, :8].mean() > 5 * heat[32:40, 28:36].mean()
    assert re.search(r"\d+ % of the pixels changed", page.locator(".legend").inner_text())


def test_a_pad_turns_two_knobs_at_once_over_a_map(page: Any) -> None:
    page.get_by_text("two knobs at once").click()
    page.get_by_label("knob across").select_option("size")
    page.get_by_label("knob up").select_option("tilt")
    plane = page.locator(".plane")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.25 * box["height"], steps=20)
    page.mouse.up()
    amounts = {"size": amount_of(page, "size"), "tilt": amount_of(page, "tilt")}
    assert all(amount > 1 for amount in amounts.values())
    wait_for(page, expected(amounts))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    amounts = {"size": round(amounts["size"] - 0.05, 6), "tilt": round(amounts["tilt"] - 0.5, 6)}
    wait_for(page, expected(amounts))
    wait_until(page, lambda: page.locator(".plane img[src]").count() == 1, "the map")
    chart = read_address(page.locator(".plane img").get_attribute("src"))
    assert chart.shape[-1] == 7 * 64


def test_a_knob_acts_in_its_window(page: Any) -> None:
    choose(page, "#generator", "aviary-biggan")
    wait_until(page, lambda: page.locator('[data-knob="pc0"]').count() == 1, "the other generator's knobs")
    page.get_by_label("size, amount", exact=True).fill("1")
    page.get_by_label("Windows").check()
    start = knob(page, "size acts from")
    start.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    session = Session("aviary-biggan")
    session.turn("size", 1)
    session.window("size", 0.6, 1)
    wait_for(page, to_pictures(to_images(session.picture().pixels)))
    page.get_by_label("Windows").uncheck()
    assert page.get_by_text("acts from 0.60 to 1.00").is_visible()


def test_the_judge_says_what_moved_beside_what_was_asked_for(page: Any) -> None:
    page.get_by_label("hue, amount", exact=True).fill("90")
    row = page.locator('#readings [data-attribute="hue"]')
    wait_until(page, lambda: "+90°" in row.inner_text(), "what was asked for")
    moved = float(re.search(r"([+−]\d+)°\s+\+90°", row.inner_text())[1].replace("−", "-"))
    assert moved == pytest.approx(90, abs=25)
    assert page.locator("#readings .asked").count() == 1


def test_a_saved_picture_dropped_on_a_fresh_page_restores_everything(
    page: Any, window: Any, studio: str, tmp_path: Path
) -> None:
    first = page
    first.locator("#seed input").fill("7")
    wait_for(first, expected(seed=7))
    choose(first, "#label", "heron")
    wait_for(first, expected(seed=7, label="heron"))
    first.get_by_label("hue, amount", exact=True).fill("70")
    amounts = {"hue": 70, "size": drag(first, "size", 0.3, steps=5)}
    wait_for(first, expected(amounts, seed=7, label="heron"))
    with first.expect_download() as download:
        first.get_by_role("button", name="Save PNG").click()
    assert download.value.suggested_filename == f"{GENERATOR}-heron-7.png"
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert to_pictures(to_images(steer.Recipe.load(path).render())).equal(shown(first))

    with page_of(window, studio, "Turn") as second:
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
    amount = drag(page, "size", 0.7, steps=5)
    wait_for(page, expected({"size": amount}))


def test_names_in_a_dropped_file_are_only_text(page: Any, tmp_path: Path) -> None:
    aviary = steer.load_generator(GENERATOR)
    name = "<img src=x onerror=document.title=1>"
    hostile = replace(steer.shipped_knobs(aviary)["size"], name=name, attribute=None)
    steering = steer.Steering([(hostile, 1.0)])
    steer.Recipe.of(aviary, aviary.sample([3]), steering, layout=steer.Layout(bare=True)).save(tmp_path / "bird.png")
    page.locator("#masthead input[type=file]").set_input_files(tmp_path / "bird.png")
    page.get_by_role("heading", name=name).wait_for(state="attached")
    wait_until(page, lambda: page.get_by_role("button", name="go to step").count() == 2, "the step")
    assert page.title() == "latent-steer studio"
    assert page.locator("img[src=x]").count() == 0


def test_the_last_move_arrives_though_the_server_was_out_of_reach(page: Any) -> None:
    wait_for(page, expected())
    calls = re.compile("component_server")
    page.route(calls, lambda route: route.abort())
    page.get_by_label("size, amount", exact=True).fill("1")
    page.get_by_text("does not answer; trying again").wait_for()
    page.unroute(calls)
    wait_for(page, expected({"size": 1}))
    wait_until(page, lambda: page.locator(".trouble").inner_text() == "", "the message to go")


def test_the_last_of_many_moves_arrives_though_the_server_was_busy(page: Any) -> None:
    asked, last, trouble = page.evaluate(
        """async () => {
          let asked = 0, last, trouble = "";
          const look = async ({ amounts }) => {
            await steer.pause(5);
            if (asked++ < 3) return { busy: true };
            last = amounts.hue;
            return { finished: true };
          };
          const pump = steer.startPump({ look, judge: async () => ({}) }, () => {});
          pump.on("trouble", (text) => { trouble ||= text; });
          pump.begin({ key: "any", revision: 1 });
          for (const amount of [10, 20, 30]) {
            pump.turn("hue", amount);
            await steer.pause(20);
          }
          while (!pump.still) await steer.pause(5);
          return [asked, last, trouble];
        }"""
    )
    assert asked > 3 and last == 30 and trouble == ""


def test_two_people_stay_apart(page: Any, browser: Any, studio: str) -> None:
    context = browser.new_context()
    with page_of(context, studio, "Turn") as other:
        amount = drag(page, "size", 0.7, steps=5)
        other.locator("#seed input").fill("5")
        wait_for(page, expected({"size": amount}))
        wait_for(other, expected(seed=5))
        assert amount_of(other, "size") == 0
    context.close()


def test_a_strip_lies_along_each_slider_and_shows_the_bird_over_it(page: Any) -> None:
    strip = page.locator('[data-knob="background_brightness"] .strip[src]')
    page.locator('[data-knob="background_brightness"]').scroll_into_view_if_needed()
    wait_until(page, lambda: strip.count() == 1, "the strip")
    frames = torch.stack(read_address(strip.get_attribute("src")).split(64, dim=3)).squeeze(
        1
    )  # (steps, 3, height, width)
    brightness = frames[:, :, :8, :8].flatten(1).mean(1)
    assert brightness.diff().min() > 0
    assert (frames[3] - expected()[0]).abs().mean() < 0.02


def test_every_knob_has_one_line_of_help(page: Any) -> None:
    assert page.locator(".knob:visible .hint:visible").count() == page.locator(".knob:visible").count() > 0


@pytest.mark.parametrize("width", [390, 1280])
def test_the_picture_is_large_on_every_screen(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.locator("#picture img.now").bounding_box()["width"] >= min(300, 0.7 * width)


def test_no_other_host_was_asked_for_anything(page: Any, studio: str, requested: list[str]) -> None:
    page.reload()
    page.wait_for_selector("#picture img.now[src]")
    assert requested
    assert [each for each in requested if not each.startswith((f"{studio}/", "data:", "blob:"))] == []

"""The studio for everybody: by keyboard, by name, by eye and by thumb, on every tab once there is something on it."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import choose, open_page, wait_until
from PIL import Image
from serving import served
from tiny_diffusion import write_tiny_ddim

import steer

pytestmark = pytest.mark.browser

GENERATOR = "aviary-biggan"

PROBES = (Path(__file__).parent / "probes.js").read_text(encoding="utf-8")
"""Functions that look at a page for what a person could not use."""

STILL = "*, *::before, *::after { transition: none !important; }"
"""Colours on their way from one state to another are not what is read."""

MOST_STOPS = 200
"""Presses of a key that lead round any tab."""


def turn(page: Any, folder: Path) -> None:
    """Unfold all there is on Turn, turn a knob too far and another by its window, and make two steps."""
    page.wait_for_selector('#readings [data-attribute="hue"]')
    page.get_by_label("Windows").check()
    page.get_by_text("two knobs at once").click()
    page.get_by_label("size, amount", exact=True).fill("9")
    page.locator("#view label", has_text="Before").click()
    page.wait_for_selector("#readings .asked")
    page.get_by_role("button", name=re.compile("go to step .*, turned: size")).first.wait_for()


def drawing(page: Any, folder: Path) -> None:
    """Draw a dot."""
    page.locator("#drawing canvas").click()
    wait_until(page, lambda: page.get_by_role("button", name="Clear").is_enabled(), "the dot")


def discover(page: Any, folder: Path) -> None:
    """Find what weights amplify."""
    choose(page, "#finder", "sefa: weights amplify")
    page.locator("#discover-form").get_by_label("Components").fill("2")
    page.locator("#find").click()
    page.locator("#candidate-apply").wait_for()


def clicks(page: Any, folder: Path) -> None:
    """Be asked."""
    choose(page, "#finder", "clicks: what you mean")
    form = page.locator("#discover-form")
    form.get_by_label("Answers").wait_for()
    for option, value in (("Answers", "24"), ("Pool", "96"), ("Samples", "200")):
        form.get_by_label(option).fill(value)
    page.locator("#find").click()
    page.locator('form[data-sheet="1"]').wait_for()
    for answer in ("More", "Less"):
        page.get_by_role("group", name=f"Picture {1 + (answer == 'Less')} of 6").get_by_text(answer, exact=True).click()


def picture(page: Any, folder: Path) -> None:
    """Invert a bird that another generator drew."""
    path = folder / "bird.png"
    aviary = steer.load_generator("aviary")
    steer.Recipe.of(aviary, aviary.sample([3]), layout=steer.Layout(bare=True)).save(path)
    page.locator("#picture-file input[type=file]").set_input_files(path)
    page.locator("#picture-view img").wait_for()
    page.locator("#invert").click()
    page.locator("#picture-turn").wait_for()


def grid(page: Any, folder: Path) -> None:
    """Draw a grid of three axes."""
    for place, (what, values) in enumerate({"hue": "-60, 0, 60", "seed": "1, 2"}.items()):
        choose(page, f"#axis-{place}", what)
        box = page.locator(f"#axis-{place} textarea")
        wait_until(page, lambda box=box: box.is_visible() and box.input_value(), "usual values")
        box.fill(values)
    page.locator("#grid-draw").click()
    page.locator("#grid-png").wait_for()


def walk(page: Any, folder: Path) -> None:
    """Pin twice, and preview the walk."""
    for number in (1, 2):
        page.locator("#pin").click()
        page.locator(".pins li").nth(number - 1).wait_for()
    page.locator("#walk-preview").click()
    page.locator("#walk-view img.film").wait_for()


def lab(page: Any, folder: Path) -> None:
    """Film the picture, and let a denoiser learn a little."""
    page.locator("#film-reverse").click()
    page.locator("#film-save").wait_for()
    page.locator("#lab-steps input[type=number]").fill("50")
    page.locator("#lab-start").click()
    page.locator("#lab-view .course").wait_for()
    page.locator("#learn-cancel").wait_for(state="hidden")


STAGES: dict[str, Callable[[Any, Path], None]] = {
    "Turn": turn,
    "Turn, drawing": drawing,
    "Discover": discover,
    "Discover, asking": clicks,
    "Picture": picture,
    "Grid": grid,
    "Walk": walk,
    "Lab": lab,
}
"""What stands on each tab."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(str(write_tiny_ddim(tmp_path_factory.mktemp("models") / "tiny", levels=60))) as address:
        yield address


@pytest.fixture(scope="module", params=STAGES)
def page(window: Any, address: str, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Any]:
    page = open_page(window, address)
    stage(page, request.param, tmp_path_factory.mktemp("bird"))
    yield page
    page.close()


def stage(page: Any, name: str, folder: Path) -> None:
    """Lay something on a tab."""
    if name != "Turn, drawing":
        choose(page, "#generator", GENERATOR)
        page.locator('[data-knob="pc0"]').wait_for(state="attached")
    page.get_by_role("tab", name=name.partition(",")[0], exact=True).click()
    STAGES[name](page, folder)
    page.wait_for_function("steer.pump.still && !document.querySelector('[data-testid=toast-body]')")
    page.add_style_tag(content=STILL)
    page.evaluate(PROBES)


def narrow(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})


def widen(page: Any) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})


def named(page: Any) -> list[tuple[str, str]]:
    """Return role and name of all that takes the focus, as a screen reader is told; what is chosen from is left out."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    found = [(node["role"]["value"], node["name"]["value"].strip()) for node in nodes if _takes_the_focus(node)]
    return [(role, name) for role, name in found if role not in ("RootWebArea", "radio", "option")]


def _takes_the_focus(node: dict[str, Any]) -> bool:
    said = {each["name"]: each["value"].get("value") for each in node.get("properties", ())}
    return not node["ignored"] and bool(said.get("focusable"))


def go_round(page: Any, key: str = "Tab") -> list[str]:
    """Press a key until it leads out of the page; return what is wrong with the focus, and what was never reached."""
    page.evaluate("key => startRound(key)", key)
    faults = []
    for _ in range(MOST_STOPS):
        if page.evaluate("over()"):
            break
        page.keyboard.press(key)
        faults += [fault] if (fault := page.evaluate("focused()")) else []
    page.wait_for_function("!document.querySelector('[role=listbox]')")  # what opened by the way is closed again
    return faults + [f"not reached: {each}" for each in page.evaluate("unmet()")]


def test_whatever_takes_the_focus_has_a_name_of_its_own(page: Any) -> None:
    found = named(page)
    assert len(found) > 10
    assert [role for role, name in found if not name] == []
    assert [each for each, count in Counter(found).items() if count > 1] == []


def test_the_keyboard_reaches_every_control_and_its_ring_is_whole_and_plain_to_see(page: Any) -> None:
    widen(page)
    assert go_round(page) == []


def test_on_a_phone_the_focus_is_never_behind_the_picture_on_the_way_back(page: Any) -> None:
    narrow(page)
    assert go_round(page, "Shift+Tab") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(page: Any, scheme: str) -> None:
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
    assert page.evaluate("poorContrast()") == []


@pytest.mark.parametrize("width", [narrow, widen])
def test_nothing_hangs_over_the_edge_and_a_thumb_can_hit_everything(page: Any, width: Callable[[Any], None]) -> None:
    width(page)
    page.wait_for_function("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate("smallTargets()") == []


@pytest.fixture
def plain(window: Any, address: str) -> Iterator[Any]:
    page = open_page(window, address)
    page.evaluate(PROBES)
    yield page
    page.close()


def in_sight(page: Any, place: int) -> bool:
    """Return whether a step of the history is whole within its list."""
    return page.evaluate(
        """place => {
          const list = document.querySelector(".steps");
          const [box, all] = [list.children[place], list].map((each) => each.getBoundingClientRect());
          return all.left <= box.left && box.right <= all.right;
        }""",
        place,
    )


def test_the_history_is_scrolled_to_the_step_that_is_shown(plain: Any) -> None:
    steps, many = plain.locator(".steps li"), 10
    for count in range(2, many + 1):
        plain.locator("#seed input").fill(f"{count}")
        wait_until(plain, lambda count=count: steps.count() == count, "the step")
    narrow(plain)
    wait_until(plain, lambda: in_sight(plain, many - 1), "the newest step")
    assert not in_sight(plain, 0)
    steps.first.locator("button").evaluate("step => step.click()")
    wait_until(plain, lambda: in_sight(plain, 0), "the first step")
    steps.last.scroll_into_view_if_needed()
    assert in_sight(plain, many - 1)


@pytest.mark.parametrize("width", [narrow, widen])
def test_what_is_said_in_passing_covers_no_control_and_looks_like_the_rest(
    plain: Any, width: Callable[[Any], None], tmp_path: Path
) -> None:
    width(plain)
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "photo.png")
    plain.locator("#masthead input[type=file]").set_input_files(tmp_path / "photo.png")
    message = plain.get_by_test_id("toast-body")
    message.get_by_text("That did not work").wait_for()
    plain.add_style_tag(content=STILL)
    plain.wait_for_function("document.getAnimations().every((each) => each instanceof CSSAnimation)")
    assert plain.evaluate("coveredBy('.toast-wrap')") == []
    assert plain.evaluate("smallTargets()") == []
    for dark in (False, True):
        plain.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        assert plain.evaluate("poorContrast()") == []
    family = "element => getComputedStyle(element).fontFamily"
    assert message.evaluate(family) == plain.locator("h1").evaluate(family)
    message.get_by_test_id("toast-close").click()
    wait_until(plain, lambda: message.count() == 0, "the message to go")


def test_the_page_is_dark_where_the_system_is(plain: Any) -> None:
    for scheme in ("dark", "light"):
        plain.emulate_media(color_scheme=scheme)
        plain.reload()
        plain.wait_for_selector("#picture img.now[src]")
        assert plain.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")

"""Take a picture of every tab of the studio, wide and narrow, light and dark, into `docs/screens`.

``make screenshots`` takes them all, ``python docs/screens.py Turn "Discover clicks"`` some.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import sync_playwright

import steer
from steer.apps.studio import launch

FOLDER = Path(__file__).parent / "screens"
WIDTHS = {"wide": (1280, 900), "narrow": (390, 844)}
SCHEMES = ("light", "dark")
PATIENCE = 600_000
"""Milliseconds."""


def turn(page: Any) -> None:
    """Dial one knob to a colour, turn two, and look at the difference."""
    page.get_by_label("colour to dial background hue to", exact=True).fill("#88bb66")
    page.locator(".reached", has_text="shows").wait_for()
    page.get_by_label("hue, amount", exact=True).fill("70")
    page.get_by_label("size, amount", exact=True).fill("0.6")
    page.locator("#birds label", has_text="4").click()
    page.wait_for_timeout(2000)
    page.locator("#pin").click()
    page.get_by_label("hue, amount", exact=True).fill("-60")
    page.wait_for_timeout(2000)
    page.locator("#pin").click()
    page.wait_for_function("document.querySelectorAll('.strip:not([hidden]), .wheel.drawn').length >= 5")
    page.get_by_test_id("toast-body").last.wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=toast-body]')")


BIRD: Sequence[tuple[str, float, tuple[tuple[float, float], ...]]] = (
    ("body", 14, ((24, 38), (40, 34), (36, 40), (26, 42))),
    ("head", 11, ((43, 21), (44, 22))),
    ("beak", 3, ((50, 22), (54, 23))),
    ("wing", 8, ((26, 38), (34, 38))),
    ("tail", 6, ((12, 46), (20, 41))),
    ("legs", 2, ((32, 46), (31, 56))),
    ("legs", 2, ((36, 45), (36, 56))),
)
"""A bird in strokes: brush, its width, and places, in pixels of a pad of 64."""


def drawing(page: Any) -> None:
    """Draw the layout of a bird."""
    page.locator("#generator input").click()
    page.get_by_role("option", name="aviary-ddim").click()
    page.locator("#drawing label", has_text="Layout").click()
    canvas = page.locator("#drawing canvas")
    canvas.scroll_into_view_if_needed()
    for brush, width, places in BIRD:
        page.locator("#drawing .brushes label", has_text=brush).click()
        page.get_by_label("width of the brush").fill(f"{width}")
        box = canvas.bounding_box()
        points = [(box["x"] + x * box["width"] / 64, box["y"] + y * box["height"] / 64) for x, y in places]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=6)
        page.mouse.up()
    page.wait_for_function("steer.pump.still")
    page.wait_for_timeout(1000)


def discover(page: Any) -> None:
    """Find what varies most."""
    page.locator("#finder input").click()
    page.get_by_role("option", name="sefa").click()
    page.wait_for_timeout(2000)
    page.locator("#find").click()
    page.locator("#candidate-apply").wait_for()


def clicks(page: Any) -> None:
    """Answer two sheets by the place of each picture, so that a knob appears."""
    page.locator("#finder input").click()
    page.get_by_role("option", name="clicks").click()
    form = page.locator("#discover-form")
    form.get_by_label("Answers").wait_for()
    for option, value in (("Answers", "24"), ("Pool", "96"), ("Samples", "200")):
        form.get_by_label(option).fill(value)
    page.locator("#find").click()
    for sheet in (1, 2):
        page.locator(f'form[data-sheet="{sheet}"]').wait_for()
        for number in range(1, 7):
            picture = page.get_by_role("group", name=f"Picture {number} of 6")
            picture.get_by_text("More" if number % 2 else "Less", exact=True).click()
        page.get_by_role("button", name="Next sheet").click()
    page.locator("#clicks-knob img.latest").wait_for()
    page.get_by_role("group", name="Picture 1 of 6").get_by_text("More", exact=True).click()


def picture(page: Any) -> None:
    """Invert a bird that another generator drew."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "bird.png")
        aviary = steer.load_generator("aviary")
        steer.Recipe.of(aviary, aviary.sample([3]), layout=steer.Layout(bare=True)).save(path)
        page.locator("#picture-file input[type=file]").set_input_files(path)
        page.locator("#picture-view img").wait_for()
        page.locator("#invert").click()
        page.locator("#picture-turn").wait_for()


def grid(page: Any) -> None:
    """Draw the grid that is offered."""
    page.locator("#grid-draw").click()
    page.locator("#grid-png").wait_for()


def walk(page: Any) -> None:
    """Preview the walk from pin to pin."""
    page.locator("#walk-preview").click()
    page.locator("#walk-view img.film").wait_for()


def lab(page: Any) -> None:
    """Film the picture, and let a denoiser learn a little."""
    page.locator("#film-reverse").click()
    page.locator("#film-save").wait_for()
    page.locator("#lab-steps input[type=number]").fill("100")
    page.locator("#lab-start").click()
    page.locator("#lab-view .course").wait_for()
    page.locator("#learn-cancel").wait_for(state="hidden")


SCREENS: dict[str, Callable[[Any], None]] = {
    "Turn": turn,
    "Discover": discover,
    "Discover clicks": clicks,
    "Picture": picture,
    "Grid": grid,
    "Walk": walk,
    "Lab": lab,
    "Turn drawing": drawing,
}


TO_TOP = """() => {
  scrollTo(0, 0);
  if (innerWidth < 600) document.querySelector("#clicks-sheet form")?.scrollIntoView();
}"""
"""Where the narrow page asks for something, that is looked at, and not the form above it."""


def take(page: Any, name: str) -> None:
    """Take the pictures of one tab as it stands."""
    for size, (width, height) in WIDTHS.items():
        for scheme in SCHEMES:
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
            page.evaluate(TO_TOP)
            page.wait_for_timeout(700)
            page.screenshot(path=FOLDER / f"{name.lower().replace(' ', '-')}-{size}-{scheme}.png")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("document.body.classList.remove('dark')")


def main() -> None:
    """Fill each tab with something to see, and take its pictures."""
    FOLDER.mkdir(exist_ok=True)
    demo = launch("aviary-biggan", open_browser=False, block=False)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(demo.local_url)
        page.wait_for_selector("#picture img.now[src]")
        for name in sys.argv[1:] or SCREENS:
            tab, _, part = name.partition(" ")
            page.get_by_role("tab", name=tab, exact=True).click()
            if not part:
                take(page, f"{name}-empty")
            SCREENS[name](page)
            take(page, name)
    demo.close()


if __name__ == "__main__":
    main()

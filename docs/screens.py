"""Take a picture of every tab of the studio, wide and narrow, light and dark, into `docs/screens`.

``make screenshots`` takes them all, ``python docs/screens.py Turn Walk`` those of some tabs.
"""

import shutil
import sys
from collections.abc import Callable
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
    """Turn two knobs, and look at the difference."""
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


def discover(page: Any) -> None:
    """Find what varies most."""
    page.locator("#finder input").click()
    page.get_by_role("option", name="sefa").click()
    page.wait_for_timeout(2000)
    page.locator("#find").click()
    page.locator("#candidate-apply").wait_for()


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


TABS: dict[str, Callable[[Any], None]] = {
    "Turn": turn,
    "Discover": discover,
    "Picture": picture,
    "Grid": grid,
    "Walk": walk,
    "Lab": lab,
}


def take(page: Any, name: str) -> None:
    """Take the pictures of one tab as it stands."""
    for size, (width, height) in WIDTHS.items():
        for scheme in SCHEMES:
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
            page.wait_for_timeout(700)
            page.screenshot(path=FOLDER / f"{name.lower()}-{size}-{scheme}.png")
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
        for name in sys.argv[1:] or TABS:
            page.get_by_role("tab", name=name, exact=True).click()
            take(page, f"{name}-empty")
            TABS[name](page)
            take(page, name)
    demo.close()


if __name__ == "__main__":
    main()

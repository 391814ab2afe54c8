"""The locks at what the judge sees, as a person meets them, on a generator whose knobs leak."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import page_of, pictures, wait_until
from serving import served
from torch import Tensor

from steer.apps.session import Session
from steer.pictures import to_images, to_pictures

pytestmark = pytest.mark.browser

GENERATOR = "aviary-biggan"
SEED, AMOUNT = 2, 1.7
"""A bird that turns its head by 50 degrees when it is moved to the side."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(GENERATOR) as address:
        yield address


@pytest.fixture
def page(window: Any, address: str) -> Iterator[Any]:
    with page_of(window, address, "Turn") as page:
        page.locator("#seed input").fill(str(SEED))
        wait_until(page, lambda: shown(page).equal(expected(0)), "the bird")
        yield page


def shown(page: Any) -> Tensor:
    return pictures(page, "#picture .bird:first-child")[0]


def expected(amount: float, *locks: str) -> Tensor:
    """Return what the page must show, to the last bit."""
    session = Session(GENERATOR)
    session.throw(SEED)
    for lock in locks:
        session.lock(lock)
    session.turn("x", amount)
    return to_pictures(to_images(session.picture().pixels))


def lock(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=f"lock {name}", exact=True)


def turn(page: Any, amount: float) -> None:
    page.get_by_label("x, amount", exact=True).fill(f"{amount}")


def heading(page: Any) -> float:
    return float(page.locator('#readings [data-attribute="heading"]').get_attribute("data-value"))


def test_a_lock_holds_the_picture_and_says_what_it_would_have_done_without(page: Any) -> None:
    began = heading(page)
    turn(page, AMOUNT)
    wait_until(page, lambda: shown(page).equal(expected(AMOUNT)), "the turn")
    wait_until(page, lambda: abs(heading(page) - began) > 40, "the leak")
    lock(page, "heading").click()
    wait_until(page, lambda: shown(page).equal(expected(AMOUNT, "heading")), "the lock")
    wait_until(page, lambda: abs(heading(page) - began) < 20, "the judge")
    assert lock(page, "heading").get_attribute("aria-pressed") == "true"
    page.get_by_text(re.compile(r"heading holds: .*, without the lock \+50°")).wait_for()
    lock(page, "heading").click()
    wait_until(page, lambda: shown(page).equal(expected(AMOUNT)), "what was before")
    assert page.locator(".locks").count() == 0


def test_a_lock_is_set_from_the_keyboard_and_keeps_the_focus(page: Any) -> None:
    lock(page, "background").focus()
    page.keyboard.press("Space")
    page.locator('[data-lock="background"][aria-pressed="true"]').wait_for()
    turn(page, AMOUNT)
    lock(page, "background").focus()
    page.locator(".locks li", has_text="background").get_by_text("without the lock").wait_for()
    wait_until(page, lambda: shown(page).equal(expected(AMOUNT, "background")), "the turn")
    assert page.evaluate("document.activeElement.dataset.lock") == "background"


def test_a_locked_picture_is_saved_and_opened_with_its_locks(page: Any, tmp_path: Path) -> None:
    lock(page, "heading").click()
    turn(page, AMOUNT)
    wait_until(page, lambda: shown(page).equal(expected(AMOUNT, "heading")), "the turn")
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(tmp_path / "held.png")
    lock(page, "heading").click()
    turn(page, 0)
    wait_until(page, lambda: shown(page).equal(expected(0)), "the bird")
    page.locator("#masthead input[type=file]").set_input_files(tmp_path / "held.png")
    wait_until(page, lambda: shown(page).equal(expected(AMOUNT, "heading")), "the opened picture")
    page.locator('[data-lock="heading"][aria-pressed="true"]').wait_for()

"""What the browser tests share: pages of the studio, waiting, and the pictures on a page."""

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from PIL import Image
from torch import Tensor

from steer.pictures import to_pictures

PATIENCE = 60
"""Seconds that anything on a page may take, on the slowest machine."""


def open_page(context: Any, address: str) -> Any:
    """Return a page of the studio that shows its first picture, 1280 pixels wide."""
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: pytest.fail(f"the page threw {error}"))
    page.goto(address)
    page.wait_for_selector("#picture img.now[src]")
    return page


@contextmanager
def page_of(context: Any, address: str, tab: str) -> Iterator[Any]:
    """Yield a page with a tab opened."""
    page = open_page(context, address)
    page.get_by_role("tab", name=tab, exact=True).click()
    yield page
    page.close()


@contextmanager
def held(gate: Path) -> Iterator[None]:
    """Hold every job of the studio at its first sign of life, however quick the machine is."""
    gate.touch()
    try:
        yield
    finally:
        gate.unlink()


def choose(page: Any, field: str, choice: str) -> None:
    """Choose something from a list that drops down."""
    page.locator(f"{field} input").click()
    page.locator(f'{field} [data-testid="dropdown-option"][aria-label="{choice}"]').click()


def wait_until(page: Any, true: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    until = monotonic() + patience
    while not true():
        assert monotonic() < until, f"waited in vain for {what}"
        page.wait_for_timeout(30)


def pictures(page: Any, place: str) -> list[Tensor]:
    """Return the pictures in a place of a page, each (1, 3, height, width) in [0, 1]."""
    addresses = page.eval_on_selector_all(f"{place} img", "images => images.map(image => image.src)")
    return [read_address(each) for each in addresses if each.startswith("data:")]


def read_address(address: str) -> Tensor:
    """Return the picture that an address holds, (1, 3, height, width) in [0, 1]."""
    return to_pictures([Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))])

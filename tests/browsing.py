"""What the browser tests of the tabs share: a page in a browser of its own, and the pictures on it."""

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from PIL import Image
from torch import Tensor

from steer.pictures import to_pictures

PATIENCE = 240
"""Seconds."""


@contextmanager
def page_of(browser: Any, address: str, tab: str, **options: Any) -> Iterator[Any]:
    """Yield a page with a tab opened, in a browser that shares nothing with others."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: pytest.fail(f"the page threw {error}"))
    page.goto(address)
    page.wait_for_selector("#picture img")
    page.get_by_role("tab", name=tab, exact=True).click()
    yield page
    context.close()


def wait_until(page: Any, true: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    until = monotonic() + PATIENCE
    while not true():
        assert monotonic() < until, f"waited in vain for {what}"
        page.wait_for_timeout(50)


def pictures(page: Any, place: str) -> list[Tensor]:
    """Return the pictures in a place of a page, each (1, 3, height, width) in [0, 1]."""
    addresses = page.eval_on_selector_all(f"{place} img", "images => images.map(image => image.src)")
    return [read_address(each) for each in addresses if each.startswith("data:")]


def read_address(address: str) -> Tensor:
    """Return the picture that an address holds, (1, 3, height, width) in [0, 1]."""
    return to_pictures([Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))])

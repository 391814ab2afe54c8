"""Measure how quickly the studio opens and answers the hand, in a real browser; run it on a quiet machine.

    python benchmarks/studio.py                 # aviary-biggan
    python benchmarks/studio.py GENERATOR       # another one, by name or folder

A move counts from its event in the page to the frame in which the browser shows its picture.
"""

import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from playwright.sync_api import sync_playwright

MOVES = 400
PACE = 10
"""Milliseconds between two moves of a hand that drags."""

ROUNDS = 5
"""Drags; between them the hand rests."""


@contextmanager
def served(generator: str) -> Iterator[tuple[str, int]]:
    """Serve the studio as a process of its own; yield its address and the process's number."""
    program = f"from steer.apps.studio import launch; launch({generator!r}, open_browser=False)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        said = iter(server.stdout.readline, "")
        yield next(match[1] for line in said if (match := re.search(r"(http://[\d.]+:\d+)", line))), server.pid
        server.terminate()


def drag(page: Any) -> list[float]:
    """Drag the first slider to and fro, then let it rest; return the milliseconds of each picture shown meanwhile."""
    page.evaluate("steer.pump.latencies.length = 0")
    slider = page.locator(".knob.slider input[type=range]").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    for move in range(MOVES // ROUNDS):
        share = abs(move / 20 % 2 - 1)
        page.mouse.move(box["x"] + box["width"] * (0.1 + 0.8 * share), middle)
        page.wait_for_timeout(PACE)
    page.mouse.up()
    page.wait_for_function("steer.pump.still")
    latencies = page.evaluate("steer.pump.latencies")
    page.wait_for_timeout(1500)
    return list(latencies)


def main() -> None:
    """Print what was measured."""
    generator = sys.argv[1] if len(sys.argv) > 1 else "aviary-biggan"
    begun = perf_counter()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        waited = perf_counter() - begun  # the browser's own start is not the studio's
        with served(generator) as (address, _):
            up = perf_counter() - begun - waited
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.wait_for_selector("#picture img.now[src]")
            first = perf_counter() - begun - waited
            page.wait_for_timeout(4000)
            latencies = sorted(each for _ in range(ROUNDS) for each in drag(page))
    cuts = statistics.quantiles(latencies, n=20)
    sys.stdout.write(
        f"{generator}\n"
        f"served after           {up:6.1f} s\n"
        f"first picture after    {first:6.1f} s\n"
        f"pictures while dragged {len(latencies):6}\n"
        f"event to pixels, median {statistics.median(latencies):5.0f} ms\n"
        f"            95th percentile {cuts[-1]:.0f} ms\n"
    )


if __name__ == "__main__":
    main()

"""Measure how quickly the studio opens and answers the hand, in a real browser; run it on a quiet machine.

    python benchmarks/studio.py                 # aviary-biggan
    python benchmarks/studio.py GENERATOR       # another one, by name or folder

A move counts from its event in the page to the frame in which the browser shows its picture. Of a diffusion model those
are drafts; the first of a drag is what a hand waits for that begins to move.
"""

import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any

from playwright.sync_api import sync_playwright

PACE = 10
"""Milliseconds between two moves of a hand that drags."""

DRAG = 2.0
"""Seconds that a drag lasts."""

ROUNDS = 5
"""Drags; between them the hand rests."""

PATIENCE = 300_000
"""Milliseconds that anything may take."""

STEER = "import sys; from steer.apps.start import main; sys.exit(main())"


@contextmanager
def served(generator: str) -> Iterator[tuple[str, int]]:
    """Run `steer studio` as a process of its own; yield its address and the process's number."""
    command = [sys.executable, "-c", STEER, "studio", generator, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        said = iter(server.stdout.readline, "")
        try:
            yield next(match[1] for line in said if (match := re.search(r"(http://[\d.]+:\d+)", line))), server.pid
        finally:
            server.terminate()


def processor_seconds(process: int) -> float:
    """Return how long a process has been at work, which others on the machine change little."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def drag(page: Any) -> list[float]:
    """Drag the first slider to and fro, then let it rest; return the milliseconds of each picture that followed."""
    page.evaluate("steer.pump.latencies.length = 0")
    slider = page.locator(".knob.slider .track input:visible").first  # what is folded away has a place, but is not met
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    begun, moves = perf_counter(), 0
    while perf_counter() - begun < DRAG:
        share = abs(moves / 20 % 2 - 1)
        page.mouse.move(box["x"] + box["width"] * (0.1 + 0.8 * share), middle)
        page.wait_for_timeout(PACE)
        moves += 1
    page.mouse.up()
    page.wait_for_function("steer.pump.still")
    page.wait_for_timeout(1500)
    return list(page.evaluate("steer.pump.latencies"))


def rank(values: list[float], share: float) -> float:
    """Return the value that a share of all do not exceed, of one or more."""
    return sorted(values)[ceil(share * len(values)) - 1]


def main() -> None:
    """Print what was measured."""
    generator = sys.argv[1] if len(sys.argv) > 1 else "aviary-biggan"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        begun = perf_counter()  # the browser's own start is not the studio's
        with served(generator) as (address, process):
            up, worked = perf_counter() - begun, processor_seconds(process)
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            page.wait_for_selector("#picture img.now[src]")
            first, worked_first = perf_counter() - begun, processor_seconds(process)
            page.wait_for_timeout(4000)
            drags = [latencies for _ in range(ROUNDS) if (latencies := drag(page))]
    sys.stdout.write(
        f"{generator}\n"
        f"served after            {up:6.1f} s ({worked:.1f} s of a processor)\n"
        f"first picture after     {first:6.1f} s ({worked_first:.1f} s of a processor)\n"
    )
    if not drags:
        sys.exit("no picture followed the hand")
    latencies, firsts = [each for latencies in drags for each in latencies], [latencies[0] for latencies in drags]
    sys.stdout.write(
        f"drags that were followed {len(drags):5} of {ROUNDS}, by {len(latencies)} pictures\n"
        f"first picture of a drag, median {statistics.median(firsts):4.0f} ms, slowest {max(firsts):.0f} ms\n"
        f"event to pixels, median {statistics.median(latencies):12.0f} ms\n"
        f"                 95th percentile {rank(latencies, 0.95):.0f} ms\n"
    )


if __name__ == "__main__":
    main()

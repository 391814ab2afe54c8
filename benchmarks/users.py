"""Let several people turn knobs at the same time, each on a page of their own; run it on a quiet machine.

    python benchmarks/users.py              # ten people, five minutes
    python benchmarks/users.py 3 0.5        # three people, half a minute

Every person has a seed of their own and turns the hue by many amounts without a pause. Then each page must show its own
seed with its own last amount; what another one asked for, or an amount but the last, counts as wrong.
"""

import random
import shutil
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from playwright.sync_api import Error, sync_playwright
from studio import served

MOVES = 8
"""Amounts that a person asks for without a pause."""

PATIENCE = 30_000
"""Milliseconds after which a last value counts as lost."""


def turn(page: Any, rng: random.Random) -> int:
    """Turn the hue by several amounts, and return the last."""
    field = page.get_by_label("hue, amount", exact=True)
    amounts = [rng.randint(1, 179) for _ in range(MOVES)]
    for amount in amounts:
        field.fill(str(amount))
    return amounts[-1]


def shows(page: Any, seed: int, amount: int) -> bool:
    """Wait until a page shows a seed with an amount, and return whether it came to that."""
    ends = f", seed {seed}, turned: hue +{amount}°"
    try:
        page.wait_for_function(
            "ends => document.querySelector('#picture img.now').alt.endsWith(ends)", arg=ends, timeout=PATIENCE
        )
    except Error:
        return False
    return page.locator(".trouble").inner_text() == ""


def megabytes(process: int) -> float:
    """Return how much memory a process holds."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    """Print what went wrong, and how the server's memory grew."""
    people, minutes = (int(sys.argv[1]), float(sys.argv[2])) if len(sys.argv) > 2 else (10, 5.0)
    rng, rounds, wrong = random.Random(0), 0, 0  # noqa: S311 - hands, not secrets
    held: list[float] = []
    with sync_playwright() as playwright, served("aviary-biggan") as (address, process):
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        pages = []
        for seed in range(people):
            page = chromium.new_context().new_page()
            page.set_default_timeout(10 * PATIENCE)  # that a page opens is not what is measured
            page.goto(address)
            page.wait_for_selector("#picture img.now[src]")
            page.locator("#seed input").fill(str(seed + 1))
            pages.append(page)
        until = perf_counter() + 60 * minutes
        while perf_counter() < until:
            last = [turn(page, rng) for page in pages]
            right = [shows(page, seed, amount) for seed, (page, amount) in enumerate(zip(pages, last, strict=True), 1)]
            rounds, wrong = rounds + len(pages), wrong + right.count(False)
            held.append(megabytes(process))
    sys.stdout.write(
        f"people {people}, minutes {minutes:g}\n"
        f"last values asked for {rounds}, not shown on their own page {wrong}\n"
        f"memory after the first round {held[0]:.0f} MB, at half time {held[len(held) // 2]:.0f} MB, "
        f"at the end {held[-1]:.0f} MB\n"
    )


if __name__ == "__main__":
    main()

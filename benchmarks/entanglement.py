"""Show that correlated data entangle knobs, and that correction by measured effects undoes it.

    python benchmarks/entanglement.py OUT.png              # a chart, and the numbers on stdout; some minutes

On an aviary whose birds stand the further to the right the larger they are, plain probes for size and x are found,
then disentangled. A turn of either moves both dice, so that a spread of change in the one should bring along as many
spreads in the other as the dice are correlated: that is the line the chart compares with. Labels and corrections come
from the critic, the leakage from the judge, on birds that neither has seen, with 90 % intervals. The birds are drawn at
32 pixels, three times as quickly as at 64; the judge still tells both factors (correlations 0.98 and 0.99 with the
truth).
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from steer.backend import Backend
from steer.directions.bootstrap import Draw, intervals
from steer.directions.disentangle import disentangle
from steer.directions.figures import figures_of
from steer.directions.page import COOL, FADED, INK, SOFT, WARM, blank_page, check_page, plain, save_page
from steer.directions.scorecard import FIRST_SEED
from steer.directions.swept import Bench, Swept
from steer.generator import Generator
from steer.generators.aviary.backend import Aviary
from steer.generators.aviary.factors import Correlation, Prior
from steer.registry import find, load_measurer

STRENGTHS = (0.0, 0.3, 0.6, 0.8)
PAIR = ("size", "x")
SIZE = 32
SAMPLES = 800
BIRDS, AMOUNTS = 48, 5
"""On how many samples leakage is judged, at how many amounts."""

Row = Mapping[str, Any]


def entangled(strength: float) -> Generator:
    """Return an aviary in which x follows size."""
    prior = Prior(correlations=(Correlation(*PAIR, strength),))
    return Generator(cast(Backend, Aviary(prior=prior, size=SIZE)), name="aviary")


def measure(strength: float) -> Row:
    """Return the leakage of plain probes and of corrected ones, between the two factors: [figure, low, high] each."""
    birds = entangled(strength)
    probes = find("probe", birds, attribute=PAIR, samples=SAMPLES, disentangle=False)
    corrected = disentangle(birds, probes)
    bench = Bench(birds, load_measurer(birds.backend.measurer), range(FIRST_SEED, FIRST_SEED + BIRDS), AMOUNTS)
    row: dict[str, Any] = {"correlation": strength, "birds": BIRDS}
    for when, knobs in (("before", probes), ("after", corrected)):
        for name, other in (PAIR, PAIR[::-1]):
            row[f"{name} into {other} {when}"] = leaked(bench.sweep(knobs[name]), name, other)
    return row


def leaked(swept: Swept, name: str, other: str) -> list[float]:
    """Return how many spreads of another attribute come along with one of a knob's own, and the interval of that."""
    target = swept.attributes[name]

    def figure(draw: Draw) -> float:
        return figures_of(swept.rows(draw(len(swept))), target).leakage[other]

    return [round(figure(np.arange), 4), *intervals(figure)]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw leakage against correlation: plain probes, corrected ones, and what the dice say."""
    page = blank_page(8.0, 3.6)
    for number, (name, other) in enumerate((PAIR, PAIR[::-1])):
        place = page.add_axes((0.08 + 0.48 * number, 0.15, 0.4, 0.66))
        plain(place)
        strengths = [row["correlation"] for row in rows]
        place.plot(strengths, strengths, color=SOFT, linewidth=3)
        for when, shade in (("before", WARM), ("after", COOL)):
            leakage, low, high = zip(*(row[f"{name} into {other} {when}"] for row in rows), strict=True)
            place.fill_between(strengths, low, high, color=shade, alpha=0.2, linewidth=0)
            place.plot(strengths, leakage, "o-", color=shade, linewidth=2)
            place.text(strengths[-1], leakage[-1], f" {when}", color=shade, fontsize=9, va="center")
        place.set_ylim(0, 1)
        place.set_xlim(-0.02, 0.95)
        place.set_xlabel("correlation of the data", color=FADED, fontsize=9)
        place.set_title(f"How much of {other} comes along with {name}", color=INK, fontsize=10, loc="left")
    page.text(0.08, 0.93, "Correlated data entangle knobs; correction undoes it", color=INK, fontsize=12)
    save_page(page, path)


def main(arguments: Sequence[str], say: Callable[[str], Any] = sys.stdout.write) -> int:
    """Measure every strength, and draw."""
    out = Path(arguments[0]) if arguments else Path("entanglement.png")
    check_page(out)
    rows = []
    for strength in STRENGTHS:
        rows.append(measure(strength))
        say(f"{json.dumps(rows[-1])}\n")
    draw(rows, out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

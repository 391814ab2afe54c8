"""Show that correlated data entangle knobs, and that correction by measured effects undoes it.

    python benchmarks/entanglement.py OUT.png              # a chart, and the numbers on stdout; some minutes

On an aviary whose birds stand the further to the right the larger they are, plain probes for size and x are found,
then disentangled. A turn of either moves both dice, so that a spread of change in the one should bring along as many
spreads in the other as the dice are correlated: that is the line the chart compares with. Labels and corrections come
from the critic, the leakage from the judge, on birds that neither has seen.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from steer.backend import Backend
from steer.directions.disentangle import disentangle
from steer.directions.page import COOL, FADED, INK, SOFT, WARM, blank_page, check_page, plain, save_page
from steer.generator import Generator
from steer.generators.aviary.backend import Aviary
from steer.generators.aviary.factors import Correlation, Prior
from steer.registry import find

STRENGTHS = (0.0, 0.3, 0.6, 0.8)
PAIR = ("size", "x")
SAMPLES = 1_500

Row = Mapping[str, float]


def entangled(strength: float) -> Generator:
    """Return an aviary in which x follows size."""
    return Generator(cast(Backend, Aviary(prior=Prior(correlations=(Correlation(*PAIR, strength),)))), name="aviary")


def measure(strength: float) -> Row:
    """Return the leakage of plain probes and of corrected ones, between the two factors."""
    birds = entangled(strength)
    knobs = find("probe", birds, attribute=PAIR, samples=SAMPLES, disentangle=False)
    report = disentangle(birds, knobs).report
    row: dict[str, float] = {"correlation": strength}
    for name, other in (PAIR, PAIR[::-1]):
        for when in ("before", "after"):
            row[f"{name} into {other} {when}"] = report[name][when]["leakage"][other]
    return row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw leakage against correlation: plain probes, corrected ones, and what the dice say."""
    page = blank_page(8.0, 3.6)
    for number, (name, other) in enumerate((PAIR, PAIR[::-1])):
        place = page.add_axes((0.08 + 0.48 * number, 0.15, 0.4, 0.66))
        plain(place)
        strengths = [row["correlation"] for row in rows]
        place.plot(strengths, strengths, color=SOFT, linewidth=3)
        for when, shade in (("before", WARM), ("after", COOL)):
            leakage = [row[f"{name} into {other} {when}"] for row in rows]
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

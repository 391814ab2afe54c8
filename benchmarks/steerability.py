"""Show that how far a knob turns is limited by the data, after Jahanian, Chai and Isola (2020), arXiv 1907.07171.

    python benchmarks/steerability.py FOLDER                     # a base of 30 minutes, and six times 10 minutes more
    python benchmarks/steerability.py FOLDER --minutes 5 --base-minutes 15

One 32×32 BigGAN is trained on birds that stand anywhere, and then goes on six times, on birds whose x keeps to a part
of its range: from an eighth to all of it. On each a knob for x is found, and turned to both ends of its measured range:
how far the birds move is laid against how far the data do. Everything is kept in FOLDER, and the same command goes on
where it was stopped; the chart is FOLDER/steerability.png, its numbers are in FOLDER/steerability.json.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from steer.directions.page import FADED, INK, WARM, blank_page, plain, save_page
from steer.directions.scorecard import FIRST_SEED
from steer.files import write_text
from steer.generators.aviary.data import dataset
from steer.generators.aviary.factors import FACTORS, SPECIES, Prior
from steer.generators.shipped_models import aviary_critic
from steer.generators.training.biggan import BigGANTraining, Trainer, export
from steer.generators.training.pictures import Pictures
from steer.generators.training.run import CHECKPOINT, keep_running, load_checkpoint
from steer.registry import find, load_generator, measure_attributes
from steer.steering import Steering

FACTOR = "x"
WIDTHS = (0.125, 0.25, 0.4, 0.6, 0.8, 1.0)
"""The parts of the factor's range that the data keep to, about its middle."""

SIZE = 32
SAMPLES = 64

Row = dict[str, float]


def trainer(width: float, minutes: float, pictures: int) -> Trainer:
    """Return a fresh run on birds whose factor keeps to a part of its range."""
    factor = FACTORS[FACTOR]
    middle, half = (factor.low + factor.high) / 2, width * (factor.high - factor.low) / 2
    prior = Prior(ranges={FACTOR: (middle - half, middle + half)} if width < 1 else {})
    data = dataset(pictures, seed=0, size=SIZE, prior=prior)
    critic = aviary_critic().network
    config = BigGANTraining(resolution=SIZE, minutes=minutes, pictures=pictures, sheet_steps=1_000)
    shown = Pictures(data.pictures, data.factors["species"].long(), SPECIES, data.masks)
    return Trainer(config, shown, critic.features, critic.measure)


def train(run: Trainer, out: Path, base: Path | None = None) -> Path:
    """Train into a folder, from the base where there is one and nothing has begun; return the model's folder."""
    if base is not None and not (out / CHECKPOINT).is_file():
        load_checkpoint(run, base)
        run.step_number, run.seconds = 0, 0.0
    keep_running(run, out)
    return export(run, out / "model")


def attained(model: Path, samples: int) -> Row:
    """Return what the knob does on a model: how far it moves the median bird from end to end, by the judge."""
    birds = load_generator(model, "cpu")
    knob = find("probe", birds, attribute=FACTOR, samples=samples)[FACTOR]
    latent = birds.sample(range(FIRST_SEED, FIRST_SEED + SAMPLES))
    low, high = (
        float(measure_attributes(birds.decode(latent, Steering([(knob, end)])), of=birds)[FACTOR].median())
        for end in knob.range
    )
    return {"r2": knob.provenance.scores["r2"], "low": low, "high": high, "attained": abs(high - low)}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the attained range against the spread of the data."""
    page = blank_page(5.0, 4.0)
    place = page.add_axes((0.14, 0.14, 0.8, 0.68))
    plain(place)
    spreads, ranges = [row["spread"] for row in rows], [row["attained"] for row in rows]
    place.plot(spreads, ranges, "o", color=WARM, markersize=7)
    place.set_xlabel(f"spread of {FACTOR} in the data", color=FADED, fontsize=9)
    place.set_ylabel(f"what the knob attains, in {FACTORS[FACTOR].unit}s", color=FADED, fontsize=9)
    place.set_xlim(left=0)
    place.set_ylim(bottom=0)
    page.text(0.06, 0.92, "Steerability is limited by the data", color=INK, fontsize=12)
    page.text(0.06, 0.86, f"{len(rows)} generators, correlation {correlation(rows):.2f}", color=FADED, fontsize=9)
    save_page(page, path)


def correlation(rows: Sequence[Row]) -> float:
    """Return Pearson's correlation of the attained range with the spread of the data."""
    return statistics.correlation([row["spread"] for row in rows], [row["attained"] for row in rows])


def main(arguments: Sequence[str], say: Callable[[str], Any] = sys.stdout.write) -> int:
    """Train what is not trained yet, measure, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--base-minutes", type=float, default=30.0)
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--samples", type=int, default=2_000)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(BigGANTraining().threads)
    base = asked.folder / "base"
    train(trainer(1.0, asked.base_minutes, asked.pictures), base)
    rows: list[Row] = []
    for width in WIDTHS:
        model = train(trainer(width, asked.minutes, asked.pictures), asked.folder / f"width-{width:g}", base)
        rows.append({"width": width, "spread": width * FACTORS[FACTOR].spread, **attained(model, asked.samples)})
        say(f"{json.dumps(rows[-1])}\n")
    told = {"factor": FACTOR, "correlation": correlation(rows), "generators": rows}
    write_text(asked.folder / "steerability.json", json.dumps(told, indent=1) + "\n")
    draw(rows, asked.folder / "steerability.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

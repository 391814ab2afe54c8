"""Show that how far a knob turns is limited by the data, after Jahanian, Chai and Isola (2020), arXiv 1907.07171.

    python benchmarks/steerability.py FOLDER     # three quarters of an hour of one core

One 32×32 BigGAN redraws birds that stand anywhere, and then goes on six times, on birds whose x keeps to a part of its
range: from an eighth to all of it. There the dice settle as well (see `generators/training/biggan.py`), so that fresh
ones draw what these data hold. On each a knob for x is found, and every bird taken to 2 sigmas on either side of it:
how far the birds move is laid against how far the data do. Runs are counted in steps, so that all six learn alike
however busy the machine is. Everything is kept in FOLDER, and the same command goes on where it was stopped; the chart
is FOLDER/steerability.png, its numbers are in FOLDER/steerability.json.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from steer.directions.bootstrap import intervals
from steer.directions.page import FADED, INK, SOFT, WARM, blank_page, plain, save_page
from steer.directions.scorecard import FIRST_SEED
from steer.files import write_text
from steer.generators.aviary.data import dataset
from steer.generators.aviary.factors import FACTORS, SPECIES, Prior
from steer.generators.shipped_models import aviary_critic
from steer.generators.training.biggan import BigGANTraining, Trainer, export
from steer.generators.training.pictures import Pictures
from steer.generators.training.run import CHECKPOINT, keep_running, load_checkpoint
from steer.registry import find, load_generator, measure_attributes
from steer.steering import Steering, Turn

FACTOR = "x"
WIDTHS = (0.125, 0.25, 0.4, 0.6, 0.8, 1.0)
"""The parts of the factor's range that the data keep to, about its middle."""

SIZE = 32
CHANNELS = (128, 96, 48, 24)
FLOW_STEPS = 800
BIRDS = 128
"""Unseen samples that each knob is judged on."""

ENDS = (-2.0, 2.0)
"""Where a knob takes them, in sigmas: 19 dice of 20 fall between. A line may be followed much further before pictures
stop being plausible (to 6 sigmas), but what is drawn from there is what no dice draw."""

Row = dict[str, Any]


def trainer(width: float, steps: int, pictures: int, threads: int, *, settling_at: float = 0.4) -> Trainer:
    """Return a fresh run on birds whose factor keeps to a part of its range."""
    factor = FACTORS[FACTOR]
    middle, half = (factor.low + factor.high) / 2, width * (factor.high - factor.low) / 2
    prior = Prior(ranges={FACTOR: (middle - half, middle + half)} if width < 1 else {})
    data = dataset(pictures, seed=0, size=SIZE, prior=prior)
    critic = aviary_critic().network
    config = BigGANTraining(
        resolution=SIZE,
        channels=CHANNELS,
        minutes=None,
        steps=steps,
        pictures=pictures,
        threads=threads,
        settling_at=settling_at,
        flow_steps=FLOW_STEPS,
        sheet_steps=500,
    )
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
    """Return what the knob does on a model, by the judge: where it takes the median bird at either end, and how far.

    Each is [figure, low, high], with the 90 % interval over birds.
    """
    birds = load_generator(model, "cpu")
    knob = find("probe", birds, attribute=FACTOR, samples=samples)[FACTOR]
    latent = birds.sample(range(FIRST_SEED, FIRST_SEED + BIRDS))
    ends = [
        measure_attributes(birds.decode(latent, Steering([Turn(knob, end, absolute=True)])), of=birds)[FACTOR].numpy()
        for end in ENDS
    ]

    def figures(rows: Any) -> Row:
        low, high = (float(np.median(end[rows])) for end in ends)
        return {"low": low, "high": high, "attained": abs(high - low)}

    spans = intervals(lambda draw: figures(draw(BIRDS)))
    told = {name: [value, *spans[name]] for name, value in figures(np.arange(BIRDS)).items()}
    return {"r2": knob.provenance.scores["r2"], **told}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the attained range against that of the data, beside the line on which they are the same."""
    page = blank_page(5.0, 4.0)
    place = page.add_axes((0.15, 0.14, 0.8, 0.66))
    plain(place)
    held = [row["held"] for row in rows]
    ranges, lows, highs = zip(*(row["attained"] for row in rows), strict=True)
    place.plot([0, max(held)], [0, max(held)], color=SOFT, linewidth=3)
    place.text(max(held), max(held), "all there is ", color=FADED, fontsize=8, ha="right", va="bottom")
    place.vlines(held, lows, highs, color=WARM, linewidth=1.5)
    place.plot(held, ranges, "o", color=WARM, markersize=7)
    place.set_xlabel(f"range of {FACTOR} in the data, in {FACTORS[FACTOR].unit}s", color=FADED, fontsize=9)
    place.set_ylabel("what the knob attains", color=FADED, fontsize=9)
    place.set_xlim(left=0)
    place.set_ylim(bottom=0)
    page.text(0.06, 0.92, "Steerability is limited by the data", color=INK, fontsize=12)
    r, low, high = correlation(rows)
    told = f"{len(rows)} generators, {BIRDS} birds each; correlation {r:.3f} ({low:.3f} to {high:.3f})"
    page.text(0.06, 0.86, told, color=FADED, fontsize=9)
    save_page(page, path)


def correlation(rows: Sequence[Row]) -> tuple[float, float, float]:
    """Return Pearson's correlation of the attained range with that of the data, and its 90 % interval after Fisher."""
    r = statistics.correlation([row["held"] for row in rows], [row["attained"][0] for row in rows])
    middle = math.atanh(min(r, 1 - 1e-12))
    half = statistics.NormalDist().inv_cdf(0.95) / math.sqrt(max(len(rows) - 3, 1))
    return r, math.tanh(middle - half), math.tanh(middle + half)


def main(arguments: Sequence[str], say: Callable[[str], Any] = sys.stdout.write) -> int:
    """Train what is not trained yet, measure, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base-steps", type=int, default=1_500)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--samples", type=int, default=800)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    base, factor = asked.folder / "base", FACTORS[FACTOR]
    train(trainer(1.0, asked.base_steps, asked.pictures, asked.threads, settling_at=1.0), base)
    rows: list[Row] = []
    for width in WIDTHS:
        run = trainer(width, asked.steps, asked.pictures, asked.threads)
        model = train(run, asked.folder / f"width-{width:g}", base)
        rows.append({"width": width, "held": width * (factor.high - factor.low), **attained(model, asked.samples)})
        say(f"{json.dumps(rows[-1])}\n")
    told = {"factor": FACTOR, "birds": BIRDS, "correlation": correlation(rows), "generators": rows}
    write_text(asked.folder / "steerability.json", json.dumps(told, indent=1) + "\n")
    draw(rows, asked.folder / "steerability.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

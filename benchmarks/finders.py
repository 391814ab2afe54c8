"""Let every finder look for the same knobs of one generator, and lay what they found side by side.

    python benchmarks/finders.py aviary-biggan FOLDER                                        # hours of one core
    python benchmarks/finders.py aviary-ddim FOLDER --steps 6 --count 16 --random 2          # a quarter of an hour

What each found is kept in FOLDER, a knob file each, and the same command goes on where it was stopped. The table comes
as Markdown, its numbers as FOLDER/finders.json, a map of them as FOLDER/finders.png.

Finders that are told an attribute are told the six below; `clicks` is answered by the critic, 30 times for each number
(more or less of an angle means nothing). Of finders that are told none, the knob takes part that does most. A contrast
leads from birds at one end of a number to those at the other, of an angle from one side of the circle to the other; of
a model that is told by words, from one phrase to another.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from steer.directions.clicks import Answer, Ask
from steer.directions.contest import RANDOM_DIRECTIONS, Contest, contest
from steer.directions.readings import labeller, read_pictures
from steer.files import write_text
from steer.generator import Generator
from steer.knob import KnobSet, load_knobs
from steer.registry import find, load_generator
from steer.sampler import Sampler

ATTRIBUTES = ("hue", "heading", "size", "x", "background_hue", "background_brightness")

PHRASES: Mapping[str, tuple[str, str]] = {
    "hue": ("a blue robin", "an orange robin"),
    "heading": ("facing right", "facing left"),
    "size": ("a large robin", "a small robin"),
    "x": ("on the right", "on the left"),
    "background_hue": ("on a blue background", "on an orange background"),
    "background_brightness": ("on a pale background", "on a dark background"),
}
SORTED = range(60_000_000, 60_000_600)
"""Samples of which a contrast takes the fifth at either end; no scorecard looks at them."""

UNSURE = 0.3
"""Whoever answers skips pictures within so many spreads of the middle."""


def numbers(birds: Generator) -> list[str]:
    """Return the attributes that are no angles."""
    return [name for name in ATTRIBUTES if labeller(birds).attributes[name].kind == "linear"]


def contrasted(birds: Generator) -> KnobSet:
    """Find, for every attribute, what leads from birds at one end of it to birds at the other."""
    critic = labeller(birds)
    read = read_pictures(birds, birds.sample(SORTED), critic.measure)
    knobs = {}
    for name in ATTRIBUTES:
        along = -torch.deg2rad(read[name]).cos() if critic.attributes[name].kind == "circular" else read[name]
        order = [SORTED[row] for row in along.argsort().tolist()]
        fifth = len(order) // 5
        (knob,) = find("contrast", birds, towards=order[-fifth:], away=order[:fifth]).values()
        knobs[name] = replace(knob, name=name, attribute=name)
    return KnobSet(knobs)


def phrased(birds: Generator) -> KnobSet:
    """Find what leads from one phrase to another."""
    knobs = {}
    for name, (towards, away) in PHRASES.items():
        (knob,) = find("contrast", birds, towards=towards, away=away, measure_ranges=False).values()
        knobs[name] = replace(knob, name=name, attribute=name)
    return KnobSet(knobs)


def clicked(birds: Generator) -> KnobSet:
    """Find a knob for every number from 30 answers."""
    knobs = KnobSet({})
    for name in numbers(birds):
        knobs = knobs | find("clicks", birds, ask=answering(birds, name), name=name, answers=30, samples=1_000)
    return knobs


def answering(birds: Generator, name: str) -> Ask:
    """Return who says more above the middle of an attribute's range, and less below."""
    critic = labeller(birds)
    attribute = critic.attributes[name]

    def ask(pictures: torch.Tensor, left: int) -> Sequence[Answer]:
        off = (critic.measure(pictures)[name] - (attribute.low + attribute.high) / 2) / attribute.spread
        return ["skip" if abs(each) < UNSURE else "more" if each > 0 else "less" for each in off.tolist()]

    return ask


def told(finder: str, **options: Any) -> Callable[[Generator], KnobSet]:
    """Return a search for all attributes in one go."""
    return lambda birds: find(finder, birds, attribute=ATTRIBUTES, **options)


def untold(finder: str, **options: Any) -> Callable[[Generator], KnobSet]:
    """Return a search that is told no attribute."""
    return lambda birds: find(finder, birds, **options)


FIELDS: Mapping[str, Mapping[str, Callable[[Generator], KnobSet]]] = {
    "aviary-biggan": {
        "probe": told("probe"),
        "flow": told("flow", samples=8_384, rounds=1),
        "contrast": contrasted,
        "clicks": clicked,
        "imitate": untold("imitate", edit=("zoom", "shift_x", "hue", "brightness")),
        "pca": untold("pca", measure_ranges=True),
        "sefa": untold("sefa"),
        "geometry": untold("geometry"),
        "jacobian": untold("jacobian", space="z"),
    },
    "aviary-ddim": {
        "probe of captions": told("probe", space="prompt", source="words", disentangle=False),
        "probe of words": told("probe", space="prompt", samples=400, disentangle=False),
        "contrast of words": phrased,
        "probe of bottleneck": told("probe", space="bottleneck", samples=400, disentangle=False),
    },
}


def found(birds: Generator, name: str, search: Callable[[Generator], KnobSet], folder: Path) -> KnobSet:
    """Return what a finder found, from the folder where it has looked already."""
    path = folder / f"{name.replace(' ', '-')}.safetensors"
    if not path.is_file():
        search(birds).save(path)
    return load_knobs(path)


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Return rows of text, the heading first, as a table."""
    heading, *rows = ["| " + " | ".join(cell.replace("_", " ") for cell in row) + " |" for row in table]
    return "\n".join([heading, "| " + " | ".join("---" for _ in table[0]) + " |", *rows]) + "\n"


def main(arguments: Sequence[str], say: Callable[[str], Any] = sys.stdout.write) -> Contest:
    """Search, judge, and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("generator", choices=FIELDS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, help="of a diffusion model, for search and judging")
    parser.add_argument("--count", type=int, default=32, help="unseen samples to judge on")
    parser.add_argument("--random", type=int, default=RANDOM_DIRECTIONS, help="random directions to choose among")
    parser.add_argument("--attribute", action="append", choices=ATTRIBUTES, help="judge by these alone")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    birds = load_generator(asked.generator, "cpu")
    birds = birds.with_sampler(Sampler(asked.steps)) if asked.steps else birds
    sets = {name: found(birds, name, search, asked.folder) for name, search in FIELDS[asked.generator].items()}
    judged = contest(birds, sets, asked.attribute or ATTRIBUTES, seeds=asked.count, random_directions=asked.random)
    say(markdown(judged.table()))
    write_text(asked.folder / "finders.json", json.dumps(judged.to_json(), indent=1) + "\n")
    judged.figure(asked.folder / "finders.png")
    return judged


if __name__ == "__main__":
    main(sys.argv[1:])

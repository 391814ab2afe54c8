"""How well birds are drawn as they were asked for: by captions, sketches and layouts of birds that no training saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from steer.backend import Sampler
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.generators.aviary.captions import caption
from steer.generators.aviary.drawings import layout_pictures, sketch_pictures
from steer.generators.aviary.factors import FACTORS, sample_factors
from steer.generators.aviary.renderer import layout
from steer.registry import load_measurer

FIRST_SEED = 1_000_000
"""The first seed of the birds that are asked for."""

CLOSE = 30.0
"""Degrees within which an angle counts as obeyed."""

BATCH = 50

_DRAWN: Mapping[str, Callable[[Mapping[str, Tensor]], Tensor]] = {"sketch": sketch_pictures, "layout": layout_pictures}


@runtime_checkable
class Judge(Protocol):
    """What is asked of a measurer here."""

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Measure every factor of pictures (batch, 3, height, width) in [0, 1]; (batch,) per factor."""
        ...

    def mask(self, images: Tensor) -> Tensor:
        """Return how much of each pixel is bird, (batch, 1, height, width) in [0, 1]."""
        ...


@dataclass(frozen=True)
class Obedience:
    """How often what was asked for is there.

    Attributes:
        captions: how many captions were asked for; 0 where the generator reads none.
        drawings: how many drawings of each kind were asked for.
        shares: for captions the share of the pictures with the right species, side (of those that say left or right),
            hue, heading and background hue (within 30 degrees); for sketches and layouts the mean intersection over
            union of the bird's mask with that of the bird drawn.
    """

    captions: int
    drawings: int
    shares: Mapping[str, float]

    def to_json(self) -> dict[str, object]:
        """Return all numbers as JSON."""
        return {"captions": self.captions, "drawings": self.drawings, **self.shares}

    def rows(self) -> list[tuple[str, str, str]]:
        """Return a table: what was asked for, how well it is obeyed, and what the number means."""
        meant = dict.fromkeys(_DRAWN, f"mean overlap with the bird drawn, of {self.drawings}")
        return [
            (name, f"{share:.3f}", meant.get(name, f"share of {self.captions} captions"))
            for name, share in self.shares.items()
        ]


def measure_obedience(
    generator: Generator,
    *,
    captions: int = 500,
    drawings: int = 200,
    seed: int = 0,
    sampler: Sampler | None = None,
    progress: Progress | None = None,
) -> Obedience:
    """Ask a generator for birds, and let its judge say whether they came.

    Args:
        generator: one of birds that reads captions or follows drawings.
        captions: how many captions to ask for.
        drawings: how many sketches, and how many layouts.
        seed: the first seed of its dice.
        sampler: steps, for generators that have a choice of them.
        progress: called with pictures drawn and how many there will be.

    Raises:
        BadInput: it takes neither captions nor drawings, or a number is below 1.
    """
    asked = [name for name in ("prompt", *_DRAWN) if name in generator.conditions]
    if not asked or captions < 1 or drawings < 1:
        raise BadInput(f"'{generator.name}' can be asked for {asked or 'nothing'}; with at least 1 caption and drawing")
    judge = load_measurer(generator.backend.measurer)
    if not isinstance(judge, Judge):
        raise BadInput(f"the measurer '{judge.name}' of '{generator.name}' knows no birds; give a generator of birds")
    counts = {name: captions if name == "prompt" else drawings for name in asked}
    done, whole = 0, sum(counts.values())

    def paint(name: str, entries: Sequence[str] | Sequence[Tensor], first: int) -> Tensor:
        nonlocal done
        seeds = range(seed + first, seed + first + len(entries))
        with torch.no_grad():
            pictures = generator.decode(generator.sample(seeds, condition={name: entries}), sampler=sampler).cpu()
        done += len(entries)
        if progress is not None:
            progress(done, whole)
        return pictures

    shares: dict[str, float] = {}
    for name, count in counts.items():
        birds = sample_factors(seeds=range(FIRST_SEED, FIRST_SEED + count))
        parts = [
            paint(name, _entries(name, birds, start, min(start + BATCH, count), generator), start)
            for start in range(0, count, BATCH)
        ]
        pictures = torch.cat(parts)
        shares |= (
            captions_obeyed(pictures, birds, judge) if name == "prompt" else {name: overlap(pictures, birds, judge)}
        )
    return Obedience(counts.get("prompt", 0), drawings if len(asked) > ("prompt" in asked) else 0, shares)


def _entries(
    name: str, birds: Mapping[str, Tensor], start: int, end: int, generator: Generator
) -> list[str] | list[Tensor]:
    some = {factor: values[start:end] for factor, values in birds.items()}
    if name == "prompt":
        return captions_of(some, start)
    return list(_DRAWN[name](some))


def captions_of(birds: Mapping[str, Tensor], seed: int = 0) -> list[str]:
    """Return one caption a bird."""
    rng = torch.Generator().manual_seed(seed)
    count = len(birds["species"])
    return [caption({name: values[row] for name, values in birds.items()}, rng) for row in range(count)]


def captions_obeyed(pictures: Tensor, birds: Mapping[str, Tensor], judge: Judge) -> dict[str, float]:
    """Return the shares of pictures (batch, 3, 64, 64) that show the birds asked for; see `Obedience.shares`."""
    measured = judge.measure(pictures)

    def off(name: str) -> Tensor:
        return torch.remainder(measured[name] - birds[name] + 180, 360) - 180

    shares = {"species": _share(measured["species"] == birds["species"])}
    # Of the eight headings that captions name, two say no side: straight at us and straight away.
    sideways = torch.deg2rad(birds["heading"]).sin()
    named = sideways.abs() > torch.sin(torch.deg2rad(torch.tensor(22.5)))
    if bool(named.any()):
        shares["side"] = _share((torch.deg2rad(measured["heading"]).sin() * sideways > 0)[named])
    circles = [name for name, factor in FACTORS.items() if factor.kind == "circular"]
    return shares | {name: _share(off(name).abs() <= CLOSE) for name in circles}


def overlap(pictures: Tensor, birds: Mapping[str, Tensor], judge: Judge) -> float:
    """Return the mean intersection over union of the masks of pictures (batch, 3, 64, 64) and of the birds drawn."""
    seen = judge.mask(pictures)[:, 0] > 0.5
    drawn = layout(birds, pictures.shape[-1])[:, 0] > 0
    both, either = (each.flatten(1).sum(1) for each in (seen & drawn, seen | drawn))
    return float((both / either.clamp_min(1)).mean())


def _share(right: Tensor) -> float:
    return float(right.float().mean())

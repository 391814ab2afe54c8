"""Readings: what is read off many pictures, made a few at a time."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steer.attribute import Measurer, Perceptive, Worded
from steer.backend import Stage
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import Knob
from steer.latent import Latent
from steer.registry import load_measurer
from steer.steering import Steering

Read = Callable[[Tensor], Mapping[str, Tensor]]
"""From pictures (batch, 3, height, width) in [0, 1] to named numbers, (batch,) each."""

BATCH = 64
"""Pictures held in memory at a time."""

CRITICS: Mapping[str, str] = {"aviary-judge": "aviary-critic"}
"""For a measurer that judges, the one trained apart from it whose readings finders may learn from."""

DOMAIN = "in_domain"

WHOLE_WAY = (0.0, 1.0)
"""All of the way from latent to picture."""

LARGEST_TABLE = 4 * 2**30
"""The most bytes of values that are looked at together."""

SPREAD_SEEDS = range(30_000_000, 30_000_256)
"""The samples whose spread along a direction is one sigma of it, where a space is not made of dice."""


def worded(generator: Generator) -> Generator:
    """Return a generator whose samples are each asked for by a caption of their own, where it is told by words.

    Unasked, it would draw every sample from the same words, and a knob in words had nothing to start from. Where
    something is asked already, or its measurer knows no words, the generator itself.
    """
    if generator.asked is not None or generator.words is None:
        return generator
    measurer = load_measurer(generator.backend.measurer)
    return generator.with_condition({generator.words: measurer.captions}) if isinstance(measurer, Worded) else generator


def labeller(generator: Generator) -> Measurer:
    """Return the measurer that finders learn from: the critic, where reported numbers come from a judge."""
    judge = generator.backend.measurer
    return load_measurer(CRITICS.get(judge, judge))


def domain(measurer: Measurer, *, attributes: bool) -> Read:
    """Return a reading, under ``in_domain``, of how far a picture is known; with every attribute, or alone."""
    if not attributes:
        return lambda images: {DOMAIN: measurer.in_domain(images)}
    if isinstance(measurer, Perceptive):
        return partial(_look_once, measurer)
    return lambda images: {**measurer.measure(images), DOMAIN: measurer.in_domain(images)}


def _look_once(measurer: Perceptive, images: Tensor) -> dict[str, Tensor]:
    readings, known = measurer.read_features(measurer.features(images))
    return {**readings, DOMAIN: known}


def read_pictures(
    generator: Generator,
    latent: Latent,
    read: Read,
    steering: Steering | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Decode a latent and read its pictures, in constant memory.

    Args:
        generator: what draws them.
        latent: any number of rows.
        read: what to read off the pictures.
        steering: turns, with one amount or one per row.
        progress: called after every 64 pictures.

    Returns:
        (batch,) per name, on the CPU.
    """
    steering = steering if steering is not None else Steering()
    parts: list[Mapping[str, Tensor]] = []
    with torch.no_grad():
        for rows in batches(len(latent)):
            images = generator.decode(latent.rows(rows), steering.rows(rows, len(latent)))
            parts.append(read(images.cpu()))
            if progress is not None:
                progress(rows[-1] + 1, len(latent))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def sweep(
    generator: Generator,
    latent: Latent,
    knob: Knob,
    amounts: Sequence[float],
    read: Read,
    *,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Read every row of a latent at every amount of a knob; (rows, amounts) per name."""
    repeated = latent.rows([row for row in range(len(latent)) for _ in amounts])
    steering = Steering([(knob, list(amounts) * len(latent))])
    flat = read_pictures(generator, repeated, read, steering, progress=progress)
    return {name: values.reshape(len(latent), len(amounts)) for name, values in flat.items()}


def batches(count: int, size: int = BATCH) -> Iterator[range]:
    """Yield the numbers below ``count``, ``size`` at a time."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def circular_r2(error: NDArray[np.float64], spread: NDArray[np.float64]) -> float:
    """Return how much of an angle is explained: 1 - mean(1 - cos(error)) / mean(1 - cos(spread)), all in degrees.

    ``spread`` is what the error would be if nothing were known. For small angles this is the usual R².
    """
    left, there = (float(np.mean(1 - np.cos(np.deg2rad(angles)))) for angles in (error, spread))
    return 1 - left / there if there > 1e-9 else 0.0


def circular_mean(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean direction of each column of angles in degrees, in [-180, 180]."""
    mean: NDArray[np.float64] = np.rad2deg(np.angle(np.exp(1j * np.deg2rad(angles)).mean(axis=0)))
    return mean


@dataclass(frozen=True, eq=False)
class Passed:
    """What passed in a space on the way to samples' pictures.

    Attributes:
        values: (parts, batch, values), on the CPU.
        edges: where the parts begin and end in [0, 1]; empty where there is one.
        readings: what was read off the pictures, (batch,) per name; empty where nothing was asked.
    """

    values: Tensor
    edges: tuple[float, ...]
    readings: Mapping[str, Tensor]


def passed(
    generator: Generator,
    latent: Latent,
    space: str,
    read: Read | None = None,
    *,
    at: tuple[float, float] = WHOLE_WAY,
    per_stage: bool = True,
    progress: Progress | None = None,
) -> Passed:
    """Return what passes in a space, and read the pictures in the same go.

    Args:
        generator: what draws them.
        latent: any number of rows.
        space: where to look.
        read: what to read off the pictures.
        at: the part of the way to look at, for a space that is met in many stages.
        per_stage: one part for each of these stages; else one, the mean over them.
        progress: called after every 64 pictures.

    Raises:
        BadInput: ``at`` is no part of the way, or so many values do not fit into memory.
    """
    chosen, count = stages_at(generator, latent, space, at), len(latent)
    parts = len(chosen) if per_stage else 1
    if generator.space(space).kind == "input" or (len(chosen) == 1 and read is None):
        readings = read_pictures(generator, latent, read, progress=progress) if read else {}
        return Passed(_values_once(generator, latent, space, chosen[0].index)[None], (), readings)
    if 4 * parts * count * math.prod(generator.space(space).shape) > LARGEST_TABLE:
        raise BadInput(
            f"what passes in '{space}' in {parts} stages of {count} samples is more than {LARGEST_TABLE >> 30} GiB; "
            "take fewer samples or steps, or look at a part of the way"
        )
    values: list[Tensor] = []
    seen: list[Mapping[str, Tensor]] = []
    with torch.no_grad():
        for rows in batches(count):
            trace = generator.trace(latent.rows(rows), space)
            places = [place for place, stage in enumerate(trace.stages) if stage in chosen]
            met = trace.values[:, places].flatten(2)  # (batch, stages, values)
            values.append((met if per_stage else met.mean(1, keepdim=True)).transpose(0, 1).cpu())
            seen.append(read(trace.pictures.cpu()) if read else {})
            if progress is not None:
                progress(rows[-1] + 1, count)
    edges = (chosen[0].interval[0], *(stage.interval[1] for stage in chosen)) if parts > 1 else ()
    return Passed(torch.cat(values, 1), edges, {name: torch.cat([each[name] for each in seen]) for name in seen[0]})


def stages_at(generator: Generator, latent: Latent, space: str, at: tuple[float, float] = WHOLE_WAY) -> list[Stage]:
    """Return the stages in which a space is met and whose middle lies in a part of the way, or else the nearest one.

    Raises:
        BadInput: it is no part of the way.
    """
    if not 0 <= at[0] < at[1] <= 1:
        raise BadInput(f"the part of the way to look at lies within 0 to 1 and begins before it ends, not {at}")
    stages = generator.backend.stages(latent, generator.sampler_of(latent))
    met = [stage for stage in stages if space in stage.spaces]
    chosen = [stage for stage in met if at[0] <= sum(stage.interval) / 2 <= at[1]]
    return chosen or [min(met, key=lambda stage: abs(sum(stage.interval) - sum(at)))]


def _values_once(generator: Generator, latent: Latent, space: str, stage: int) -> Tensor:
    """Return the values of an input space, or those that pass in one stage, (batch, values)."""
    if generator.space(space).kind == "input":
        return latent[space].flatten(1).cpu()
    with torch.no_grad():
        parts = [generator.observe(latent.rows(rows), space, stage=stage) for rows in batches(len(latent))]
    return torch.cat(parts).flatten(1).cpu()


def space_values(generator: Generator, latent: Latent, space: str) -> Tensor:
    """Return the values of a space, flat: (batch, values) in float64 on the CPU.

    Of an inner space that is met in many stages, the mean over them.
    """
    return passed(generator, latent, space, per_stage=False).values[0].double()


def deviations(generator: Generator, space: str, directions: Tensor) -> Tensor:
    """Return the standard deviation of a space's values along unit directions.

    Args:
        generator: what the values pass in.
        space: known for dice; of others a few hundred samples are looked at.
        directions: (directions, values).

    Returns:
        (directions,) in float64.
    """
    kind = generator.space(space)
    if kind.isotropic:
        return torch.full((len(directions),), kind.sigma, dtype=torch.float64)
    values = space_values(generator, generator.sample(SPREAD_SEEDS), space)
    return (values @ directions.double().T).std(0)


def labels_of(generator: Generator, latent: Latent) -> list[str]:
    """Return the classes each row was asked for, in one text; empty where there are no classes."""
    labels = [
        latent.condition[name]
        for name, condition in generator.conditions.items()
        if condition.kind == "label" and name in latent.condition
    ]
    return ["\n".join(entries) for entries in zip(*labels, strict=True)] or [""] * len(latent)

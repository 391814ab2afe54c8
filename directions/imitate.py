"""Imitation: knobs that do to a generator's pictures what a known edit does to any picture.

Self-supervised walks after Jahanian, Chai & Isola (2020), arXiv 1907.07171, section 3: dice are moved so that the
picture comes near to the edited one, over the pixels that the edit leaves defined. Nothing is labelled. The walk is a
straight line, or one that depends on where a sample stands: round, by a matrix, or along a curve, by a small network.
Its unit is then gauged on other pictures, so that they go as far as they are asked to.

Hues (aviary-biggan): a straight line does nothing, r2 -0.01, since half of the colours have to go the other way; dice
that go round do what the edit does, r2 0.97.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.directions.axes import axes_of, context_of
from steer.directions.edits import DEFINED, EDITS, Edit, Walk
from steer.directions.plausible import plausible_range
from steer.directions.readings import batches, sweep, worded
from steer.errors import BadInput, UnknownName
from steer.files import read_tensors, write_tensors
from steer.generator import Generator, Progress
from steer.knob import CurveKnob, Knob, KnobSet, LinearKnob, Provenance
from steer.latent import Latent
from steer.steering import Steering

FIRST_SEED = 850_000_000
"""The first seed that is sampled; each ``seed`` of an imitation has its own ten million."""

TRIED_FROM = 5_000_000
"""Where, among these, the samples begin that a walk is tried on."""

GAUGED_FROM, GAUGED = 6_000_000, 40
"""Where those begin on which its unit is gauged, and how many they are."""

LEAST_GAIN = 0.5
"""A walk that goes less far than this part of what is asked does something else, and is left as it was learnt."""

TRIED, TRIED_AMOUNTS, COMPARED = 24, 7, 25
"""How many samples a walk is tried on, at how many amounts, each compared with how many amounts of the edit."""

BEYOND = 1.5
"""Pictures are compared with edits up to this many times the reach."""

LEARNING_RATE = 0.6
BENT_RATE = 2e-3
"""How far one step goes at first, in sigmas; and for the weights that bend a walk."""

SCALES = 3
"""Pictures are compared at their own size, at half of it, and so on."""

HIDDEN = 64
SAVED_EVERY = 20


@dataclass(frozen=True)
class Imitate:
    """Finds knobs that imitate edits of pictures: zoom, shifts, rotation, colours, blur, or any edit of one's own.

    Attributes:
        edit: one name, several, "all", or an `Edit` of one's own.
        space: where to turn.
        walk: a straight line; round, as a matrix leads dice from where they stand; a curve, as a small network does; or
            what fits the edit.
        steps: how many steps are learnt; for a curve the first third of them along a straight line.
        batch: how many pictures are imitated in each.
        condition: what to ask for, such as ``{"label": "robin"}``; left out, everything mixed.
        seed: another seed draws other samples.
        truncation: see `Generator.sample`.
        checkpoint: a file in which what was learnt is kept, to go on from when it is there already.
    """

    edit: str | tuple[str, ...] | Edit = "zoom"
    space: str = "z"
    walk: Literal["edit", "line", "round", "curve"] = "edit"
    steps: int = 150
    batch: int = 16
    condition: Mapping[str, str] | None = None
    seed: int = 0
    truncation: float = 1.0
    checkpoint: str | Path | None = None

    def find(self, generator: Generator, *, progress: Progress | None = None) -> KnobSet:
        """Find one knob an edit, named after it, which counts in the edit's unit.

        The report has, for every knob, how nearly unseen pictures go as far as they are asked to, where the amount
        that a picture went is that of the edit which it comes nearest to: ``r2``, and the ``gain``, how far they go on
        average for each unit asked.

        Raises:
            UnknownName: the space or the edit is not there.
            BadInput: there are too few steps or pictures, or the checkpoint is of another search.
        """
        generator, edits = worded(generator), self._edits()
        if self.steps < 1 or self.batch < 1 or self.seed < 0:
            raise BadInput("an imitation takes 1 step or more of 1 picture or more, and a seed from 0 up")
        few = self._draw(generator, range(256))
        space = _Course("line", self.space, axes_of(generator, self.space, few), *context_of(self.space, few))
        kept = self._kept(generator)
        knobs: dict[str, Knob] = {}
        for number, edit in enumerate(edits):
            course = replace(space, walk=edit.walk if self.walk == "edit" else self.walk)
            walk = kept.get(edit.name) or _Walk.still(course, seed=self.seed)
            while walk.steps < self.steps:
                walk = self._step(generator, course, edit, walk)
                if self.checkpoint is not None and (walk.steps % SAVED_EVERY == 0 or walk.steps == self.steps):
                    kept[edit.name] = walk
                    write_tensors(self.checkpoint, _tensors(kept), self._header(generator))
                if progress is not None:
                    progress(number * self.steps + walk.steps, len(edits) * self.steps)
            knobs[edit.name] = self._finished(generator, course, edit, walk)
        report = {name: dict(knob.provenance.scores) for name, knob in knobs.items()}
        return KnobSet(knobs, {"space": self.space, "knobs": report})

    def _edits(self) -> list[Edit]:
        if isinstance(self.edit, Edit):
            return [self.edit]
        names = tuple(EDITS) if self.edit == "all" else (self.edit,) if isinstance(self.edit, str) else self.edit
        for name in names:
            if name not in EDITS:
                raise UnknownName("edit", name, EDITS, "or give an Edit of your own")
        return [EDITS[name] for name in names]

    def _draw(self, generator: Generator, numbers: Sequence[int]) -> Latent:
        first = FIRST_SEED + 10_000_000 * self.seed
        condition = dict(self.condition) if self.condition else None
        return generator.sample([first + each for each in numbers], condition=condition, truncation=self.truncation)

    def _step(self, generator: Generator, course: "_Course", edit: Edit, walk: "_Walk") -> "_Walk":
        """Return the walk after one step of Adam (Kingma & Ba (2015), algorithm 1).

        Its end has one rate for all axes, and a matrix one for all entries: with one for each, it would also drift
        along dice that do nothing.
        """
        latent = self._draw(generator, range(walk.steps * self.batch, (walk.steps + 1) * self.batch))
        random = torch.Generator().manual_seed(walk.steps)
        amounts = edit.reach * (2 * torch.rand(self.batch, generator=random) - 1)
        with torch.no_grad():
            wanted, mask = edit.apply(generator.decode(latent).cpu(), amounts)
        values = walk.values.clone().requires_grad_()
        knob = course.knob(edit, values)
        steered = generator.decode(latent, Steering([(knob, amounts)])).cpu()
        (slope,) = torch.autograd.grad(missed(steered, wanted, mask).mean(), values)
        straight = torch.arange(len(values)) < len(course.axes)
        end, weights = {
            "line": (LEARNING_RATE, 0.0),
            "round": (0.0, LEARNING_RATE),
            "curve": (LEARNING_RATE, BENT_RATE if walk.steps >= self.steps / 3 else 0.0),
        }[course.walk]
        rate = torch.where(straight, end, weights)
        bent = slope.square() if course.walk == "curve" else slope[~straight].square().sum()
        steep = torch.where(straight, slope[straight].square().sum(), bent)
        return walk.moved(slope, steep, rate * (1 + math.cos(math.pi * walk.steps / self.steps)) / 2)

    def _finished(self, generator: Generator, course: "_Course", edit: Edit, walk: "_Walk") -> Knob:
        """Return the knob, gauged, with its scores and its range."""
        found = course.knob(edit, walk.values)
        gain = self._scores(generator, edit, found, GAUGED_FROM, GAUGED)["gain"]
        found = _gauged(found, gain) if gain > LEAST_GAIN else found
        scores = self._scores(generator, edit, found, TRIED_FROM, TRIED)
        options = {each.name: getattr(self, each.name) for each in fields(self)}
        options |= {
            "edit": edit.name,
            "walk": course.walk,
            "condition": dict(self.condition) if self.condition else None,
        }
        del options["checkpoint"]
        origin = Provenance(generator.name, generator.fingerprint, "imitate", options, scores)
        knob = replace(found, provenance=origin)
        ends = plausible_range(generator, knob, limit=edit.reach, truncation=self.truncation)
        return replace(knob, range=ends)

    def _scores(self, generator: Generator, edit: Edit, knob: Knob, first: int, count: int) -> dict[str, float]:
        latent = self._draw(generator, range(first, first + count))
        asked = torch.linspace(-edit.reach, edit.reach, TRIED_AMOUNTS)
        with torch.no_grad():
            plain = generator.decode(latent).cpu()
        seen: list[Tensor] = []

        def went(images: Tensor) -> dict[str, Tensor]:
            first = sum(map(len, seen))
            seen.append(images)
            rows = torch.arange(first, first + len(images)) // TRIED_AMOUNTS
            return {"amount": nearest_amount(plain[rows], images, edit)}

        reached = sweep(generator, latent, knob, asked.tolist(), went)["amount"].double()
        off = (reached - asked).square().sum()
        there = count * asked.double().square().sum()
        gain = (reached * asked).sum() / there
        return {"r2": round(1 - float(off / there), 4), "gain": round(float(gain), 4)}

    def _header(self, generator: Generator) -> dict[str, Any]:
        options = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _CHANGEABLE}
        options["condition"] = dict(self.condition) if self.condition else None
        return {"kind": "imitation", "fingerprint": generator.fingerprint, "options": options}

    def _kept(self, generator: Generator) -> dict[str, "_Walk"]:
        """Return the walks in the checkpoint, by their edits; none where it is not there yet."""
        if self.checkpoint is None or not Path(self.checkpoint).exists():
            return {}
        tensors, header = read_tensors(self.checkpoint)
        if header != self._header(generator):
            raise BadInput(f"'{self.checkpoint}' is not of this search; name another checkpoint, or remove it")
        names = {name.partition("/")[0] for name in tensors}
        return {name: _Walk(*(tensors[f"{name}/{part}"] for part in _PARTS)) for name in names}


_CHANGEABLE = frozenset({"edit", "checkpoint"})
"""Options that may be others when a search goes on."""


@dataclass(frozen=True, eq=False)
class _Course:
    """Where walks lead: in which way, through a space with its axes, and what tells samples apart beside it."""

    walk: Walk
    space: str
    axes: Tensor
    context_space: str
    typical: Tensor

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the layers of the network that leads a walk: for a line none, for one that goes round a single matrix."""
        seen, told = len(self.axes) + self.typical.shape[1], len(self.axes)
        return {"line": (), "round": (seen, told), "curve": (seen, HIDDEN, told)}[self.walk]

    def knob(self, edit: Edit, values: Tensor) -> LinearKnob | CurveKnob:
        """Return the knob of a walk: how far its end is along each axis, and the weights that bend it if there are."""
        end, weights = values[: len(self.axes)], values[len(self.axes) :]
        direction = (end @ self.axes.flatten(1)).reshape(self.axes.shape[1:]) / edit.reach
        ends = (-edit.reach, edit.reach)
        if not len(weights):
            return LinearKnob(edit.name, self.space, direction, unit=edit.unit, range=ends)
        return CurveKnob(
            edit.name,
            self.space,
            direction,
            self.axes,
            self.widths,
            weights,
            edit.reach,
            self.typical,
            self.context_space,
            unit=edit.unit,
            range=ends,
        )


@dataclass(frozen=True, eq=False)
class _Walk:
    """What is learnt of a walk: see `_Course.knob`, with what Adam remembers, and how many steps were made."""

    values: Tensor
    mean: Tensor
    square: Tensor
    made: Tensor

    @classmethod
    def still(cls, course: _Course, *, seed: int) -> "_Walk":
        """Return a walk that leads nowhere: its network puts out nothing."""
        random, parts = torch.Generator().manual_seed(seed), [torch.zeros(len(course.axes))]
        layers = list(pairwise(course.widths))
        for inputs, outputs in layers:
            layer = torch.randn(outputs, inputs + 1, generator=random) / math.sqrt(inputs)
            parts.append((layer if (inputs, outputs) != layers[-1] else torch.zeros_like(layer)).flatten())
        values = torch.cat(parts)
        return cls(values, torch.zeros_like(values), torch.zeros_like(values), torch.zeros(1))

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return int(self.made)

    def moved(self, slope: Tensor, steep: Tensor, rate: Tensor) -> "_Walk":
        """Return the walk after a step of Adam, by slopes and the squares that tell how steep it is."""
        mean, square, made = 0.9 * self.mean + 0.1 * slope, 0.99 * self.square + 0.01 * steep, self.made + 1
        size = (square / (1 - 0.99**made)).sqrt() + 1e-8
        return _Walk(self.values - rate * mean / (1 - 0.9**made) / size, mean, square, made)


_PARTS = ("values", "mean", "square", "made")


def _tensors(walks: Mapping[str, _Walk]) -> dict[str, Tensor]:
    return {f"{name}/{part}": getattr(walk, part) for name, walk in walks.items() for part in _PARTS}


def _gauged(knob: LinearKnob | CurveKnob, gain: float) -> LinearKnob | CurveKnob:
    """Return the knob that goes as far as one with this gain is asked to, along the same way."""
    if isinstance(knob, LinearKnob):
        return replace(knob, direction=knob.direction / gain)
    return replace(knob, direction=knob.direction / gain, reach=knob.reach * gain)


def missed(images: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference over the pixels of a mask, at several scales, (batch,).

    Args:
        images: (batch, 3, height, width) in [0, 1].
        wanted: the same.
        mask: (batch, 1, height, width), 1 where pixels count.
    """
    total = torch.zeros(len(images))
    for _ in range(SCALES):
        squared = (mask * (images - wanted).square()).flatten(1).sum(1)
        total = total + squared / (images.shape[1] * mask.flatten(1).sum(1)).clamp_min(1)
        if min(images.shape[2:]) < 4:
            break
        images, wanted, mask = (F.avg_pool2d(each, 2) for each in (images, wanted, mask))
        mask = (mask > DEFINED).to(images)
    return total


def nearest_amount(images: Tensor, changed: Tensor, edit: Edit) -> Tensor:
    """Return by how much an edit of pictures comes nearest to what they were changed to, (batch,).

    The least difference among evenly spaced amounts, up to half as far again as the edit's reach, and between them the
    lowest point of the parabola through the neighbours.
    """
    amounts = torch.linspace(-BEYOND * edit.reach, BEYOND * edit.reach, COMPARED)
    columns = []
    with torch.no_grad():
        for amount in amounts.tolist():
            parts = []
            for rows in batches(len(images)):
                edited, mask = edit.apply(images[rows.start : rows.stop], torch.full((len(rows),), amount))
                parts.append(missed(changed[rows.start : rows.stop], edited, mask))
            columns.append(torch.cat(parts))
    table = torch.stack(columns, 1).double()  # (batch, amounts)
    best = table.argmin(1).clamp(1, COMPARED - 2)
    below, here, above = (table.gather(1, (best + step)[:, None])[:, 0] for step in (-1, 0, 1))
    bend = (below - 2 * here + above).clamp_min(1e-12)
    aside = ((below - above) / (2 * bend)).clamp(-1, 1)
    return (amounts[best] + aside * float(amounts[1] - amounts[0])).float()

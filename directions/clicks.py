"""Clicks: a person says of a few pictures whether they show more or less of something, and a knob for it is found.

The answers fit a head on what a measurer sees in pictures; the head labels thousands of samples, and a probe is fitted
to its labels. What is shown next is what the head is least sure of (uncertainty sampling, Lewis & Gale (1994), arXiv
cmp-lg/9407020). The head is ridge regression on "more" as 1, "less" as -1 and, at half weight, "skip" as 0.

`Clicks.find` asks until it has enough. Who would rather be asked takes `Clicks.begin`, whose `Answering` stands still
between two batches.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steer.attribute import Measurer, Perceptive
from steer.directions.probe import Probe
from steer.directions.readings import batches, labeller, space_values, worded
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import Knob, KnobSet, LinearKnob, Provenance
from steer.latent import Latent
from steer.registry import load_measurer
from steer.space import Space

Array = NDArray[np.float64]
Answer = Literal["more", "less", "skip"]
Ask = Callable[[Tensor, int], Sequence[Answer]]
"""From pictures (batch, 3, height, width) in [0, 1], and how many batches are left with this one, to an answer each."""

FIRST_SEED = 880_000_000
"""The first seed that may be shown; each ``seed`` has its own million."""

WORTH: Mapping[str, float] = {"more": 1.0, "less": -1.0, "skip": 0.0}
WEIGHTS: Mapping[str, float] = {"more": 1.0, "less": 1.0, "skip": 0.5}

RIDGE = 1.0
COMPONENTS = 24
"""How many principal components of feature maps the head sees."""

SMALLEST_PART = 1e-3
"""Components that vary by less than this part of the first are left out."""

Look = Literal["readings", "maps"]


@dataclass(frozen=True)
class Clicks:
    """Finds a knob for whatever a person means, by more, less and skip on small batches of pictures.

    Attributes:
        ask: what shows a batch of pictures (batch, 3, height, width) in [0, 1] to a person, with the number of batches
            that are left, this one included, and returns "more", "less" or "skip" for each. The command asks on the
            terminal.
        name: of the knob; the name of an attribute makes scorecards judge the knob by it.
        answers: how many pictures are asked about.
        batch: how many at a time.
        look: what the head sees: everything that the measurer reads off a picture, or, for what it does not read,
            the principal components of its last feature map, which takes more answers.
        source: what sees pictures: a measurer or its registered name. Left out, the one that finders learn from.
        pool: how many pictures are there to choose from.
        space: where to turn.
        samples: how many pictures the head labels for the probe.
        condition: what to ask for, such as ``{"label": "robin"}``; left out, everything mixed.
        seed: another seed draws other samples.
        truncation: see `Generator.sample`.
    """

    ask: Ask | None = None
    name: str = "clicked"
    answers: int = 60
    batch: int = 6
    look: Look = "readings"
    source: str | Measurer | None = None
    pool: int = 600
    space: str = "z"
    samples: int = 4_000
    condition: Mapping[str, str] | None = None
    seed: int = 0
    truncation: float = 1.0

    def find(self, generator: Generator, *, progress: Progress | None = None) -> KnobSet:
        """Find one knob.

        The report has how many answers said ``more``, ``less`` and ``skip``; ``told``, the share of the first two that
        a head fitted to all other answers gets right; and what the probe says of its fit to the head's labels.

        Raises:
            BadInput: nobody can be asked, the answers are not one of three for each picture, none said more or none
                less, or there are too few pictures.
        """
        if self.ask is None:
            raise BadInput("clicks asks a person: on the terminal by 'steer find clicks', in Python by ask=FUNCTION")
        answering = self.begin(generator, progress=_before(progress, self.samples))
        while answering.left:
            answering = answering.answered(self.ask(answering.pictures, answering.left))
        return answering.find(progress=_after(progress, self.pool))

    def begin(self, generator: Generator, *, progress: Progress | None = None) -> "Answering":
        """Look at the pool, and return the first batch to ask about; for those who would rather be asked.

        Raises:
            BadInput: there are too few pictures, or nothing sees them.
        """
        if not 2 <= self.answers <= self.pool or self.batch < 1:
            raise BadInput(f"2 answers or more are asked for, of a pool that is as large, not {self.answers}")
        generator = worded(generator.with_sampler(generator.sampler or generator.draft))
        generator.space(self.space)
        source = self.source if self.source is not None else labeller(generator)
        measurer = load_measurer(source) if isinstance(source, str) else source
        if self.look == "maps" and not isinstance(measurer, Perceptive):
            raise BadInput(f"'{measurer.name}' has no feature maps to look at; look at its readings")
        drawn = _Drawn(self, generator)

        def pictures() -> Iterator[Tensor]:
            for rows in batches(self.pool):
                yield drawn.pictures(rows)
                if progress is not None:
                    progress(rows[-1] + 1, self.pool)

        with torch.no_grad():
            return Answering(drawn, _Eye.of(measurer, self.look, pictures()))


@dataclass(frozen=True, eq=False)
class Answering:
    """What a person has answered so far, and what they are asked next.

    Attributes:
        drawn: the pool.
        eye: what the head sees.
        given: the answers, by their rows in the pool.
    """

    drawn: "_Drawn"
    eye: "_Eye"
    given: Mapping[int, Answer] = field(default_factory=dict)

    @property
    def finder(self) -> Clicks:
        """The finder, whose options hold."""
        return self.drawn.finder

    @property
    def left(self) -> int:
        """How many batches the finder would still ask about, the next one included; more may be answered."""
        return math.ceil(max(self.finder.answers - len(self.given), 0) / self.finder.batch)

    @property
    def counts(self) -> dict[str, int]:
        """How often each answer was given."""
        said = list(self.given.values())
        return {"more": said.count("more"), "less": said.count("less"), "skip": said.count("skip")}

    @property
    def sided(self) -> bool:
        """Whether there was both more and less, without which there is no knob."""
        return {"more", "less"} <= set(self.given.values())

    @property
    def told(self) -> float:
        """The share of more and less that a head fitted to all other answers gets right."""
        return _told(self.eye.features, self.given)

    @cached_property
    def rows(self) -> list[int]:
        """What is asked about next: what the head is least sure of; nothing once the whole pool was answered."""
        order = np.random.default_rng(self.finder.seed).permutation(self.finder.pool)
        unasked = [int(row) for row in order if row not in self.given]
        if self.sided:
            sure = np.abs(_augmented(self.eye.features[unasked]) @ self._head)
            unasked = [unasked[place] for place in np.argsort(sure, kind="stable")]
        wanted = max(self.finder.answers - len(self.given), 0) or self.finder.batch
        return unasked[: min(self.finder.batch, wanted)]

    @cached_property
    def pictures(self) -> Tensor:
        """The pictures that are asked about next, (batch, 3, height, width) in [0, 1]."""
        return self.drawn.pictures(self.rows)

    @cached_property
    def _head(self) -> Array:
        return _fitted(self.eye.features, self.given)

    def answered(self, said: Sequence[str]) -> "Answering":
        """Return what is asked once the pictures are answered.

        Raises:
            BadInput: the answers are not one of three for each picture.
        """
        said = list(said)
        if len(said) != len(self.rows) or not set(said) <= set(WORTH):
            raise BadInput(f"each of {len(self.rows)} pictures is answered with more, less or skip, not {said!r:.80}")
        answers: dict[int, Answer] = dict(zip(self.rows, cast(list[Answer], said), strict=True))
        return replace(self, given={**self.given, **answers})

    def sketch(self) -> Knob:
        """Return the knob as the pool alone tells it, at once: its direction is rough, its range not measured.

        Raises:
            BadInput: none said more or none less.
        """
        self._check()
        space, values = self.drawn.space, self.drawn.values
        labels = self.eye.features @ self._head[:-1]
        labels -= labels.mean()
        # ridge in its dual form, since an inner space may have more values than the pool has pictures
        gram = values @ values.T
        weights = values.T @ np.linalg.solve(gram + np.trace(gram) / len(gram) * np.eye(len(gram)), labels)
        unit = weights / np.linalg.norm(weights)
        line = torch.from_numpy((space.sigma if space.isotropic else (values @ unit).std()) * unit).float()
        name = self.finder.name
        return LinearKnob(name, space.name, line.reshape(space.shape), attribute=name, provenance=self._origin({}))

    def find(self, *, progress: Progress | None = None) -> KnobSet:
        """Find the knob with the answers that there are; see `Clicks.find`.

        Raises:
            BadInput: none said more or none less.
        """
        self._check()
        head, finder = self._head, self.finder

        def label(images: Tensor) -> Tensor:
            return torch.from_numpy(_augmented(self.eye.look(images)) @ head)

        found = Probe(
            finder.name,
            finder.space,
            finder.samples,
            source=label,
            kind="linear",
            condition=finder.condition,
            seed=finder.seed,
            truncation=finder.truncation,
        ).find(self.drawn.generator, progress=progress)[finder.name]
        scores: dict[str, Any] = {**self.counts, "told": self.told, **found.provenance.scores}
        knob = replace(found, provenance=self._origin(scores))
        report = {"source": self.eye.name, "look": finder.look, "knobs": {finder.name: scores}}
        return KnobSet({finder.name: knob}, report)

    def _origin(self, scores: dict[str, Any]) -> Provenance:
        finder, generator = self.finder, self.drawn.generator
        options: dict[str, Any] = {each.name: getattr(finder, each.name) for each in fields(finder)}
        del options["ask"]
        condition = dict(finder.condition) if finder.condition else None
        options = {**options, "source": self.eye.name, "condition": condition}
        return Provenance(generator.name, generator.fingerprint, "clicks", options, scores)

    def _check(self) -> None:
        if not self.sided:
            raise BadInput("a knob leads from less to more: answer both at least once")


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The pool that pictures are chosen from.

    Attributes:
        finder: whose options hold.
        generator: what draws it.
    """

    finder: Clicks
    generator: Generator

    @property
    def space(self) -> Space:
        """Where to turn."""
        return self.generator.space(self.finder.space)

    def latent(self, rows: Sequence[int]) -> Latent:
        """Draw some of it."""
        finder = self.finder
        first = FIRST_SEED + 1_000_000 * finder.seed
        condition = dict(finder.condition) if finder.condition else None
        return self.generator.sample([first + row for row in rows], condition=condition, truncation=finder.truncation)

    def pictures(self, rows: Sequence[int]) -> Tensor:
        """Make some of its pictures, (batch, 3, height, width) in [0, 1]."""
        with torch.no_grad():
            return self.generator.decode(self.latent(rows)).cpu()

    @cached_property
    def values(self) -> Array:
        """What passes in the space, (pool, values) about their mean."""
        values: Array = space_values(self.generator, self.latent(range(self.finder.pool)), self.space.name).numpy()
        return values - values.mean(0)


@dataclass(frozen=True, eq=False)
class _Eye:
    """What the head sees in pictures.

    Attributes:
        name: of the measurer.
        see: from pictures to numbers, (batch, numbers).
        middle: the mean of these over the pool.
        ways: (numbers, features), what features are made of them.
        features: those of the pool, (pictures, features).
    """

    name: str
    see: Callable[[Tensor], Array]
    middle: Array
    ways: Array
    features: Array

    @classmethod
    def of(cls, measurer: Measurer, look: Look, pictures: Iterator[Tensor]) -> "_Eye":
        """Learn how features vary."""
        see = _maps_of(measurer) if look == "maps" and isinstance(measurer, Perceptive) else _readings_of(measurer)
        seen = np.concatenate([see(images) for images in pictures])
        middle = seen.mean(0)
        if look == "maps":
            _, sizes, ways = np.linalg.svd(seen - middle, full_matrices=False)
            # half-way between whitened, where noise weighs as much as what shows, and plain, where one way drowns all
            kept = sizes[:COMPONENTS] > SMALLEST_PART * sizes[0]
            made = ways[:COMPONENTS][kept].T / np.sqrt(sizes[:COMPONENTS][kept] * sizes[0] / len(seen))
        else:
            made = np.diag(1 / np.maximum(seen.std(0), 1e-6))
        return cls(measurer.name, see, middle, made, (seen - middle) @ made)

    def look(self, images: Tensor) -> Array:
        """Return the features of pictures, (batch, features)."""
        features: Array = (self.see(images) - self.middle) @ self.ways
        return features


def _readings_of(measurer: Measurer) -> Callable[[Tensor], Array]:
    """Return what reads every number off pictures, and of angles cosine and sine."""

    def see(images: Tensor) -> Array:
        readings, columns = measurer.measure(images), []
        for name, attribute in measurer.attributes.items():
            if attribute.kind == "circular":
                angle = torch.deg2rad(readings[name])
                columns += [angle.cos(), angle.sin()]
            elif attribute.kind == "linear":
                columns.append(readings[name])
        return torch.stack(columns, 1).nan_to_num().double().numpy()

    return see


def _maps_of(measurer: Perceptive) -> Callable[[Tensor], Array]:
    return lambda images: measurer.features(images)[-1].flatten(1).double().numpy()


def _augmented(features: Array) -> Array:
    """Return features with a column of ones."""
    return np.hstack([features, np.ones((len(features), 1))])


def _fitted(features: Array, given: Mapping[int, Answer]) -> Array:
    """Return the head that fits the answers best, (features + 1,)."""
    design, weights = _augmented(features[list(given)]), np.array([WEIGHTS[said] for said in given.values()])
    worth = np.array([WORTH[said] for said in given.values()])
    ridge = RIDGE * np.eye(design.shape[1])
    ridge[-1, -1] *= 0.1  # where the middle lies is asked for most of all
    head: Array = np.linalg.solve((design.T * weights) @ design + ridge, design.T @ (weights * worth))
    return head


def _told(features: Array, given: Mapping[int, Answer]) -> float:
    """Return the share of more and less that is told by the other answers alone."""
    sided = [row for row, said in given.items() if said != "skip"]
    right = 0
    for row in sided:
        head = _fitted(features, {other: said for other, said in given.items() if other != row})
        right += int((_augmented(features[row : row + 1]) @ head)[0] * WORTH[given[row]] > 0)
    return round(right / len(sided), 4)


def _before(progress: Progress | None, more: int) -> Progress | None:
    """Return progress after which there is more to do."""
    return None if progress is None else lambda made, count: progress(made, count + more)


def _after(progress: Progress | None, done: int) -> Progress | None:
    """Return progress that goes on after what is done."""
    return None if progress is None else lambda made, count: progress(done + made, done + count)

"""Clicks: a person says of a few pictures whether they show more or less of something, and a knob for it is found.

The answers fit a head on what a measurer sees in pictures; the head labels thousands of samples, and a probe is fitted
to its labels. What is shown next is what the head is least sure of (uncertainty sampling, Lewis & Gale (1994), arXiv
cmp-lg/9407020). The head is ridge regression on "more" as 1, "less" as -1 and, at half weight, "skip" as 0.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steer.attribute import Measurer, Perceptive
from steer.directions.probe import Probe
from steer.directions.readings import batches, labeller
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import KnobSet
from steer.latent import Latent
from steer.registry import load_measurer

Array = NDArray[np.float64]
Answer = Literal["more", "less", "skip"]
Ask = Callable[[Tensor], Sequence[Answer]]
"""From pictures (batch, 3, height, width) in [0, 1] to an answer for each."""

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
        ask: what shows a batch of pictures (batch, 3, height, width) in [0, 1] to a person and returns "more", "less"
            or "skip" for each. The command asks on the terminal.
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
        if not 2 <= self.answers <= self.pool or self.batch < 1:
            raise BadInput(f"2 answers or more are asked for, of a pool that is as large, not {self.answers}")
        eye = self._eye(generator, progress)
        given = self._answers(generator, eye, self.ask)
        counts = {answer: sum(said == answer for said in given.values()) for answer in WORTH}
        if not (counts["more"] and counts["less"]):
            raise BadInput("a knob leads from less to more: answer both at least once")
        head, told = _fitted(eye.features, given), _told(eye.features, given)

        def label(images: Tensor) -> Tensor:
            return torch.from_numpy(_augmented(eye.look(images)) @ head)

        found = Probe(
            self.name,
            self.space,
            self.samples,
            source=label,
            kind="linear",
            condition=self.condition,
            seed=self.seed,
            truncation=self.truncation,
        ).find(generator, progress=_after(progress, self.pool))[self.name]
        scores = {**counts, "told": told, **found.provenance.scores}
        origin = replace(found.provenance, finder="clicks", options=self._options(eye.name), scores=scores)
        knob = replace(found, provenance=origin)  # type: ignore[type-var]
        return KnobSet({self.name: knob}, {"source": eye.name, "look": self.look, "knobs": {self.name: scores}})

    def _options(self, source: str) -> dict[str, Any]:
        options = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "ask"}
        return {**options, "source": source, "condition": dict(self.condition) if self.condition else None}

    def _draw(self, generator: Generator, rows: Sequence[int]) -> Latent:
        first = FIRST_SEED + 1_000_000 * self.seed
        condition = dict(self.condition) if self.condition else None
        return generator.sample([first + row for row in rows], condition=condition, truncation=self.truncation)

    def _eye(self, generator: Generator, progress: Progress | None) -> "_Eye":
        """Look at the pool."""
        source = self.source if self.source is not None else labeller(generator)
        measurer = load_measurer(source) if isinstance(source, str) else source
        if self.look == "maps" and not isinstance(measurer, Perceptive):
            raise BadInput(f"'{measurer.name}' has no feature maps to look at; look at its readings")

        def pictures() -> Iterator[Tensor]:
            for rows in batches(self.pool):
                yield generator.decode(self._draw(generator, rows)).cpu()
                if progress is not None:
                    progress(rows[-1] + 1, self.pool + self.samples)

        with torch.no_grad():
            return _Eye.of(measurer, self.look, pictures())

    def _answers(self, generator: Generator, eye: "_Eye", ask: Ask) -> dict[int, Answer]:
        """Ask about one batch after the other, and return the answers by their rows in the pool."""
        given: dict[int, Answer] = {}
        order = np.random.default_rng(self.seed).permutation(self.pool)
        while len(given) < self.answers:
            unasked = [int(row) for row in order if row not in given]
            if {"more", "less"} <= set(given.values()):
                sure = np.abs(_augmented(eye.features[unasked]) @ _fitted(eye.features, given))
                unasked = [unasked[place] for place in np.argsort(sure, kind="stable")]
            rows = unasked[: min(self.batch, self.answers - len(given))]
            with torch.no_grad():
                pictures = generator.decode(self._draw(generator, rows)).cpu()
            said = list(ask(pictures))
            if len(said) != len(rows) or not set(said) <= set(WORTH):
                raise BadInput(f"each of {len(rows)} pictures is answered with more, less or skip, not {said!r:.80}")
            given |= dict(zip(rows, said, strict=True))
        return given


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


def _after(progress: Progress | None, done: int) -> Progress | None:
    """Return progress that goes on after what is done."""
    return None if progress is None else lambda made, count: progress(done + made, done + count)

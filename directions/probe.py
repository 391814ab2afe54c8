"""Probes: from latents to what is read off their pictures, and the directions that come out of it.

Linear probes after Shen et al. (2020), InterFaceGAN, arXiv 2005.09635, with two differences: an attribute that goes
round in a circle gets a plane to turn in, and every direction comes with a confidence interval.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steer.attribute import UNIFORM_CIRCLE_SPREAD, Attribute, AttributeKind, Measurer, Worded
from steer.backend import Sampler
from steer.directions.plausible import plausible_range
from steer.directions.readings import (
    WHOLE_WAY,
    Read,
    circular_r2,
    labeller,
    labels_of,
    passed,
    read_pictures,
    sweep,
    worded,
)
from steer.errors import BadInput, UnknownName
from steer.generator import Generator, Progress
from steer.knob import Knob, KnobSet, LinearKnob, Provenance, RingKnob, Window
from steer.latent import Latent
from steer.registry import load_measurer, registered
from steer.space import Space

Array = NDArray[np.float64]
Source = str | Path | Measurer | Callable[[Tensor], Tensor]

FIRST_SEED = 500_000_000
"""The first seed that is sampled; each ``seed`` of a probe has its own ten million."""

WORDS = "words"
"""The source that takes what samples were asked for."""

COMPARED_SEEDS = range(3_000_000, 3_000_024)
"""The birds on which a direction is compared with its disentangled form."""

COMPARED_AMOUNTS: Mapping[str, tuple[float, float]] = {"linear": (-2.0, 2.0), "ring": (-90.0, 90.0)}

LARGEST_FIT = 512
"""Spaces with more values are probed within this many of their principal components."""

STRENGTHS = np.logspace(-2, 6, 17)
REPLICATES = 100

WORTH_SHIELDING = 0.05
"""An attribute of which a probe explains less than this is not kept out of the others' directions."""

CLASS_SIZE = 8
"""With fewer samples a class than this, the mean of a class says too little to be taken out."""

PICTURES_PER_KNOB = 200
"""About how many pictures it takes to compare a knob's forms and to measure its range; for the progress bar."""


@dataclass(frozen=True)
class Probe:
    """Finds the direction of a space along which an attribute grows.

    Numbers are fitted by ridge regression; classes by logistic regression, each against all others; for angles,
    cosine and sine are fitted and span the plane of a ring knob. Differences between the classes a generator was asked
    for are taken out first.

    Attributes:
        attribute: one name, several, or "all": every number and angle that the source measures.
        space: where to turn.
        samples: how many pictures are drawn and measured; all attributes share them.
        source: what says the attribute: a measurer or its registered name; a function from pictures
            (batch, 3, height, width) to (batch,) numbers; the path of a CSV file with a column ``seed`` and one named
            like the attribute, or ``value``; or "words", what each sample was asked for, without any picture. Left
            out, the measurer that finders learn from.
        kind: "linear", "circular" (degrees) or "categorical", where a function or file does not say. Left out, what
            the generator's measurer says of that name; else categorical for two values, linear for more.
        condition: what to ask for, such as ``{"label": "robin"}``; left out, everything mixed.
        sampler: steps, for generators that have a choice of them; left out, the generator's draft.
        at: the part of the way to look at and to turn in, for an inner space that is met in many stages.
        per_stage: whether such a space gets another direction in each of these stages; else one, that of the mean over
            them.
        seed: another seed draws other samples.
        truncation: see `Generator.sample`.
        folds: parts of the cross-validation.
        disentangle: turn a direction away from those of the other measured attributes, where pictures show that less
            of the others changes for it.
    """

    attribute: str | tuple[str, ...] = "all"
    space: str = "z"
    samples: int = 4_000
    source: Source | None = None
    kind: AttributeKind | None = None
    condition: Mapping[str, str] | None = None
    sampler: Sampler | None = None
    at: tuple[float, float] = WHOLE_WAY
    per_stage: bool = True
    seed: int = 0
    truncation: float = 1.0
    folds: int = 5
    disentangle: bool = True

    def find(self, generator: Generator, *, progress: Progress | None = None) -> KnobSet:
        """Find one knob an attribute, named after it, or one a class (``species:owl``).

        The report has, for every knob, the cross-validated score: ``r2``, for angles
        1 - mean(1 - cos(error)) / mean(1 - cos(angle about its mean)), or ``accuracy`` with the ``commonest`` share
        that always saying the same would reach; ``angle_90``, the 90 % interval of the angle in degrees by which the
        direction turns when samples are drawn anew, by bootstrap; and, where the two were compared, the ``leakage``
        into other attributes when the direction is left plain and when it is turned away from theirs. In a space that
        is met in many stages the scores are those of the stage that tells most, and ``along_the_way`` has all.

        The range ends where pictures stop being plausible; of a number that was learnt from words, at the latest as far
        off as it is from the least that they ask for to the most.

        Raises:
            UnknownName: the space, the attribute or the measurer is not there.
            BadInput: the file is not usable, the attribute or the space does not vary, or the generator has no choice
                of steps.
        """
        generator = generator.with_sampler(self.sampler or generator.sampler or generator.draft)
        generator = worded(generator.with_condition(self.condition) if self.condition else generator)
        space = generator.space(self.space)
        if self.seed < 0:
            raise BadInput(f"a probe's seed is a whole number from 0 up, not {self.seed}")
        if self.folds < 2 or self.samples < 20 * self.folds:
            raise BadInput(f"a probe takes 2 folds or more with 20 samples each, not {self.samples} in {self.folds}")
        if space.isotropic and math.prod(space.shape) > LARGEST_FIT:
            raise BadInput(f"'{self.space}' has over {LARGEST_FIT} dice, too many for a probe; turn an inner space")
        names = (self.attribute,) if isinstance(self.attribute, str) else tuple(self.attribute)
        table = self._table(generator, names, progress)

        rng = np.random.default_rng(self.seed)
        fits = [_regress(table, part, self.folds, rng) for part in table.parts]
        wanted = [[fit for fit in part if fit.name in table.wanted] for part in fits]
        for name in table.wanted:
            if table.attributes[name].kind == "categorical":
                for some, part in zip(wanted, table.parts, strict=True):
                    some += _classify(table, part, table.attributes[name], self.folds, rng)

        knobs: dict[str, Knob] = {}
        for number, along in enumerate(zip(*wanted, strict=True)):
            knob, scores = self._choose(generator, table, along, fits)
            origin = Provenance(generator.name, generator.fingerprint, "probe", self._options(table, generator), scores)
            knob = replace(knob, provenance=origin, window=Window(*self.at))
            low, high = plausible_range(generator, knob, measurer=table.measurer, truncation=self.truncation)
            if table.source == WORDS and along[0].attribute.kind == "linear":
                way = _way_between(table, along[0])
                low, high = max(low, -way), min(high, way)
            knobs[knob.name] = replace(knob, range=(low, high))
            if progress is not None:
                done = table.samples + PICTURES_PER_KNOB * (number + 1)
                progress(done, table.samples + PICTURES_PER_KNOB * len(wanted[0]))
        report = {name: dict(knob.provenance.scores) for name, knob in knobs.items()}
        return KnobSet(knobs, {"source": table.source, "samples": table.samples, "knobs": report})

    def _options(self, table: "_Table", generator: Generator) -> dict[str, Any]:
        options = {each.name: getattr(self, each.name) for each in fields(self)}
        walked = {"sampler": generator.sampler.to_json() if generator.sampler else None, "at": list(self.at)}
        return {**options, **walked, "source": table.source, "condition": generator.asked}

    def _table(self, generator: Generator, names: tuple[str, ...], progress: Progress | None) -> "_Table":
        """Draw the samples and label them, by whatever the source is."""
        source = self.source if self.source is not None else labeller(generator)
        if isinstance(source, str) and (source in registered("attributes") or Path(source).is_dir()):
            source = load_measurer(source)
        first = FIRST_SEED + 10_000_000 * self.seed
        seeds: Sequence[int] = range(first, first + self.samples)
        if source == WORDS:
            return self._asked(generator, names, seeds, progress)
        if isinstance(source, Measurer):
            wanted = _wanted(names, source)
            latent, readings, parts, edges = self._read(generator, seeds, source.measure, progress, len(wanted))
            kept = {
                name: attribute
                for name, attribute in source.attributes.items()
                if name in wanted or attribute.kind != "categorical"
            }
            groups = _groups(generator, latent)
            return _Table(source.name, source, True, wanted, kept, readings, parts, edges, groups)

        if len(names) != 1:
            raise BadInput("a function or a file gives one attribute; name only that")
        name = "value" if names == ("all",) else names[0]
        if isinstance(source, str | Path):
            text, column = str(source), _read_csv(Path(source), name)
            latent, _, parts, edges = self._read(generator, list(column), None, progress, 1)
            labels = list(column.values())
        else:
            text = getattr(source, "__name__", type(source).__name__)

            def read(images: Tensor) -> dict[str, Tensor]:
                return {name: torch.as_tensor(source(images))}

            latent, readings, parts, edges = self._read(generator, seeds, read, progress, 1)
            labels = readings[name].tolist()
        measurer = labeller(generator)
        attribute, numbers = _described(name, labels, self.kind, measurer)
        groups = _groups(generator, latent)
        return _Table(text, measurer, False, (name,), {name: attribute}, {name: numbers}, parts, edges, groups)

    def _asked(
        self, generator: Generator, names: tuple[str, ...], seeds: Sequence[int], progress: Progress | None
    ) -> "_Table":
        """Label samples by the words that each was asked for in."""
        measurer = labeller(generator)
        if generator.words is None or not isinstance(measurer, Worded):
            raise BadInput(f"nobody knows what words '{generator.name}' could be asked in; leave source='{WORDS}' out")
        latent, _, parts, edges = self._read(generator, seeds, None, progress, len(names))
        words = latent.condition[generator.words]
        asked = {name: each.double().numpy() for name, each in measurer.meaning(words).items()}
        meant = {name: each for name, each in asked.items() if np.isfinite(each).all()}
        wanted = tuple(name for name in _wanted(names, measurer) if names != ("all",) or name in meant)
        for name in wanted:
            if name not in meant:
                raise BadInput(f"the words of some samples leave '{name}' open; leave source='{WORDS}' out")
        kept = {name: each for name, each in measurer.attributes.items() if name in meant}
        groups = np.zeros(len(seeds), dtype=np.int64)
        return _Table(WORDS, measurer, True, wanted, kept, meant, parts, edges, groups)

    def _sample(self, generator: Generator, seeds: Sequence[int]) -> Latent:
        return generator.sample(seeds, truncation=self.truncation)

    def _read(
        self, generator: Generator, seeds: Sequence[int], read: Read | None, progress: Progress | None, knobs: int
    ) -> tuple[Latent, dict[str, Array], tuple["_Part", ...], tuple[float, ...]]:
        """Return samples, what is read off their pictures, and what passes in the space in each part of the way."""

        def report(done: int, count: int) -> None:
            if progress is not None:
                progress(done, count + PICTURES_PER_KNOB * knobs)

        latent = self._sample(generator, seeds)
        met = passed(
            generator, latent, self.space, read, at=self.at, per_stage=self.per_stage, progress=report if read else None
        )
        parts = tuple(_Part.of(values.double().numpy(), self.space) for values in met.values)
        return latent, {name: values.double().numpy() for name, values in met.readings.items()}, parts, met.edges

    def _choose(
        self, generator: Generator, table: "_Table", along: Sequence["_Fit"], fits: Sequence[Sequence["_Fit"]]
    ) -> tuple[LinearKnob | RingKnob, dict[str, Any]]:
        """Return the knob, plain or turned away from other attributes, whichever leaks less, and its scores.

        Args:
            generator: what it turns.
            table: the samples.
            along: what was learnt of one attribute, for each part of the way.
            fits: what was learnt of all.
        """
        space, fit = generator.space(self.space), along[0]
        scores = _scores_along(along, table.edges)
        plain = _knob(space, table, along, [each.directions for each in along])
        shielded = [
            _shielded(each, [other for other in part if _worth_shielding(fit, other)])
            if self.disentangle and table.judged
            else None
            for each, part in zip(along, fits, strict=True)
        ]
        kept = [each for each in shielded if each is not None]
        if len(kept) < len(along):
            return plain, scores
        forms = {"plain": plain, "disentangled": _knob(space, table, along, kept)}
        leakage = {form: self._leakage(generator, table, knob, fit.attribute) for form, knob in forms.items()}
        best = min(forms, key=lambda form: leakage[form])
        return forms[best], {**scores, "form": best, "leakage": leakage}

    def _leakage(self, generator: Generator, table: "_Table", knob: Knob, target: Attribute) -> float:
        """Return how much other attributes change for one spread of change in the target, root mean square."""
        latent = self._sample(generator, COMPARED_SEEDS)
        before = read_pictures(generator, latent, table.measurer.measure)
        after = sweep(generator, latent, knob, COMPARED_AMOUNTS[knob.kind], table.measurer.measure)

        def change(attribute: Attribute) -> float:
            moved = attribute.difference(after[attribute.name], before[attribute.name][:, None])
            return float(moved.double().square().mean()) / attribute.spread**2

        others = [change(each) for name, each in table.measurer.attributes.items() if name != target.name]
        return round(math.sqrt(sum(others) / max(len(others), 1) / max(change(target), 1e-6)), 4)


@dataclass(frozen=True, eq=False)
class _Table:
    """Samples with their labels.

    Attributes:
        source: where the labels come from, in words.
        measurer: what sees the generator's pictures.
        judged: whether the labels are its readings.
        wanted: the attributes that were asked for.
        attributes: all that are fitted.
        readings: (samples,) per attribute; for classes, their indices.
        parts: what passed in the space, for each part of the way.
        edges: where the parts begin and end; empty where there is one.
        groups: (samples,) which class the generator was asked for.
    """

    source: str
    measurer: Measurer
    judged: bool
    wanted: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    readings: Mapping[str, Array]
    parts: tuple["_Part", ...]
    edges: tuple[float, ...]
    groups: NDArray[np.int64]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.groups)


@dataclass(frozen=True, eq=False)
class _Part:
    """What passed in a space in one part of the way.

    Attributes:
        values: (samples, directions) about their mean, within the leading principal components of a large space.
        basis: (directions, values of the space), orthonormal.
        mean: (values of the space,).
    """

    values: Array
    basis: Array
    mean: Array

    @classmethod
    def of(cls, values: Array, space: str) -> "_Part":
        """Centre values (samples, values of the space), and bring large ones into few directions.

        Raises:
            BadInput: they do not vary.
        """
        mean = values.mean(0)
        values = values - mean
        if np.abs(values).max() <= 1e-6 * np.abs(mean).max():
            raise BadInput(f"'{space}' is the same in all samples, so nothing can be learnt in it; turn another space")
        basis = np.eye(values.shape[1])
        if values.shape[1] > LARGEST_FIT:
            from sklearn.utils.extmath import randomized_svd

            basis = randomized_svd(values, LARGEST_FIT, random_state=0)[2]
            values = values @ basis.T
        return cls(values, basis, mean)


@dataclass(frozen=True, eq=False)
class _Fit:
    """What a probe learnt of one attribute, or of one class.

    Attributes:
        name: of the knob.
        attribute: what it turns.
        weights: (1 or 2, directions) that read the attribute off the values.
        directions: (1 or 2, directions) in which values differ where the attribute does: covariance times weights.
        scores: how well it reads.
    """

    name: str
    attribute: Attribute
    weights: Array
    directions: Array
    scores: dict[str, Any]


def _wanted(names: tuple[str, ...], measurer: Measurer) -> tuple[str, ...]:
    if names == ("all",):
        return tuple(name for name, attribute in measurer.attributes.items() if attribute.kind != "categorical")
    for name in names:
        if name not in measurer.attributes:
            raise UnknownName("attribute", name, measurer.attributes, "'all' finds every one")
    return names


def _groups(generator: Generator, latent: Latent) -> NDArray[np.int64]:
    return np.unique(labels_of(generator, latent), return_inverse=True)[1].astype(np.int64)


def _read_csv(path: Path, name: str) -> dict[int, str]:
    """Return the text of a column, by seed."""
    if not path.is_file():
        names = registered("attributes")
        raise UnknownName("measurer", str(path), names, "or give a CSV file with columns seed and value")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or ())
        column = name if name in columns else "value"
        if "seed" not in columns or column not in columns:
            raise BadInput(f"'{path}' needs a column 'seed' and one named '{name}' or 'value'; it has {columns}")
        try:
            return {int(row["seed"]): row[column].strip() for row in reader if row[column]}
        except ValueError as error:
            raise BadInput(f"'{path}' has a seed that is not a whole number ({error}); mend that line") from error


def _described(
    name: str, labels: Sequence[Any], kind: AttributeKind | None, measurer: Measurer
) -> tuple[Attribute, Array]:
    """Return what labels mean, and the labels as numbers."""
    distinct = sorted(set(labels), key=str)
    if len(labels) < 40 or len(distinct) < 2:
        raise BadInput(f"'{name}' has {len(labels)} labels with {len(distinct)} values; give 40 or more that differ")
    if kind is None and name in measurer.attributes:
        kind = measurer.attributes[name].kind
    kind = kind or ("categorical" if len(distinct) == 2 else "linear")
    if kind == "categorical":
        classes = tuple(f"{label}" for label in distinct)
        numbers = np.array([distinct.index(label) for label in labels], dtype=np.float64)
        return Attribute(name, kind, 0, len(classes), "class", float(numbers.std()), classes), numbers
    try:
        numbers = np.array([float(label) for label in labels])
    except ValueError as error:
        raise BadInput(f"'{name}' is not all numbers ({error}); for classes say kind='categorical'") from error
    if not np.isfinite(numbers).all():
        raise BadInput(f"'{name}' has labels that are not finite; leave those rows out")
    if kind == "circular":
        return Attribute(name, kind, 0, 360, "degree", UNIFORM_CIRCLE_SPREAD), numbers
    return Attribute(name, kind, float(numbers.min()), float(numbers.max()), "value", float(numbers.std())), numbers


def _regress(table: _Table, part: _Part, folds: int, rng: np.random.Generator) -> list[_Fit]:
    """Fit every number and angle at once, each with a ridge of its own strength."""
    from sklearn.linear_model import RidgeCV

    encoded: dict[str, Array] = {}
    for name, attribute in table.attributes.items():
        reading = table.readings[name]
        if attribute.kind == "circular":
            angle = np.deg2rad(reading)
            encoded[name] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        elif attribute.kind == "linear" and reading.std() > 1e-6 * attribute.spread:
            encoded[name] = (reading[:, None] - reading.mean()) / reading.std()
        elif attribute.kind == "linear" and name in table.wanted:
            raise BadInput(f"'{name}' is the same in all {len(reading)} samples, so nothing can be learnt about it")
    if not encoded:
        return []
    values, targets = part.values, np.concatenate(list(encoded.values()), axis=1)  # (samples, numbers of all)
    centred = targets - _group_means(targets, table.groups, table.groups)
    search = RidgeCV(STRENGTHS * values.var(), alpha_per_target=True, fit_intercept=False).fit(values, centred)
    chosen = np.atleast_1d(search.alpha_)

    predicted = np.empty_like(targets)
    for kept, held in _splits(len(values), folds, rng):
        means = _group_means(targets[kept], table.groups[kept], table.groups)
        weights = _ridge(values[kept], targets[kept] - means[kept], chosen)
        predicted[held] = values[held] @ weights.T + means[held]

    covariance = values.T @ values / len(values)
    weights = _ridge(values, centred, chosen)
    redrawn = [
        _ridge(values, centred, chosen, np.bincount(rng.integers(len(values), size=len(values)), minlength=len(values)))
        for _ in range(_replicates(values))
    ]
    fits, start = [], 0
    for name, target in encoded.items():
        columns = slice(start, start := start + target.shape[1])
        attribute, guess = table.attributes[name], predicted[:, columns]
        directions = weights[columns] @ covariance
        angles = [angle_between(directions, replicate[columns] @ covariance) for replicate in redrawn]
        scores = {"r2": _r2(attribute, table, guess, target), "angle_90": interval_90(angles)}
        fits.append(_Fit(name, attribute, weights[columns], directions, scores))
    return fits


def _r2(attribute: Attribute, table: _Table, guess: Array, target: Array) -> float:
    """Return how much of an attribute is explained beyond what its class says."""
    about = _group_means(target, table.groups, table.groups)
    if attribute.kind == "linear":
        return round(1 - float(np.square(target - guess).sum() / np.square(target - about).sum()), 4)
    told, truth, middle = (np.rad2deg(np.arctan2(each[:, 1], each[:, 0])) for each in (guess, target, about))
    return round(circular_r2(truth - told, truth - middle), 4)


def _classify(table: _Table, part: _Part, attribute: Attribute, folds: int, rng: np.random.Generator) -> list[_Fit]:
    """Fit one class after the other against the rest; of two classes only the second."""
    from sklearn.linear_model import LogisticRegression

    values = part.values / part.values.std()
    covariance = values.T @ values / len(values)
    model = LogisticRegression(max_iter=1_000)
    fits = []
    for index, label in list(enumerate(attribute.classes))[1 if len(attribute.classes) == 2 else 0 :]:
        member = table.readings[attribute.name] == index
        if min(member.sum(), (~member).sum()) < 2 * folds:
            raise BadInput(f"too few of the samples are '{label}' or not; draw more than {len(values)}")
        weights = model.fit(values, member).coef_.copy()
        right = 0
        for kept, held in _splits(len(values), folds, rng):
            right += int((model.fit(values[kept], member[kept]).predict(values[held]) == member[held]).sum())
        angles = []
        for _ in range(_replicates(values) // 5):
            drawn = rng.integers(len(values), size=len(values))
            angles.append(
                angle_between(weights @ covariance, model.fit(values[drawn], member[drawn]).coef_ @ covariance)
            )
        scores = {
            "accuracy": round(right / len(values), 4),
            "commonest": round(float(max(member.mean(), 1 - member.mean())), 4),
            "angle_90": interval_90(angles),
        }
        name = attribute.name if len(attribute.classes) == 2 else f"{attribute.name}:{label}"
        fits.append(_Fit(name, attribute, weights, weights @ covariance, scores))
    return fits


def _ridge(values: Array, targets: Array, strengths: Array, counts: NDArray[np.int64] | None = None) -> Array:
    """Return the ridge weights of each target, (targets, directions), each sample counted so many times."""
    weighted = values if counts is None else values * counts[:, None]
    scale, axes = np.linalg.eigh(weighted.T @ values)
    along = axes.T @ (weighted.T @ targets)  # (directions, targets)
    return (axes @ (along / (scale[:, None] + strengths))).T


def _group_means(targets: Array, groups: NDArray[np.int64], wanted: NDArray[np.int64]) -> Array:
    """Return the mean target of each wanted sample's group; the mean of all where groups are small."""
    count = int(wanted.max()) + 1
    members = np.bincount(groups, minlength=count)
    overall = targets.mean(0)
    if len(targets) < CLASS_SIZE * count:
        return np.broadcast_to(overall, (len(wanted), len(overall)))
    sums = np.zeros((count, targets.shape[1]))
    np.add.at(sums, groups, targets)
    means = np.where(members[:, None] > 0, sums / np.maximum(members, 1)[:, None], overall)
    return means[wanted]


def _splits(count: int, folds: int, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the samples to learn from and those to test on."""
    parts = np.array_split(rng.permutation(count), folds)
    for index, held in enumerate(parts):
        yield np.concatenate(parts[:index] + parts[index + 1 :]), held


def _replicates(values: Array) -> int:
    return REPLICATES if values.shape[1] <= 128 else REPLICATES // 5


def angle_between(first: Array, second: Array) -> float:
    """Return the largest principal angle between the spans of one or two rows each, in degrees."""
    bases = [np.linalg.qr(rows.T)[0] for rows in (first, second)]
    cosine = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).min()
    return math.degrees(math.acos(min(float(cosine), 1.0)))


def interval_90(angles: Sequence[float]) -> list[float]:
    """Return the 90 % interval of angles."""
    return [round(float(end), 2) for end in np.quantile(angles, [0.05, 0.95])]


def _worth_shielding(fit: _Fit, other: _Fit) -> bool:
    return other.name != fit.attribute.name and other.scores["r2"] >= WORTH_SHIELDING


def _scores_along(along: Sequence[_Fit], edges: Sequence[float]) -> dict[str, Any]:
    """Return the scores of the part of the way that tells most, and those of all where there are several."""
    key = "r2" if "r2" in along[0].scores else "accuracy"
    best = max(along, key=lambda fit: fit.scores[key]).scores
    return {**best, "along_the_way": {"edges": list(edges), key: [fit.scores[key] for fit in along]}} if edges else best


def _shielded(fit: _Fit, others: Sequence[_Fit]) -> Array | None:
    """Return the directions without what would change others' readings, after Shen et al. (2020), section 3.2.

    None where there is nothing to keep out, or nothing would be left.
    """
    if not others:
        return None
    weights = np.concatenate([other.weights for other in others])
    directions = np.concatenate([other.directions for other in others])
    changes = fit.directions @ weights.T @ np.linalg.pinv(directions @ weights.T)  # (1 or 2, others)
    left = fit.directions - changes @ directions
    kept = np.linalg.norm(left, axis=1) / np.linalg.norm(fit.directions, axis=1)
    return left if kept.min() > 0.1 else None


def _knob(space: Space, table: _Table, along: Sequence[_Fit], directions: Sequence[Array]) -> LinearKnob | RingKnob:
    """Return the knob of one direction, or of the plane of two, for each part of the way."""
    name, attribute = along[0].name, along[0].attribute.name
    if len(directions[0]) == 2:
        rings = [
            _ring(part, each, centred=not space.isotropic) for part, each in zip(table.parts, directions, strict=True)
        ]
        planes = torch.stack([plane for plane, _, _ in rings]).reshape(-1, 2, *space.shape)
        centres = torch.stack([centre for _, centre, _ in rings])
        radius = sum(radius for _, _, radius in rings) / len(rings)
        plane, centre = (planes, centres) if table.edges else (planes[0], centres[0])
        return RingKnob(name, space.name, plane, radius, attribute=attribute, centre=centre, edges=table.edges)
    lines = []
    for part, (direction,) in zip(table.parts, directions, strict=True):
        unit = direction / np.linalg.norm(direction)
        deviation = space.sigma if space.isotropic else float((part.values @ unit).std())
        lines.append(torch.from_numpy(deviation * unit @ part.basis).float().reshape(space.shape))
    line = torch.stack(lines) if table.edges else lines[0]
    return LinearKnob(name, space.name, line, attribute=attribute, edges=table.edges)


def _way_between(table: _Table, fit: _Fit) -> float:
    """Return how far it is from the least that words ask for to the most, in sigmas: beyond, they have no meaning."""
    values, asked = table.parts[0].values @ fit.directions[0], table.readings[fit.attribute.name]
    ends = [values[np.isclose(asked, end)].mean() for end in (asked.min(), asked.max())]
    return round(float((ends[1] - ends[0]) / values.std()), 1)


def _ring(part: _Part, directions: Array, *, centred: bool) -> tuple[Tensor, Tensor, float]:
    """Return the plane of two directions, where the values' middle lies in it, and how far they are from there."""
    # The nearest orthonormal frame keeps where the angle is 0 and which way it goes.
    left, _, right = np.linalg.svd(directions, full_matrices=False)
    frame = left @ right
    radius = math.sqrt(float(np.square(part.values @ frame.T).sum(1).mean()))
    plane = frame @ part.basis
    centre = plane @ part.mean if centred else np.zeros(2)
    return torch.from_numpy(plane).float(), torch.from_numpy(centre).float(), radius

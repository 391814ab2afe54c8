"""How good and various a generator of photographs is, beside photographs that nothing was trained on.

A Fréchet distance, precision and recall, the share of samples in which the class that was asked for is seen, and the
training pictures nearest to each sample, all in the features of a classifier of such photographs
(`steer.generators.classifier`). What held-out photographs reach in place of samples is the floor.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.condition import Asked
from steer.errors import BadInput
from steer.generator import Generator
from steer.generators.classifier import LABEL, Classifier
from steer.generators.frechet import frechet
from steer.generators.precision_recall import Nearest, PrecisionRecall, nearest, precision_recall
from steer.generators.training.pictures import Pictures, read_folder
from steer.pictures import save_picture, sheet
from steer.progress import Progress

LEAST_COUNT = 16
TOGETHER = 64
LOOKED_AT = 500
SHOWN, BESIDE = 16, 3
"""How many samples the figure shows, and how many training pictures beside each."""

UNUSUALLY_NEAR = 0.01
"""The share of held-out photographs that are as near to a training picture as what is counted as near."""


@dataclass(frozen=True)
class Seen:
    """What is measured of samples, or of held-out photographs in their place.

    Attributes:
        count: how many there are.
        frechet: Fréchet distance to all training pictures.
        shared: precision and recall against as many training pictures.
        named: by class, how many are taken for it of those that should be, and how many should.
        distance: from the nearest training picture, the median.
        near: how many are nearer to a training picture than 99 % of the held-out photographs are.
    """

    count: int
    frechet: float
    shared: PrecisionRecall
    named: Mapping[str, tuple[int, int]]
    distance: float
    near: int

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, JSON-able, four digits behind the point."""
        return {
            "count": self.count,
            "frechet": round(self.frechet, 4),
            "precision": round(self.shared.precision, 4),
            "recall": round(self.shared.recall, 4),
            "real": self.shared.real,
            "class_seen": {name: {"seen": seen, "of": count} for name, (seen, count) in self.named.items()},
            "nearest_training_picture": round(self.distance, 4),
            "unusually_near": self.near,
        }


@dataclass(frozen=True)
class PhotographQuality:
    """What `measure_photographs` found.

    Attributes:
        generator: name of the generator.
        classifier: whose features they are.
        accuracy: the share of held-out photographs whose class it named when it was trained.
        samples: what is measured of the generator's samples.
        floor: the same of held-out photographs.
        pictures: samples, each with the training pictures nearest to it, (samples, 1 + beside, 3, height, width).
        distances: how far these are, (samples, beside).
    """

    generator: str
    classifier: str
    accuracy: float
    samples: Seen
    floor: Seen
    pictures: Tensor = field(repr=False)
    distances: Tensor = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, JSON-able."""
        return {
            "generator": self.generator,
            "classifier": self.classifier,
            "classifier_accuracy": round(self.accuracy, 4),
            "samples": self.samples.to_json(),
            "held_out": self.floor.to_json(),
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the numbers for a person: what, how much, and what held-out photographs reach."""

        def both(what: str, one: str, other: str) -> tuple[str, str, str]:
            return what, one, f"{other} for held-out photographs"

        mine, floor = self.samples, self.floor
        classes = [name for name in floor.named if name in mine.named]
        everything = [
            (sum(each.named[name][0] for name in classes), sum(each.named[name][1] for name in classes))
            for each in (mine, floor)
        ]
        return [
            both("Fréchet distance", f"{mine.frechet:.3g}", f"{floor.frechet:.3g}"),
            both(
                "precision",
                _share(mine.shared.within, mine.shared.generated),
                _share(floor.shared.within, floor.shared.generated),
            ),
            both(
                "recall", _share(mine.shared.covered, mine.shared.real), _share(floor.shared.covered, floor.shared.real)
            ),
            *([both("the class asked for is seen", *(_share(*each) for each in everything))] if classes else []),
            *(both(f"  {name}", _share(*mine.named[name]), _share(*floor.named[name])) for name in classes),
            both("from the nearest training picture, median", f"{mine.distance:.3g}", f"{floor.distance:.3g}"),
            both(
                f"nearer to one than {1 - UNUSUALLY_NEAR:.0%} of held-out ones",
                _share(mine.near, mine.count),
                _share(floor.near, floor.count),
            ),
        ]

    def figure(self, path: str | Path) -> None:
        """Draw samples beside the training pictures nearest to them; the half nearest of all first."""
        beside = self.distances.shape[1]
        captions = [
            text
            for row in self.distances.tolist()
            for text in ("generated", *(f"trained on, {distance:.1f}" for distance in row))
        ]
        save_picture(sheet(self.pictures.flatten(0, 1), 2 * (1 + beside), captions), path)


def measure_photographs(
    generator: Generator,
    data: str | Path,
    classifier: Classifier,
    *,
    held_out: str | Path | None = None,
    count: int = 512,
    seed: int = 0,
    truncation: float = 1.0,
    condition: Mapping[str, Asked] | None = None,
    progress: Progress | None = None,
) -> PhotographQuality:
    """Measure how good and how various a generator of photographs is.

    Classes are asked for in turn, where the generator can be asked for them by a label or in words.

    Args:
        generator: the generator.
        data: the folder that it was trained on, with a sub-folder per class.
        classifier: of these classes; lends its features.
        held_out: such a folder that nothing was trained on; without one, every second picture of ``data`` stands in
            for it, and says less.
        count: samples to draw, and held-out photographs to compare them with.
        seed: the first seed that is drawn.
        truncation: see `Generator.sample`.
        condition: what else to ask for, such as ``{"guidance": 1.5}``.
        progress: called as samples are drawn.

    Raises:
        BadInput: the folders are of other classes than the classifier, or there are too few pictures.
    """
    if count < LEAST_COUNT:
        raise BadInput(f"{count} samples say too little; take at least {LEAST_COUNT}")
    train, others = _photographs(Path(data), None if held_out is None else Path(held_out), classifier)
    others = others.at(_evenly(len(others.images), count))
    by = condition_for(generator, train.labels)
    asked = [train.labels[number % len(train.labels)] for number in range(count)] if by else []
    drawn = []
    for start in range(0, count, TOGETHER):
        seeds = range(seed + start, seed + min(start + TOGETHER, count))
        wanted = {**(condition or {}), **({by: asked[start : start + TOGETHER]} if by else {})}
        with torch.no_grad():
            pictures = generator.decode(generator.sample(seeds, condition=wanted, truncation=truncation)).cpu()
        drawn.append(_levels(pictures, train.images.shape[2:]))
        if progress is not None:
            progress(start + len(seeds), count)
    samples = torch.cat(drawn)

    known = _look(train.images, classifier).features
    mine, floor = _look(samples, classifier), _look(others.images, classifier)
    beside, usual = nearest(mine.features, known, BESIDE), nearest(floor.features, known)
    near = float(usual.distances.quantile(UNUSUALLY_NEAR))

    def seen(looked: _Looked, names: Sequence[str], distances: Tensor) -> Seen:
        some = known[_evenly(len(known), len(looked.features))]
        return Seen(
            count=len(looked.features),
            frechet=frechet(looked.features, known),
            shared=precision_recall(looked.features, some),
            named=_named([classifier.config.labels[each] for each in looked.likeliest.tolist()], names),
            distance=float(distances.median()),
            near=int((distances < near).sum()),
        )

    pictures, distances = _worth_showing(samples, train.images, beside)
    return PhotographQuality(
        generator=generator.name,
        classifier=classifier.name,
        accuracy=classifier.accuracy,
        samples=seen(mine, asked, beside.distances[:, 0]),
        floor=seen(floor, [others.labels[each] for each in others.label.tolist()], usual.distances[:, 0]),
        pictures=pictures,
        distances=distances,
    )


def condition_for(generator: Generator, labels: Sequence[str]) -> str | None:
    """Return the condition by which a generator can be asked for each of these classes; None where there is none."""
    for name, condition in generator.conditions.items():
        if condition.kind == "label" and set(labels) <= set(condition.choices):
            return name
        if condition.kind == "text":
            with suppress(BadInput):  # it knows no word of some class
                generator.sample(range(len(labels)), condition={name: list(labels)})
                return name
    return None


def _photographs(data: Path, held_out: Path | None, classifier: Classifier) -> tuple[Pictures, Pictures]:
    """Return training pictures and held-out ones, of classes that the classifier knows."""
    train = read_folder(data, classifier.config.resolution)
    strange = set(train.labels) - set(classifier.config.labels)
    if strange:
        raise BadInput(
            f"the classifier does not know {', '.join(sorted(strange))}; train one on such pictures: steer train "
            f"classifier --data '{data}' --out FOLDER"
        )
    if held_out is None:
        rows = torch.arange(len(train.images))
        return train.at(rows[::2]), train.at(rows[1::2])
    others = read_folder(held_out, classifier.config.resolution)
    if others.labels != train.labels:
        raise BadInput(
            f"'{held_out}' has the classes {', '.join(others.labels)}, '{data}' has {', '.join(train.labels)}; hold "
            "out pictures of the same"
        )
    return train, others


@dataclass(frozen=True)
class _Looked:
    """What a classifier makes of pictures: its features, (count, channels), and the likeliest class, (count,)."""

    features: Tensor
    likeliest: Tensor


@torch.no_grad()
def _look(levels: Tensor, classifier: Classifier) -> _Looked:
    """Look at uint8 pictures (count, 3, height, width)."""
    maps = [classifier.features(part.float() / 255) for part in levels.split(LOOKED_AT)]
    features = torch.cat([classifier.pooled_of(each) for each in maps])
    return _Looked(features, torch.cat([classifier.read_features(each)[0][LABEL] for each in maps]))


def _levels(pictures: Tensor, size: Sequence[int]) -> Tensor:
    """Return pictures in [0, 1] as 8-bit ones of another size, as photographs are stored."""
    if pictures.shape[2:] != tuple(size):
        pictures = F.interpolate(pictures, tuple(size), mode="bilinear", antialias=True)
    return pictures.clamp(0, 1).mul(255).round().byte()


def _evenly(total: int, count: int) -> Tensor:
    """Return rows spread evenly over all, so that classes that stand in a row all have their share."""
    return torch.linspace(0, total - 1, min(count, total)).round().long()


def _named(named: Sequence[str], meant: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return, for each class, how many are taken for it of those that are meant to be, and how many are meant."""
    counts = Counter(meant)
    right = Counter(one for one, other in zip(named, meant, strict=False) if one == other)
    return {name: (right[name], count) for name, count in counts.items()}


def _worth_showing(samples: Tensor, train: Tensor, beside: Nearest) -> tuple[Tensor, Tensor]:
    """Pick samples, each with the training pictures nearest to it: those nearest of all, then some evenly from all."""
    order = beside.distances[:, 0].argsort()
    half = SHOWN // 2
    rows = torch.cat([order[:half], order[half:][_evenly(len(order) - half, SHOWN - half)]])
    shown = torch.cat([samples[rows, None], train[beside.rows[rows]]], 1)  # (shown, 1 + beside, 3, height, width)
    return shown.float() / 255, beside.distances[rows]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f} ({part} of {whole})"

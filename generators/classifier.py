"""Tell the classes of pictures apart: a small residual network that also lends its features to measurements."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.attribute import Attribute
from steer.errors import BadInput, BrokenFile
from steer.files import read_weights, write_tensors, write_text
from steer.generators.convolution import Convolution, fold

SCHEMA = 1
CONFIG, WEIGHTS, CARD = "config.json", "weights.safetensors", "README.md"

LABEL = "label"
"""The attribute that names the likeliest class; each class is one more, its probability."""

UNKNOWN_SPREAD = 0.3
"""The standard deviation of a probability, about that of one class in ten, until it is measured."""


@dataclass(frozen=True)
class ClassifierConfig:
    """The shape of a classifier, as JSON.

    Attributes:
        labels: the names of the classes.
        resolution: height and width at which it looks at pictures.
        stem: channels at that size.
        channels: of the feature maps behind it, each half as wide and high as the one before.
    """

    labels: tuple[str, ...]
    resolution: int = 32
    stem: int = 16
    channels: tuple[int, ...] = (32, 64, 128)

    def __post_init__(self) -> None:
        """Check the shape."""
        if len(self.labels) < 2:
            raise BadInput(f"a classifier tells at least two classes apart, not {len(self.labels)}")
        if LABEL in self.labels:
            raise BadInput(f"a class cannot be called '{LABEL}', which names the likeliest; rename its folder")
        if len(self.channels) < 2 or self.resolution < 2 ** len(self.channels):
            raise BadInput(
                f"{self.resolution} pixels cannot be halved {len(self.channels)} times; take two channel counts or "
                "more, and a larger resolution"
            )


class _Stage(nn.Module):
    """Halve the picture, then refine it by one residual block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = Convolution(inputs, outputs, stride=2)
        self.first = Convolution(outputs, outputs)
        self.second = Convolution(outputs, outputs)

    def forward(self, values: Tensor) -> Tensor:
        values = F.relu(self.down(values))
        return F.relu(values + self.second(F.relu(self.first(values))))


class Classifier(nn.Module):
    """Tell classes apart, as a measurer: the likeliest class, and the probability of each.

    Pictures of another size are resized (bilinear, antialiased) first. Everything but the likeliest class is
    differentiable.

    Attributes:
        name: what it is called.
        attributes: the likeliest class, and the probability of each.
        reference: see `steer.attribute.Measurer`; there is none.
        accuracy: the share of held-out pictures whose class it named, as measured when it was trained.
    """

    reference: str | None = None

    def __init__(self, config: ClassifierConfig, name: str = "classifier") -> None:
        super().__init__()
        self.config, self.name = config, name
        self.accuracy = 0.0
        self.attributes: Mapping[str, Attribute]
        self.describe(dict.fromkeys(config.labels, UNKNOWN_SPREAD))
        self.stem = Convolution(3, config.stem)
        widths = (config.stem, *config.channels)
        self.stages = nn.ModuleList(map(_Stage, widths[:-1], widths[1:]))
        self.head = nn.Linear(config.channels[-1], len(config.labels))
        self.centre: Tensor
        self.spread: Tensor
        pooled = sum(config.channels[-2:])
        self.register_buffer("centre", torch.zeros(pooled))
        self.register_buffer("spread", torch.ones(pooled))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def describe(self, spreads: Mapping[str, float]) -> None:
        """Say what it measures, by the standard deviation of each class's probability over pictures."""
        labels = self.config.labels
        self.attributes = {
            LABEL: Attribute(LABEL, "categorical", 0, len(labels) - 1, "class", 0.5, labels, "the likeliest class"),
            **{
                label: Attribute(label, "linear", 0, 1, "probability", spreads[label], (), f"whether it shows: {label}")
                for label in labels
            },
        }

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps of (batch, 3, height, width) pictures in [0, 1], fine before coarse."""
        size = self.config.resolution
        if images.shape[-2:] != (size, size):
            images = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
        values = F.relu(self.stem(((images - 0.5) * 4).contiguous(memory_format=torch.channels_last)))
        maps = []
        for stage in self.stages:
            values = stage(values)
            maps.append(values)
        return tuple(maps)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes) of (batch, 3, height, width) pictures in [0, 1]."""
        return self._read(self.features(images))

    def _read(self, maps: tuple[Tensor, ...]) -> Tensor:
        return self.head(maps[-1].mean((2, 3)))

    def pooled(self, images: Tensor) -> Tensor:
        """Return the averages of the last two feature maps, (batch, channels), for distances between pictures.

        Over the pictures that it was trained on each has mean 0 and deviation 1, so that none drowns the others.
        """
        return self.pooled_of(self.features(images))

    def pooled_of(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return what `pooled` says of the pictures that have these feature maps."""
        averages = torch.cat([each.mean((2, 3)) for each in features[-2:]], 1)  # (batch, channels)
        return (averages - self.centre) / self.spread

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Measure pictures (batch, 3, height, width) in [0, 1]; (batch,) per attribute, in its unit."""
        return self.read_features(self.features(images))[0]

    def in_domain(self, images: Tensor) -> Tensor:
        """Return how sure it is of the likeliest class, (batch,) in [0, 1].

        It is less sure of pictures unlike those that it was trained on: Hendrycks and Gimpel (2017), arXiv 1610.02136.
        """
        return self.read_features(self.features(images))[1]

    def read_features(self, features: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], Tensor]:
        """Return what `measure` and `in_domain` say of the pictures that have these feature maps."""
        chances = self._read(features).softmax(1)
        by_label = dict(zip(self.config.labels, chances.unbind(1), strict=True))
        return {LABEL: chances.argmax(1), **by_label}, chances.amax(1)

    @torch.no_grad()
    def calibrate(self, averages: Tensor) -> None:
        """Take what `pooled` is centred and scaled by from ``averages`` of training pictures, (count, channels)."""
        self.centre.copy_(averages.mean(0))
        self.spread.copy_(averages.std(0).clamp_min(1e-4))

    def save(self, folder: str | Path, card: str = "") -> None:
        """Fold the network and write ``weights.safetensors`` (float16), ``config.json`` and ``README.md``.

        What is stored is what runs, because folding rounds the weights in memory.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        fold(self)
        buffers = dict(self.named_buffers())
        weights = {name: each if name in buffers else each.half() for name, each in self.state_dict().items()}
        stored = {
            "schema": SCHEMA,
            "measurer": "classifier",
            "name": self.name,
            "network": asdict(self.config),
            "accuracy": self.accuracy,
            "spreads": {label: self.attributes[label].spread for label in self.config.labels},
        }
        write_tensors(folder / WEIGHTS, weights, {})
        write_text(folder / CONFIG, json.dumps(stored, indent=2) + "\n")
        write_text(folder / CARD, card)

    @classmethod
    def load(cls, folder: str | Path) -> "Classifier":
        """Read what `save` wrote, frozen, on the CPU.

        Raises:
            BadInput: there is no classifier.
            BrokenFile: the files are corrupted, of a newer schema, or do not fit each other.
        """
        folder = Path(folder)
        path = folder / CONFIG
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored.get("measurer") != "classifier":
                raise BadInput(f"'{folder}' holds something else than a classifier; make one: steer train classifier")
            if stored["schema"] > SCHEMA:
                raise BrokenFile(f"'{path}' has a newer schema than {SCHEMA}; update latent-steer to read it")
            shape: dict[str, Any] = {
                name: tuple(each) if isinstance(each, list) else each for name, each in stored["network"].items()
            }
            classifier = fold(cls(ClassifierConfig(**shape), str(stored["name"])))
            classifier.load_state_dict(read_weights(folder / WEIGHTS))
            classifier.accuracy = float(stored["accuracy"])
            classifier.describe({label: float(each) for label, each in stored["spreads"].items()})
        except FileNotFoundError as error:
            raise BadInput(
                f"there is no classifier in '{folder}'; make one: steer train classifier --data FOLDER --out '{folder}'"
            ) from error
        except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
            raise BrokenFile(f"'{folder}' holds no classifier that fits ({error}); fetch or make it again") from error
        return classifier


def load(folder: Path) -> Classifier:
    """Tell the classes of pictures apart that a folder of them taught."""
    return Classifier.load(folder)

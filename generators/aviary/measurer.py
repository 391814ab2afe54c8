"""Read a bird's factors off a picture: a small residual network with known training data and known errors."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from steer.errors import BadInput, BrokenFile
from steer.files import atomic_path, read_tensors, write_text
from steer.generators.aviary.factors import FACTORS
from steer.generators.aviary.renderer import RENDERER_VERSION
from steer.generators.convolution import Convolution, fold

SCHEMA_VERSION = 1
SIZE = 64
QUANTILES = 101

LINEAR = tuple(name for name, factor in FACTORS.items() if factor.kind == "linear")
CIRCULAR = tuple(name for name, factor in FACTORS.items() if factor.kind == "circular")
SPECIES_COUNT = len(FACTORS["species"].classes)


@dataclass(frozen=True)
class MeasurerConfig:
    """The shape of a measurer.

    Attributes:
        channels: Of the feature maps at 32, 16, 8 and 4 pixels.
        mask_channels: Of the path that draws the mask.
        hidden: Width of the layer before the factors.
    """

    channels: tuple[int, int, int, int] = (32, 64, 128, 192)
    mask_channels: int = 24
    hidden: int = 192


@dataclass(frozen=True)
class Readings:
    """What the network puts out.

    Attributes:
        linear: (batch, linear factors), each factor's range mapped to [-1, 1].
        circular: (batch, circular factors, 2), cosine and sine.
        species: (batch, species) logits.
        mask: (batch, 1, 64, 64) logits.
    """

    linear: Tensor
    circular: Tensor
    species: Tensor
    mask: Tensor


class _Stage(nn.Module):
    """Halve the picture, then refine it by one residual block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = Convolution(inputs, outputs, stride=2)
        self.first = Convolution(outputs, outputs // 2)
        self.second = Convolution(outputs // 2, outputs)

    def forward(self, values: Tensor) -> Tensor:
        values = F.silu(self.down(values))
        return F.silu(values + self.second(F.silu(self.first(values))))


class Measurer(nn.Module):
    """Measure the factors, the mask and the familiarity of 64×64 pictures of birds.

    Pictures of another size are resized to 64×64 (bilinear, antialiased) first, so a bird keeps its factors.
    Everything but `measure`'s species is differentiable. The four feature maps serve as frozen features elsewhere.

    Attributes:
        name: What it is registered under.
        fingerprint: SHA-256 of the weights; empty before they are stored.
        scores: What it scored on fresh renders when it was trained.
    """

    def __init__(self, config: MeasurerConfig = MeasurerConfig(), name: str = "aviary-measurer") -> None:
        super().__init__()
        self.config = config
        self.name = name
        self.fingerprint = ""
        self.scores: dict[str, float] = {}
        widths = (3, *config.channels)
        self.stages = nn.ModuleList(_Stage(widths[k], widths[k + 1]) for k in range(4))
        self.squeeze = Convolution(config.channels[3], 48, 1)
        self.hidden = nn.Linear(48 * 16, config.hidden)
        self.factors = nn.Linear(config.hidden, len(LINEAR) + 2 * len(CIRCULAR) + SPECIES_COUNT)
        mask = config.mask_channels
        self.lateral = nn.ModuleList(nn.Conv2d(channels, mask, 1) for channels in config.channels)
        self.merge = nn.ModuleList(Convolution(mask, mask) for _ in range(3))
        self.outline = nn.Conv2d(mask, 4, 3, padding=1)  # the mask at 64 pixels, unshuffled
        pooled = config.channels[2] + config.channels[3]
        self.domain_mean: Tensor
        self.domain_precision: Tensor
        self.domain_quantiles: Tensor
        self.register_buffer("domain_mean", torch.zeros(pooled))
        self.register_buffer("domain_precision", torch.eye(pooled))
        self.register_buffer("domain_quantiles", torch.linspace(0, 1, QUANTILES))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps at 32, 16, 8 and 4 pixels of (batch, 3, height, width) pictures in [0, 1]."""
        if images.shape[-2:] != (SIZE, SIZE):
            images = F.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True)
        values = (images - 0.5) * 4
        maps = []
        for stage in self.stages:
            values = stage(values)
            maps.append(values)
        return tuple(maps)

    def forward(self, images: Tensor) -> Readings:
        """Return the raw readings of (batch, 3, height, width) pictures in [0, 1]."""
        maps = self.features(images)
        linear, circular, species = self._read(maps[3])
        return Readings(linear, circular, species, self._outline(maps))

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Measure every factor of (batch, 3, height, width) pictures in [0, 1].

        Returns:
            (batch,) per factor in its own unit, circles in [0, 360), species as int64.
        """
        return self._measured(self.features(images))

    def read_features(self, maps: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], Tensor]:
        """Return what `measure` and `in_domain` say of the pictures that have these feature maps."""
        return self._measured(maps), self._familiarity(maps)

    def _measured(self, maps: tuple[Tensor, ...]) -> dict[str, Tensor]:
        linear, circular, species = self._read(maps[3])
        measured = {"species": species.argmax(1)}
        for name, values in zip(LINEAR, linear.unbind(1), strict=True):
            factor = FACTORS[name]
            measured[name] = (factor.low + factor.high) / 2 + values * (factor.high - factor.low) / 2
        for name, pair in zip(CIRCULAR, circular.unbind(1), strict=True):
            measured[name] = torch.remainder(torch.rad2deg(torch.atan2(pair[:, 1], pair[:, 0])), 360)
        return {name: measured[name] for name in FACTORS}

    def mask(self, images: Tensor) -> Tensor:
        """Return how much of each pixel is bird, (batch, 1, 64, 64) in [0, 1]."""
        return self._outline(self.features(images)).sigmoid()

    def pooled(self, images: Tensor) -> Tensor:
        """Return the averages of the last two feature maps, (batch, channels), for Fréchet distances."""
        return _pooled(self.features(images))

    def in_domain(self, images: Tensor) -> Tensor:
        """Return how familiar each picture is, (batch,) in [0, 1].

        1 where the Mahalanobis distance of the pooled features is within that of 95 % of fresh renders; beyond, it
        falls as the squared ratio (after Lee et al. (2018), arXiv 1807.03888, with one Gaussian for all classes).
        """
        return self._familiarity(self.features(images))

    def _familiarity(self, maps: tuple[Tensor, ...]) -> Tensor:
        return (self.domain_quantiles[95] / self._distance(_pooled(maps)).clamp_min(1e-6)).square().clamp_max(1)

    def distance(self, images: Tensor) -> Tensor:
        """Return the Mahalanobis distance of each picture's pooled features from fresh renders, (batch,)."""
        return self._distance(self.pooled(images))

    def _distance(self, pooled: Tensor) -> Tensor:
        offset = pooled - self.domain_mean
        return ((offset @ self.domain_precision) * offset).sum(1).clamp_min(0).sqrt()

    @torch.no_grad()
    def calibrate(self, pooled: Tensor, held_out: Tensor) -> None:
        """Store what familiar pictures look like: a Gaussian of ``pooled``, the quantiles of ``held_out``."""
        self.domain_mean.copy_(pooled.mean(0))
        covariance = torch.cov(pooled.T.double())
        ridge = 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        self.domain_precision.copy_(torch.linalg.inv(covariance + ridge).float())
        distances = self._distance(held_out)
        self.domain_quantiles.copy_(distances.quantile(torch.linspace(0, 1, QUANTILES)))

    def fold(self) -> "Measurer":
        """Merge the batch norms into the convolutions, round to float16, freeze; return the network itself."""
        return fold(self)

    def save(self, folder: str | Path, card: str = "") -> None:
        """Fold the network and write ``weights.safetensors`` (float16), ``config.json`` and ``README.md``.

        What is stored is what runs, because `fold` rounds the weights in memory. The buffers of the familiarity score
        stay float32.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.fold()
        buffers = dict(self.named_buffers())
        stored = {
            key: (value if key in buffers else value.half()).detach().cpu().contiguous()
            for key, value in self.state_dict().items()
        }
        weights = save(stored)
        self.fingerprint = hashlib.sha256(weights).hexdigest()
        config = {
            "schema_version": SCHEMA_VERSION,
            "kind": "aviary-measurer",
            "name": self.name,
            "architecture": asdict(self.config),
            "renderer_version": RENDERER_VERSION,
            "factors": {name: [factor.low, factor.high] for name, factor in FACTORS.items()},
            "species": list(FACTORS["species"].classes),
            "fingerprint": self.fingerprint,
            "scores": self.scores,
        }
        with atomic_path(folder / "weights.safetensors") as temporary:
            temporary.write_bytes(weights)
        write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
        write_text(folder / "README.md", card)

    @classmethod
    def load(cls, folder: str | Path) -> "Measurer":
        """Load a measurer, frozen, in float32 on the CPU.

        Raises:
            BadInput: There is no such folder or file.
            BrokenFile: The weights are not those of the configuration, or belong to another version.
        """
        folder = Path(folder)
        config = _read_config(folder)
        weights = folder / "weights.safetensors"
        stored, _ = read_tensors(weights)
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
        if found != config["fingerprint"]:
            raise BrokenFile(
                f"'{weights}' has hash {found[:12]}, its config.json says {config['fingerprint'][:12]}; "
                "fetch or train both files again"
            )
        architecture = config["architecture"]
        try:
            shape = MeasurerConfig(**{**architecture, "channels": tuple(architecture["channels"])})
            measurer = cls(shape, config["name"]).fold()
            measurer.load_state_dict({key: value.float() for key, value in stored.items()})
        except (RuntimeError, TypeError, KeyError) as error:
            raise BrokenFile(f"'{weights}' does not fit its config.json ({error}); fetch or train it again") from error
        measurer.fingerprint = found
        measurer.scores = config["scores"]
        return measurer

    def _read(self, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read linear factors, circles and species off the last feature map."""
        hidden = F.silu(self.hidden(F.silu(self.squeeze(last)).flatten(1)))  # (batch, hidden)
        linear, circular, species = self.factors(hidden).split([len(LINEAR), 2 * len(CIRCULAR), SPECIES_COUNT], dim=1)
        return linear, circular.unflatten(1, (-1, 2)), species

    def _outline(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Draw the mask's logits from the coarsest map to the finest."""
        values = self.lateral[3](maps[3])
        for k in (2, 1, 0):
            values = self.lateral[k](maps[k]) + F.interpolate(values, scale_factor=2.0, mode="nearest")
            values = F.silu(self.merge[k](values))
        return F.pixel_shuffle(self.outline(values), 2)


def _pooled(maps: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([maps[2].mean((2, 3)), maps[3].mean((2, 3))], dim=1)  # (batch, channels)


def _read_config(folder: Path) -> dict[str, Any]:
    """Read and check config.json."""
    path = folder / "config.json"
    if not path.is_file():
        raise BadInput(
            f"there is no measurer in '{folder}': config.json is missing; train one with steer train measurer"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["kind"] != "aviary-measurer" or config["schema_version"] > SCHEMA_VERSION:
            raise BrokenFile(
                f"'{path}' describes a {config['kind']} of schema {config['schema_version']}, this version reads "
                f"aviary-measurer up to schema {SCHEMA_VERSION}; update latent-steer or train again"
            )
        if config["renderer_version"] != RENDERER_VERSION:
            raise BrokenFile(
                f"'{path}' was trained on renderer version {config['renderer_version']}, this one is "
                f"{RENDERER_VERSION}; train it again with steer train measurer"
            )
        needed = {"architecture", "fingerprint", "name", "scores"} - config.keys()
        if needed:
            raise BrokenFile(f"'{path}' lacks {', '.join(sorted(needed))}; fetch or train it again")
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise BrokenFile(f"'{path}' is not a measurer's configuration ({error}); fetch or train it again") from error
    return config

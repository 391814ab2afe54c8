"""Train a measurer on rendered birds: minutes on two CPU cores."""

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from steer.errors import BadInput, SteerError
from steer.files import read_tensors, write_tensors
from steer.generator import Progress
from steer.generators.aviary.data import Dataset, cache_folder, dataset
from steer.generators.aviary.factors import FACTORS
from steer.generators.aviary.measurer import CIRCULAR, LINEAR, Measurer, MeasurerConfig
from steer.generators.training.run import command_of


@dataclass(frozen=True)
class MeasurerTraining:
    """How a measurer is trained.

    Attributes:
        name: What the measurer is called, such as ``aviary-critic``.
        channels: Of its feature maps at 32, 16, 8 and 4 pixels.
        seed: Of its weights, the order of the pictures and their disturbances.
        data_seed: Of the training pictures.
        count: How many training pictures.
        epochs: Passes over them.
        batch: Pictures a step.
        learning_rate: At its peak; it rises over the first tenth of the steps and falls to zero as a cosine.
        weight_decay: Of AdamW.
        validation_seed: Of the fresh pictures it is scored on.
        validation_count: How many of them.
    """

    name: str = "aviary-critic"
    channels: tuple[int, int, int, int] = (32, 64, 128, 192)
    seed: int = 0
    data_seed: int = 0
    count: int = 24_000
    epochs: int = 6
    batch: int = 96
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    validation_seed: int = 1
    validation_count: int = 2_000

    def __post_init__(self) -> None:
        """Check the numbers."""
        if min(self.count, self.epochs, self.batch, self.validation_count) < 1 or self.batch > self.count:
            raise BadInput(
                "count, epochs, batch and validation_count must be at least 1, and a batch no larger than count"
            )
        if self.data_seed == self.validation_seed:
            raise BadInput(f"data_seed and validation_seed are both {self.data_seed}; score on other pictures")


def train_measurer(
    training: MeasurerTraining,
    out: str | Path,
    progress: Progress | None = None,
    *,
    checkpoint: str | Path | None = None,
) -> Measurer:
    """Train, calibrate, score and store a measurer; go on from its checkpoint if there is one.

    Args:
        training: What to train on and how.
        out: Folder for the weights, the configuration and the card.
        progress: Called with (steps done, steps in all).
        checkpoint: Safetensors file written after every epoch, by default in the cache folder; removed at the end.

    Returns:
        The measurer as stored.
    """
    began = time.monotonic()
    data = dataset(training.count, seed=training.data_seed)
    path = Path(checkpoint) if checkpoint is not None else _checkpoint_path(training)
    torch.manual_seed(training.seed)
    measurer = Measurer(MeasurerConfig(training.channels), training.name)
    optimizer = torch.optim.AdamW(
        measurer.parameters(), training.learning_rate, weight_decay=training.weight_decay, betas=(0.9, 0.99)
    )
    steps_per_epoch = training.count // training.batch
    total = steps_per_epoch * training.epochs
    targets = _targets(data.factors)
    epoch, spent = _resume(path, measurer, optimizer)
    for current in range(epoch, training.epochs):
        rng = torch.Generator().manual_seed(training.seed * 1_000_003 + current)
        order = torch.randperm(training.count, generator=rng)
        for index in range(steps_per_epoch):
            step = current * steps_per_epoch + index
            rows = order[index * training.batch : (index + 1) * training.batch]
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * _schedule(step / total)
            images, truth = _batch(data, targets, rows, rng)
            loss = _loss(measurer, images, truth)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(measurer.parameters(), 5.0)
            optimizer.step()
            if progress is not None:
                progress(step + 1, total)
        _store(path, measurer, optimizer, current + 1, spent + time.monotonic() - began)
    measurer.fold()
    held_out = dataset(training.validation_count, seed=training.validation_seed)
    measurer.calibrate(_pool(measurer, data.pictures[:8192]), _pool(measurer, held_out.pictures))
    measurer.scores = score(measurer, held_out)
    seconds = spent + time.monotonic() - began
    measurer.save(out, _card(training, measurer, seconds))
    path.unlink(missing_ok=True)
    return measurer


@torch.no_grad()
def score(measurer: Measurer, data: Dataset, *, chunk: int = 256) -> dict[str, float]:
    """Score a measurer on rendered birds.

    Returns:
        For linear factors R² = 1 − mean squared error ÷ variance; for circles its counterpart
        1 − mean(1 − cos error) ÷ (1 − |mean of the unit vectors|); for the species the share named right;
        ``mask``: intersection over union of all pixels, both cut at one half.
    """
    measured: dict[str, list[Tensor]] = {name: [] for name in FACTORS}
    both = either = 0
    for start in range(0, len(data.pictures), chunk):
        images = data.pictures[start : start + chunk].float() / 255
        for name, values in measurer.measure(images).items():
            measured[name].append(values)
        drawn, true = measurer.mask(images) > 0.5, data.masks[start : start + chunk] > 127
        both += int((drawn & true).sum())
        either += int((drawn | true).sum())
    scores = {}
    for name, factor in FACTORS.items():
        values, truth = torch.cat(measured[name]), data.factors[name]
        if factor.kind == "categorical":
            scores[name] = float((values == truth).float().mean())
        elif factor.kind == "linear":
            scores[name] = float(1 - (values - truth).square().mean() / truth.var(correction=0))
        else:
            error, angle = torch.deg2rad(values - truth), torch.deg2rad(truth)
            resultant = math.hypot(float(angle.cos().mean()), float(angle.sin().mean()))
            scores[name] = 1 - float((1 - error.cos()).mean()) / (1 - resultant)
    return scores | {"mask": both / max(either, 1)}


def _schedule(done: float) -> float:
    """Return the learning rate's factor after a fraction of the steps."""
    if done < 0.1:
        return max(done, 0.004) / 0.1
    return 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))


def _targets(factors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn factors into what the network puts out."""
    linear = [
        (factors[name] - (FACTORS[name].low + FACTORS[name].high) / 2) * 2 / (FACTORS[name].high - FACTORS[name].low)
        for name in LINEAR
    ]
    angles = [torch.deg2rad(factors[name]) for name in CIRCULAR]
    circular = torch.stack([torch.stack([angle.cos(), angle.sin()], dim=1) for angle in angles], dim=1)
    return {"linear": torch.stack(linear, dim=1), "circular": circular, "species": factors["species"]}


# A picture and its mirror image are birds of the same world: heading, x and light change sign.
_MIRROR_LINEAR = torch.tensor([-1.0 if name in ("x", "light") else 1.0 for name in LINEAR])
_MIRROR_SINE = torch.tensor([-1.0 if name == "heading" else 1.0 for name in CIRCULAR])


def _batch(
    data: Dataset, targets: Mapping[str, Tensor], rows: Tensor, rng: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Fetch pictures and truth; mirror half of them, then disturb them as a generator's pictures are disturbed."""
    images = data.pictures[rows].float() / 255
    truth = {name: values[rows] for name, values in targets.items()}
    truth["mask"] = data.masks[rows].float() / 255
    flip = torch.rand(len(rows), generator=rng) < 0.5
    across = flip[:, None, None, None]
    images, truth["mask"] = (torch.where(across, planes.flip(3), planes) for planes in (images, truth["mask"]))
    truth["linear"] = torch.where(flip[:, None], truth["linear"] * _MIRROR_LINEAR, truth["linear"])
    sines = torch.where(flip[:, None], truth["circular"][..., 1] * _MIRROR_SINE, truth["circular"][..., 1])
    truth["circular"] = torch.stack([truth["circular"][..., 0], sines], dim=2)

    def dice(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(rows), 1, 1, 1, generator=rng)

    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = images.lerp(blurred, dice(-0.6, 0.6).clamp_min(0))
    images = images * dice(0.985, 1.015) + dice(-0.01, 0.01)
    images = images + dice(-0.02, 0.03).clamp_min(0) * torch.randn(images.shape, generator=rng)
    return images.clamp(0, 1).contiguous(memory_format=torch.channels_last), truth


def _loss(measurer: Measurer, images: Tensor, truth: Mapping[str, Tensor]) -> Tensor:
    """Add up the errors of all heads, weighted so that none drowns the others."""
    readings = measurer(images)
    linear = (readings.linear - truth["linear"]).square().mean() * 3
    circular = (readings.circular - truth["circular"]).square().sum(2).mean()
    species = F.cross_entropy(readings.species, truth["species"])
    mask = F.binary_cross_entropy_with_logits(readings.mask, truth["mask"])
    return 2 * (linear + circular) + 0.3 * species + 0.5 * mask


@torch.no_grad()
def _pool(measurer: Measurer, pictures: Tensor) -> Tensor:
    """Return the pooled features of uint8 pictures, (count, channels)."""
    return torch.cat([measurer.pooled(part.float() / 255) for part in pictures.split(256)])


def _checkpoint_path(training: MeasurerTraining) -> Path:
    digest = hashlib.sha256(json.dumps(asdict(training), sort_keys=True).encode()).hexdigest()[:12]
    return cache_folder() / f"checkpoint-{training.name}-{digest}.safetensors"


def _store(path: Path, measurer: Measurer, optimizer: torch.optim.Optimizer, epoch: int, seconds: float) -> None:
    """Write weights and the optimiser's memory."""
    tensors = {f"model.{name}": value for name, value in measurer.state_dict().items()}
    for index, memory in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in memory.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, {"schema_version": 1, "epoch": epoch, "seconds": seconds})


def _resume(path: Path, measurer: Measurer, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Go on from a checkpoint: returns the epochs and seconds behind it, zeros where there is none."""
    if not path.exists():
        return 0, 0.0
    tensors, header = read_tensors(path)
    weights: dict[str, Tensor] = {}
    memory: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, rest = key.split(".", 1)
        if kind == "model":
            weights[rest] = value
        else:
            index, name = rest.split(".", 1)
            memory.setdefault(int(index), {})[name] = value
    try:
        measurer.load_state_dict(weights)
        optimizer.load_state_dict({"state": memory, "param_groups": optimizer.state_dict()["param_groups"]})
    except (RuntimeError, ValueError) as error:
        raise SteerError(f"'{path}' is a checkpoint of another training; remove it to start anew") from error
    return int(header["epoch"]), float(header["seconds"])


def _card(training: MeasurerTraining, measurer: Measurer, seconds: float) -> str:
    """Describe the measurer: data, command, time, scores, licence."""
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in measurer.scores.items())
    parameters = sum(parameter.numel() for parameter in measurer.parameters())
    return f"""# {training.name}

Reads the ten factors of the aviary's birds, their mask and their familiarity off 64×64 pictures.

- **Network**: residual, {parameters:,} parameters, feature maps of {", ".join(map(str, training.channels))} channels at
  32, 16, 8 and 4 pixels; batch norms folded; stored in float16.
- **Data**: {training.count:,} birds drawn by this project's own renderer (data seed {training.data_seed}, uniform
  prior), half of them mirrored, with light noise, blur and changes of brightness. No photographs, no outside data.
- **Trained by** `{command_of("measurer", training)}`
  in {seconds / 60:.0f} minutes on CPU.
- **Licence**: Apache-2.0, like the project.

## Scores on {training.validation_count:,} fresh renders (data seed {training.validation_seed})

Linear factors: R² = 1 − mean squared error ÷ variance. Circles: 1 − mean(1 − cos error) ÷ (1 − |mean of the unit
vectors|). Species: share named right. Mask: intersection over union of all pixels.

| factor | score |
| --- | --- |
{rows}

The familiarity score is calibrated on the same fresh renders: 95 % of them score 1. It knows the renderer's birds;
about photographs it says nothing.
"""

"""Train a classifier of a folder of pictures: about ten minutes on one CPU thread for CIFAR-10.

A residual network (He et al. (2016), arXiv 1512.03385) under one rise and fall of the learning rate (Smith and Topin
(2019), arXiv 1708.07120), on pictures mirrored and shifted at random, with smoothed labels.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from steer.errors import BadInput
from steer.generators.classifier import Classifier, ClassifierConfig
from steer.generators.training.device import best_device, has_bfloat16
from steer.generators.training.pictures import Pictures, read_folder
from steer.generators.training.run import CHECKPOINT, Progress, command_of, keep_running, tile

KEPT_ASIDE = 10
"""Every tenth picture is held out where no folder of others is given."""

GLANCE = 2_000
"""Held-out pictures that are looked at while training goes on."""

CALIBRATING = 20_000
"""About how many training pictures the features are centred and scaled on, at least, where there are so many."""

TOGETHER = 500


@dataclass(frozen=True)
class ClassifierTraining:
    """What a training run is made of.

    Attributes:
        data: a folder with one sub-folder of pictures per class.
        held_out: another such folder to score on; where there is none, every tenth picture is kept aside.
        name: what the classifier is called.
        resolution: height and width at which it looks at pictures.
        stem: channels at that size.
        channels: of the feature maps behind it, each half as wide and high as the one before.
        epochs: passes over the pictures.
        batch: pictures a step.
        learning_rate: at its peak, after a fifth of the steps.
        weight_decay: of the weights.
        smoothing: how much of each label is spread over all classes.
        shift: by how much of their width pictures are moved at most, any way.
        seed: seeds everything.
        threads: CPU threads.
        device: "auto" (a GPU where there is one), "cpu", "cuda", ...
        checkpoint_minutes: minutes between checkpoints.
        sheet_steps: steps between sheets of pictures that are misread.
    """

    data: str
    held_out: str | None = None
    name: str = "classifier"
    resolution: int = 32
    stem: int = 16
    channels: tuple[int, ...] = (32, 64, 128)
    epochs: int = 14
    batch: int = 128
    learning_rate: float = 0.2
    weight_decay: float = 5e-4
    smoothing: float = 0.1
    shift: float = 0.125
    seed: int = 0
    threads: int = 2
    device: str = "auto"
    checkpoint_minutes: float = 5.0
    sheet_steps: int = 500

    def __post_init__(self) -> None:
        """Check the numbers."""
        if min(self.epochs, self.batch) < 1:
            raise BadInput(f"there is at least 1 epoch, of batches of at least 1, not {self.epochs} of {self.batch}")


class Trainer:
    """Everything that changes during a run.

    Args:
        config: what the run is made of.
        data: pictures to learn from.
        others: pictures to score on, of the same classes.
    """

    replaceable: frozenset[str] = frozenset()

    def __init__(self, config: ClassifierTraining, data: Pictures, others: Pictures) -> None:
        if len(data.images) < config.batch:
            raise BadInput(f"{len(data.images)} pictures do not fill a batch of {config.batch}; lower batch")
        torch.manual_seed(config.seed)
        self.config, self.data, self.others = config, data, others
        self.rng = torch.Generator().manual_seed(config.seed)
        self.device = best_device(config.device)
        shape = ClassifierConfig(data.labels, config.resolution, config.stem, config.channels)
        self.network = Classifier(shape, config.name).to(self.device)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), config.learning_rate, 0.9, weight_decay=config.weight_decay, nesterov=True
        )
        self.step_number, self.seconds = 0, 0.0
        self.epoch_steps = len(data.images) // config.batch

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {"network": self.network}

    @property
    def done(self) -> float:
        """The share of the run that is over."""
        return self.step_number / (self.epoch_steps * self.config.epochs)

    def step(self) -> dict[str, float]:
        """Make one step, and return the loss."""
        # Up for a fifth of the steps, then down to nothing, along straight lines.
        height = min(self.done / 0.2, (1 - self.done) / 0.8)
        self.optimiser.param_groups[0]["lr"] = self.config.learning_rate * max(height, 1e-3)
        epoch, place = divmod(self.step_number, self.epoch_steps)
        rows = self._order(epoch)[place * self.config.batch : (place + 1) * self.config.batch]
        images = self._disturbed(self.data.images_at(rows)).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device)):
            logits = self.network.train()(images).float()
        loss = F.cross_entropy(logits, self.data.label[rows].to(self.device), label_smoothing=self.config.smoothing)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step_number += 1
        return {"loss": float(loss.detach())}

    def _order(self, epoch: int) -> Tensor:
        rng = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        return torch.randperm(len(self.data.images), generator=rng)

    def _disturbed(self, images: Tensor) -> Tensor:
        """Mirror half of the pictures and shift all of them, by whole pixels; edges are mirrored outwards."""
        count, _, height, width = images.shape
        reach = round(self.config.shift * self.config.resolution)
        padded = F.pad(images, (reach,) * 4, mode="reflect").permute(0, 2, 3, 1)
        down, right = torch.randint(2 * reach + 1, (2, count, 1), generator=self.rng)
        rows, columns = down + torch.arange(height), right + torch.arange(width)
        mirrored = torch.rand(count, 1, generator=self.rng) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
        these = torch.arange(count)[:, None, None]
        return padded[these, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    @torch.no_grad()
    def chances(self, pictures: Pictures) -> Tensor:
        """Return how likely each class is, (count, classes), by the network as it is."""
        self.network.eval()
        rows = torch.arange(len(pictures.images)).split(TOGETHER)
        return torch.cat([self.network(pictures.images_at(each).to(self.device)).softmax(1).cpu() for each in rows])

    @cached_property
    def glance(self) -> Pictures:
        """Some of the held-out pictures, evenly from all."""
        rows = torch.linspace(0, len(self.others.images) - 1, min(GLANCE, len(self.others.images))).long()
        return self.others.at(rows)

    def measures(self) -> dict[str, float]:
        """Return the share of some held-out pictures whose class is named."""
        return {"accuracy": _right(self.chances(self.glance), self.glance.label)}

    def sheet(self) -> Image.Image:
        """Show the held-out pictures whose class is least seen, worst first."""
        seen = self.chances(self.glance).gather(1, self.glance.label[:, None])[:, 0]
        return tile(self.glance.images_at(seen.argsort()[:48]), 12)


def train_classifier(config: ClassifierTraining, out: Path, progress: Progress | None = None) -> Classifier:
    """Train, score and store a classifier.

    Writes ``checkpoint.safetensors``, ``metrics.jsonl`` and ``sheet-*.png`` (what is misread) into ``out`` as it goes,
    and at the end ``weights.safetensors``, ``config.json`` and the card. Where ``out`` holds a checkpoint, goes on.

    Args:
        config: what the run is made of.
        out: an empty folder, or one of an interrupted run; made where it is missing.
        progress: called with thousandths of the run that are done and 1000; it may raise to stop.

    Raises:
        BadInput: the data, the options or the checkpoint cannot be used.
    """
    torch.set_num_threads(config.threads)
    data, others = _read(config)
    trainer = Trainer(config, data, others)
    keep_running(trainer, out, progress)
    network = trainer.network.to("cpu")
    trainer.device = torch.device("cpu")
    network.save(out)  # what is scored is what is stored: folded, in float16
    rows = torch.arange(0, len(data.images), max(1, len(data.images) // CALIBRATING)).split(TOGETHER)
    with torch.no_grad():
        network.calibrate(torch.cat([network.pooled(data.images_at(each)) for each in rows]))
    chances = trainer.chances(others)
    network.accuracy = _right(chances, others.label)
    network.describe(dict(zip(data.labels, chances.std(0, correction=0).tolist(), strict=True)))
    network.save(out, _card(trainer, chances))
    (out / CHECKPOINT).unlink(missing_ok=True)
    return network


def _read(config: ClassifierTraining) -> tuple[Pictures, Pictures]:
    """Return the pictures to learn from and those held out."""
    data = read_folder(Path(config.data), config.resolution)
    if config.held_out is None:
        aside = torch.arange(len(data.images)) % KEPT_ASIDE == KEPT_ASIDE - 1
        return data.at((~aside).nonzero()[:, 0]), data.at(aside.nonzero()[:, 0])
    others = read_folder(Path(config.held_out), config.resolution)
    if others.labels != data.labels:
        raise BadInput(
            f"'{config.held_out}' has the classes {', '.join(others.labels)}, '{config.data}' has "
            f"{', '.join(data.labels)}; score on the same ones"
        )
    return data, others


def _right(chances: Tensor, label: Tensor) -> float:
    return float((chances.argmax(1) == label).float().mean())


CARD = """# {name}

Tells {count} classes of pictures apart, and lends its features to measurements of generators.

- **Network**: residual, {parameters:,} parameters, looks at {resolution}×{resolution} pixels; batch norms folded;
  stored in float16.
- **Data**: {training:,} pictures of the folder that `--data` names, mirrored and shifted at random. Nothing else.
- **Trained by** `{command}`
  in {minutes:.0f} minutes on {device}.
- **Held out**: {held_out:,} pictures{which}, of which it names {accuracy:.1%}.
- **Licence**: the weights are Apache-2.0, like the project; the pictures are not part of it.

| class | held out | named | taken for it by mistake |
| --- | --- | --- | --- |
{rows}

`pooled` gives the averages of its last two feature maps, each with mean 0 and deviation 1 over training pictures.
Limits: it was told these classes only, so its features see what tells them apart, and little of what does not;
distances in them are not those published for Inception.
"""


def _card(trainer: Trainer, chances: Tensor) -> str:
    """Describe the classifier: data, command, time, scores, licence."""
    config, label, named = trainer.config, trainer.others.label, chances.argmax(1)
    rows = []
    for number, name in enumerate(trainer.data.labels):
        meant, taken = label == number, named == number
        share = float(taken[meant].float().mean())
        rows.append(f"| {name} | {int(meant.sum()):,} | {share:.1%} | {int((taken & ~meant).sum()):,} |")
    return CARD.format(
        name=config.name,
        count=len(trainer.data.labels),
        parameters=sum(each.numel() for each in trainer.network.parameters()),
        resolution=config.resolution,
        training=len(trainer.data.images),
        command=command_of("classifier", config),
        which=", every tenth of the folder" if config.held_out is None else " of the folder that `--held-out` names",
        minutes=trainer.seconds / 60,
        device="one GPU" if best_device(config.device).type == "cuda" else f"CPU, threads: {config.threads}",
        held_out=len(trainer.others.images),
        accuracy=trainer.network.accuracy,
        rows="\n".join(rows),
    )

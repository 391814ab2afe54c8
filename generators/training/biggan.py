"""Train a small BigGAN on a CPU: an encoder lays real pictures out over the dice, then every throw of them is learnt.

At first the generator *redraws* real pictures from the dice that the encoder reads off them, which is cheap and teaches
it what birds are. Fresh dice would still fall where no real picture lies, and draw ghosts there. So the dice then
*settle*: a flow learns to move fresh dice to where real pictures lie, and what the generator draws from there, or the
true picture next to it where the world that the data come from can be asked, is what these dice should draw. From then
on the generator learns such *dreams* by heart, the encoder finds their dice, and the discriminator may ask that they
look real.

After Larsen et al. (2015), arXiv 1512.09300 (the redrawing); Sauer et al. (2021), arXiv 2111.01007 (the discriminator).
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from steer.errors import BadInput
from steer.files import write_text
from steer.generators.biggan import write_model
from steer.generators.channels_last import channels_last
from steer.generators.gan.dice_encoder import DiceEncoder, write_encoder
from steer.generators.gan.network import START, BigGANConfig, BigGANNetwork, BlockShape
from steer.generators.gan.random_features import RANDOM, RandomFeatures
from steer.generators.training.dice_flow import DiceFlow
from steer.generators.training.dice_spread import DiceSpread
from steer.generators.training.discriminator import Discriminator
from steer.generators.training.dreams import Dreams
from steer.generators.training.features import Features, Standardised
from steer.generators.training.pictures import Pictures, read_folder
from steer.generators.training.run import AVIARY, Progress, command_of, keep_running, share_done, tile
from steer.generators.training.standing_statistics import standing_statistics


@dataclass(frozen=True)
class BigGANTraining:
    """What a training run is made of.

    Attributes:
        data: "aviary", or a folder with one sub-folder of pictures per class.
        pictures: how many pictures of the aviary to train on.
        data_seed: which ones; by default those that the critic learnt from, so that they are drawn once.
        resolution: height and width, in pixels; a power of two from 16 up.
        z_dim: number of dice.
        class_dim: width of a class embedding.
        channels: channels in front of the first block and after each block; by default 256 down to 32.
        batch: pictures a step.
        minutes: how long to train; the schedules follow the clock. None: until ``steps``.
        steps: how many steps to train, where ``minutes`` is None.
        seed: seeds everything.
        threads: CPU threads.
        settling_at: fraction of the run after which dice settle.
        flow_steps: steps of the flow; 4,000 take a minute.
        settling_pictures: from how many real pictures it learns.
        dreams: how many dreams are dreamt, a batch a step.
        drawing_rate: learning rate of generator and encoder until then; it falls in the second half of that time.
        learning_rate: from then on; it falls along a cosine to a fiftieth.
        pixel_likeness: weight of the absolute distance in pixels between what is drawn and what should be.
        pixel_square: weight of the squared one.
        adversarial: weight of fooling the discriminator with dreams; 0 for none, which is faster.
        recovery: weight of finding the dice of dreams.
        divergence: weight of the divergence of the encoder's dice from fresh ones before, per nat and picture.
        matching: weight of the mismatch of the encoder's dice with fresh ones before, over all pictures.
        checkpoint_minutes: minutes between checkpoints.
        sheet_steps: steps between sample sheets.
        coverage_steps: steps between measurements of coverage.
    """

    data: str = "aviary"
    pictures: int = 24_000
    data_seed: int = 0
    resolution: int = 64
    z_dim: int = 24
    class_dim: int = 16
    channels: tuple[int, ...] | None = None
    batch: int = 32
    minutes: float | None = 110.0
    steps: int = 8_000
    seed: int = 0
    threads: int = 2
    settling_at: float = 0.6
    flow_steps: int = 4_000
    settling_pictures: int = 8_192
    dreams: int = 24_000
    drawing_rate: float = 1.5e-3
    learning_rate: float = 1e-3
    pixel_likeness: float = 4.0
    pixel_square: float = 8.0
    adversarial: float = 0.0
    recovery: float = 0.3
    divergence: float = 1e-3
    matching: float = 0.02
    checkpoint_minutes: float = 5.0
    sheet_steps: int = 250
    coverage_steps: int = 500

    def network(self, labels: Sequence[str]) -> BigGANConfig:
        """Return the shape of the generator for the classes of the data."""
        depth = int(math.log2(max(self.resolution // START, 1)))
        if START * 2**depth != self.resolution or depth < 2:
            raise BadInput(f"the resolution must be a power of two from 16 up, not {self.resolution}")
        channels = self.channels or (256, 192, 128, 64, 24, 16, 16)[: depth + 1]
        if len(channels) != depth + 1:
            raise BadInput(f"{self.resolution} pixels take {depth + 1} channel counts, not {len(channels)}")
        return BigGANConfig(
            blocks=tuple(BlockShape(*pair) for pair in pairwise(channels)),
            labels=tuple(labels),
            z_dim=self.z_dim,
            class_dim=self.class_dim,
            kind="plain",
            statistics=11,
        )


Measure = Callable[[Tensor], dict[str, Tensor]]
"""Attributes of pictures (batch, 3, height, width) in [0, 1], (batch,) each."""


Truth = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From pictures (batch, 3, height, width) in [0, 1] and their classes to the true pictures next to them, and masks."""


class Trainer:
    """Everything that changes during a run.

    Args:
        config: what the run is made of.
        pictures: the data.
        features: frozen features; their maps must be square.
        measure: what reads the attributes of pictures in [0, 1]; None where nothing knows them.
        truth: what finds the true pictures next to any; None where nothing does.
    """

    def __init__(
        self,
        config: BigGANTraining,
        pictures: Pictures,
        features: Features,
        measure: Measure | None = None,
        truth: Truth | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.pictures, self.measure, self.truth = config, pictures, measure, truth
        self.rng = torch.Generator().manual_seed(config.seed)
        self.features = Standardised(features, pictures.images_at(self._rows(256)))
        self.shape = config.network(pictures.labels)
        self.generator = BigGANNetwork(self.shape)
        self.generator.initialise()
        self.average = BigGANNetwork(self.shape)
        self.average.load_state_dict(self.generator.state_dict())
        maps, classes = (self.features.widths, self.features.sizes), len(pictures.labels)
        self.discriminator = Discriminator(*maps, classes)
        self.encoder = DiceEncoder(*maps, classes, config.z_dim)
        self.teacher = BigGANNetwork(self.shape).requires_grad_(False)
        self.flow = DiceFlow(classes, config.z_dim)
        self.spread = DiceSpread(classes, config.z_dim)
        self.dreams = Dreams(config.dreams, config.z_dim, config.resolution, pictures.labels, masked=truth is not None)
        for module in (self.generator, self.average, self.discriminator, self.encoder, self.teacher):
            channels_last(module)
        rate = config.learning_rate
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, (0.9, 0.99), fused=True),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), 0.3 * rate, (0.0, 0.99), fused=True),
            "encoder": torch.optim.Adam(self.encoder.parameters(), rate, (0.9, 0.99), fused=True),
        }
        self.rates = {name: each.param_groups[0]["lr"] for name, each in self.optimisers.items()}
        self.step_number, self.seconds = 0, 0.0

    @property
    def done(self) -> float:
        """The share of the run that is over, by the clock or by steps."""
        return share_done(self.seconds, self.config.minutes, self.step_number, self.config.steps)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint holds; the teacher is the average as it was when the dice settled."""
        return {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
            "teacher": self.teacher,
            "flow": self.flow,
        }

    @property
    def replaceable(self) -> frozenset[str]:
        """What starts afresh where a checkpoint does not hold it: the discriminator, which draws nothing."""
        return frozenset({"discriminator"})

    def sheet(self) -> Image.Image:
        """Draw samples; see `sample_sheet`."""
        return sample_sheet(self)

    def measures(self) -> dict[str, float]:
        """Measure the coverage of every factor, where that is due."""
        return variety(self) if self.step_number % self.config.coverage_steps == 0 or self.done >= 1 else {}

    def one_hot(self, label: Tensor) -> Tensor:
        """Return labels as rows of zeros and a one, (batch, classes)."""
        return F.one_hot(label, len(self.pictures.labels)).float()

    def paint(self, z: Tensor, label: Tensor, network: BigGANNetwork | None = None) -> Tensor:
        """Return pictures in [0, 1] for dice and labels, with the statistics of their own batch."""
        network = network or self.generator
        return (network(z, network.embedding[label]) + 1) / 2

    def step(self) -> dict[str, float]:
        """Make one step of the networks, and return the losses."""
        if self.done >= self.config.settling_at and not self.flow.learnt:
            self.settle()
        self._schedule()
        parts = self._learn_dreams() if self.flow.learnt else self._redraw()
        self._turn_down(parts)
        return {name: float(part.detach()) for name, part in parts.items() if name != "pull"}

    def _redraw(self) -> dict[str, Tensor]:
        """Return the losses of redrawing real pictures from the dice that the encoder reads off them."""
        rows = self._rows(self.config.batch)
        asked, label = self.pictures.images_at(rows), self.pictures.label[rows]
        mean, log_variance = self._read(asked, label)
        dice = self._draw(mean, log_variance)
        return {
            "divergence": ((mean.square() + log_variance.exp() - log_variance - 1) / 2).sum(1).mean(),
            "mismatch": self.spread.mismatch(dice, self.one_hot(label)),
            **_likeness(self.paint(dice, label), asked, self.pictures.focus_at(rows)),
        }

    def _learn_dreams(self) -> dict[str, Tensor]:
        """Return the losses of drawing dreams from their dice, and of finding the dice of dreams; dream some first."""
        if not self.dreams.full:
            self.dream()
        rows, dreamt = self.dreams.rows(self.config.batch, self.rng), self.dreams.pictures
        asked, label, dice = dreamt.images_at(rows), dreamt.label[rows], self.dreams.dice[rows]
        mean, log_variance = self._read(asked, label)
        missed = (dice - mean).square()
        drawn = self.paint(dice, label)
        parts = {
            "surprise": (missed * torch.exp(-log_variance) + log_variance).mean() / 2,
            "recovered": 1 - missed.mean(),
            **_likeness(drawn, asked, dreamt.focus_at(rows)),
        }
        return parts | self._judge(drawn, label) if self.config.adversarial > 0 else parts

    def _read(self, images: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the dice that the encoder reads off pictures, (batch, z_dim) each."""
        with torch.no_grad():
            maps = self.features(images)
        mean, log_variance = self.encoder(maps, self.one_hot(label))
        return mean, log_variance

    def _judge(self, drawn: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Let the discriminator tell pictures from real ones of their classes."""
        with torch.no_grad():
            real = self.features(self.pictures.images_at(self.pictures.like(label, self.rng)))
        optimiser = self.optimisers["discriminator"]
        return self.discriminator.learn(real, self.features(drawn), self.one_hot(label), optimiser)

    def _turn_down(self, parts: Mapping[str, Tensor]) -> None:
        """Step generator and encoder down the weighted sum of the losses."""
        weights = self._weights()
        learners = [self.optimisers["generator"], self.optimisers["encoder"]]
        for each in learners:
            each.zero_grad()
        torch.stack([weights[name] * part for name, part in parts.items() if name in weights]).sum().backward()
        for each in learners:
            each.step()
        self._follow()
        self.step_number += 1

    def _rows(self, count: int) -> Tensor:
        return torch.randint(len(self.pictures.label), (count,), generator=self.rng)

    def _draw(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        return mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=self.rng)

    def settle(self) -> None:
        """Learn the way from fresh dice to those of real pictures, and keep the generator as it is for a teacher."""
        rows = torch.randperm(len(self.pictures.label), generator=self.rng)[: self.config.settling_pictures]
        label = self.pictures.label[rows]
        with torch.no_grad():
            parts = [self._read(self.pictures.images_at(some), self.pictures.label[some]) for some in rows.split(128)]
        mean, log_variance = (torch.cat(each) for each in zip(*parts, strict=True))
        classes = [(label == each).nonzero()[:, 0] for each in label.unique()]

        def real_dice(count: int) -> tuple[Tensor, Tensor]:
            some = torch.cat([each[torch.randint(len(each), (count,), generator=self.rng)] for each in classes])
            return self._draw(mean[some], log_variance[some]), self.one_hot(label[some])

        self.flow.learn(real_dice, steps=self.config.flow_steps, rng=self.rng)
        self.teacher.load_state_dict(self.average.state_dict())

    @torch.no_grad()
    def dream(self) -> None:
        """Dream a batch: what the teacher draws where the flow takes fresh dice, or the true picture next to it."""
        label = self.pictures.label[self._rows(self.config.batch)]
        dice = torch.randn((len(label), self.config.z_dim), generator=self.rng)
        images = self.paint(self.flow.move(dice, self.one_hot(label), 0.0, 1.0), label, self.teacher)
        true = (images, None) if self.truth is None else self.truth(images.clamp(0, 1), label)
        self.dreams.add(dice, label, *true)

    @property
    def settled(self) -> float:
        """The share of the time after the settling that is over, 0 before it."""
        start = self.config.settling_at
        return min(max((self.done - start) / max(1 - start, 1e-9), 0.0), 1.0)

    def _weights(self) -> dict[str, float]:
        config = self.config
        return {
            "pixel_likeness": config.pixel_likeness,
            "pixel_square": config.pixel_square,
            "divergence": config.divergence,
            "mismatch": config.matching,
            "surprise": config.recovery,
            "pull": min(10 * self.settled, 1.0) * config.adversarial,
        }

    def _schedule(self) -> None:
        """Set learning rates: fast, then cooling, until dice settle; then again along a cosine."""
        config = self.config
        for name, optimiser in self.optimisers.items():
            group, rate = optimiser.param_groups[0], self.rates[name]
            if self.flow.learnt or name == "discriminator":
                rate *= 0.02 + 0.98 * (1 + math.cos(math.pi * self.settled)) / 2
            else:
                cooled = max(2 * self.done / config.settling_at - 1, 0.0)
                rate = config.drawing_rate ** (1 - cooled) * (0.2 * rate) ** cooled
                rate *= min((self.step_number + 1) / 50, 1.0)
            group["lr"] = rate

    def _follow(self) -> None:
        """Move the average: over 500 steps, and over fewer at first, so that it forgets the beginning."""
        decay = min((1 + self.step_number) / (10 + self.step_number), 0.998)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - decay)


def _likeness(drawn: Tensor, asked: Tensor, focus: Tensor) -> dict[str, Tensor]:
    """Return how far pictures are from those that were asked for, where the focus is."""
    gap = drawn - asked
    return {"pixel_likeness": (gap.abs() * focus).mean(), "pixel_square": (gap.square() * focus).mean()}


@torch.no_grad()
def sample_sheet(trainer: Trainer, columns: int = 8) -> Image.Image:
    """Draw the average generator: every class with the same dice, other dice, and real pictures beside redrawn ones."""
    classes = len(trainer.pictures.labels)
    rng = torch.Generator().manual_seed(1)
    rows = min(classes, 8)
    dice = torch.randn((columns, trainer.config.z_dim), generator=rng)
    same = dice.repeat(rows, 1), torch.arange(rows).repeat_interleave(columns)
    other = torch.randn((4 * columns, trainer.config.z_dim), generator=rng), torch.arange(4 * columns) % classes
    drawn = torch.randint(len(trainer.pictures.label), (columns,), generator=rng)
    real, label = trainer.pictures.images_at(drawn), trainer.pictures.label[drawn]
    mean, _ = trainer.encoder(trainer.features(real), trainer.one_hot(label))
    z, y = (torch.cat(parts) for parts in zip(same, other, (mean, label), strict=True))
    return tile(torch.cat([trainer.paint(z, y, trainer.average), real]), columns)


def train_biggan(config: BigGANTraining, out: Path, progress: Progress | None = None) -> Path:
    """Train a BigGAN and export it.

    Writes ``checkpoint.safetensors``, ``metrics.jsonl`` and ``sheet-*.png`` into ``out`` as it goes, and the model
    into ``out/model``. Where ``out`` holds a checkpoint, goes on from it.

    Args:
        config: what the run is made of.
        out: an empty folder, or one of an interrupted run; made where it is missing.
        progress: called with pictures of the aviary that are drawn and how many there will be, then with
            thousandths of the run that are done and 1000; it may raise to stop.

    Returns:
        The model's folder.

    Raises:
        BadInput: the data or the checkpoint cannot be used.
    """
    torch.set_num_threads(config.threads)
    trainer = prepare(config, progress)
    keep_running(trainer, out, progress)
    return export(trainer, out / "model")


def prepare(config: BigGANTraining, progress: Progress | None = None) -> Trainer:
    """Draw or read the data, load the frozen features, and return a fresh run.

    Raises:
        BadInput: the data cannot be used.
    """
    if config.batch < 2:
        raise BadInput(f"a batch has at least 2 pictures, not {config.batch}")
    if config.data != AVIARY:
        pictures = read_folder(Path(config.data), config.resolution)
        return Trainer(config, pictures, RandomFeatures(config.resolution).features)
    if config.resolution != 64:
        raise BadInput(f"the aviary's critic knows pictures of 64 pixels, not {config.resolution}")
    from steer.generators.aviary.data import dataset
    from steer.generators.aviary.factors import SPECIES
    from steer.generators.aviary.renderer import render_all
    from steer.generators.shipped_models import aviary_critic

    data = dataset(config.pictures, seed=config.data_seed, progress=progress)
    critic = channels_last(aviary_critic().network)
    pictures = Pictures(data.pictures, data.factors["species"].long(), SPECIES, data.masks)

    def truth(images: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        drawn = render_all(critic.measure(images) | {"species": label})
        return drawn.picture, drawn.mask

    return Trainer(config, pictures, critic.features, critic.measure, truth)


@torch.no_grad()
def variety(trainer: Trainer, count: int = 256) -> dict[str, float]:
    """Measure the coverage of every factor by the critic, the average generator's against the data's.

    Empty where no measurer knows the data. The critic flatters the generator that learnt from it: for watching only.
    """
    if trainer.measure is None:
        return {}
    from steer.generators.aviary.quality import coverage

    rng = torch.Generator().manual_seed(2)
    label = torch.arange(count) % len(trainer.pictures.labels)
    dice = torch.randn((count, trainer.config.z_dim), generator=rng)
    real = trainer.pictures.images_at(torch.randint(len(trainer.pictures.label), (count,), generator=rng))
    fake = trainer.paint(dice, label, trainer.average)
    covered = coverage(trainer.measure(fake), trainer.measure(real))
    return {f"coverage_{name}": value for name, value in covered.items()}


CARD = """# {name}

A class-conditional BigGAN of {resolution}×{resolution} pictures, {parameters:.1f} million parameters, {dice} dice.

- Classes: {labels}.
- Trained by `{command}` from scratch: {steps:,} steps in
  {minutes:.0f} minutes on {threads} CPU threads. No picture from anywhere else was used.
- `weights.safetensors`: the running average of the generator, float16, with batch-norm statistics for
  {statistics} truncations from 0 to 1.
- `encoder.safetensors`: reads the dice off the critic's features of a picture; the warm start of inversion.
- Truncation scales the dice and chooses the batch-norm statistics by the same number, as in the published BigGAN.
- Limits: it knows this one world. Its pictures are not photographs and say nothing about real birds.
"""


def export(trainer: Trainer, folder: Path) -> Path:
    """Write the average generator and the encoder as a model that `steer.load_generator` reads.

    Args:
        trainer: a run, finished or not.
        folder: where to; made where it is missing, files in it replaced one by one.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    standing_statistics(trainer.average)
    config, shape = trainer.config, trainer.shape
    aviary = config.data == AVIARY
    write_model(folder, trainer.average, measurer="aviary-judge" if aviary else "picture")
    encoder = copy.deepcopy(trainer.encoder)
    encoder.fold(trainer.features.scales, trainer.features.shifts)
    write_encoder(folder, encoder, features="aviary-critic" if aviary else RANDOM)
    card = CARD.format(
        name="aviary-biggan" if aviary else folder.name,
        resolution=shape.resolution,
        parameters=sum(each.numel() for each in trainer.average.parameters()) / 1e6,
        dice=shape.z_dim,
        labels=", ".join(shape.labels),
        command=command_of("biggan", config),
        steps=trainer.step_number,
        minutes=trainer.seconds / 60,
        threads=config.threads,
        statistics=shape.statistics,
    )
    write_text(folder / "README.md", card)
    return folder

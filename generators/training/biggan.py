"""Train a small BigGAN on a CPU: a projected discriminator, relativistic pairs, and an encoder that knows the dice.

At first the generator only *redraws* real pictures from the dice that the encoder reads off them, which is cheap and
teaches it what birds are. From then on half of every batch is *dreamt* from fresh dice, and both halves must fool the
discriminator. The redrawn half must still look like its originals, so that no kind of picture is left out; the encoder
must find the dice of the dreamt half, so that no die is ignored; and where the world that the data come from can be
asked, a dream must look like the true picture next to it.

After Sauer et al. (2021), arXiv 2111.01007 (the discriminator); Larsen et al. (2015), arXiv 1512.09300 (the redrawn
half); Chen et al. (2016), arXiv 1606.03657 (recovered dice); Mao et al. (2019), arXiv 1903.05628 (mode seeking).
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
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
from steer.generators.training.dice_spread import DiceSpread, settle
from steer.generators.training.discriminator import Discriminator
from steer.generators.training.features import Features, Standardised
from steer.generators.training.pictures import Pictures, focus, read_folder
from steer.generators.training.run import AVIARY, Progress, keep_running, share_done, tile
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
        batch: pictures a step; a multiple of 4.
        minutes: how long to train; the schedules follow the clock. None: until ``steps``.
        steps: how many steps to train, where ``minutes`` is None.
        seed: seeds everything.
        threads: CPU threads.
        judging_from: fraction of the run after which half of each batch is dreamt and the discriminator judges; it
            gains its say in the first tenth of what is left.
        drawing_rate: learning rate of generator and encoder until then; it falls in the second half of that time.
        learning_rate: of generator and discriminator from then on; it falls along a cosine to a twentieth.
        adversarial: weight of fooling the discriminator; 0 for none, which is faster.
        pixel_likeness: weight of the distance in pixels between redrawn and real pictures.
        trueness: weight of the distance in pixels between dreamt pictures and the true ones next to them.
        recovery: weight of finding the dice of dreamt pictures.
        divergence: weight of the divergence of the encoder's dice from fresh ones, per nat and picture.
        matching: weight of the mismatch of the encoder's dice with fresh ones, over all pictures.
        seeking: weight of mode seeking at the first dreams, falling to nothing by the end of the run; by default only
            the recovery of their dice keeps dreams apart.
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
    judging_from: float = 0.5
    drawing_rate: float = 1.5e-3
    learning_rate: float = 3e-4
    adversarial: float = 0.15
    pixel_likeness: float = 4.0
    trueness: float = 1.0
    recovery: float = 0.3
    divergence: float = 1e-3
    matching: float = 0.02
    seeking: float = 0.0
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
        self.features = Standardised(features, pictures.images_at(pictures.draw(256, self.rng)))
        self.shape = config.network(pictures.labels)
        self.generator = BigGANNetwork(self.shape)
        self.generator.initialise()
        self.average = BigGANNetwork(self.shape)
        self.average.load_state_dict(self.generator.state_dict())
        maps, classes = (self.features.widths, self.features.sizes), len(pictures.labels)
        self.discriminator = Discriminator(*maps, classes)
        self.encoder = DiceEncoder(*maps, classes, config.z_dim)
        self.spread = DiceSpread(classes, config.z_dim)
        for module in (self.generator, self.average, self.discriminator, self.encoder):
            channels_last(module)
        rate = config.learning_rate
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, (0.0, 0.99), fused=True),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), rate, (0.0, 0.99), fused=True),
            "encoder": torch.optim.Adam(self.encoder.parameters(), 2 * rate, (0.5, 0.99), fused=True),
        }
        self.rates = {name: each.param_groups[0]["lr"] for name, each in self.optimisers.items()}
        self.step_number, self.seconds, self.settled = 0, 0.0, False

    @property
    def done(self) -> float:
        """The share of the run that is over, by the clock or by steps."""
        return share_done(self.seconds, self.config.minutes, self.step_number, self.config.steps)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
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
        config = self.config
        self._schedule()
        rows = self.pictures.draw(config.batch, self.rng)
        real, label = self.pictures.images_at(rows), self.pictures.label[rows]
        known = self.one_hot(label)
        with torch.no_grad():
            real_maps = self.features(real)
        judging = self.done >= config.judging_from
        if judging and not self.settled:
            self.settle()
        copies = config.batch // 2 if judging else config.batch
        mean, log_variance = self.encoder(real_maps, known)
        redrawn = mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=self.rng)
        dreamt = torch.randn((config.batch - copies, config.z_dim), generator=self.rng)
        fake = self.paint(torch.cat([redrawn[:copies], dreamt]), label)
        parts = {
            "pixel_likeness": ((fake - real).abs()[:copies] * self.pictures.focus_at(rows[:copies])).mean(),
            "divergence": ((mean.square() + log_variance.exp() - log_variance - 1) / 2).sum(1).mean(),
            "mismatch": self.spread.mismatch(redrawn, known),
        }
        if judging:
            fake_maps = self.features(fake)
            parts |= self._dream(dreamt, fake[copies:], [each[copies:] for each in fake_maps], known[copies:])
            if config.adversarial > 0:
                parts |= self.discriminator.learn(real_maps, fake_maps, known, self.optimisers["discriminator"])
            if self.truth is not None:
                parts["untruth"] = self._untruth(fake[copies:], label[copies:])
        weights = self._weights()
        self.optimisers["generator"].zero_grad()
        self.optimisers["encoder"].zero_grad()
        torch.stack([weights[name] * part for name, part in parts.items() if name in weights]).sum().backward()
        self.optimisers["generator"].step()
        self.optimisers["encoder"].step()
        self._follow()
        self.step_number += 1
        return {name: float(part.detach()) for name, part in parts.items() if name not in ("pull", "crowding")}

    @torch.no_grad()
    def settle(self, count: int = 2_048) -> None:
        """Give the dice of real pictures the spread of fresh ones; see `steer.generators.training.dice_spread.settle`.

        Done when the discriminator begins to judge, and again where a run goes on after that.

        Args:
            count: how many real pictures to look at.
        """

        def read() -> Iterator[tuple[Tensor, Tensor]]:
            for rows in torch.randint(len(self.pictures.label), (count,), generator=self.rng).split(128):
                maps = self.features(self.pictures.images_at(rows))
                yield self.encoder(maps, self.one_hot(self.pictures.label[rows]))

        settle(self.encoder, (self.generator, self.average), read())
        self.settled = True

    @property
    def judged(self) -> float:
        """The share of the discriminator's time that is over, 0 before it begins."""
        start = self.config.judging_from
        return min(max((self.done - start) / max(1 - start, 1e-9), 0.0), 1.0)

    def _weights(self) -> dict[str, float]:
        config = self.config
        say = min(10 * self.judged, 1.0)
        return {
            "pixel_likeness": config.pixel_likeness,
            "divergence": config.divergence,
            "mismatch": config.matching,
            "surprise": say * config.recovery,
            "crowding": say * config.seeking * (1 - self.judged),
            "pull": say * config.adversarial,
            "untruth": say * config.trueness,
        }

    def _untruth(self, images: Tensor, label: Tensor) -> Tensor:
        """Return how far pictures are from the true ones next to them.

        Alone it would draw all dreams to a few birds; that their dice must be found keeps them apart.
        """
        assert self.truth is not None
        with torch.no_grad():
            true, mask = self.truth(images, label)
            weight = focus(mask)
        return ((images - true).abs() * weight).mean()

    def _dream(self, dice: Tensor, images: Tensor, maps: Sequence[Tensor], known: Tensor) -> dict[str, Tensor]:
        """Ask how well the dice of dreamt pictures can be found, and how close pairs of one class are."""
        found, log_variance = self.encoder(maps, known)
        missed = (dice - found).square()
        apart = (images[::2] - images[1::2]).abs().mean((1, 2, 3)) * 2
        return {
            "surprise": (missed * torch.exp(-log_variance) + log_variance).mean() / 2,
            "recovered": 1 - missed.mean(),
            "apart": apart.mean(),
            "crowding": (1 / (apart / (dice[::2] - dice[1::2]).abs().mean(1) + 0.02)).mean(),
        }

    def _schedule(self) -> None:
        """Set learning rates and momenta: fast, then cooling, until the discriminator judges; slow from then on."""
        config = self.config
        drawing = self.done < config.judging_from
        for name, optimiser in self.optimisers.items():
            group, rate = optimiser.param_groups[0], self.rates[name]
            if drawing and name != "discriminator":
                cooled = max(2 * self.done / config.judging_from - 1, 0.0)
                rate = config.drawing_rate ** (1 - cooled) * rate**cooled * min((self.step_number + 1) / 50, 1.0)
            group["lr"] = rate * (0.05 + 0.95 * (1 + math.cos(math.pi * self.judged)) / 2)
            group["betas"] = (0.9 if drawing else 0.0, 0.99)

    def _follow(self) -> None:
        """Move the average: over 500 steps, and over fewer at first, so that it forgets the beginning."""
        decay = min((1 + self.step_number) / (10 + self.step_number), 0.998)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - decay)


@torch.no_grad()
def sample_sheet(trainer: Trainer, columns: int = 8) -> Image.Image:
    """Draw the average generator: every class with the same dice, other dice, and real pictures beside redrawn ones."""
    classes = len(trainer.pictures.labels)
    rng = torch.Generator().manual_seed(1)
    rows = min(classes, 8)
    dice = torch.randn((columns, trainer.config.z_dim), generator=rng)
    same = dice.repeat(rows, 1), torch.arange(rows).repeat_interleave(columns)
    other = torch.randn((4 * columns, trainer.config.z_dim), generator=rng), torch.arange(4 * columns) % classes
    drawn = trainer.pictures.draw(2 * columns, rng)[::2]
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
    if config.batch < 4 or config.batch % 4:
        raise BadInput(f"the batch must be a multiple of 4, not {config.batch}")
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
- Trained by `steer train biggan --data {data}` from scratch: {steps:,} steps of {batch} pictures in {minutes:.0f}
  minutes on {threads} CPU threads, seed {seed}. No picture from anywhere else was used.
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
        data=AVIARY if aviary else "FOLDER",
        steps=trainer.step_number,
        batch=config.batch,
        minutes=trainer.seconds / 60,
        threads=config.threads,
        seed=config.seed,
        statistics=shape.statistics,
    )
    write_text(folder / "README.md", card)
    return folder

"""Train a small BigGAN on a CPU: a projected discriminator, relativistic pairs, and an encoder that knows the dice.

At first the generator only *redraws* real pictures from the dice that the encoder reads off them, which is cheap and
teaches it what birds are. From then on half of every batch is *dreamt* from fresh dice, and both halves must fool the
discriminator. The redrawn half must still look like its originals, so that no kind of picture is left out; the encoder
must find the dice of the dreamt half, so that no die is ignored; and where the world that the data come from can be
asked, a dream must look like the true picture next to it.

After Sauer et al. (2021), arXiv 2111.01007 (frozen features); Jolicoeur-Martineau (2018), arXiv 1807.00734
(relativistic loss); Larsen et al. (2015), arXiv 1512.09300 (the redrawn half); Chen et al. (2016), arXiv 1606.03657
(recovered dice); Mao et al. (2019), arXiv 1903.05628 (mode seeking).
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from steer.errors import BadInput
from steer.files import write_text
from steer.generators.biggan import (
    START,
    BigGANConfig,
    BigGANNetwork,
    BlockShape,
    DiceEncoder,
    channels_last,
    write_encoder,
    write_model,
)
from steer.generators.training.pictures import Pictures, focus, read_folder
from steer.generators.training.run import AVIARY, Progress, keep_running, share_done, tile

MEMORY = 0.05
"""Weight of a step in the running moments of the encoder's dice."""


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
        learning_rate: of generator and discriminator, before its decay.
        decay_from: fraction of the run after which learning rates fall, to a twentieth at its end.
        judging_from: fraction of the run after which half of each batch is dreamt and the discriminator judges; it
            gains its say in a twentieth of the run.
        drawing_rate: learning rate of generator and encoder until then; it falls in the second half of that time.
        adversarial: weight of fooling the discriminator.
        likeness: weight of the distance between redrawn and real pictures in the frozen features.
        pixel_likeness: weight of their distance in pixels.
        trueness: weight of the distance in pixels between dreamt pictures and the true ones next to them.
        recovery: weight of finding the dice of dreamt pictures.
        divergence: weight of the divergence of the encoder's dice from fresh ones, per nat and picture.
        matching: weight of the mismatch of the encoder's dice with fresh ones, over all pictures.
        seeking: weight of mode seeking once there are dreams; it falls to nothing by the end of the run.
        shift: largest random translation of real and fake pictures, in pixels.
        shift_share: share of the steps with translation.
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
    learning_rate: float = 3e-4
    decay_from: float = 0.75
    judging_from: float = 0.5
    drawing_rate: float = 1.5e-3
    adversarial: float = 0.25
    likeness: float = 1.0
    pixel_likeness: float = 4.0
    trueness: float = 0.5
    recovery: float = 0.5
    divergence: float = 1e-3
    matching: float = 0.05
    seeking: float = 0.1
    shift: int = 0
    shift_share: float = 0.25
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


Features = Callable[[Tensor], Sequence[Tensor]]
"""Frozen features of pictures (batch, 3, height, width) in [0, 1]: square maps, fine before coarse."""

Measure = Callable[[Tensor], dict[str, Tensor]]
"""Attributes of pictures (batch, 3, height, width) in [0, 1], (batch,) each."""


Truth = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From pictures (batch, 3, height, width) in [0, 1] and their classes to the true pictures next to them, and masks."""


class RandomFeatures:
    """Features of fixed random convolutions, for data that no measurer knows.

    Args:
        resolution: of the pictures, in pixels.
        seed: seeds the convolutions.
    """

    def __init__(self, resolution: int, seed: int = 0) -> None:
        widths = (3, 32, 64, 128, 192)[: int(math.log2(resolution // START)) + 1]
        generator = torch.Generator().manual_seed(seed)
        self.kernels = [
            torch.randn((b, a, 4, 4), generator=generator) * math.sqrt(2 / (a * 16)) for a, b in pairwise(widths)
        ]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return up to four maps of 32, 64, 128 and 192 channels, each half as wide as the one before."""
        maps, h = [], 2 * images - 1
        for kernel in self.kernels:
            h = F.leaky_relu(F.conv2d(h, kernel, stride=2, padding=1), 0.2)
            maps.append(h)
        return maps


class Standardised(nn.Module):
    """Frozen features brought to mean 0 and deviation 1 in every channel.

    Args:
        features: the features.
        images: pictures (batch, 3, height, width) in [0, 1] to take the statistics from.
    """

    def __init__(self, features: Features, images: Tensor) -> None:
        super().__init__()
        self.features = features
        with torch.no_grad():
            maps = features(images)
        self.scales = [1 / (each.var((0, 2, 3), keepdim=True) + 1e-3).sqrt() for each in maps]
        self.shifts = [-each.mean((0, 2, 3), keepdim=True) * s for each, s in zip(maps, self.scales, strict=True)]
        self.widths = [each.shape[1] for each in maps]
        self.sizes = [each.shape[-1] for each in maps]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the standardised maps of pictures in [0, 1]."""
        maps = self.features(images)
        return [
            torch.addcmul(shift, each, scale) for each, scale, shift in zip(maps, self.scales, self.shifts, strict=True)
        ]


class Head(nn.Module):
    """A small discriminator of one map: fixed mixing, strided 4×4 convolutions down to 4×4, projection on the class.

    Args:
        inputs: channels of the map.
        size: its height and width, in pixels.
        classes: number of classes.
        width: channels of the first convolution; doubled by every one up to 128.
    """

    mixing: Tensor

    def __init__(self, inputs: int, size: int, classes: int, *, width: int = 48, mix: bool = True) -> None:
        super().__init__()
        mixing = nn.init.orthogonal_(torch.empty(inputs, inputs)) if mix else torch.eye(inputs)
        self.register_buffer("mixing", mixing[..., None, None])
        layers: list[nn.Module] = []
        while size > 4:
            layers += [spectral_norm(nn.Conv2d(inputs, width, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True)]
            inputs, width, size = width, min(2 * width, 128), size // 2
        layers += [spectral_norm(nn.Conv2d(inputs, 128, 3, 1, 1)), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers)
        self.patches = spectral_norm(nn.Conv2d(128, 1, 4))
        self.projection = spectral_norm(nn.Linear(classes, 128, bias=False))

    def forward(self, h: Tensor, label: Tensor) -> Tensor:
        """Return how real each map is for its class; ``label`` is one-hot, (batch, classes)."""
        h = self.body(F.conv2d(h, self.mixing))
        scores: Tensor = self.patches(h).flatten() + (self.projection(label) * h.mean((2, 3))).sum(1)
        return scores


class Discriminator(nn.Module):
    """One head for each frozen map and one for the pixels.

    Args:
        features: the standardised features.
        resolution: of the pictures, in pixels.
        classes: number of classes.
    """

    def __init__(self, features: Standardised, resolution: int, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            Head(width, size, classes) for width, size in zip(features.widths, features.sizes, strict=True)
        )
        self.pixels = Head(3, resolution, classes, width=32, mix=False)

    def forward(self, maps: Sequence[Tensor], images: Tensor, label: Tensor) -> Tensor:
        """Return every head's score, (heads, batch)."""
        scores = [head(each, label) for head, each in zip(self.heads, maps, strict=True)]
        return torch.stack([*scores, self.pixels(2 * images - 1, label)])


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
        self.discriminator = Discriminator(self.features, config.resolution, len(pictures.labels))
        self.encoder = DiceEncoder(self.features.widths, self.features.sizes, len(pictures.labels), config.z_dim)
        for module in (self.generator, self.average, self.discriminator, self.encoder):
            channels_last(module)
        rate = config.learning_rate
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, (0.0, 0.99), fused=True),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), rate, (0.0, 0.99), fused=True),
            "encoder": torch.optim.Adam(self.encoder.parameters(), 2 * rate, (0.5, 0.99), fused=True),
        }
        self.rates = {name: each.param_groups[0]["lr"] for name, each in self.optimisers.items()}
        self.means, self.moments = torch.zeros((len(pictures.labels), config.z_dim)), torch.eye(config.z_dim)
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
        move = self._translation()
        with torch.no_grad():
            real_maps = self.features(move(real))

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
            "mismatch": self._mismatch(redrawn, known),
        }
        if judging:
            fake_maps = self.features(move(fake))
            distances = [F.mse_loss(f[:copies], r[:copies]) for f, r in zip(fake_maps, real_maps, strict=True)]
            parts["likeness"] = torch.stack(distances).mean()
            parts |= self._dream(dreamt, fake[copies:], [each[copies:] for each in fake_maps], known[copies:])
            parts |= self._judge(real_maps, fake_maps, real, fake, known)
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
        """Give the dice of real pictures the spread of fresh ones, by moving a map from the encoder to the generator.

        Redrawn pictures stay what they are, and dreams begin where real pictures lie. Done when the discriminator
        begins to judge, and again where a run goes on after that.

        Args:
            count: how many real pictures to look at.
        """
        moment, variance = torch.zeros((self.config.z_dim, self.config.z_dim)), torch.zeros(self.config.z_dim)
        for rows in torch.randint(len(self.pictures.label), (count,), generator=self.rng).split(128):
            mean, log_variance = self.encoder(
                self.features(self.pictures.images_at(rows)), self.one_hot(self.pictures.label[rows])
            )
            moment += mean.T @ mean / count
            variance += log_variance.exp().sum(0) / count
        squares, axes = torch.linalg.eigh(moment + torch.diag(variance))
        root, inverse = ((axes * squares.clamp_min(1e-6) ** power) @ axes.T for power in (0.5, -0.5))
        for network in (self.generator, self.average):
            for layer in (network.first, network.modulation):
                layer.weight[:, : len(root)] = layer.weight[:, : len(root)] @ root
        self.encoder.turn(inverse, variance)
        self.settled = True

    def _weights(self) -> dict[str, float]:
        config = self.config
        judged = self.done - config.judging_from
        say = min(max(20 * judged, 0.0), 1.0)
        return {
            "likeness": config.likeness,
            "pixel_likeness": config.pixel_likeness,
            "divergence": config.divergence,
            "mismatch": config.matching,
            "surprise": say * config.recovery,
            "crowding": say * config.seeking * (1 - judged / max(1 - config.judging_from, 1e-9)),
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

    def _mismatch(self, dice: Tensor, known: Tensor) -> Tensor:
        """Return how far the dice of real pictures are from mean 0 in every class and covariance 1, over many steps.

        Where they differ, fresh dice fall where no real picture ever was, and what is drawn there is no bird.
        """
        share = known.sum(0, keepdim=True).T.clamp(min=1)
        means = torch.lerp(self.means, known.T @ dice / share, MEMORY * (known.sum(0)[:, None] > 0))
        moments = torch.lerp(self.moments, dice.T @ dice / len(dice), MEMORY)
        self.means, self.moments = means.detach(), moments.detach()
        gap = moments - torch.eye(moments.shape[0])
        return (means.square().mean(0).sum() + gap.square().sum() / 2) / MEMORY

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

    def _judge(
        self, real_maps: Sequence[Tensor], fake_maps: Sequence[Tensor], real: Tensor, fake: Tensor, known: Tensor
    ) -> dict[str, Tensor]:
        """Make the discriminator's step, and find from the same pass where it wants the fakes to go.

        No score depends on another picture, so the gradient of the generator's loss is, map by map, that of the
        discriminator's loss times -exp(real score - fake score): one pass does for both.

        Returns:
            The two losses, and a ``pull`` whose gradient is that of the generator's loss.
        """
        leaves = [each.detach().requires_grad_() for each in (*fake_maps, fake)]
        both = [torch.cat(pair) for pair in zip((*real_maps, real), leaves, strict=True)]
        real_scores, fake_scores = self.discriminator(both[:-1], both[-1], known.repeat(2, 1)).chunk(2, 1)
        lead = real_scores - fake_scores  # (heads, batch)
        loss = F.softplus(-lead).mean()
        self.optimisers["discriminator"].zero_grad()
        loss.backward()
        self.optimisers["discriminator"].step()
        ratio = -lead.detach().clamp(max=30).exp()
        pull = torch.zeros(())
        for leaf, each, row in zip(leaves, (*fake_maps, fake), ratio, strict=True):
            assert leaf.grad is not None
            pull = pull + (each * (leaf.grad * row[:, None, None, None])).sum()
        return {"discriminator": loss.detach(), "adversarial": F.softplus(lead.detach()).mean(), "pull": pull}

    def _schedule(self) -> None:
        """Set learning rates and momenta: fast, then cooling, until the discriminator judges; slow from then on."""
        config = self.config
        drawing = self.done < config.judging_from
        fall = min(max((self.done - config.decay_from) / (1 - config.decay_from), 0.0), 1.0)
        for name, optimiser in self.optimisers.items():
            group, rate = optimiser.param_groups[0], self.rates[name]
            if drawing and name != "discriminator":
                cooled = max(2 * self.done / config.judging_from - 1, 0.0)
                rate = config.drawing_rate ** (1 - cooled) * rate**cooled * min((self.step_number + 1) / 50, 1.0)
            group["lr"] = rate * (1 - 0.95 * fall)
            group["betas"] = (0.9 if drawing else 0.0, 0.99)

    def _translation(self) -> Callable[[Tensor], Tensor]:
        far = self.config.shift
        if far == 0 or float(torch.rand((), generator=self.rng)) >= self.config.shift_share:
            return lambda images: images
        down, right = torch.randint(2 * far + 1, (2,), generator=self.rng).tolist()
        size = self.config.resolution

        def move(images: Tensor) -> Tensor:
            padded = F.pad(images, (far, far, far, far), mode="replicate")
            return padded[:, :, down : down + size, right : right + size]

        return move

    def _follow(self) -> None:
        """Move the average: over 500 steps at first, 2,000 in the end; shorter in the very first steps."""
        decay = min((1 + self.step_number) / (10 + self.step_number), 0.998 + 0.0015 * min(2 * self.done, 1.0))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
            for mean, parameter in pairs:
                mean.lerp_(parameter, 1 - decay)


@torch.no_grad()
def standing_statistics(network: BigGANNetwork, seed: int = 0, batch: int = 256, batches: int = 2) -> None:
    """Fill a network's tables of batch-norm statistics, one row a truncation, from pictures of all classes (in place).

    Args:
        network: the network.
        seed: seeds the dice; every row sees the same ones, drawn in.
        batch: pictures at a time.
        batches: how many times.
    """
    config = network.config
    rng = torch.Generator().manual_seed(seed)
    dice = torch.randn((batches, batch, config.z_dim), generator=rng)
    classes = network.embedding[torch.arange(batch) % len(config.labels)]
    for row in range(config.statistics):
        means, variances = [], []
        for z in dice * (row / (config.statistics - 1)):
            seen: list[tuple[Tensor, Tensor]] = []
            network(z, classes, seen)
            means.append(torch.cat([mean for mean, _ in seen]))
            variances.append(torch.cat([inverse.pow(-2) - config.eps for _, inverse in seen]))
        together = torch.stack(means)
        network.means[row] = together.mean(0)
        network.variances[row] = torch.stack(variances).mean(0) + together.var(0, correction=0)


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
    keep_running(
        trainer, out, sheet_steps=config.sheet_steps, checkpoint_minutes=config.checkpoint_minutes, progress=progress
    )
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
        return Trainer(config, pictures, RandomFeatures(config.resolution, config.seed))
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
    write_encoder(folder, encoder, features="aviary-critic" if aviary else "random")
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

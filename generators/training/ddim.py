"""Train a small diffusion model: a U-Net that predicts v, told a caption and shown a sketch or a layout.

After Ho et al. (2020), arXiv 2006.11239; Nichol and Dhariwal (2021), arXiv 2102.09672 (cosine schedule); Salimans and
Ho (2022), arXiv 2202.00512 (v prediction); Hang et al. (2023), arXiv 2303.09556 (min-SNR weights); Ho and Salimans
(2022), arXiv 2207.12598 (guidance without a classifier).
"""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from steer.errors import BadInput
from steer.files import write_text
from steer.generators.channels_last import channels_last
from steer.generators.ddim import DDIMConfig, write_model
from steer.generators.diffusion.network import (
    DRAWING_PLANES,
    DenoisingNetwork,
    NetworkConfig,
    as_drawing,
    blindfolded,
)
from steer.generators.diffusion.schedule import Levels, Schedule
from steer.generators.diffusion.stepper import Denoiser, Stepper, sample
from steer.generators.training.captioned import Captioned, captioned, part_of
from steer.generators.training.device import best_device, has_bfloat16
from steer.generators.training.own_ways import OwnWays, Told, uneven_levels
from steer.generators.training.pictures import focus
from steer.generators.training.run import AVIARY, CHECKPOINT, Progress, command_of, keep_running, share_done, tile
from steer.generators.training.words_first import learn_words, misunderstood, new_reading

SHEET_STEPS, SHEET_GUIDANCE = 12, 2.0

SURE: Mapping[str, Any] = MappingProxyType({"guidance": 1.5, "draft_steps": 4})
"""How a network is used that has learnt from its own ways: less guidance does, and drafts of fewer steps."""


@dataclass(frozen=True)
class DDIMTraining:
    """What a training run is made of.

    Attributes:
        data: "aviary", or a folder with one sub-folder of pictures per class, whose names are the captions.
        pictures: how many pictures of the aviary to train on.
        data_seed: which ones.
        drawn: of how many of them there are a sketch and a layout.
        resolution: height and width, in pixels; a power of two from 16 up.
        side: height and width at which the U-Net works at most; larger pictures are folded into channels.
        mirrored: whether half of the pictures are shown mirrored, where nothing that is said of them names a side.
        channels: channels of the U-Net from its outer level to its bottleneck.
        levels: how many noise levels there are.
        batch: pictures a step.
        minutes: how long to train; the schedules follow the clock. None: until ``steps``.
        steps: how many steps to train, where ``minutes`` is None.
        seed: seeds everything.
        threads: CPU threads.
        device: "auto" (a GPU where there is one), "cpu", "cuda", ...
        learning_rate: before its decay.
        warm_steps: steps in which it rises, also after a resume, while the optimiser has no memory.
        decay_from: fraction of the run after which it falls, to a twentieth at its end.
        memory: steps over which the weights are averaged in the end.
        largest_weight: where the signal-to-noise ratio plus 1, by which levels are chosen, is cut off.
        no_caption: share of the pictures that come without a caption.
        part_caption: share of those with one that come with a part of it.
        no_drawing: share of the pictures that come without a drawing.
        blindfold: share of the pictures whose decoder is told their coarse half by the bottleneck alone.
        word_steps: steps in which captions are learnt before pictures are, where the data say what they mean.
        word_weight: how much it counts afterwards that captions are still understood, against the pictures' 1.
        own_from: fraction of the run after which it learns from its own ways too, where the data tell the true picture
            next to any; see `steer.generators.training.own_ways`.
        own_share: share of the pictures that are states on own ways then.
        own_ways: how many of these are kept.
        own_steps: steps of a way.
        own_every: steps between two batches of new ways.
        checkpoint_minutes: minutes between checkpoints.
        sheet_steps: steps between sample sheets.
        measure_steps: steps between measurements of how well captions are obeyed.
    """

    data: str = AVIARY
    pictures: int = 24_000
    data_seed: int = 0
    drawn: int = 8_000
    resolution: int = 64
    side: int = 32
    mirrored: bool = False
    channels: tuple[int, ...] = (48, 64, 128, 160)
    levels: int = 1000
    batch: int = 32
    minutes: float | None = 110.0
    steps: int = 10_000
    seed: int = 0
    threads: int = 2
    device: str = "auto"
    learning_rate: float = 8e-4
    warm_steps: int = 200
    decay_from: float = 0.6
    memory: int = 1_000
    largest_weight: float = 5.0
    no_caption: float = 0.15
    part_caption: float = 0.3
    no_drawing: float = 0.7
    blindfold: float = 0.25
    word_steps: int = 1_000
    word_weight: float = 0.05
    own_from: float = 0.7
    own_share: float = 0.5
    own_ways: int = 1_024
    own_steps: int = 12
    own_every: int = 10
    checkpoint_minutes: float = 5.0
    sheet_steps: int = 500
    measure_steps: int = 2_000

    def network(self, vocabulary: Sequence[str], *, drawing: bool) -> NetworkConfig:
        """Return the shape of the network for the words and drawings of the data.

        Raises:
            BadInput: resolution and channels do not fit.
        """
        fold = max(1, self.resolution // self.side)
        side, depth = self.resolution // fold, len(self.channels)
        if self.resolution < 16 or self.resolution & (self.resolution - 1) or depth < 2 or side < 2**depth:
            raise BadInput(
                f"a resolution is a power of two from 16 up, and {side} pixels take 2 to {int(math.log2(side))} "
                f"channel counts; not {self.resolution} and {depth}"
            )
        if any(width < 32 or width % 16 for width in self.channels):
            raise BadInput(f"channel counts are multiples of 16 from 32 up, not {self.channels}")
        looking = min(2, depth - 1)  # the lowest levels attend to words
        plain = ["DownBlock2D"] * (depth - looking)
        planes = (3 + DRAWING_PLANES * drawing) * fold**2
        width = 128
        unet = {
            "sample_size": side,
            "in_channels": planes,
            "out_channels": 3 * fold**2,
            "block_out_channels": list(self.channels),
            "down_block_types": plain + ["SimpleCrossAttnDownBlock2D"] * looking,
            "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
            "up_block_types": ["SimpleCrossAttnUpBlock2D"] + ["UpBlock2D"] * (depth - 1),
            "layers_per_block": 1,
            "norm_num_groups": 16,
            "attention_head_dim": 32,
            "cross_attention_dim": width,
            "resnet_time_scale_shift": "scale_shift",
            # Words also join the time embedding, which reaches every block.
            "addition_embed_type": "text",
            "addition_embed_type_num_heads": 4,
        }
        return NetworkConfig(
            kind="UNet2DConditionModel",
            unet=unet,
            resolution=self.resolution,
            fold=fold,
            drawing=drawing,
            vocabulary=tuple(vocabulary),
            width=width,
        )


@dataclass(frozen=True)
class _Lesson:
    """States, and what is to be predicted of them.

    Attributes:
        x: noisy pictures, (batch, 3, height, width).
        level: their noise levels, (batch,).
        aim: v, of the pictures' shape.
        weight: how much each pixel counts, (batch, 1, height, width).
        captions: what the network is told, "" for nothing.
        drawing: what it is shown, (batch, 4, height, width); None where the data have no drawings.
    """

    x: Tensor
    level: Tensor
    aim: Tensor
    weight: Tensor
    captions: list[str]
    drawing: Tensor | None

    def joined(self, other: "_Lesson") -> "_Lesson":
        """Return both as one."""
        drawing = None
        if self.drawing is not None and other.drawing is not None:
            drawing = torch.cat([self.drawing, other.drawing])
        return _Lesson(
            x=torch.cat([self.x, other.x]),
            level=torch.cat([self.level, other.level]),
            aim=torch.cat([self.aim, other.aim]),
            weight=torch.cat([self.weight, other.weight]),
            captions=self.captions + other.captions,
            drawing=drawing,
        )


class Trainer:
    """Everything that changes during a run.

    Args:
        config: what the run is made of.
        data: what to learn from.
    """

    replaceable = frozenset({"reading"})

    def __init__(self, config: DDIMTraining, data: Captioned) -> None:
        if config.batch < 1:
            raise BadInput(f"a batch has at least 1 picture, not {config.batch}")
        torch.manual_seed(config.seed)
        self.config, self.data = config, data
        self.rng = torch.Generator().manual_seed(config.seed)
        self.device = best_device(config.device)
        self.schedule = Schedule.cosine(config.levels)
        self.alpha_bars = self.schedule.alpha_bars.float().to(self.device)
        self.shape = config.network(data.vocabulary.words, drawing=bool(data.drawings))
        self.network, self.average = DenoisingNetwork(self.shape), DenoisingNetwork(self.shape)
        nn.init.zeros_(self.network.unet.conv_out.weight)
        self.average.load_state_dict(self.network.state_dict())
        for module in (self.network, self.average):
            # Nothing differs between training and not, but that blocks of diffusers leave channels_last in training.
            channels_last(module.to(self.device)).eval()
        self.average.requires_grad_(False)
        meanings = None if data.meanings is None else data.meanings.shape[1]
        self.reading = None if meanings is None else new_reading(self.network, meanings).to(self.device)
        learning = [each for module in self.networks.values() for each in module.parameters() if each.requires_grad]
        self.optimiser = torch.optim.AdamW(learning, config.learning_rate, (0.9, 0.99), weight_decay=0.0, fused=True)
        self.own_ways: OwnWays | None = None
        self.step_number, self.seconds, self.steps_here = 0, 0.0, 0

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        networks: dict[str, nn.Module] = {"network": self.network, "average": self.average}
        return networks if self.reading is None else networks | {"reading": self.reading}

    @property
    def done(self) -> float:
        """The share of the run that is over, by the clock or by steps."""
        return share_done(self.seconds, self.config.minutes, self.step_number, self.config.steps)

    @property
    def schooled(self) -> bool:
        """Whether words are learnt before pictures."""
        return self.reading is not None and self.config.word_steps > 0

    def step(self) -> dict[str, float]:
        """Make one step, and return the loss: over all levels, over the quarters from clean to noise, on own ways."""
        self._schedule()
        ways = self._ways()
        own = 0 if ways is None else round(self.config.own_share * self.config.batch)
        rows, lesson = self._lesson(self.config.batch - own)
        count = len(rows)
        if ways is not None:
            lesson = lesson.joined(self._lesson_of(ways.some(own, self.rng)))
        blind = (torch.rand(len(lesson.x), generator=self.rng) < self.config.blindfold).to(self.device)
        with self._precision(), blindfolded(self.network, blind):
            prompt = self.network.read(lesson.captions)
            predicted = self.network(lesson.x, lesson.level, prompt, lesson.drawing).float()
        missed = (lesson.weight * (predicted - lesson.aim).square()).mean((1, 2, 3))
        heard = None if prompt is None else prompt[:count]
        self.optimiser.zero_grad()
        (missed.mean() + self.config.word_weight * self._misunderstood(heard, rows)).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self._follow()
        self.step_number, self.steps_here = self.step_number + 1, self.steps_here + 1
        seen, strayed = missed.detach().split([count, own])
        quarter = lesson.level[:count] * 4 // self.config.levels
        parts = {f"missed_{each + 1}": float(seen[quarter == each].mean()) for each in quarter.unique()}
        return {"loss": float(seen.mean()), **parts, **({"own": float(strayed.mean())} if own else {})}

    def _lesson(self, count: int) -> tuple[Tensor, "_Lesson"]:
        """Draw rows of the data, (count,), and add noise to their pictures."""
        rows, captions, drawing = self._batch(count)
        images, level = self._images(rows), self._levels(count)
        noise = torch.randn(images.shape, generator=self.rng).to(self.device)
        r, n = self._roots(level)
        return rows, _Lesson(
            x=r * images + n * noise,
            level=level,
            aim=r * noise - n * images,
            weight=torch.ones_like(images[:, :1]),
            captions=captions,
            drawing=drawing,
        )

    def _lesson_of(self, told: Told) -> "_Lesson":
        """Return what is to be learnt from states on own ways: v that leads from each to the true picture."""
        x, level, truth = told.states.to(self.device), told.levels.to(self.device), _unit(told.truth).to(self.device)
        r, n = self._roots(level)
        # Levels are met evenly on ways; `_levels` says how much each matters.
        matters = (self.config.largest_weight * n.square()).clamp(max=1)
        unheard = torch.rand(len(x), generator=self.rng) < self.config.no_caption
        return _Lesson(
            x=x,
            level=level,
            aim=(r * x - truth) / n,
            weight=matters * focus(told.masks.float() / 255).to(self.device),
            captions=["" if dropped else each for dropped, each in zip(unheard.tolist(), told.captions, strict=True)],
            drawing=self._blank(len(x)),
        )

    def _roots(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return the parts of picture and noise in states at levels, (batch, 1, 1, 1) each."""
        alpha_bars = self.alpha_bars[level, None, None, None]
        return alpha_bars.sqrt(), (1 - alpha_bars).sqrt()

    def _ways(self) -> OwnWays | None:
        """Return the store of own ways where it is time to learn from them, with new ones in it every now and then."""
        config = self.config
        if self.data.nearest is None or self.done < config.own_from or not config.own_share:
            return None
        if self.own_ways is None:
            self.own_ways = OwnWays(config.own_ways, config.own_steps, config.resolution, self.data.nearest)
            for _ in range(max(1, config.own_ways // (4 * config.batch))):
                self._go()
        elif self.step_number % config.own_every == 0:
            self._go()
        return self.own_ways

    @torch.no_grad()
    def _go(self) -> None:
        """Go a batch of own ways, all asked for something.

        Ways that ask for nothing end in what lies between birds as soon as the network is unsure, and the true pictures
        next to such ends are all alike: learnt from, they made the next ones more so, until most birds showed a blurred
        back. What is asked for keeps ends apart, and guidance keeps them from the middle.
        """
        config = self.config
        assert self.own_ways is not None, "there is a store to put them into"
        rows = torch.randint(len(self.data), (config.batch,), generator=self.rng).tolist()
        captions = [self.data.describe(row, self.rng) for row in rows]
        levels = uneven_levels(config.levels, config.own_steps, self.rng)
        shape = (config.batch, 3, config.resolution, config.resolution)
        noise = torch.randn(shape, generator=self.rng).to(self.device)
        with self._precision():
            denoiser = self.denoiser(captions, self._blank(config.batch), SHEET_GUIDANCE)
            self.own_ways.go(denoiser, noise, captions, Stepper(self.schedule, levels, "v"))

    def _images(self, rows: Tensor) -> Tensor:
        """Return the pictures of rows in [-1, 1], half of them mirrored where that changes nothing that is said."""
        images = self.data.images[rows]
        if self.config.mirrored:
            turned = torch.rand(len(rows), generator=self.rng) < 0.5
            images = torch.where(turned[:, None, None, None], images.flip(3), images)
        return _unit(images).to(self.device)

    def learn_words(self, progress: Progress | None = None) -> None:
        """Learn what captions mean, where the data say it, before any step is made."""
        if self.reading is None or not self.schooled:
            return
        start = time.monotonic()
        learn_words(
            self.network,
            self.reading,
            self.data,
            self._caption,
            steps=self.config.word_steps,
            rng=self.rng,
            progress=progress,
        )
        self.average.load_state_dict(self.network.state_dict())
        self.seconds += time.monotonic() - start

    def _misunderstood(self, prompt: Tensor | None, rows: Tensor) -> Tensor | float:
        """Return how far the meanings read in prompts are from those of the rows; 0 where captions are just names."""
        if self.reading is None or self.data.meanings is None:
            return 0.0
        return misunderstood(self.network, self.reading, prompt, self.data.meanings[rows])

    def _levels(self, count: int) -> Tensor:
        """Draw noise levels, (count,): as often as they matter, so that no picture is drawn to count for little.

        How much a level matters is its min-SNR weight of the clean picture's error, with 1 added to the ratio as v
        prediction has it: without it the top levels, where a picture's colours are decided, would count for nothing.
        One comes from each of ``count`` equal parts of the chances: the loss varies less from step to step.
        """
        ratio = 1 / (1 - self.alpha_bars)  # signal to noise, plus 1
        chances = (ratio.clamp(max=self.config.largest_weight) / ratio).cumsum(0)
        places = (torch.randperm(count, generator=self.rng) + torch.rand(count, generator=self.rng)) / count
        return torch.searchsorted(chances, places.to(self.device) * chances[-1]).clamp(max=self.config.levels - 1)

    def _batch(self, count: int) -> tuple[Tensor, list[str], Tensor | None]:
        """Draw rows of the data, captions of them ("" for none), and what is shown of their drawings."""
        config, data, rng = self.config, self.data, self.rng
        shown = torch.rand(count, generator=rng) >= config.no_drawing if data.drawn else torch.zeros(0).bool()
        rows = torch.randint(len(data), (count,), generator=rng)
        if data.drawn:
            rows = torch.where(shown, rows % data.drawn, rows)
        captions = [self._caption(row) for row in rows.tolist()]
        drawing = None
        if data.drawn:
            kinds = list(data.drawings)
            kind = torch.randint(len(kinds), (count,), generator=rng)
            drawing = torch.zeros(count, DRAWING_PLANES, *data.images.shape[2:])
            for number, name in enumerate(kinds):
                these = shown & (kind == number)
                drawing[these] = as_drawing(data.drawings[name][rows[these]].float() / 255, name)
            drawing = drawing.to(self.device)
        return rows, captions, drawing

    def _caption(self, row: int) -> str:
        chance = float(torch.rand((), generator=self.rng))
        if chance < self.config.no_caption:
            return ""
        caption = self.data.describe(row, self.rng)
        whole = chance >= self.config.no_caption + (1 - self.config.no_caption) * self.config.part_caption
        return caption if whole else part_of(caption, self.rng)

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device))

    def _schedule(self) -> None:
        start = self.config.decay_from
        fall = min(max((self.done - start) / (1 - start), 0.0), 1.0)
        rise = min((self.steps_here + 1) / self.config.warm_steps, 1.0)
        self.optimiser.param_groups[0]["lr"] = self.config.learning_rate * rise * (1 - 0.95 * fall)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average: over few steps at first, so that it forgets the beginning."""
        decay = min((1 + self.step_number) / (10 + self.step_number), 1 - 1 / self.config.memory)
        torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)

    def _blank(self, count: int) -> Tensor | None:
        """Return what a network is shown where there is no drawing; None where the data have none at all."""
        shape = (count, DRAWING_PLANES, self.config.resolution, self.config.resolution)
        return torch.zeros(shape, device=self.device) if self.data.drawings else None

    def denoiser(self, captions: Sequence[str], drawing: Tensor | None, guidance: float) -> Denoiser:
        """Return the averaged network with captions, drawings and guidance put in."""
        prompt, none = self.average.read(captions), self.average.read([""] * len(captions))

        def denoise(x: Tensor, level: int) -> Tensor:
            told = self.average(x, level, prompt, drawing)
            if guidance == 1:
                return told
            blank = None if drawing is None else torch.zeros_like(drawing)
            return torch.lerp(self.average(x, level, none, blank), told, guidance)

        return denoise

    @torch.no_grad()
    def paint(
        self, captions: Sequence[str], drawing: Tensor | None = None, *, guidance: float = 1.0, seed: int = 0
    ) -> Tensor:
        """Draw one picture a caption ("" for none), (batch, 3, height, width) in [0, 1] on the CPU."""
        stepper = Stepper(self.schedule, Levels.spread(self.config.levels, SHEET_STEPS), "v")
        shape = (len(captions), 3, self.config.resolution, self.config.resolution)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
        shown = self._blank(len(captions)) if drawing is None else drawing.to(self.device)
        x = sample(self.denoiser(captions, shown, guidance), noise, stepper)
        return ((x.cpu() + 1) / 2).clamp(0, 1)

    def sheet(self) -> Image.Image:
        """Draw a row without words, a row of captions, and for each kind of drawing the drawings and what they gave."""
        columns, rng = 8, torch.Generator().manual_seed(1)
        captions = [self.data.describe(row % len(self.data), rng) for row in range(columns)]
        rows = [self.paint([""] * columns), self.paint(captions, guidance=SHEET_GUIDANCE)]
        for name, drawn in self.data.drawings.items():
            pictures = drawn[:columns].float() / 255
            shown = as_drawing(pictures, name)
            rows += [pictures, self.paint([""] * len(pictures), shown, guidance=SHEET_GUIDANCE)]
        return tile(torch.cat(rows), columns)

    def measures(self) -> dict[str, float]:
        """Measure how well captions of new birds are obeyed, where that is due."""
        due = self.step_number % self.config.measure_steps == 0 or self.done >= 1
        return obedience(self) if due and self.config.data == AVIARY else {}


def _unit(levels: Tensor) -> Tensor:
    """Return uint8 pictures in [-1, 1]."""
    return levels.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def obedience(trainer: Trainer, count: int = 48) -> dict[str, float]:
    """Measure by the critic how well captions of new birds are obeyed; see `steer.generators.aviary.obedience`.

    For watching only: what is reported comes from the judge.
    """
    from steer.generators.aviary.factors import sample_factors
    from steer.generators.aviary.obedience import captions_obeyed, captions_of
    from steer.generators.shipped_models import aviary_critic

    birds = sample_factors(seeds=range(10_000, 10_000 + count))
    pictures = trainer.paint(captions_of(birds), guidance=SHEET_GUIDANCE)
    return {f"obeyed_{name}": share for name, share in captions_obeyed(pictures, birds, aviary_critic()).items()}


def prepare(config: DDIMTraining, progress: Progress | None = None) -> Trainer:
    """Draw or read the data, and return a fresh run.

    Raises:
        BadInput: the data or the options cannot be used.
    """
    data = captioned(
        config.data,
        config.resolution,
        pictures=config.pictures,
        data_seed=config.data_seed,
        drawn=config.drawn,
        progress=progress,
    )
    return Trainer(config, data)


def train_ddim(config: DDIMTraining, out: Path, progress: Progress | None = None) -> Path:
    """Train a diffusion model and export it.

    Writes ``checkpoint.safetensors``, ``metrics.jsonl`` and ``sheet-*.png`` into ``out`` as it goes, and the model
    into ``out/model``. Where ``out`` holds a checkpoint, goes on from it; more minutes than before make it go on
    after its end.

    Args:
        config: what the run is made of.
        out: an empty folder, or one of an interrupted run; made where it is missing.
        progress: called with pictures of the aviary that are drawn and how many there will be, then the same of steps
            in which words are learnt, then with thousandths of the run that are done and 1000; it may raise to stop.

    Returns:
        The model's folder.

    Raises:
        BadInput: the data, the options or the checkpoint cannot be used.
    """
    torch.set_num_threads(config.threads)
    trainer = prepare(config, progress)
    if not (out / CHECKPOINT).is_file():
        trainer.learn_words(progress)
    keep_running(trainer, out, progress)
    return export(trainer, out / "model")


CARD = """# {name}

A diffusion model of {resolution}×{resolution} pictures: a U-Net with {parameters:.1f} million parameters that predicts
v on the cosine schedule with {levels} noise levels, told words by a text encoder of its own.

- Words it knows: {words}.
- Drawings it follows: {drawings}.
- Trained by `{command}` from scratch: {steps:,} steps in
  {minutes:.0f} minutes on {device}. No picture from anywhere else was used.
- {no_caption:.0%} of the pictures came without a caption and {no_drawing:.0%} without a drawing, so that it also draws
  unasked, and guidance can tell both apart; {part_caption:.0%} of the captions were cut short.
- {schooling}
- {corrected}
- In {blindfold:.0%} of the pictures the decoder was shown only fine detail by the encoder, and was told the rest by the
  bottleneck, so that knobs in there have something to turn.
- `weights.safetensors`: the running average of the network, float16.
- Limits: it knows this one world. Its pictures are not photographs and say nothing about real birds.
"""

SCHOOLED = (
    "What captions mean was learnt first, from captions alone ({steps:,} steps of 64): to tell species, colours, "
    "heading and so on; and rehearsed in every step after."
)
UNSCHOOLED = "What captions mean was learnt with the pictures."

CORRECTED = (
    "After {own_from:.0%} of the run {own_share:.0%} of what it learnt from were states that its own steps had led "
    "through, each with the true picture next to where they ended: the bird there as the critic reads it, drawn by the "
    "renderer."
)
UNCORRECTED = "It learnt from pictures with noise alone, not from where its own steps lead."


def export(trainer: Trainer, folder: Path) -> Path:
    """Write the averaged network as a model that `steer.load_generator` reads.

    Args:
        trainer: a run, finished or not.
        folder: where to; made where it is missing, files in it replaced one by one.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config, shape = trainer.config, trainer.shape
    aviary = config.data == AVIARY
    write_model(
        folder,
        trainer.average,
        DDIMConfig(
            schedule={
                "num_train_timesteps": config.levels,
                "beta_schedule": "squaredcos_cap_v2",
                "prediction_type": "v_prediction",
                "timestep_spacing": "trailing",
                "clip_sample": False,
            },
            measurer="aviary-judge" if aviary else "picture",
            **({} if trainer.own_ways is None else SURE),
        ),
    )
    card = CARD.format(
        name="aviary-ddim" if aviary else folder.name,
        resolution=shape.resolution,
        parameters=sum(each.numel() for each in trainer.average.parameters()) / 1e6,
        levels=config.levels,
        words=", ".join(shape.vocabulary),
        drawings=" and ".join(trainer.data.drawings) or "none",
        command=command_of("ddim", config),
        steps=trainer.step_number,
        minutes=trainer.seconds / 60,
        device=f"{config.threads} CPU threads" if trainer.device.type == "cpu" else "one GPU",
        no_caption=config.no_caption,
        no_drawing=config.no_drawing,
        part_caption=config.part_caption,
        blindfold=config.blindfold,
        corrected=CORRECTED.format(own_from=config.own_from, own_share=config.own_share)
        if trainer.own_ways is not None
        else UNCORRECTED,
        schooling=SCHOOLED.format(steps=config.word_steps) if trainer.schooled else UNSCHOOLED,
    )
    write_text(folder / "README.md", card)
    return folder

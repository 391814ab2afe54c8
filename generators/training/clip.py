"""Train a small scorer of words against pictures of birds, by contrast: Radford et al. (2021), arXiv 2103.00020."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from steer.errors import BadInput
from steer.files import write_text
from steer.generators.bird_scorer import SIZE, BirdScorer, ScorerConfig
from steer.generators.channels_last import channels_last
from steer.generators.diffusion.words import pad
from steer.generators.training.captioned import Captioned, captioned, part_of
from steer.generators.training.run import AVIARY, Progress, command_of, keep_running, share_done, tile

COLDEST = 4.6
"""The largest log of the inverse temperature, about that of a factor of 100, as in the paper."""

FRESH_SEED, RIVALS = 7, 64
"""Which birds no training draws, and how many captions the right one is picked out of."""

EXAMPLES = (
    "a robin", "a wren", "a cardinal", "a parrot", "a heron", "a duck", "an owl", "a toucan",
    "a red robin", "a green robin", "a blue robin", "facing left", "facing right", "facing the viewer", "facing away",
    "a pale background", "a dark background", "a red background", "a green background", "a blue background",
)  # fmt: skip
"""What the scorer offers as attributes where no other words are given."""


@dataclass(frozen=True)
class CLIPTraining:
    """What a training run is made of.

    Attributes:
        pictures: how many birds to train on.
        data_seed: which ones; by default those of the other trainings, so that they are drawn once.
        channels: of the feature maps at 32, 16, 8 and 4 pixels.
        batch: pictures a step, each a rival of all others.
        minutes: how long to train; the schedules follow the clock. None: until ``steps``.
        steps: how many steps to train, where ``minutes`` is None.
        part_caption: share of the captions of which only a part is told, as people ask.
        seed: seeds everything.
        threads: CPU threads.
        learning_rate: before its decay along a cosine.
        warm_steps: steps in which it rises.
        fresh: fresh birds to score on.
        checkpoint_minutes: minutes between checkpoints.
        sheet_steps: steps between notes and sheets.
    """

    pictures: int = 24_000
    data_seed: int = 0
    channels: tuple[int, ...] = (32, 64, 128, 192)
    batch: int = 128
    minutes: float | None = 20.0
    steps: int = 4_000
    part_caption: float = 0.3
    seed: int = 0
    threads: int = 2
    learning_rate: float = 1e-3
    warm_steps: int = 100
    fresh: int = 1_024
    checkpoint_minutes: float = 5.0
    sheet_steps: int = 250


class Trainer:
    """Everything that changes during a run.

    Args:
        config: what the run is made of.
        data: what to learn from.
        fresh: what to score on, not in ``data``; a multiple of 64 pictures counts.
    """

    replaceable = frozenset[str]()

    def __init__(self, config: CLIPTraining, data: Captioned, fresh: Captioned) -> None:
        if not 2 <= config.batch <= len(data):
            raise BadInput(f"a batch is 2 to {len(data)}, the number of pictures, not {config.batch}")
        torch.manual_seed(config.seed)
        self.config, self.data, self.fresh = config, data, fresh
        self.rng = torch.Generator().manual_seed(config.seed)
        self.scorer = channels_last(BirdScorer(ScorerConfig(data.vocabulary.words, config.channels)))
        self.optimiser = torch.optim.AdamW(
            self.scorer.parameters(), config.learning_rate, (0.9, 0.98), weight_decay=0.05, fused=True
        )
        self.step_number, self.seconds, self.steps_here = 0, 0.0, 0

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {"scorer": self.scorer}

    @property
    def done(self) -> float:
        """The share of the run that is over, by the clock or by steps."""
        return share_done(self.seconds, self.config.minutes, self.step_number, self.config.steps)

    def step(self) -> dict[str, float]:
        """Make one step, and return the loss and the share of the captions that were told from all others."""
        rise = min((self.steps_here + 1) / self.config.warm_steps, 1.0)
        fall = 0.02 + 0.49 * (1 + float(torch.cos(torch.pi * torch.tensor(min(self.done, 1.0)))))
        self.optimiser.param_groups[0]["lr"] = self.config.learning_rate * rise * fall
        rows = torch.randperm(len(self.data), generator=self.rng)[: self.config.batch]
        logits = self._logits(self.data, rows, self.config.part_caption) * self.scorer.scale.clamp(max=COLDEST).exp()
        own = torch.arange(len(rows))
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.scorer.parameters(), 1.0)
        self.optimiser.step()
        self.step_number, self.steps_here = self.step_number + 1, self.steps_here + 1
        return {"loss": float(loss.detach()), "told_apart": float((logits.argmax(1) == own).float().mean())}

    def _logits(self, data: Captioned, rows: Tensor, part_caption: float = 0.0) -> Tensor:
        """Return the cosines of some pictures, down, and their captions or parts of these, across."""
        images = data.images[rows].float() / 255
        captions = [data.describe(row, self.rng) for row in rows.tolist()]
        cut = torch.rand(len(captions), generator=self.rng) < part_caption
        captions = [part_of(each, self.rng) if short else each for each, short in zip(captions, cut, strict=True)]
        tokens = pad([self.scorer.vocabulary.tokens(caption) for caption in captions])
        return self.scorer.see(images) @ self.scorer.read_tokens(tokens).T

    @torch.no_grad()
    def measures(self) -> dict[str, float]:
        """Measure on fresh pictures how often the caption is picked out of 64, and how cosines spread."""
        self.scorer.eval()
        right, others = [], []
        for rows in torch.arange(len(self.fresh)).split(RIVALS):
            cosines = self._logits(self.fresh, rows)
            right.append((cosines.argmax(1) == torch.arange(len(rows))).float())
            others.append(cosines.std(0))
        self.scorer.train()
        return {"retrieval": float(torch.cat(right).mean()), "spread": float(torch.cat(others).mean())}

    @torch.no_grad()
    def sheet(self) -> Image.Image:
        """Draw for each of some phrases, row by row, the fresh pictures that match it best."""
        images = self.fresh.images[:256].float() / 255
        rng = torch.Generator().manual_seed(1)
        captions = [self.fresh.describe(row, rng) for row in range(4)]
        cosines = self.scorer.see(images) @ self.scorer.read(captions).T
        best = cosines.topk(min(8, len(images)), 0).indices.T.flatten()
        return tile(images[best], min(8, len(images)))


def train_clip(config: CLIPTraining, out: Path, progress: Progress | None = None) -> Path:
    """Train a scorer and export it.

    Writes ``checkpoint.safetensors``, ``metrics.jsonl`` and ``sheet-*.png`` into ``out`` as it goes, and the scorer
    into ``out/model``. Where ``out`` holds a checkpoint, goes on from it.

    Args:
        config: what the run is made of.
        out: an empty folder, or one of an interrupted run; made where it is missing.
        progress: called with pictures that are drawn and how many there will be, then with thousandths of the run
            that are done and 1000; it may raise to stop.

    Returns:
        The scorer's folder.

    Raises:
        BadInput: the options or the checkpoint cannot be used.
    """
    torch.set_num_threads(config.threads)
    data = captioned(AVIARY, SIZE, pictures=config.pictures, data_seed=config.data_seed, progress=progress)
    fresh = captioned(AVIARY, SIZE, pictures=config.fresh, data_seed=FRESH_SEED, progress=progress)
    trainer = Trainer(config, data, fresh)
    keep_running(trainer, out, progress)
    return export(trainer, out / "model")


CARD = """# aviary-clip

Says how well words match a picture of a bird, as the cosine between two vectors: one from a small convolutional
network, one from a small transformer over words; {parameters:.1f} million parameters, float16.

- Words it knows: {words}.
- Trained by `{command}` from scratch: {steps:,} steps of {batch} pictures, each with a caption or, in
  {part_caption:.0%}, a part of one that was to be told from all others, in {minutes:.0f} minutes on {threads} CPU
  threads. Pictures and captions come from this project's own renderer and grammar.
- On {fresh:,} fresh birds that no training draws: the right caption is picked out of {rivals} in
  {retrieval:.1%} of the cases; the cosines of one phrase with many pictures spread by {spread:.2f}.
- Limits: it knows rendered birds and these words, and says something about every picture all the same.
- Licence: Apache-2.0, like the project.
"""


def export(trainer: Trainer, folder: Path) -> Path:
    """Write the scorer and its card into a folder; made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    config, scorer, measured = trainer.config, trainer.scorer, trainer.measures()
    scorer.spread = measured["spread"]
    scorer.examples = EXAMPLES
    scorer.save(folder)
    card = CARD.format(
        parameters=sum(each.numel() for each in scorer.parameters()) / 1e6,
        command=command_of("clip", config),
        words=", ".join(scorer.config.vocabulary),
        steps=trainer.step_number,
        batch=config.batch,
        minutes=trainer.seconds / 60,
        part_caption=config.part_caption,
        threads=config.threads,
        fresh=len(trainer.fresh),
        rivals=RIVALS,
        **measured,
    )
    write_text(folder / "README.md", card)
    return folder

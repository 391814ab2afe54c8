"""A small contrastive scorer of birds: how well words match a picture.

After Radford et al. (2021), arXiv 2103.00020.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.errors import BadInput, BrokenFile
from steer.files import read_weights, write_tensors, write_text
from steer.generators.diffusion.words import TextEncoder, Vocabulary, pad

SCHEMA = 1
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
SIZE = 64


@dataclass(frozen=True)
class ScorerConfig:
    """The shape of a bird scorer, as JSON.

    Attributes:
        vocabulary: the words it knows.
        channels: of the feature maps at 32, 16, 8 and 4 pixels.
        width: of the text encoder.
        embedding: of the vectors on the sphere.
    """

    vocabulary: tuple[str, ...]
    channels: tuple[int, ...] = (32, 64, 128, 192)
    width: int = 128
    embedding: int = 64


class _Stage(nn.Module):
    """Halve a map, then refine it by a residual block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.first = nn.Conv2d(outputs, outputs // 2, 3, 1, 1)
        self.second = nn.Conv2d(outputs // 2, outputs, 3, 1, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, each) for each in (outputs, outputs // 2))

    def forward(self, h: Tensor) -> Tensor:
        h = F.silu(self.norms[0](self.down(h)))
        return h + self.second(F.silu(self.norms[1](self.first(h))))


class BirdScorer(nn.Module):
    """A small image encoder and a small text encoder with one sphere between them.

    Attributes:
        name: what it is called.
        spread: see `steer.generators.text_score.Scorer`.
        examples: see `steer.generators.text_score.Scorer`.
    """

    def __init__(self, config: ScorerConfig, *, name: str = "aviary-clip") -> None:
        super().__init__()
        self.config, self.name = config, name
        self.spread = 0.1
        self.examples: Sequence[str] = ()
        self.vocabulary = Vocabulary(config.vocabulary)
        widths = (3, *config.channels)
        self.stages = nn.Sequential(*map(_Stage, widths[:-1], widths[1:]))
        side = SIZE // 2 ** len(config.channels)
        self.squeeze = nn.Conv2d(config.channels[-1], 48, 1)
        self.place = nn.Linear(48 * side * side, config.embedding)
        self.text = TextEncoder(self.vocabulary.size, config.width, slots=4)
        self.place_text = nn.Linear(4 * config.width, config.embedding)
        self.scale = nn.Parameter(torch.tensor(2.0))  # log of the inverse temperature

    def see(self, images: Tensor) -> Tensor:
        """Return unit vectors (batch, embedding) of pictures (batch, 3, height, width) in [0, 1]; differentiable."""
        if images.shape[-2:] != (SIZE, SIZE):
            images = F.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True)
        h = self.stages((4 * images - 2).contiguous(memory_format=torch.channels_last))
        return F.normalize(self.place(F.silu(self.squeeze(h)).flatten(1)), dim=1)

    def read(self, phrases: Sequence[str]) -> Tensor:
        """Return unit vectors (phrases, embedding).

        Warns:
            UnknownWords: some words are unknown and were passed over.

        Raises:
            BadInput: no word of a phrase is known.
        """
        for phrase in phrases:
            self.vocabulary.check(phrase)
        return self.read_tokens(pad([self.vocabulary.tokens(phrase) for phrase in phrases]))

    def read_tokens(self, tokens: Tensor) -> Tensor:
        """Return unit vectors (phrases, embedding) from padded tokens (phrases, length)."""
        return F.normalize(self.place_text(self.text(tokens).flatten(1)), dim=1)

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and ``weights.safetensors`` (float16) into a folder that is there."""
        stored = {
            "schema": SCHEMA,
            "name": self.name,
            "spread": self.spread,
            "examples": list(self.examples),
            "network": asdict(self.config),
        }
        write_tensors(folder / WEIGHTS, {name: each.half() for name, each in self.state_dict().items()}, {})
        write_text(folder / CONFIG, json.dumps(stored, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "BirdScorer":
        """Read what `save` wrote, frozen.

        Raises:
            BadInput: a file is missing.
            BrokenFile: the files are corrupted, of a newer schema, or do not fit each other.
        """
        path = folder / CONFIG
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["schema"] > SCHEMA:
                raise BrokenFile(f"'{path}' has a newer schema than {SCHEMA}; update latent-steer to read it")
            shape: dict[str, Any] = {
                name: tuple(v) if isinstance(v, list) else v for name, v in stored["network"].items()
            }
            scorer = cls(ScorerConfig(**shape), name=str(stored["name"]))
            scorer.load_state_dict(read_weights(folder / WEIGHTS))
            scorer.spread, scorer.examples = float(stored["spread"]), tuple(stored["examples"])
        except FileNotFoundError as error:
            raise BadInput(f"there is no scorer in '{folder}'; make one: steer train clip --out '{folder}'") from error
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise BrokenFile(f"'{folder}' holds no scorer that fits ({error}); fetch or make it again") from error
        return scorer.eval().requires_grad_(False)

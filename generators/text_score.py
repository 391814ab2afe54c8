"""How well words match a picture: a small contrastive scorer of birds, and the same interface for large ones.

After Radford et al. (2021), arXiv 2103.00020.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.attribute import Attribute
from steer.errors import BadInput, BrokenFile, MissingPart
from steer.files import read_tensors, write_tensors, write_text
from steer.generators.diffusion.words import TextEncoder, Vocabulary, pad

SCHEMA = 1
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
SIZE = 64


@runtime_checkable
class Scorer(Protocol):
    """Places pictures and phrases on one sphere, those that belong together close to each other.

    Attributes:
        name: what it is called.
        spread: standard deviation of the cosine over pictures for one phrase, where it is known; else 0.1.
        examples: phrases that it can say something about.
    """

    name: str
    spread: float
    examples: Sequence[str]

    def see(self, images: Tensor) -> Tensor:
        """Return unit vectors (batch, width) of pictures (batch, 3, height, width) in [0, 1]."""
        ...

    def read(self, phrases: Sequence[str]) -> Tensor:
        """Return unit vectors (phrases, width)."""
        ...


def match(scorer: Scorer, images: Tensor, phrases: Sequence[str]) -> Tensor:
    """Return the cosine between each picture and each phrase, (batch, phrases) in [-1, 1]."""
    return scorer.see(images) @ scorer.read(phrases).T


class TextMeasurer:
    """A scorer as a set of attributes: for each phrase, how well it matches a picture.

    Args:
        scorer: what places pictures and phrases.
        phrases: the phrases; by default the scorer's own examples.

    Raises:
        BadInput: no word of a phrase is known to the scorer.
    """

    reference = None

    def __init__(self, scorer: Scorer, phrases: Sequence[str] | None = None) -> None:
        self.name, self.scorer = scorer.name, scorer
        self.phrases = tuple(phrases if phrases is not None else scorer.examples)
        self._words = scorer.read(self.phrases)
        self.attributes: Mapping[str, Attribute] = {
            phrase: Attribute(phrase, "linear", -1, 1, "cosine", scorer.spread, summary=f"how well '{phrase}' matches")
            for phrase in self.phrases
        }

    def about(self, *phrases: str) -> "TextMeasurer":
        """Return a measurer of other phrases."""
        return TextMeasurer(self.scorer, phrases)

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Return for each phrase the cosine with pictures (batch, 3, height, width) in [0, 1], (batch,) in [-1, 1]."""
        cosines = self.scorer.see(images) @ self._words.T
        return dict(zip(self.phrases, cosines.unbind(1), strict=True))

    def in_domain(self, images: Tensor) -> Tensor:
        """Return ones, (batch,): whether it knows a picture it cannot say."""
        return images.new_ones(len(images))


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
        spread: see `Scorer`.
        examples: see `Scorer`.
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
            tensors, _ = read_tensors(folder / WEIGHTS)
            scorer.load_state_dict({name: each.float() for name, each in tensors.items()})
            scorer.spread, scorer.examples = float(stored["spread"]), tuple(stored["examples"])
        except FileNotFoundError as error:
            raise BadInput(f"there is no scorer in '{folder}'; make one: steer train clip --out '{folder}'") from error
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise BrokenFile(f"'{folder}' holds no scorer that fits ({error}); fetch or make it again") from error
        return scorer.eval().requires_grad_(False)


@dataclass(eq=False)
class _Large:
    """A large scorer of any picture, wrapped: how its package turns pictures and phrases into vectors."""

    name: str
    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    embed_pictures: Any
    embed_phrases: Any
    spread: float = 0.1
    examples: Sequence[str] = ("a photo of a bird", "a drawing", "a dark picture", "a bright picture")

    def see(self, images: Tensor) -> Tensor:
        images = F.interpolate(images, (self.size, self.size), mode="bicubic", antialias=True).clamp(0, 1)
        mean, deviation = (images.new_tensor(each).view(3, 1, 1) for each in (self.mean, self.deviation))
        return F.normalize(self.embed_pictures((images - mean) / deviation), dim=-1)

    def read(self, phrases: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return F.normalize(self.embed_phrases(list(phrases)), dim=-1)


def transformers_scorer(name_or_folder: str = "openai/clip-vit-base-patch32") -> Scorer:
    """Load a CLIP model of the package ``transformers``.

    Raises:
        MissingPart: the package is not installed.
        BadInput: there is no such model, or it cannot be fetched.
    """
    try:
        from transformers import (
            CLIPImageProcessor,
            CLIPTextModelWithProjection,
            CLIPTokenizerFast,
            CLIPVisionModelWithProjection,
        )
    except ImportError as error:
        raise MissingPart("a CLIP model of transformers", "text") from error
    try:
        eye = CLIPVisionModelWithProjection.from_pretrained(name_or_folder).eval().requires_grad_(False)
        reader = CLIPTextModelWithProjection.from_pretrained(name_or_folder).eval().requires_grad_(False)
        pictures = CLIPImageProcessor.from_pretrained(name_or_folder)
        tokenizer = CLIPTokenizerFast.from_pretrained(name_or_folder)
    except (OSError, ValueError) as error:
        raise BadInput(f"'{name_or_folder}' cannot be loaded ({error}); give a folder that holds the model") from error

    def embed_phrases(phrases: list[str]) -> Tensor:
        tokens = tokenizer(phrases, padding=True, truncation=True, return_tensors="pt")
        values: Tensor = reader(**tokens).text_embeds
        return values

    return _Large(
        name=name_or_folder,
        size=eye.config.image_size,
        mean=tuple(pictures.image_mean),
        deviation=tuple(pictures.image_std),
        embed_pictures=lambda images: eye(pixel_values=images).image_embeds,
        embed_phrases=embed_phrases,
    )


def open_clip_scorer(architecture: str = "ViT-B-32", weights: str = "laion2b_s34b_b79k") -> Scorer:
    """Load a CLIP model of the package ``open_clip``.

    Args:
        architecture: its name there.
        weights: the name of its weights there, or a file.

    Raises:
        MissingPart: the package is not installed.
        BadInput: there is no such model, or it cannot be fetched.
    """
    try:
        import open_clip
    except ImportError as error:
        raise MissingPart("a CLIP model of open_clip", "text") from error
    try:
        model, _, _ = open_clip.create_model_and_transforms(architecture, pretrained=weights)
        tokenizer = open_clip.get_tokenizer(architecture)
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(
            f"'{architecture}' with '{weights}' cannot be loaded ({error}); give a file of weights"
        ) from error
    model = model.eval().requires_grad_(False)
    size = model.visual.image_size
    return _Large(
        name=f"{architecture}/{weights}",
        size=size if isinstance(size, int) else size[0],
        mean=tuple(model.visual.image_mean),
        deviation=tuple(model.visual.image_std),
        embed_pictures=model.encode_image,
        embed_phrases=lambda phrases: model.encode_text(tokenizer(phrases)),
    )

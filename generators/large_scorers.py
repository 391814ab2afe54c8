"""Published models that say how well words match any picture, wrapped as scorers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.errors import BadInput, MissingPart
from steer.generators.text_score import Scorer


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

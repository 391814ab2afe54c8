"""The models that come with the toolkit, each a folder under ``shipped``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from steer.attribute import Attribute
from steer.generators import biggan, ddim
from steer.generators.aviary.captions import caption, caption_choices, meaning
from steer.generators.aviary.factors import FACTORS
from steer.generators.aviary.measurer import Measurer as MeasurerNetwork
from steer.generators.bird_scorer import BirdScorer
from steer.generators.text_score import TextMeasurer

SHIPPED = Path(__file__).parent / "shipped"


def aviary_biggan(folder: Path | None) -> biggan.BigGAN:
    """Draw birds with the BigGAN that was trained on rendered ones."""
    return biggan.load(folder or SHIPPED / "aviary-biggan")


def aviary_ddim(folder: Path | None) -> ddim.DDIM:
    """Draw birds with the diffusion model that was trained on rendered ones, their captions, sketches and layouts."""
    return ddim.load(folder or SHIPPED / "aviary-ddim")


class AviaryMeasurer:
    """A measurer network as a set of attributes.

    Attributes:
        name: the name it is registered under.
        network: the network, frozen.
        captions: words for all that its pictures may show, as choices.
    """

    reference = "aviary"

    def __init__(self, name: str) -> None:
        self.name = name
        self.network = MeasurerNetwork.load(SHIPPED / name)
        self.captions = caption_choices()
        self.attributes: Mapping[str, Attribute] = {
            factor.name: Attribute(
                name=factor.name,
                kind=factor.kind,
                low=factor.low,
                high=factor.high,
                unit=factor.unit,
                spread=factor.spread,
                classes=factor.classes,
                summary=factor.description,
            )
            for factor in FACTORS.values()
        }

    def meaning(self, words: Sequence[str]) -> dict[str, Tensor]:
        """Return what captions ask for, (captions,) per factor; see `steer.generators.aviary.captions.meaning`."""
        asked = [meaning(each) for each in words]
        return {name: torch.tensor([each[name] for each in asked]) for name in (asked[0] if asked else ())}

    def describe(self, images: Tensor) -> list[str]:
        """Return a caption of each picture (batch, 3, height, width) in [0, 1], the same words for the same picture."""
        seen = self.measure(images)
        birds = [{name: values[row] for name, values in seen.items()} for row in range(len(images))]
        return [caption(bird, torch.Generator().manual_seed(0)) for bird in birds]

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Measure pictures (batch, 3, height, width) in [0, 1]; (batch,) per attribute, in its unit."""
        return self.network.measure(images)

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps at 32, 16, 8 and 4 pixels of pictures (batch, 3, height, width) in [0, 1]."""
        return self.network.features(images)

    def read_features(self, features: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], Tensor]:
        """Return what `measure` and `in_domain` say of the pictures that have these features."""
        return self.network.read_features(features)

    def in_domain(self, images: Tensor) -> Tensor:
        """Return how far each picture is a bird as the renderer draws them, (batch,) in [0, 1]."""
        return self.network.in_domain(images)

    def mask(self, images: Tensor) -> Tensor:
        """Return where the bird is, (batch, 1, height, width) in [0, 1]."""
        return self.network.mask(images)


def aviary_judge() -> AviaryMeasurer:
    """Load the measurer that every reported number comes from; no loss ever sees it."""
    return AviaryMeasurer("aviary-judge")


def aviary_critic() -> AviaryMeasurer:
    """Load the measurer that labels samples for finders and lends its features to trainings."""
    return AviaryMeasurer("aviary-critic")


def aviary_clip() -> TextMeasurer:
    """Load what says how well words match a picture of a bird; ``.about("a red owl")`` asks about other words."""
    return TextMeasurer(BirdScorer.load(SHIPPED / "aviary-clip"))

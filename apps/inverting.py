"""From a picture that somebody brings to a setting whose knobs can be turned."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from steer.apps.setting import MOST_BIRDS, Dice, Model, Setting, consecutive
from steer.attribute import Worded
from steer.errors import BadInput
from steer.generator import Generator
from steer.inversion import Inversion, Invertible
from steer.prepare import Prepared, prepare
from steer.progress import Progress
from steer.registry import load_measurer

FAMILIAR = 0.25
"""The in-domain score below which a picture is outside what a generator knows."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """A picture that was inverted, with the model that it was inverted by.

    Attributes:
        model: the model.
        inversion: its latent, and the report.
    """

    model: Model
    inversion: Inversion

    @cached_property
    def setting(self) -> Setting:
        """The setting that shows the picture with nothing turned."""
        latent, label = self.inversion.latent, self.model.label
        asked = {name: entry for name, (entry,) in latent.condition.items()}
        dice = Dice(
            self.model,
            seeds=consecutive(0, MOST_BIRDS),
            label=asked.pop(label.name, None) if label else None,
            asked=asked,
            truncation=latent.truncation,
            held=latent,
        )
        return Setting(dice, dict(self.model.knobs))

    @cached_property
    def alone(self) -> Tensor:
        """The picture that the latent alone leads to, without the anchor, (1, 3, height, width) in [0, 1]."""
        return self.model.decode(self.inversion.latent.without_anchor()).cpu()


def can_invert(model: Model) -> bool:
    """Whether a model can go from a picture back to a latent."""
    return isinstance(model.generator.backend, Invertible)


def crop(model: Model, path: str | Path) -> Prepared:
    """Return a picture as a model would take it: upright, cropped about its middle, at the model's own size.

    Raises:
        BadInput: the model cannot invert, or the file is no picture.
    """
    if not can_invert(model):
        raise BadInput(
            f"'{model.generator.name}' cannot invert pictures; choose a generator that can, such as aviary-biggan"
        )
    return prepare(path, model.generator.backend.picture_size)


def familiarity(model: Model, picture: Tensor) -> float | None:
    """Return how far a picture (1, 3, height, width) is something that the model's measurer knows, in [0, 1].

    None where there is no measurer that could say.
    """
    measurer = model.measurer
    return float(measurer.in_domain(picture)[0]) if measurer is not None and measurer.reference else None


def described(generator: Generator, picture: Tensor) -> dict[str, str]:
    """Return words for what a picture (1, 3, height, width) shows, under the name of the condition that takes them.

    Empty where the generator takes no words, or its measurer knows none, or no such picture.
    """
    if generator.words is None:
        return {}
    measurer = load_measurer(generator.backend.measurer)
    if not isinstance(measurer, Worded) or float(measurer.in_domain(picture)[0]) < FAMILIAR:
        return {}
    return {generator.words: measurer.describe(picture)[0]}


def invert(model: Model, picture: Prepared, condition: dict[str, str], progress: Progress | None = None) -> Inverted:
    """Find the latent behind a picture.

    Args:
        model: what is to draw it.
        picture: as `crop` returned it.
        condition: what is in it, by the conditions of the model; what is left out is found too.
        progress: called as the work goes on.

    Raises:
        SteerError: see `steer.generator.Generator.invert`.
    """
    return Inverted(model, model.generator.invert(picture.picture, condition=condition, progress=progress))

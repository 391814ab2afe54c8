"""Attributes: numbers read off a picture, with kind, range and unit."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from steer.errors import BadInput
from steer.shapes import Amounts, Pictures

AttributeKind = Literal["linear", "circular", "categorical"]


@dataclass(frozen=True)
class Attribute:
    """What one number read off a picture means.

    Attributes:
        name: its name, such as "heading".
        kind: "linear", "circular" (degrees, 360 wraps to 0) or "categorical" (an index into ``classes``).
        low: lower end of its range, in ``unit``.
        high: upper end of its range, in ``unit``.
        unit: "degree", "fraction", "class", ...
        spread: one standard deviation of it in the data, in ``unit``; what leakage and reach are measured in.
        classes: the class names of a categorical attribute.
        summary: one line for a person.
    """

    name: str
    kind: AttributeKind
    low: float
    high: float
    unit: str
    spread: float
    classes: tuple[str, ...] = ()
    summary: str = ""

    def difference(self, value: Tensor, reference: Tensor) -> Tensor:
        """Return ``value - reference``; the short way round for circles, 0 or 1 for classes.

        >>> hue = Attribute("hue", "circular", 0, 360, "degree", 104)
        >>> hue.difference(torch.tensor([10.0]), torch.tensor([350.0]))
        tensor([20.])
        """
        if self.kind == "categorical":
            return (value != reference).float()
        difference = value - reference
        return torch.remainder(difference + 180, 360) - 180 if self.kind == "circular" else difference


UNIFORM_CIRCLE_SPREAD = 360 / math.sqrt(12)
"""Spread of a uniform angle in degrees (103.9)."""


@runtime_checkable
class Measurer(Protocol):
    """A set of attributes read off pictures in one go.

    Attributes:
        name: the name it is registered under.
        attributes: what it measures.
        reference: a registered generator whose own knobs are the truth for these attributes, where there is one.
    """

    name: str
    attributes: Mapping[str, Attribute]
    reference: str | None

    def measure(self, images: Pictures) -> dict[str, Tensor]:
        """Measure pictures (batch, 3, height, width) in [0, 1]; (batch,) per attribute, in its unit."""
        ...

    def in_domain(self, images: Pictures) -> Amounts:
        """Return how far each picture is something this measurer knows, (batch,) in [0, 1]."""
        ...


@runtime_checkable
class Perceptive(Measurer, Protocol):
    """A measurer that sees by features: looked at once, a picture can be read and compared with others."""

    def features(self, images: Pictures) -> tuple[Tensor, ...]:
        """Return feature maps of pictures (batch, 3, height, width) in [0, 1], (batch, channels, ...) each."""
        ...

    def read_features(self, features: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], Amounts]:
        """Return what `measure` and `in_domain` say of the pictures that have these features."""
        ...


@runtime_checkable
class Masking(Measurer, Protocol):
    """A measurer that also says where the thing is that a picture shows."""

    def mask(self, images: Pictures) -> Tensor:
        """Return how much of each pixel belongs to the thing, (batch, 1, height, width) in [0, 1]."""
        ...


@runtime_checkable
class Worded(Measurer, Protocol):
    """A measurer whose world is told in words.

    Attributes:
        captions: words for all that its pictures may show, as choices; see `steer.choices`.
    """

    captions: str

    def meaning(self, words: Sequence[str]) -> dict[str, Tensor]:
        """Return what words ask for, (phrases,) per attribute in its unit; not a number where they leave it open."""
        ...

    def describe(self, images: Pictures) -> list[str]:
        """Return words for what each picture (batch, 3, height, width) in [0, 1] shows."""
        ...


@dataclass(frozen=True)
class FunctionMeasurer:
    """A user's own functions of pictures as a measurer.

    Attributes:
        functions: by name, from pictures (batch, 3, height, width) in [0, 1] to (batch,) numbers.
        attributes: what each number means, by the same names.
        name: what it is called in reports.
    """

    functions: Mapping[str, Callable[[Tensor], Tensor]]
    attributes: Mapping[str, Attribute]
    name: str = "own functions"
    reference: None = None

    def __post_init__(self) -> None:
        if self.functions.keys() != self.attributes.keys():
            raise BadInput(f"functions {', '.join(self.functions)} and attributes {', '.join(self.attributes)} differ")

    def measure(self, images: Pictures) -> dict[str, Tensor]:
        """See `Measurer.measure`."""
        return {name: torch.as_tensor(function(images)) for name, function in self.functions.items()}

    def in_domain(self, images: Pictures) -> Amounts:
        """Return the share of the attributes whose number is finite and within its range, (batch,) in [0, 1]."""
        within = [
            (readings >= self.attributes[name].low) & (readings <= self.attributes[name].high)
            for name, readings in self.measure(images).items()
        ]
        return torch.stack(within).float().mean(0)

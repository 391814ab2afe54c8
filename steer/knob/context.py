"""The context of a knob with a network: what the network sees of a sample beside its values, such as its class."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from torch import Tensor

from steer.knob.protocol import Knob


class Contextual(Knob, Protocol):
    """A knob with a network that sees a context.

    Attributes:
        context: (batch, numbers); one typical row, until `given` puts in the samples' own.
        context_space: the input space that it is taken from; empty where there is none.
    """

    @property
    def context(self) -> Tensor: ...  # noqa: D102
    @property
    def context_space(self) -> str: ...  # noqa: D102


Kind = TypeVar("Kind", bound=Contextual)


def with_own_context(knob: Kind, values: Mapping[str, Tensor]) -> Kind:
    """Return a knob with the context of samples with these values, (batch, ...) by input space."""
    return replace(knob, context=values[knob.context_space].flatten(1)) if knob.context_space else knob


def context_of(knob: Contextual, values: Tensor) -> Tensor:
    """Return the context of every row of ``values`` (batch, *shape), (batch, numbers)."""
    return knob.context.to(values).expand(len(values), -1)

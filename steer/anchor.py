"""Anchors: what ties a latent to the pictures that it was inverted from."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from steer.sampler import Sampler


@dataclass(frozen=True)
class Source:
    """A picture that was inverted, and everything else that its inversion depends on.

    Attributes:
        png: the prepared picture, a PNG of 8-bit RGB.
        settings: the keywords of `Generator.invert` that find the same again, JSON-able.
    """

    png: bytes
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """A hash of picture and settings."""
        settings = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(self.png + settings.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Anchor:
    """What ties each row of a latent to the picture that it was inverted from.

    A generator that walks to its picture in many steps also stores its way: what stands after each stage, and where
    the plain stage, started from what stands before it, really lands. The engine copies what is stored until a turn
    touches the row, and from there on adds to it only the difference that the turns make. So an inverted picture
    stays bit for bit what it is where nothing is turned, and whatever error the inversion left does not show.

    Attributes:
        sources: what was inverted, one a row.
        sampler: the sampler whose stages are stored; None where none are.
        states: every tensor of the `State` that changes from stage to stage, by name, (batch, stages, ...).
        landings: where the plain stages land, by the same names and of the same shapes.
    """

    sources: tuple[Source, ...]
    sampler: Sampler | None = None
    states: Mapping[str, Tensor] = field(default_factory=dict)
    landings: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sources)

    def after(self, stage: int) -> dict[str, Tensor]:
        """Return what stands after a stage, by name, (batch, ...)."""
        return {name: states[:, stage] for name, states in self.states.items()}

    def corrected(self, landed: Mapping[str, Tensor], stage: int, touched: Bool[Tensor, "batch"]) -> dict[str, Tensor]:
        """Correct where a stage landed by what the plain stage misses there.

        A row that no turn has touched returns what is stored, bit for bit; any other what is stored plus the
        difference that the turns have made.

        Args:
            landed: tensors of the state in which the steered stage ended, (batch, ...); those not stored stay as
                they are.
            stage: its index.
            touched: (batch,) whether a turn has changed the row in this stage or before.

        Source: Ju et al. (2024), arXiv 2310.01506, in the order of sums that cancels exactly.
        """
        result = dict(landed)
        for name, stored in self.after(stage).items():
            moved = stored + (landed[name] - self.landings[name][:, stage])
            result[name] = torch.where(touched.to(stored.device).reshape(-1, *(1,) * (stored.dim() - 1)), moved, stored)
        return result

    def rows(self, index: Sequence[int]) -> "Anchor":
        """Return the named rows, in the order given, repeats allowed."""
        rows = list(index)
        return replace(self._mapped(lambda tensor: tensor[rows]), sources=tuple(self.sources[row] for row in rows))

    def to(self, device: torch.device | str) -> "Anchor":
        """Return the same anchor on another device."""
        return self._mapped(lambda tensor: tensor.to(device))

    def fits(self, other: "Anchor") -> bool:
        """Whether both store the same stages, so that they can be put together."""
        return (self.sampler, self.states.keys()) == (other.sampler, other.states.keys())

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "Anchor":
        return replace(
            self,
            states={name: change(states) for name, states in self.states.items()},
            landings={name: change(landings) for name, landings in self.landings.items()},
        )


def join(anchors: Sequence[Anchor]) -> Anchor:
    """Put anchors of the same stages one after the other."""
    first = anchors[0]
    return replace(
        first,
        sources=tuple(source for anchor in anchors for source in anchor.sources),
        states={name: torch.cat([anchor.states[name] for anchor in anchors]) for name in first.states},
        landings={name: torch.cat([anchor.landings[name] for anchor in anchors]) for name in first.landings},
    )

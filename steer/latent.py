"""Latents: the frozen values a generator turns into pictures."""

import hashlib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from steer.anchor import Anchor, join
from steer.door import expect
from steer.errors import BadInput, UnknownName
from steer.knob import Knob, given


@dataclass(frozen=True, eq=False)
class Latent:
    """The input of a generator for a batch of pictures.

    Attributes:
        values: for each input space, its values (batch, *space.shape).
        condition: what was asked for, one entry a row, such as ``{"label": ("robin", "owl")}``.
        seeds: the seed of each row; None where the values are no longer those of a seed.
        truncation: how far the dice were drawn in towards their mean, in (0, 1].
        anchor: for inverted pictures, what ties each row to its picture; see `Generator.invert`.
    """

    values: Mapping[str, Tensor]
    condition: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seeds: tuple[int | None, ...] = ()
    truncation: float = 1.0
    anchor: Anchor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, space: str) -> Tensor:
        """Return the values of an input space, (batch, *space.shape)."""
        if space not in self.values:
            raise UnknownName("input space", space, self.values)
        return self.values[space]

    def rows(self, index: Sequence[int]) -> "Latent":
        """Return the named rows, in the order given, repeats allowed.

        Raises:
            BadInput: there is no such row.
        """
        try:
            rows = [operator.index(row) for row in index]
        except TypeError as error:
            raise BadInput(f"rows are given as a list, such as latent.rows([0, 2]), not as {index!r:.60}") from error
        if not all(-len(self) <= row < len(self) for row in rows):
            raise BadInput(f"a latent of {len(self)} rows has rows 0 to {len(self) - 1}; {rows!r:.60} asks for others")
        return replace(
            self,
            values={name: values[rows] for name, values in self.values.items()},
            condition={name: tuple(entries[i] for i in rows) for name, entries in self.condition.items()},
            seeds=tuple(self.seeds[i] for i in rows),
            anchor=self.anchor.rows(rows) if self.anchor else None,
        )

    def with_values(self, space: str, values: Tensor) -> "Latent":
        """Return a latent with other values in one space.

        Its rows are no longer those of their seeds, nor tied to the pictures that they were inverted from.
        """
        expect(values, Tensor, "values are a tensor")
        if values.shape != self[space].shape:
            raise BadInput(
                f"space '{space}' takes values of shape {tuple(self[space].shape)}, not {tuple(values.shape)}"
            )
        return replace(self, values={**self.values, space: values}, seeds=(None,) * len(self), anchor=None)

    def rolled(self, knob: Knob, fresh: "Latent") -> "Latent":
        """Return a latent with one die thrown: what the knob turns is that of ``fresh``, all else is held."""
        situated = given(knob, self.values)
        return self.with_values(knob.space, situated.roll(self[knob.space], fresh[knob.space]))

    def without_anchor(self) -> "Latent":
        """Return the plain latent, which stands for itself; how well an inversion went is measured on it."""
        return replace(self, anchor=None)

    def to(self, device: torch.device | str) -> "Latent":
        """Return the same latent on another device."""
        return replace(
            self,
            values={name: values.to(device) for name, values in self.values.items()},
            anchor=self.anchor.to(device) if self.anchor else None,
        )

    @cached_property
    def digest(self) -> str:
        """A hash of everything that the pictures depend on."""
        digest = hashlib.sha256(f"{self.truncation}".encode())
        for name in sorted(self.values):
            digest.update(name.encode())
            digest.update(self.values[name].detach().cpu().contiguous().numpy().tobytes())
        for source in self.anchor.sources if self.anchor else ():
            digest.update(source.digest.encode())
        return digest.hexdigest()


def concatenate(latents: Sequence[Latent]) -> Latent:
    """Put batches of one generator together.

    Raises:
        BadInput: they differ in spaces, conditions or truncation, or not all are inverted pictures with the same
            stages.
    """
    if not latents:
        raise BadInput("there are no latents to put together; give at least one")
    first = latents[0]
    for latent in latents[1:]:
        if (latent.values.keys(), latent.condition.keys(), latent.truncation) != (
            first.values.keys(),
            first.condition.keys(),
            first.truncation,
        ):
            raise BadInput("only latents with the same spaces, conditions and truncation can be put together")
    anchors = [latent.anchor for latent in latents if latent.anchor is not None]
    if anchors and not (len(anchors) == len(latents) and all(anchors[0].fits(anchor) for anchor in anchors)):
        raise BadInput("inverted pictures go together with others only as plain latents; take latent.without_anchor()")
    return Latent(
        values={name: torch.cat([latent[name] for latent in latents]) for name in first.values},
        condition={
            name: tuple(entry for latent in latents for entry in latent.condition[name]) for name in first.condition
        },
        seeds=tuple(seed for latent in latents for seed in latent.seeds),
        truncation=first.truncation,
        anchor=join(anchors) if anchors else None,
    )

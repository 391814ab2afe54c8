"""The way from latent to picture, stage by stage, and what can be seen on it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from steer.backend import Backend, Stage, State, SteeringCall
from steer.latent import Latent
from steer.steering import Steering


class Way:
    """The way of one chunk; inverted pictures keep to the stored one until a turn touches them.

    Args:
        backend: what goes it.
        latent: where it begins.
        steering: the turns on it.
        stages: its stages.
    """

    def __init__(self, backend: Backend, latent: Latent, steering: Steering, stages: Sequence[Stage]) -> None:
        self._backend, self._anchor = backend, latent.anchor
        self._touched: list[Tensor] = []
        rows = torch.zeros(len(latent), dtype=torch.bool)
        for stage in stages if self.stored else ():
            rows = rows | steering.touched(stage, len(latent))
            self._touched.append(rows)

    @property
    def stored(self) -> bool:
        """Whether there are stored states to keep to."""
        return self._anchor is not None and bool(self._anchor.states)

    def advance(self, state: State, stage: Stage, steering: SteeringCall, *, look: bool = False) -> State:
        """Return the state after a stage; one that is stored whole is only run to ``look`` at what passes in it."""
        if self._anchor is None or not self.stored:
            return self._backend.advance(state, stage, steering)
        touched = self._touched[stage.index]
        if not look and not bool(touched.any()):
            return replace(state, tensors={**state.tensors, **self._anchor.after(stage.index)})
        landed = self._backend.advance(state, stage, steering)
        return replace(landed, tensors=self._anchor.corrected(landed.tensors, stage.index, touched))


class Watch:
    """A steering that also keeps the values of one space, stage by stage.

    Attributes:
        seen: what passed there, before any turn.
    """

    def __init__(self, steering: Steering, space: str) -> None:
        self.steering, self.space = steering, space
        self.seen: list[Tensor] = []

    def __call__(self, space: str, stage: Stage, values: Tensor) -> Tensor:
        """Return the steered values, as the steering itself does."""
        if space == self.space:
            self.seen.append(values)
        return self.steering(space, stage, values)

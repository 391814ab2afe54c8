"""Own ways: the states that a model's own steps lead through, and the true pictures that they should lead to.

A denoiser learns from pictures with exactly as much noise as their level says. Its own steps lead to other states,
which hold its own mistakes, and nothing taught it what to do there: so mistakes grow from step to step. Here it goes
its own ways, and is then told at every state that it came through the true picture next to where it ended; after Ross
et al. (2011), arXiv 1011.0686, whose pupil is corrected where its own deeds have taken it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from steer.generators.diffusion.schedule import CLEAN, Levels
from steer.generators.diffusion.stepper import Denoiser, Stepper, predict

Nearest = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From pictures (batch, 3, height, width) in [0, 1] to the true ones next to them and to what these are about: masks
(batch, 1, height, width) in [0, 1]."""


@dataclass(frozen=True)
class Told:
    """Some states on own ways, and what a denoiser is told there.

    Attributes:
        states: noisy pictures, (batch, 3, height, width).
        levels: their noise levels, (batch,).
        truth: the true pictures, (batch, 3, height, width) uint8.
        masks: what these are about, (batch, 1, height, width) uint8.
        captions: what was asked for.
    """

    states: Tensor
    levels: Tensor
    truth: Tensor
    masks: Tensor
    captions: list[str]


class OwnWays:
    """A store of own ways, in which new ones take the place of the oldest.

    Args:
        size: how many it holds.
        steps: steps of each.
        resolution: height and width of the pictures, in pixels.
        nearest: what tells the true picture next to one.
    """

    def __init__(self, size: int, steps: int, resolution: int, nearest: Nearest) -> None:
        shape = (resolution, resolution)
        self.steps, self.nearest, self.count = steps, nearest, 0
        self.states = torch.zeros(size, steps, 3, *shape, dtype=torch.float16)
        self.levels = torch.zeros(size, steps, dtype=torch.long)
        self.truth = torch.zeros(size, 3, *shape, dtype=torch.uint8)
        self.masks = torch.zeros(size, 1, *shape, dtype=torch.uint8)
        self.captions = [""] * size

    def __len__(self) -> int:
        """Return how many are there."""
        return min(self.count, len(self.truth))

    def go(self, denoiser: Denoiser, noise: Tensor, captions: Sequence[str], stepper: Stepper) -> None:
        """Go down from noise, and take in the states on the way with the true pictures next to its ends.

        Args:
            denoiser: whose ways they are.
            noise: (batch, 3, height, width); a batch fits into the store.
            captions: what it is asked for, (batch).
            stepper: as many steps as the store's ways have.
        """
        rows = torch.arange(self.count, self.count + len(noise)) % len(self.truth)
        x = noise
        for place, (t, s) in enumerate(stepper.levels.down):
            self.states[rows, place] = x.cpu().half()
            self.levels[rows, place] = t
            x = stepper.step(x, predict(denoiser, x, t), t, s)
        truth, masks = self.nearest(((x.cpu() + 1) / 2).clamp(0, 1))
        self.truth[rows], self.masks[rows] = _bytes(truth), _bytes(masks)
        for row, caption in zip(rows.tolist(), captions, strict=True):
            self.captions[row] = caption
        self.count += len(noise)

    def some(self, batch: int, rng: torch.Generator) -> Told:
        """Draw states on ways that are there."""
        rows = torch.randint(len(self), (batch,), generator=rng)
        places = torch.randint(self.steps, (batch,), generator=rng)
        return Told(
            states=self.states[rows, places].float(),
            levels=self.levels[rows, places],
            truth=self.truth[rows],
            masks=self.masks[rows],
            captions=[self.captions[row] for row in rows.tolist()],
        )


def uneven_levels(count: int, steps: int, rng: torch.Generator) -> Levels:
    """Draw noise levels to go down: the top one, and one from each of the other equal parts of all ``count``.

    So a model meets every level on its ways, and learns steps of every width.
    """
    edges = torch.linspace(0, count - 1, steps).long()
    inner = [int(torch.randint(low, high, (), generator=rng)) for low, high in pairwise(edges.tolist())]
    return Levels((CLEAN, *inner, count - 1), count)


def _bytes(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round().byte()

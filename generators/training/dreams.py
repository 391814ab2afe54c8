"""Dreams: fresh dice, and the pictures that they should give."""

from collections.abc import Sequence

import torch
from torch import Tensor

from steer.generators.training.pictures import Pictures


class Dreams:
    """A store of dreams that fills up while one trains on what is there.

    Args:
        size: how many it holds.
        z_dim: number of dice.
        resolution: height and width of the pictures, in pixels.
        labels: the name of each class.
        masked: whether it is known what each picture is about.
    """

    def __init__(self, size: int, z_dim: int, resolution: int, labels: Sequence[str], *, masked: bool) -> None:
        self.dice, self.count = torch.zeros((size, z_dim)), 0
        masks = torch.zeros((size, 1, resolution, resolution), dtype=torch.uint8) if masked else None
        images = torch.zeros((size, 3, resolution, resolution), dtype=torch.uint8)
        self.pictures = Pictures(images, torch.zeros(size, dtype=torch.long), tuple(labels), masks)

    @property
    def full(self) -> bool:
        """Whether no more are needed."""
        return self.count == len(self.dice)

    def add(self, dice: Tensor, label: Tensor, images: Tensor, mask: Tensor | None) -> None:
        """Take in a batch, as far as there is room; pictures and masks are in [0, 1]."""
        room = min(len(dice), len(self.dice) - self.count)
        rows = slice(self.count, self.count + room)
        self.dice[rows], self.pictures.label[rows] = dice[:room], label[:room]
        self.pictures.images[rows] = _bytes(images[:room])
        if self.pictures.masks is not None and mask is not None:
            self.pictures.masks[rows] = _bytes(mask[:room])
        self.count += room

    def rows(self, batch: int, rng: torch.Generator) -> Tensor:
        """Draw rows among those that are there, (batch,)."""
        return torch.randint(self.count, (batch,), generator=rng)


def _bytes(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round().byte()

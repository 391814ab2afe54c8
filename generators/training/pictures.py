"""Labelled pictures to train on, and the folders they are read from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from steer.errors import BadInput


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures to train on.

    Attributes:
        images: (count, 3, height, width) in 0..255.
        label: class of each picture, (count,).
        labels: the name of each class.
        masks: what each picture is about, (count, 1, height, width) in 0..255, where it is known.
    """

    images: Tensor
    label: Tensor
    labels: tuple[str, ...]
    masks: Tensor | None = None

    def at(self, rows: Tensor) -> "Pictures":
        """Return the pictures in some rows."""
        masks = None if self.masks is None else self.masks[rows]
        return Pictures(self.images[rows], self.label[rows], self.labels, masks)

    def like(self, label: Tensor, rng: torch.Generator) -> Tensor:
        """Draw a row of each of these classes, (batch,)."""
        order = torch.argsort(self.label, stable=True)
        counts = torch.bincount(self.label, minlength=len(self.labels))
        starts = counts.cumsum(0) - counts
        offset = (torch.rand(len(label), generator=rng) * counts[label]).long()
        return order[starts[label] + offset]

    def images_at(self, rows: Tensor) -> Tensor:
        """Return pictures (batch, 3, height, width) in [0, 1]."""
        return self.images[rows].float().div_(255).contiguous(memory_format=torch.channels_last)

    def focus_at(self, rows: Tensor) -> Tensor:
        """Return how much each pixel counts, (batch, 1, height, width); see `focus`."""
        if self.masks is None:
            return torch.ones((len(rows), 1, 1, 1))
        return focus(self.masks[rows].float().div_(255))


def focus(mask: Tensor) -> Tensor:
    """Return how much each pixel counts, (batch, 1, height, width), 1 on average: half for what is masked."""
    share = mask.mean((1, 2, 3), keepdim=True).clamp(0.02, 0.98)
    return (mask / share + (1 - mask) / (1 - share)) / 2


def read_folder(folder: Path, resolution: int) -> Pictures:
    """Read a folder with one sub-folder of pictures per class, each cropped to its middle square and resized.

    Raises:
        BadInput: there are no such sub-folders, or one has no pictures.
    """
    if not folder.is_dir():
        raise BadInput(f"there is no folder '{folder}' to train on; give one with a sub-folder of pictures per class")
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if not classes:
        raise BadInput(f"'{folder}' has no sub-folders; put the pictures of each class into one")
    images, label = [], []
    for number, path in enumerate(classes):
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp", ".bmp"})
        if not files:
            raise BadInput(f"the class folder '{path}' holds no pictures (png, jpg, webp or bmp)")
        for file in files:
            images.append(_read_picture(file, resolution))
            label.append(number)
    return Pictures(torch.stack(images), torch.tensor(label), tuple(path.name for path in classes))


def _read_picture(file: Path, resolution: int) -> Tensor:
    try:
        with Image.open(file) as picture:
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
            pixels = np.array(square.resize((resolution, resolution), Image.Resampling.LANCZOS))
    except OSError as error:
        raise BadInput(f"'{file}' is not a picture that can be read ({error}); remove or replace it") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

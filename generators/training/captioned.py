"""Pictures with words, and some with drawings, to train on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from steer.errors import BadInput
from steer.generators.diffusion.words import Vocabulary
from steer.generators.training.own_ways import Nearest
from steer.generators.training.pictures import read_folder
from steer.generators.training.run import AVIARY, Progress

Describe = Callable[[int, torch.Generator], str]
"""Returns a caption of the picture in a row, in one of many phrasings."""

SAMPLED = 500
"""How many captions of birds the vocabulary is gathered from; enough to meet every phrase of the grammar."""


@dataclass(frozen=True)
class Captioned:
    """Pictures to train on, with captions.

    Attributes:
        images: (count, 3, height, width) uint8.
        describe: what says what is in a row.
        vocabulary: the words it uses.
        drawings: by kind, drawings of the first rows, (drawn, 3, height, width) uint8.
        meanings: what captions are about, as numbers of mean 0 and deviation 1, (count, meanings); None where
            captions are just names.
        nearest: what tells the true picture next to any; None where it is not known which pictures are true.
    """

    images: Tensor
    describe: Describe
    vocabulary: Vocabulary
    drawings: Mapping[str, Tensor] = field(default_factory=dict)
    meanings: Tensor | None = None
    nearest: Nearest | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def drawn(self) -> int:
        """How many of the first rows there are drawings of."""
        return min(map(len, self.drawings.values()), default=0)


def captioned(
    data: str,
    resolution: int,
    *,
    pictures: int,
    data_seed: int,
    drawn: int = 0,
    progress: Progress | None = None,
) -> Captioned:
    """Read or draw captioned pictures.

    Args:
        data: "aviary", or a folder with one sub-folder of pictures per class, whose names are the captions.
        resolution: height and width, in pixels.
        pictures: how many birds.
        data_seed: which ones.
        drawn: of how many of them to make a sketch and a layout.
        progress: called with (drawn, count) while birds are drawn.

    Raises:
        BadInput: the data cannot be used.
    """
    if data != AVIARY:
        read = read_folder(Path(data), resolution)
        names = [read.labels[label] for label in read.label.tolist()]
        return Captioned(read.images, lambda row, rng: names[row], Vocabulary.of(read.labels))
    from steer.generators.aviary.captions import caption
    from steer.generators.aviary.data import dataset
    from steer.generators.aviary.drawings import drawings

    if drawn > pictures:
        raise BadInput(f"{drawn} of {pictures} pictures cannot be drawn; choose fewer")
    birds = dataset(pictures, seed=data_seed, size=resolution, progress=progress)
    some = {name: values[:drawn] for name, values in birds.factors.items()}
    drawn_birds = drawings(some, size=resolution, progress=progress) if drawn else {}
    # Numbers of Python: the grammar looks at every factor, and a tensor of one element answers slowly.
    columns = [values.tolist() for values in birds.factors.values()]
    table = [dict(zip(birds.factors, row, strict=True)) for row in zip(*columns, strict=True)]
    rng = torch.Generator().manual_seed(0)
    words = Vocabulary.of(caption(table[row % pictures], rng) for row in range(SAMPLED))
    meanings = as_meanings(birds.factors)
    return Captioned(
        birds.pictures,
        lambda row, rng: caption(table[row], rng),
        words,
        drawn_birds,
        meanings,
        nearest_bird(resolution),
    )


def nearest_bird(resolution: int) -> Nearest | None:
    """Return what draws a picture back as the critic reads it; None at resolutions that it does not read."""
    from steer.generators.aviary.render_back import SIZE, render_back
    from steer.generators.aviary.renderer import render_all
    from steer.generators.shipped_models import aviary_critic

    if resolution != SIZE:
        return None
    critic = aviary_critic().network

    def nearest(pictures: Tensor) -> tuple[Tensor, Tensor]:
        back = render_back(pictures, critic)
        return back.rendered, render_all(back.factors, SIZE).mask

    return nearest


def as_meanings(factors: Mapping[str, Tensor]) -> Tensor:
    """Return the factors of birds as numbers a linear map can read and compare, (count, meanings).

    A class becomes one number a class, an angle its sine and cosine; each has mean 0 and deviation 1 over all birds
    that are drawn without a prior, whichever birds are given.
    """
    from steer.generators.aviary.factors import FACTORS

    columns = []
    for name, values in factors.items():
        factor = FACTORS[name]
        if factor.kind == "categorical":
            share = 1 / len(factor.classes)
            one_hot = torch.nn.functional.one_hot(values.long(), len(factor.classes))
            columns.append((one_hot - share) / math.sqrt(share * (1 - share)))
        elif factor.kind == "circular":
            angle = torch.deg2rad(values)
            columns.append(math.sqrt(2) * torch.stack([angle.sin(), angle.cos()], 1))
        else:
            columns.append(((values - (factor.low + factor.high) / 2) / factor.spread)[:, None])
    return torch.cat(columns, 1).float()


def part_of(caption: str, rng: torch.Generator) -> str:
    """Return some words of a caption in a row, at least one: nobody says everything."""
    words = caption.split()
    first, last = sorted(torch.randint(len(words), (2,), generator=rng).tolist())
    return " ".join(words[first : last + 1])

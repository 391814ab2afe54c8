"""Dice: one random stream per (seed, space), drawn on the CPU."""

import hashlib
import math
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from steer.errors import BadInput

TRUNCATED_DEVIATION = 0.8796256610342398
"""Standard deviation of a standard normal truncated to [-2, 2]."""


def parse_seeds(text: str) -> list[int]:
    """Read seeds written as ``1,2,5-10``.

    >>> parse_seeds("1,2,5-8")
    [1, 2, 5, 6, 7, 8]

    Raises:
        BadInput: the text is not a list of whole numbers and ranges.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,15})(?:\s*-\s*(\d{1,15}))?\s*", part)
        if match is None:
            raise BadInput(f"seeds are whole numbers of up to 15 digits and ranges such as 1,2,5-10; '{text}' is not")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= 1_000_000:
            raise BadInput(f"the range '{part.strip()}' must go up and hold fewer than a million seeds")
        seeds.extend(range(first, last + 1))
    return seeds


def stream(seed: int, name: str) -> torch.Generator:
    """Return the random stream of one seed for one named purpose, independent of every other."""
    digest = hashlib.sha256(f"{name}:{seed}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def draw_normal(seeds: Sequence[int], name: str, shape: Sequence[int]) -> Tensor:
    """Draw standard normal dice, (len(seeds), *shape), one stream per seed."""
    return _draw(seeds, shape, lambda seed: torch.randn(tuple(shape), generator=stream(seed, name)))


def draw_truncated_normal(seeds: Sequence[int], name: str, shape: Sequence[int]) -> Tensor:
    """Draw dice of a standard normal truncated to [-2, 2], (len(seeds), *shape), by the inverse of its CDF."""
    low = 0.5 * (1 + math.erf(-2 / math.sqrt(2)))

    def draw(seed: int) -> Tensor:
        uniform = torch.rand(tuple(shape), generator=stream(seed, name), dtype=torch.float64)
        return torch.special.ndtri(low + (1 - 2 * low) * uniform).float()

    return _draw(seeds, shape, draw)


def _draw(seeds: Sequence[int], shape: Sequence[int], draw: Callable[[int], Tensor]) -> Tensor:
    return torch.stack([draw(seed) for seed in seeds]) if seeds else torch.empty((0, *shape))

"""Rendered pictures with their truth, kept in a cache so that they are drawn once."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from steer.errors import BadInput, SteerError
from steer.files import read_tensors, write_tensors
from steer.generator import Progress
from steer.generators.aviary.factors import FACTORS, UNIFORM, Prior, sample_factors
from steer.generators.aviary.renderer import RENDERER_VERSION, render_all

_CHUNK = 64


@dataclass(frozen=True)
class Dataset:
    """Pictures and the truth about them.

    Attributes:
        pictures: (count, 3, size, size) uint8.
        masks: (count, 1, size, size) uint8, 255 where the bird covers the whole pixel.
        factors: Every factor of `factors.FACTORS`, (count,) each.
    """

    pictures: Tensor
    masks: Tensor
    factors: dict[str, Tensor]


def dataset(
    count: int,
    *,
    seed: int,
    size: int = 64,
    prior: Prior | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Return ``count`` random birds, from the cache if they were drawn before.

    Args:
        count: How many.
        seed: The same seed gives the same birds, whatever was drawn before.
        size: Side of the pictures in pixels.
        prior: How factors are distributed; uniform and independent by default.
        cache: Folder of the cache, `cache_folder` by default.
        progress: Called with (drawn, count) while drawing.

    Raises:
        BadInput: If ``count`` or ``size`` is not positive.
    """
    if count < 1 or size < 1:
        raise BadInput(f"cannot draw {count} pictures of {size} pixels; both must be at least 1")
    prior = UNIFORM if prior is None else prior
    path = (cache_folder() if cache is None else cache) / f"aviary-{_key(count, seed, size, prior)}.safetensors"
    stored = _load(path)
    if stored is not None:
        return stored
    factors = sample_factors(count, generator=torch.Generator().manual_seed(seed), prior=prior)
    pictures = torch.empty(count, 3, size, size, dtype=torch.uint8)
    masks = torch.empty(count, 1, size, size, dtype=torch.uint8)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        rendering = render_all({name: values[part] for name, values in factors.items()}, size)
        pictures[part] = (rendering.picture * 255).round().byte()
        masks[part] = (rendering.mask * 255).round().byte()
        if progress is not None:
            progress(part.stop, count)
    drawn = Dataset(pictures, masks, factors)
    _save(drawn, path)
    return drawn


def cache_folder() -> Path:
    """Return where data are kept: ``$STEER_CACHE``, or ``~/.cache/latent-steer``."""
    named = os.environ.get("STEER_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "latent-steer"


def _key(count: int, seed: int, size: int, prior: Prior) -> str:
    """Hash all that decides what is drawn."""
    prior_parts = {"ranges": dict(prior.ranges), "correlations": [asdict(tie) for tie in prior.correlations]}
    parts = {
        "renderer": RENDERER_VERSION,
        "count": count,
        "seed": seed,
        "size": size,
        "prior": prior_parts,
        "factors": {name: (factor.low, factor.high) for name, factor in FACTORS.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _load(path: Path) -> Dataset | None:
    """Read a stored set; one that is missing or broken is drawn again."""
    try:
        tensors, _ = read_tensors(path)
        return Dataset(tensors["pictures"], tensors["masks"], {name: tensors[f"factor.{name}"] for name in FACTORS})
    except (SteerError, KeyError):
        return None


def _save(data: Dataset, path: Path) -> None:
    tensors = {"pictures": data.pictures, "masks": data.masks}
    tensors |= {f"factor.{name}": values for name, values in data.factors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, {"schema_version": 1, "renderer_version": RENDERER_VERSION})

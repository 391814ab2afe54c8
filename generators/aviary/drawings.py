"""Sketches and layouts of birds as pictures a person could have drawn, for generators that are shown one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from steer.errors import SteerError
from steer.files import read_tensors, write_tensors
from steer.generator import Progress
from steer.generators.aviary.anatomy import PARTS
from steer.generators.aviary.data import cache_folder
from steer.generators.aviary.renderer import RENDERER_VERSION, layout, sketch

LAYOUT_COLOURS = {
    "background": (255, 255, 255),
    "body": (230, 159, 0),
    "head": (86, 180, 233),
    "beak": (213, 94, 0),
    "wing": (0, 158, 115),
    "tail": (0, 114, 178),
    "legs": (204, 121, 167),
}
"""The colour of each part in a layout, 0 to 255; told apart by most colour-blind people (Okabe and Ito, 2008)."""

_CHUNK = 64


def sketch_pictures(factors: Mapping[str, Tensor], size: int = 64) -> Tensor:
    """Draw outlines in black ink on white paper, (batch, 3, size, size) uint8."""
    ink = sketch(factors, size, supersample=2)
    return (255 * (1 - ink)).round().byte().expand(-1, 3, -1, -1).contiguous()


def layout_pictures(factors: Mapping[str, Tensor], size: int = 64) -> Tensor:
    """Paint each part in its colour, (batch, 3, size, size) uint8."""
    colours = torch.tensor([LAYOUT_COLOURS[part] for part in PARTS], dtype=torch.uint8)
    return colours[layout(factors, size)[:, 0]].permute(0, 3, 1, 2).contiguous()


def drawings(
    factors: Mapping[str, Tensor], *, size: int = 64, cache: Path | None = None, progress: Progress | None = None
) -> dict[str, Tensor]:
    """Return a sketch and a layout of each bird, from the cache if they were drawn before.

    Args:
        factors: every factor of `factors.FACTORS`, (count,) each.
        size: side of the pictures in pixels.
        cache: folder of the cache, `cache_folder` by default.
        progress: called with (drawn, count) while drawing.

    Returns:
        ``sketch`` and ``layout``, (count, 3, size, size) uint8 each.
    """
    digest = hashlib.sha256(f"{RENDERER_VERSION}:{size}:{LAYOUT_COLOURS}".encode())
    for name in sorted(factors):
        digest.update(factors[name].double().numpy().tobytes())
    path = (cache_folder() if cache is None else cache) / f"drawings-{digest.hexdigest()[:16]}.safetensors"
    try:
        return read_tensors(path)[0]
    except SteerError:
        pass  # missing or broken: drawn again
    parts: dict[str, list[Tensor]] = {"sketch": [], "layout": []}
    count = len(next(iter(factors.values())))
    for start in range(0, count, _CHUNK):
        some = {name: values[start : start + _CHUNK] for name, values in factors.items()}
        parts["sketch"].append(sketch_pictures(some, size))
        parts["layout"].append(layout_pictures(some, size))
        if progress is not None:
            progress(min(start + _CHUNK, count), count)
    drawn = {name: torch.cat(each) for name, each in parts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, drawn, {"schema_version": 1, "renderer_version": RENDERER_VERSION})
    return drawn

"""The parts of the page that are drawn rather than operated: pictures, strips, maps, readings."""

import base64
import io
import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from steer.apps.setting import Setting, seed_text
from steer.knob import Knob
from steer.pictures import to_images
from steer.strips import UNIT_MARKS

LARGEST_PNG = 160
"""Pixels; pictures up to this high travel as PNG, which is quick for them and loses nothing, larger ones as JPEG."""

QUICK: dict[str, Any] = {"kind": "PNG", "compress_level": 1}
COMPACT: dict[str, Any] = {"kind": "JPEG", "quality": 92, "subsampling": 0}

STRIP_HEIGHT = 64
"""Pixels; taller pictures are made smaller for a strip, a map or a thumbnail."""

HUES = frozenset({"hue", "background_hue"})
"""Circular attributes that are colours, and shown as such."""


def plain(name: str) -> str:
    """Return a name as a person writes it."""
    return name.replace("_", " ")


def number(value: float, unit: str = "", *, signed: bool = False) -> str:
    """Write a number short, with its unit and a real minus sign.

    >>> number(-12.34, "degree", signed=True), number(0.5, "sigma"), number(0.0712)
    ('−12°', '0.5 σ', '0.07')
    """
    degrees = unit.startswith("degree")
    digits = f"{value:+.0f}" if degrees else f"{value:+.2f}".rstrip("0").rstrip(".")
    digits = digits if digits not in ("-0", "+0") else "0"
    mark = UNIT_MARKS.get("degree" if degrees else unit, "")
    text = digits.replace("-", "−") if signed else digits.removeprefix("+").replace("-", "−")
    return f"{text} {mark}".rstrip() if mark == UNIT_MARKS["sigma"] else f"{text}{mark}"


def _address(image: Image.Image, kind: str, **options: Any) -> str:
    """Return an image as an address that holds it, so that no file is written for a frame."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def addresses(pictures: Tensor) -> list[str]:
    """Return an address of each picture, (batch, 3, height, width) in [0, 1], that holds it at its own size."""
    kind = QUICK if pictures.shape[-2] <= LARGEST_PNG else COMPACT
    return [_address(image, **kind) for image in to_images(pictures)]


def descriptions(setting: Setting) -> list[str]:
    """Say in words what each picture is, for those who do not see it."""
    turns = ", ".join(
        f"{plain(name)} {number(amount, setting.knobs[name].unit, signed=True)}"
        for name, amount in setting.amounts.items()
    )
    labels = setting.labels or (setting.dice.caption or "picture",) * setting.dice.birds
    after = f", after a {plain(drawn)}" if (drawn := setting.dice.drawing_kind) else ""
    kind = "seed " if setting.dice.plain else "own dice from seed "
    return [
        f"{label}{after}, {kind}{seed}{', turned: ' + turns if turns else ''}"
        for label, seed in zip(labels, setting.dice.seeds, strict=False)
    ]


def summary(setting: Setting) -> str:
    """Say in a few words what is shown."""
    seeds = f"seed {seed_text(setting.dice.seeds[: setting.dice.birds])}" if setting.dice.plain else "own dice"
    labels = sorted(set(setting.labels))
    drawn = setting.dice.drawing_kind
    count = f"{setting.dice.birds} picture{'s' if setting.dice.birds > 1 else ''}"
    shown = setting.dice.caption or (f"after a {plain(drawn)}" if drawn else count)
    return f"{labels[0] if len(labels) == 1 else shown} · {seeds}"


def thumb(pictures: Tensor) -> str:
    """Return an address of the first picture, made small."""
    image = to_images(pictures[:1])[0]
    image.thumbnail((STRIP_HEIGHT, STRIP_HEIGHT), Image.Resampling.LANCZOS)
    return _address(image, **COMPACT)


def contact(pictures: Tensor, columns: int) -> str:
    """Return an address of small pictures laid out edge to edge, row by row."""
    images = to_images(pictures)
    height = min(STRIP_HEIGHT, images[0].height)
    width = round(images[0].width * height / images[0].height)
    paper = Image.new("RGB", (width * columns, height * math.ceil(len(images) / columns)))
    for place, image in enumerate(images):
        fitted = image if image.height == height else image.resize((width, height), Image.Resampling.LANCZOS)
        paper.paste(fitted, (place % columns * width, place // columns * height))
    return _address(paper, **COMPACT)


HEAT = ((0.02, 0.02, 0.06), (0.32, 0.07, 0.43), (0.73, 0.21, 0.33), (0.98, 0.55, 0.04), (0.99, 1.0, 0.64))
"""Colours of a heat map, from no difference to the largest; after matplotlib's inferno."""

HOTTEST = 0.5
"""The difference, of brightness from 0 to 1, that is drawn in the last colour."""

CHANGED = 0.02
"""The difference from which a pixel counts as changed: five steps of 255."""


def heat_map(pictures: Tensor, before: Tensor) -> tuple[list[str], float]:
    """Draw where pictures (batch, 3, height, width) in [0, 1] differ from what they were.

    Returns:
        An address of each map, and the share of all pixels that changed visibly.
    """
    difference = (pictures - before).abs().mean(1)  # (batch, height, width)
    colours = torch.tensor(HEAT, device=pictures.device)
    place = (difference / HOTTEST).clamp(0, 1).sqrt() * (len(HEAT) - 1)  # the root makes faint leakage visible
    low = place.floor().long().clamp(max=len(HEAT) - 2)
    share = (place - low).unsqueeze(-1)
    heat = (1 - share) * colours[low] + share * colours[low + 1]
    return addresses(heat.permute(0, 3, 1, 2)), float((difference >= CHANGED).float().mean())


def knob_info(knob: Knob, summary: str) -> str:
    """Say in one line what a knob turns."""
    return summary or (f"turns {plain(knob.attribute)}" if knob.attribute else f"found by {knob.provenance.finder}")

"""Colours: what they are called, and how far apart they look."""

import colorsys

import torch
from PIL import ImageColor

from steer.errors import BadInput
from steer.shapes import Pictures


def hue_of(colour: str) -> float:
    """Return the hue of a named colour, ``#rrggbb`` or ``hsl(…)`` in degrees: 0 red, 120 green, 240 blue.

    Raises:
        BadInput: there is no such colour, or it is grey.

    >>> hue_of("orange")
    38.82352941176471
    """
    try:
        red, green, blue = (channel / 255 for channel in ImageColor.getrgb(colour)[:3])
    except ValueError as error:
        raise BadInput(f"'{colour}' is no colour; write one such as orange, #ffa500 or hsl(39, 100%, 50%)") from error
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    if saturation == 0:
        raise BadInput(f"'{colour}' is grey and has no hue; choose a colour")
    return 360 * hue


def cielab(images: Pictures) -> Pictures:
    """Turn sRGB in [0, 1] into CIELAB under D65, (batch, 3, height, width); after IEC 61966-2-1 and CIE 15."""
    linear = torch.where(images <= 0.04045, images / 12.92, ((images.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    to_xyz = images.new_tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    white = to_xyz.sum(1)
    xyz = torch.einsum("ij,bjhw->bihw", to_xyz / white[:, None], linear)
    edge = (6 / 29) ** 3
    f = torch.where(xyz > edge, xyz.clamp_min(edge) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    fx, fy, fz = f.unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], 1)

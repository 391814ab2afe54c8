"""Statistics of any picture: brightness, colour, sharpness, symmetry, and where its salient thing stands."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.attribute import Attribute, AttributeKind

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in the luma of Rec. 709."""

NOTICEABLE = 12.0
"""Distance in CIELAB at which a pixel counts half as salient; 2.3 is just noticeable (Mahy et al., 1994)."""

TINY = 1e-6


def _attribute(
    name: str, low: float, high: float, unit: str, summary: str, kind: AttributeKind = "linear"
) -> tuple[str, Attribute]:
    # No data stands behind these, so a spread is that of values spread evenly over the range.
    return name, Attribute(name, kind, low, high, unit, (high - low) / math.sqrt(12), (), summary)


ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(
    dict(
        (
            _attribute("brightness", 0, 1, "fraction", "mean luma"),
            _attribute("contrast", 0, 0.5, "fraction", "standard deviation of the luma"),
            _attribute("saturation", 0, 1, "fraction", "mean of the largest channel less the smallest"),
            _attribute("hue", 0, 360, "degree", "mean hue, each pixel counted by its saturation", "circular"),
            _attribute("warmth", -1, 1, "fraction", "mean red less mean blue"),
            _attribute("sharpness", 0, 1, "fraction", "share of the contrast that is finer than 3 pixels"),
            _attribute("symmetry", -1, 1, "correlation", "likeness of the picture and its mirror image, left to right"),
            _attribute("salient_x", -0.5, 0.5, "picture widths", "middle of what stands out, to the right"),
            _attribute("salient_y", -0.5, 0.5, "picture heights", "middle of what stands out, upwards"),
            _attribute("salient_size", 0, 1, "fraction", "share of the picture that stands out from its border"),
        )
    )
)


class Statistics:
    """A measurer of any picture, without weights and differentiable throughout.

    The spread of each attribute is that of a uniform distribution over its range: a convention, since there is no
    data that any picture comes from.
    """

    name = "picture"
    attributes = ATTRIBUTES
    reference = None

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Measure pictures (batch, 3, height, width) in [0, 1]; (batch,) per attribute, in its unit.

        The hue of a grey picture is 0, and what stands out of an even one stands in its middle.
        """
        luma = (images * images.new_tensor(LUMA)[:, None, None]).sum(1)
        deviation = luma - luma.mean((1, 2), keepdim=True)
        variance = deviation.square().mean((1, 2))
        red, _, blue = images.mean((2, 3)).unbind(1)
        x, y, size = _salient(images)
        return {
            "brightness": luma.mean((1, 2)),
            "contrast": _root(variance),
            "saturation": (images.amax(1) - images.amin(1)).mean((1, 2)),
            "hue": _hue(images),
            "warmth": red - blue,
            "sharpness": _root(_detail(luma) / (variance + TINY)).clamp(max=1),
            "symmetry": ((deviation * deviation.flip(2)).mean((1, 2)) + TINY) / (variance + TINY),
            "salient_x": x,
            "salient_y": y,
            "salient_size": size,
        }

    def in_domain(self, images: Tensor) -> Tensor:
        """Return ones, (batch,): these statistics know every picture."""
        return images.new_ones(len(images))


def _root(square: Tensor) -> Tensor:
    """Return the root, 0 at 0 and with a slope there that is not infinite."""
    return (square + TINY**2).sqrt() - TINY


def _hue(images: Tensor) -> Tensor:
    """Return the mean hue in degrees, [0, 360).

    In the plane across the grey axis a colour's angle is its hue and its length its saturation, so the mean colour's
    angle is the mean hue, weighted by saturation.
    """
    red, green, blue = images.mean((2, 3)).unbind(1)
    across, up = red - (green + blue) / 2, math.sqrt(0.75) * (green - blue)
    grey = torch.hypot(across.detach(), up.detach()) < TINY
    angle = torch.atan2(torch.where(grey, 0.0, up), torch.where(grey, 1.0, across))
    return torch.remainder(torch.rad2deg(angle), 360)


def _detail(luma: Tensor) -> Tensor:
    """Return the mean square of what a 3×3 mean takes away, (batch,)."""
    padded = F.pad(luma[:, None], (1, 1, 1, 1), mode="replicate")
    return (luma - F.avg_pool2d(padded, 3, 1)[:, 0]).square().mean((1, 2))


def _salient(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the salient thing stands, right and up of the middle, and the share of the picture it takes."""
    lab = _lab(images)
    distance = (lab - _backdrop(lab)).square().sum(1)
    weight = distance.square() / (distance.square() + NOTICEABLE**4)  # (batch, height, width) in [0, 1]
    height, width = weight.shape[1:]
    right = (torch.arange(width, device=images.device) + 0.5) / width - 0.5
    up = 0.5 - (torch.arange(height, device=images.device) + 0.5) / height
    total = weight.mean((1, 2)) + TINY
    x = (weight * right).mean((1, 2)) / total
    y = (weight * up[:, None]).mean((1, 2)) / total
    return x, y, weight.mean((1, 2))


def _backdrop(lab: Tensor) -> Tensor:
    """Guess the picture behind the salient thing: its four edges carried inwards, as Coons (1967) lays a patch."""
    thick = max(1, min(lab.shape[2:]) // 32)
    top, bottom = lab[:, :, :thick].mean(2, keepdim=True), lab[:, :, -thick:].mean(2, keepdim=True)
    left, right = lab[..., :thick].mean(3, keepdim=True), lab[..., -thick:].mean(3, keepdim=True)
    u = torch.linspace(0, 1, lab.shape[3], device=lab.device)
    v = torch.linspace(0, 1, lab.shape[2], device=lab.device)[:, None]
    ruled = torch.lerp(left, right, u) + torch.lerp(top, bottom, v)
    upper = torch.lerp(top[..., :1], top[..., -1:], u)
    lower = torch.lerp(bottom[..., :1], bottom[..., -1:], u)
    return ruled - torch.lerp(upper, lower, v)


def _lab(images: Tensor) -> Tensor:
    """Turn sRGB into CIELAB under D65, (batch, 3, height, width); after IEC 61966-2-1 and CIE 15."""
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

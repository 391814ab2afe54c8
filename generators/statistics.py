"""Statistics of any picture: brightness, colour, sharpness, symmetry, and where its salient thing stands."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from steer.attribute import Attribute, AttributeKind
from steer.colour import cielab

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in the luma of Rec. 709."""

NOTICEABLE = 12.0
"""Distance in CIELAB at which a pixel counts half as salient; 2.3 is just noticeable (Mahy et al., 1994)."""

TINY = 1e-6

FAINT = 0.5 / 255
"""What 8 bits cannot show: a mean colour nearer to grey has no hue, a picture that varies less is even."""

HUELESS, SHAPELESS = 1, 4
"""How many attributes a grey picture lacks, and an even one: sharpness, symmetry, and where what stands out is."""


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
        """Return the share of the attributes that each picture has, (batch,).

        A grey picture has no hue; one that is even all over has neither sharpness nor symmetry nor anything that
        stands out; numbers outside [0, 1] make no picture at all.
        """
        luma = (images * images.new_tensor(LUMA)[:, None, None]).sum(1)
        even = luma.flatten(1).std(1) < FAINT
        lacking = HUELESS * (torch.hypot(*_chroma(images)) < FAINT) + SHAPELESS * even
        picture = torch.isfinite(images).flatten(1).all(1) & (images.flatten(1).amin(1) >= 0)
        return (1 - lacking / len(ATTRIBUTES)) * (picture & (images.flatten(1).amax(1) <= 1))


def _root(square: Tensor) -> Tensor:
    """Return the root, 0 at 0 and with a slope there that is not infinite."""
    return (square + TINY**2).sqrt() - TINY


def _hue(images: Tensor) -> Tensor:
    """Return the mean hue in degrees, [0, 360).

    In the plane across the grey axis a colour's angle is its hue and its length its saturation, so the mean colour's
    angle is the mean hue, weighted by saturation.
    """
    across, up = _chroma(images)
    grey = torch.hypot(across.detach(), up.detach()) < TINY
    angle = torch.atan2(torch.where(grey, 0.0, up), torch.where(grey, 1.0, across))
    return torch.remainder(torch.rad2deg(angle), 360)


def _chroma(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean colour in the plane across the grey axis: towards red, and from blue to green."""
    red, green, blue = images.mean((2, 3)).unbind(1)
    return red - (green + blue) / 2, math.sqrt(0.75) * (green - blue)


def _detail(luma: Tensor) -> Tensor:
    """Return the mean square of what a 3×3 mean takes away, (batch,)."""
    padded = F.pad(luma[:, None], (1, 1, 1, 1), mode="replicate")
    return (luma - F.avg_pool2d(padded, 3, 1)[:, 0]).square().mean((1, 2))


def _salient(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the salient thing stands, right and up of the middle, and the share of the picture it takes."""
    lab = cielab(images)
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

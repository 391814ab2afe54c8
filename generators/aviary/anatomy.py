"""The eight birds as ellipsoids: where every part sits, and how it is painted.

Lengths are in body radii, x to the bird's left, y up, z forward; angles in degrees. A pitch raises a part's front,
a yaw turns it to the bird's left, a roll tips its top to the bird's right.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Vector = tuple[float, float, float]

PARTS = ("background", "body", "head", "beak", "wing", "tail", "legs")


@dataclass(frozen=True)
class Paint:
    """A second colour on one side of an ellipsoid.

    Attributes:
        tint: Name of the colour in the species' palette.
        towards: Direction, in the ellipsoid's own frame scaled to a unit sphere, of the painted side.
        edge: Where along that direction the paint begins; -1 paints all, 1 nothing.
        softness: Half-width of the transition.
    """

    tint: str
    towards: Vector
    edge: float
    softness: float = 0.12


@dataclass(frozen=True)
class Ellipsoid:
    """One piece of a bird.

    Attributes:
        part: One of PARTS.
        tint: Name of the base colour in the species' palette.
        centre: Middle.
        radii: Half axes before turning.
        pitch: Front raised by so many degrees.
        yaw: Turned to the bird's left by so many degrees.
        roll: Top tipped to the bird's right by so many degrees.
        paints: Up to two layers over the base colour, in order.
        gloss: Strength of the highlight.
        upright: Stays where it is when the body tilts, as legs do.
    """

    part: str
    tint: str
    centre: Vector
    radii: Vector
    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0
    paints: tuple[Paint, ...] = ()
    gloss: float = 0.12
    upright: bool = False


@dataclass(frozen=True)
class Tint:
    """A colour derived from the bird's hue.

    Attributes:
        shift: Degrees added to the hue.
        saturation: Factor on the saturation.
        value: Factor on the brightness.
        pale: How far the colour is mixed with cream, in [0, 1].
    """

    shift: float = 0.0
    saturation: float = 1.0
    value: float = 1.0
    pale: float = 0.0


FIXED: Mapping[str, Vector] = {
    "cream": (0.97, 0.94, 0.86),
    "ink": (0.07, 0.07, 0.10),
    "glint": (1.0, 1.0, 1.0),
    "amber": (0.98, 0.76, 0.20),
    "orange": (0.96, 0.53, 0.14),
    "coral": (0.91, 0.36, 0.22),
    "horn": (0.93, 0.80, 0.55),
    "slate": (0.24, 0.25, 0.30),
    "brown": (0.47, 0.28, 0.17),
}
"""Colours that no factor changes, as sRGB in [0, 1]."""

_SHARED: Mapping[str, Tint] = {
    "body": Tint(),
    "belly": Tint(16, 0.9, 1.1, 0.58),
    "crown": Tint(-8, 1.05, 0.72),
    "wing": Tint(-14, 1.08, 0.60),
    "tip": Tint(-22, 1.05, 0.36),
    "bar": Tint(10, 0.8, 1.1, 0.66),
    "tail": Tint(-18, 1.08, 0.52),
    "face": Tint(8, 0.9, 1.05, 0.40),
}

PALETTES: Mapping[str, Mapping[str, Tint]] = {
    "robin": {**_SHARED, "breast": Tint(-4, 1.2, 1.12), "body": Tint(0, 0.88, 0.80)},
    "wren": {**_SHARED, "belly": Tint(12, 0.8, 1.1, 0.62), "brow": Tint(10, 0.6, 1.1, 0.78)},
    "cardinal": {
        **_SHARED,
        "body": Tint(0, 1.12, 1.04),
        "belly": Tint(8, 1.0, 1.1, 0.28),
        "crest": Tint(-4, 1.15, 0.95),
    },
    "parrot": {
        **_SHARED,
        "body": Tint(0, 1.1, 1.05),
        "belly": Tint(42, 1.05, 1.12, 0.14),
        "wing": Tint(-24, 1.1, 0.74),
        "bar": Tint(58, 1.0, 1.15, 0.18),
        "tip": Tint(-58, 1.1, 0.62),
        "tail": Tint(-40, 1.1, 0.70),
        "face": Tint(0, 0.5, 1.1, 0.74),
    },
    "heron": {**_SHARED, "belly": Tint(10, 0.7, 1.1, 0.64), "crown": Tint(-14, 1.0, 0.42)},
    "duck": {**_SHARED, "crown": Tint(-34, 1.15, 0.60), "belly": Tint(14, 0.7, 1.1, 0.66)},
    "owl": {**_SHARED, "belly": Tint(14, 0.8, 1.1, 0.52), "face": Tint(10, 0.6, 1.1, 0.70), "disc": Tint(4, 1.0, 0.62)},
    "toucan": {**_SHARED, "body": Tint(0, 1.1, 0.92), "throat": Tint(30, 0.5, 1.1, 0.82), "tail": Tint(-16, 1.0, 0.44)},
}


def _mirrored(*pieces: Ellipsoid) -> list[Ellipsoid]:
    """Return the pieces of the left side together with their mirror images on the right."""

    def other(piece: Ellipsoid) -> Ellipsoid:
        x, y, z = piece.centre
        paints = tuple(replace(paint, towards=(-paint.towards[0], *paint.towards[1:])) for paint in piece.paints)
        return replace(piece, centre=(-x, y, z), yaw=-piece.yaw, roll=-piece.roll, paints=paints)

    return [*pieces, *(other(piece) for piece in pieces)]


def _eyes(head: Vector, radii: Vector, size: float, azimuth: float, elevation: float, ring: str) -> list[Ellipsoid]:
    """Set a pair of eyes on a head, each a ball with a pupil looking outwards and a glint above it."""
    side, height = math.radians(azimuth), math.radians(elevation)
    out = (math.sin(side) * math.cos(height), math.sin(height), math.cos(side) * math.cos(height))
    centre = tuple(head[k] + 0.82 * radii[k] * out[k] for k in range(3))
    glint = (out[0] * 0.72, out[1] + 0.60, out[2] * 0.72 + 0.22)
    norm = math.sqrt(sum(value * value for value in glint))
    return _mirrored(
        Ellipsoid(
            "head",
            ring,
            (centre[0], centre[1], centre[2]),
            (size, size, size),
            paints=(
                Paint("ink", out, 0.52, 0.05),
                Paint("glint", (glint[0] / norm, glint[1] / norm, glint[2] / norm), 0.90, 0.03),
            ),
            gloss=0.25,
        )
    )


def _legs(
    x: float, hip: float, ground: float, z: float, width: float, tint: str, foot: float = 0.24
) -> list[Ellipsoid]:
    """Stand a bird on two legs from height ``hip`` down to ``ground``, with feet that point forward."""
    middle, half = (hip + ground) / 2, (hip - ground) / 2
    return _mirrored(
        Ellipsoid("legs", tint, (x, middle, z), (width, half, width), upright=True),
        Ellipsoid("legs", tint, (x, ground, z + foot * 0.55), (foot * 0.62, width * 0.9, foot), yaw=8, upright=True),
    )


FORWARD, UP, DOWN, BACK = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)
_FRONT_LOW = (0.0, -0.72, 0.69)


def _wings(centre: Vector, radii: Vector, pitch: float, yaw: float, roll: float = 0.0) -> list[Ellipsoid]:
    """Fold a pair of wings against the flanks, with a pale bar and dark flight feathers."""
    return _mirrored(
        Ellipsoid(
            "wing",
            "wing",
            centre,
            radii,
            pitch,
            yaw,
            roll,
            paints=(Paint("bar", (0.0, -0.45, -0.89), 0.16, 0.06), Paint("tip", (0.0, -0.40, -0.92), 0.42, 0.06)),
        )
    )


SPECIES_BODIES: Mapping[str, Sequence[Ellipsoid]] = {
    "robin": [
        Ellipsoid(
            "body",
            "body",
            (0, 0, 0),
            (0.92, 0.90, 1.02),
            28,
            paints=(Paint("belly", (0.0, -0.98, 0.15), 0.36, 0.12), Paint("breast", (0.0, -0.22, 0.97), 0.34, 0.08)),
        ),
        Ellipsoid(
            "head",
            "body",
            (0, 0.90, 0.48),
            (0.70, 0.64, 0.66),
            paints=(Paint("breast", (0.0, -0.50, 0.87), 0.16, 0.08),),
        ),
        Ellipsoid("beak", "horn", (0, 0.82, 1.16), (0.14, 0.12, 0.32), -6, gloss=0.3),
        *_eyes((0, 0.90, 0.48), (0.70, 0.64, 0.66), 0.21, 44, 16, "cream"),
        *_wings((0.76, 0.02, -0.27), (0.26, 0.54, 0.92), 28, 9),
        Ellipsoid("tail", "tail", (0, -0.40, -1.22), (0.36, 0.12, 0.56), 20, paints=(Paint("tip", BACK, 0.3),)),
        *_legs(0.32, -0.60, -1.30, 0.10, 0.085, "orange"),
    ],
    "wren": [
        Ellipsoid("body", "body", (0, 0, 0), (0.86, 0.84, 0.98), 12, paints=(Paint("belly", _FRONT_LOW, 0.12, 0.14),)),
        Ellipsoid(
            "head",
            "crown",
            (0, 0.68, 0.62),
            (0.66, 0.60, 0.66),
            paints=(Paint("brow", (0.0, -0.55, 0.83), -0.05, 0.07),),
        ),
        Ellipsoid("beak", "horn", (0, 0.64, 1.36), (0.10, 0.09, 0.40), 4, gloss=0.3),
        *_eyes((0, 0.68, 0.62), (0.66, 0.60, 0.66), 0.21, 48, 18, "cream"),
        *_wings((0.72, 0.06, -0.18), (0.24, 0.48, 0.80), 4, 12),
        Ellipsoid(
            "tail",
            "tail",
            (0, 0.98, -0.92),
            (0.34, 0.14, 0.74),
            -66,
            paints=(Paint("bar", BACK, 0.22, 0.07), Paint("tip", BACK, 0.52, 0.07)),
        ),
        *_legs(0.30, -0.58, -1.20, 0.10, 0.085, "coral"),
    ],
    "cardinal": [
        Ellipsoid("body", "body", (0, 0, 0), (0.84, 0.86, 1.04), 38, paints=(Paint("belly", _FRONT_LOW, 0.25, 0.20),)),
        Ellipsoid(
            "head",
            "body",
            (0, 0.94, 0.44),
            (0.66, 0.62, 0.64),
            paints=(Paint("ink", (0.0, -0.30, 0.95), 0.60, 0.05),),
        ),
        Ellipsoid("head", "crest", (0, 1.52, 0.06), (0.22, 0.60, 0.34), 26, paints=(Paint("crown", UP, 0.25, 0.2),)),
        Ellipsoid("head", "crest", (0, 1.26, 0.26), (0.42, 0.46, 0.48), 20),
        Ellipsoid("beak", "coral", (0, 0.84, 1.08), (0.26, 0.24, 0.30), -10, gloss=0.35),
        *_eyes((0, 0.94, 0.44), (0.66, 0.62, 0.64), 0.20, 46, 18, "cream"),
        *_wings((0.70, 0.00, -0.29), (0.25, 0.52, 0.92), 40, 9),
        Ellipsoid("tail", "tail", (0, -0.70, -1.14), (0.32, 0.12, 0.70), 38, paints=(Paint("tip", BACK, 0.3),)),
        *_legs(0.30, -0.60, -1.34, 0.08, 0.085, "brown"),
    ],
    "parrot": [
        Ellipsoid(
            "body", "body", (0, 0, 0), (0.86, 0.84, 1.14), 58, paints=(Paint("belly", (0.0, -0.85, 0.53), 0.22, 0.10),)
        ),
        Ellipsoid(
            "head",
            "body",
            (0, 1.06, 0.44),
            (0.74, 0.70, 0.74),
            paints=(Paint("face", (0.0, -0.20, 0.98), 0.46, 0.06),),
        ),
        Ellipsoid("beak", "horn", (0, 1.06, 1.18), (0.28, 0.32, 0.36), -20, gloss=0.4),
        Ellipsoid("beak", "slate", (0, 0.76, 1.36), (0.18, 0.34, 0.18), 20, gloss=0.4),
        *_eyes((0, 1.06, 0.44), (0.74, 0.70, 0.74), 0.20, 52, 20, "cream"),
        *_wings((0.62, -0.02, -0.36), (0.30, 0.58, 1.08), 56, 8),
        Ellipsoid(
            "tail",
            "tail",
            (0, -1.18, -1.10),
            (0.34, 0.14, 0.98),
            52,
            paints=(Paint("bar", BACK, 0.25, 0.08), Paint("tip", BACK, 0.55, 0.08)),
        ),
        *_legs(0.32, -0.80, -1.34, 0.20, 0.10, "slate", 0.26),
    ],
    "heron": [
        Ellipsoid("body", "body", (0, 0, 0), (0.80, 0.76, 1.12), 24, paints=(Paint("belly", _FRONT_LOW, 0.22, 0.14),)),
        Ellipsoid("body", "body", (0, 0.52, 0.80), (0.38, 0.66, 0.40), -28, paints=(Paint("belly", FORWARD, 0.35),)),
        Ellipsoid("body", "body", (0, 1.12, 0.80), (0.31, 0.68, 0.33), 20, paints=(Paint("belly", FORWARD, 0.35),)),
        Ellipsoid("head", "belly", (0, 1.70, 0.74), (0.47, 0.42, 0.58), 4, paints=(Paint("crown", UP, 0.30, 0.06),)),
        Ellipsoid("head", "crown", (0, 1.84, 0.10), (0.14, 0.12, 0.44), 14),
        Ellipsoid("beak", "amber", (0, 1.64, 1.60), (0.15, 0.15, 0.60), -2, gloss=0.3),
        *_eyes((0, 1.70, 0.74), (0.47, 0.42, 0.58), 0.19, 52, 16, "amber"),
        *_wings((0.64, 0.06, -0.29), (0.26, 0.54, 1.02), 22, 9),
        Ellipsoid("tail", "tail", (0, -0.46, -1.14), (0.34, 0.13, 0.48), 26),
        *_legs(0.30, -0.45, -1.86, 0.05, 0.10, "orange", 0.30),
    ],
    "duck": [
        Ellipsoid(
            "body", "body", (0, 0, 0), (0.98, 0.80, 1.24), 8, paints=(Paint("belly", (0.0, -0.9, 0.43), 0.30, 0.12),)
        ),
        Ellipsoid("body", "cream", (0, 0.66, 0.74), (0.46, 0.42, 0.46), -8, paints=(Paint("crown", UP, 0.42, 0.06),)),
        Ellipsoid("head", "crown", (0, 1.18, 0.80), (0.66, 0.62, 0.68)),
        Ellipsoid(
            "beak",
            "amber",
            (0, 1.02, 1.50),
            (0.38, 0.14, 0.42),
            -8,
            paints=(Paint("orange", FORWARD, 0.4, 0.2),),
            gloss=0.4,
        ),
        *_eyes((0, 1.18, 0.80), (0.66, 0.62, 0.68), 0.20, 50, 20, "cream"),
        *_wings((0.84, 0.16, -0.31), (0.26, 0.50, 0.98), 6, 9),
        Ellipsoid("tail", "tail", (0, 0.40, -1.28), (0.46, 0.18, 0.44), -36, paints=(Paint("cream", BACK, 0.35),)),
        *_legs(0.38, -0.55, -0.96, 0.05, 0.11, "orange", 0.34),
    ],
    "owl": [
        Ellipsoid(
            "body",
            "body",
            (0, -0.10, 0),
            (0.92, 1.10, 0.86),
            0,
            paints=(Paint("belly", (0.0, -0.25, 0.97), 0.30, 0.08),),
        ),
        Ellipsoid("head", "body", (0, 0.98, 0.06), (0.88, 0.74, 0.76)),
        *_mirrored(
            Ellipsoid("head", "face", (0.33, 0.98, 0.60), (0.42, 0.46, 0.24), 0, 20),
            Ellipsoid(
                "head", "crown", (0.56, 1.64, 0.06), (0.19, 0.40, 0.20), 0, 0, -28, paints=(Paint("tip", UP, 0.35),)
            ),
            Ellipsoid(
                "head",
                "amber",
                (0.35, 1.04, 0.80),
                (0.25, 0.25, 0.12),
                0,
                20,
                paints=(Paint("ink", FORWARD, 0.60, 0.05), Paint("glint", (0.0, 0.42, 0.90), 0.93, 0.02)),
                gloss=0.3,
            ),
        ),
        Ellipsoid("beak", "horn", (0, 0.76, 0.88), (0.13, 0.25, 0.15), -14, gloss=0.3),
        *_wings((0.72, -0.12, -0.22), (0.30, 0.68, 0.98), 66, 8, 6),
        Ellipsoid(
            "tail",
            "tail",
            (0, -0.98, -0.66),
            (0.40, 0.14, 0.50),
            54,
            paints=(Paint("bar", BACK, 0.2, 0.08), Paint("tip", BACK, 0.5, 0.08)),
        ),
        *_legs(0.36, -0.9, -1.36, 0.16, 0.13, "amber", 0.28),
    ],
    "toucan": [
        Ellipsoid(
            "body",
            "body",
            (0, 0, 0),
            (0.88, 0.88, 1.10),
            36,
            paints=(Paint("throat", (0.0, -0.10, 0.99), 0.50, 0.06), Paint("throat", (0.0, 0.35, -0.93), 0.62, 0.06)),
        ),
        Ellipsoid(
            "head",
            "body",
            (0, 0.94, 0.54),
            (0.70, 0.66, 0.70),
            paints=(Paint("throat", (0.0, -0.62, 0.78), 0.10, 0.06),),
        ),
        Ellipsoid(
            "beak",
            "orange",
            (0, 0.94, 1.60),
            (0.31, 0.42, 0.82),
            -6,
            paints=(Paint("amber", UP, 0.1, 0.2), Paint("ink", FORWARD, 0.66, 0.05)),
            gloss=0.45,
        ),
        Ellipsoid("beak", "ink", (0, 0.94, 1.10), (0.35, 0.44, 0.14), -6),
        *_eyes((0, 0.94, 0.54), (0.70, 0.66, 0.70), 0.21, 56, 22, "amber"),
        *_wings((0.74, 0.00, -0.27), (0.26, 0.54, 0.92), 36, 9),
        Ellipsoid("tail", "tail", (0, -0.66, -1.20), (0.40, 0.13, 0.62), 30),
        *_legs(0.30, -0.60, -1.30, 0.10, 0.095, "slate"),
    ],
}
"""The pieces of every species, in the order of `factors.SPECIES`."""

HIPS: Vector = (0.0, -0.45, 0.05)
"""The point about which a body tilts over its legs."""

"""What a bird is made of: ten factors, their priors, and the dice they are thrown with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from steer.errors import SteerError

SPECIES = ("robin", "wren", "cardinal", "parrot", "heron", "duck", "owl", "toucan")


@dataclass(frozen=True)
class Factor:
    """One thing that can vary in a picture.

    Attributes:
        name: What it is called everywhere.
        kind: ``linear`` (a range), ``circular`` (an angle in [low, high)) or ``categorical`` (classes).
        low: Smallest value; 0 for classes.
        high: Largest value; for a circle where it closes, for classes how many there are.
        unit: What the numbers count.
        description: One line for a person.
        classes: Names of the classes; empty for numbers.
    """

    name: str
    kind: Literal["linear", "circular", "categorical"]
    low: float
    high: float
    unit: str
    description: str
    classes: tuple[str, ...] = ()

    @property
    def spread(self) -> float:
        """Return the standard deviation under the uniform prior (103.9 degrees for a full circle)."""
        if self.kind == "categorical":
            return math.sqrt((len(self.classes) ** 2 - 1) / 12)
        return (self.high - self.low) / math.sqrt(12)


FACTORS: Mapping[str, Factor] = MappingProxyType(
    {
        factor.name: factor
        for factor in (
            Factor("species", "categorical", 0, len(SPECIES), "class", "the kind of bird", SPECIES),
            Factor("hue", "circular", 0, 360, "degree", "colour of the plumage: 0 red, 120 green, 240 blue"),
            Factor("heading", "circular", 0, 360, "degree", "0 faces the viewer, 90 the picture's right"),
            Factor("tilt", "linear", -20, 20, "degree", "pitch of the body, positive with the beak raised"),
            Factor("size", "linear", 0.62, 0.86, "picture height", "side of the square that just holds the bird"),
            Factor("x", "linear", -0.07, 0.07, "picture width", "offset of the bird to the right"),
            Factor("y", "linear", -0.07, 0.07, "picture width", "offset of the bird upwards"),
            Factor("background_hue", "circular", 0, 360, "degree", "colour of the backdrop"),
            Factor("background_brightness", "linear", 0.4, 1.0, "fraction", "brightness of the backdrop"),
            Factor("light", "linear", -70, 70, "degree", "azimuth of the light, positive from the right"),
        )
    }
)


def _layout() -> Mapping[str, slice]:
    """Assign one die to each linear factor and two to each circular one, in the order of FACTORS."""
    width = {"categorical": 0, "linear": 1, "circular": 2}
    layout: dict[str, slice] = {}
    start = 0
    for name, factor in FACTORS.items():
        if width[factor.kind]:
            layout[name] = slice(start, start + width[factor.kind])
            start += width[factor.kind]
    return MappingProxyType(layout)


DICE: Mapping[str, slice] = _layout()
"""Which of the 12 standard normal dice belong to which factor."""
DICE_COUNT = max(part.stop for part in DICE.values())


@dataclass(frozen=True)
class Correlation:
    """Make one factor follow another, as a Gaussian copula over their dice.

    Two circles are tied angle to angle: the target tends to the source's angle plus ``shift``. Where a linear
    factor is involved, a circle takes part with the cosine of its angle less ``shift``.

    Attributes:
        source: The factor that leads.
        target: The factor that follows.
        strength: Correlation of the dice, in (-1, 1).
        shift: Degrees, for circles only.
    """

    source: str
    target: str
    strength: float
    shift: float = 0.0


@dataclass(frozen=True)
class Prior:
    """How factors are distributed: independent and uniform unless narrowed or correlated on purpose.

    Attributes:
        ranges: Narrower ranges by factor name, as (low, high) in the factor's unit; for ``species`` class indices
            with ``high`` excluded. A circle's range may cross zero: (-30, 30) faces the viewer.
        correlations: Ties between factors; a factor is the target of at most one and then the source of none.

    Raises:
        SteerError: If a name is unknown, a range empty or outside the factor's own, or a tie impossible.
    """

    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    correlations: Sequence[Correlation] = ()

    def __post_init__(self) -> None:
        """Check names, ranges and ties."""
        for name, (low, high) in self.ranges.items():
            factor = _factor(name)
            widest = factor.high - factor.low
            inside = factor.kind == "circular" or (low >= factor.low and high <= factor.high)
            if not (low < high and high - low <= widest and inside):
                raise SteerError(
                    f"the range {low:g} to {high:g} of {name!r} is empty or leaves {factor.low:g} to "
                    f"{factor.high:g} {factor.unit}; choose one within"
                )
        targets = [tie.target for tie in self.correlations]
        for tie in self.correlations:
            for name in (tie.source, tie.target):
                if _factor(name).kind == "categorical":
                    raise SteerError(f"{name!r} has no dice to correlate; tie one of {', '.join(DICE)}")
            if not abs(tie.strength) < 1:
                raise SteerError(f"correlation strength {tie.strength:g} is not between -1 and 1; try 0.8")
            if tie.source in targets or targets.count(tie.target) > 1:
                raise SteerError(
                    f"{tie.source!r} to {tie.target!r} chains ties; let every target have one source that is no target"
                )

    def range_of(self, name: str) -> tuple[float, float]:
        """Return (low, high) of a factor under this prior."""
        factor = _factor(name)
        return self.ranges.get(name, (factor.low, factor.high))


def _factor(name: str) -> Factor:
    if name not in FACTORS:
        raise SteerError(f"no factor named {name!r}; there are {', '.join(FACTORS)}")
    return FACTORS[name]


UNIFORM = Prior()


def dice_to_factors(dice: Tensor, species: Tensor, prior: Prior = UNIFORM) -> dict[str, Tensor]:
    """Turn dice into factors: linear ones through the normal CDF, circular ones as the angle of a Gaussian pair.

    Args:
        dice: (batch, 12) standard normals, laid out as in DICE.
        species: (batch,) class indices.
        prior: Ranges and ties.

    Returns:
        Every factor as (batch,), in the order of FACTORS; species as int64.
    """
    tied = _tie(dice, prior)
    factors = {"species": species.long()}
    for name, part in DICE.items():
        low, high = prior.range_of(name)
        values = tied[:, part]
        if FACTORS[name].kind == "circular":
            turns = torch.atan2(values[:, 1], values[:, 0]) / math.tau
            fraction = turns - turns.floor()
            factors[name] = torch.remainder(low + fraction * (high - low), 360)
        else:
            factors[name] = low + torch.special.ndtr(values[:, 0]) * (high - low)
    return factors


def factors_to_dice(factors: Mapping[str, Tensor], prior: Prior = UNIFORM) -> Tensor:
    """Invert `dice_to_factors`, with radius √2 (the root mean square one) for the circular pairs.

    Args:
        factors: Every factor but the species, (batch,) each.
        prior: Ranges and ties.

    Returns:
        (batch, 12) dice; values at or beyond the end of a range give dice of about ±5.
    """
    columns = []
    for name in DICE:
        low, high = prior.range_of(name)
        values = factors[name]
        if FACTORS[name].kind == "circular":
            angle = torch.remainder(values - low, 360) / (high - low) * math.tau
            columns += [math.sqrt(2) * angle.cos(), math.sqrt(2) * angle.sin()]
        else:
            fraction = ((values - low) / (high - low)).double().clamp(2.5e-7, 1 - 2.5e-7)
            columns.append(torch.special.ndtri(fraction).to(values.dtype))
    return _untie(torch.stack(columns, dim=1), prior)


def sample_factors(
    count: int | None = None,
    *,
    seeds: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
    prior: Prior = UNIFORM,
) -> dict[str, Tensor]:
    """Draw factors, either by seeds (one CPU generator each, so any batch agrees) or ``count`` from one generator.

    Returns:
        Every factor as (batch,) on the CPU.

    Raises:
        SteerError: If not exactly one of ``count`` and ``seeds`` is given.
    """
    if (count is None) == (seeds is None):
        raise SteerError("say either how many birds (count=) or which (seeds=)")
    low, high = (int(end) for end in prior.range_of("species"))
    if seeds is not None:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        species = torch.cat([torch.randint(low, high, (1,), generator=rng) for rng in generators])
        dice = torch.stack([torch.randn(DICE_COUNT, generator=rng) for rng in generators])
    else:
        assert count is not None
        species = torch.randint(low, high, (count,), generator=generator)
        dice = torch.randn(count, DICE_COUNT, generator=generator)
    return dice_to_factors(dice, species, prior)


def _lead(dice: Tensor, tie: Correlation) -> Tensor:
    """Return what the source's dice add to the target's, as (batch, dice of the target)."""
    pair = dice[:, DICE[tie.source]]
    angle = math.radians(tie.shift)
    circular = {name: FACTORS[name].kind == "circular" for name in (tie.source, tie.target)}
    if circular[tie.source] and circular[tie.target]:
        turned = (
            pair[:, 0] * math.cos(angle) - pair[:, 1] * math.sin(angle),
            pair[:, 0] * math.sin(angle) + pair[:, 1] * math.cos(angle),
        )
        return torch.stack(turned, dim=1)
    if circular[tie.source]:
        return (pair[:, :1] * math.cos(angle) + pair[:, 1:] * math.sin(angle)).contiguous()
    if circular[tie.target]:
        return torch.cat([pair * math.cos(angle), pair * math.sin(angle)], dim=1)
    return pair


def _tie(dice: Tensor, prior: Prior) -> Tensor:
    """Mix every target's dice with its source's."""
    tied = dice
    for tie in prior.correlations:
        own, lead = dice[:, DICE[tie.target]], _lead(dice, tie)
        direction = _direction(tie, dice)
        # Along the lead the variances must add to one; across it the target's own dice stay as they are.
        along = own @ direction @ direction.T
        mixed = own - along + math.sqrt(1 - tie.strength**2) * along + tie.strength * lead
        tied = tied.clone()
        tied[:, DICE[tie.target]] = mixed
    return tied


def _untie(tied: Tensor, prior: Prior) -> Tensor:
    """Invert `_tie`: sources are never targets, so their dice are already the plain ones."""
    dice = tied
    for tie in prior.correlations:
        mixed = tied[:, DICE[tie.target]] - tie.strength * _lead(tied, tie)
        direction = _direction(tie, tied)
        along = mixed @ direction @ direction.T
        dice = dice.clone()
        dice[:, DICE[tie.target]] = mixed - along + along / math.sqrt(1 - tie.strength**2)
    return dice


def _direction(tie: Correlation, dice: Tensor) -> Tensor:
    """Return an orthonormal basis, (dice of the target, k), of the part of the target's dice that is led."""
    if FACTORS[tie.target].kind == "circular" and FACTORS[tie.source].kind == "linear":
        angle = math.radians(tie.shift)
        return dice.new_tensor([[math.cos(angle)], [math.sin(angle)]])
    width = DICE[tie.target].stop - DICE[tie.target].start
    return torch.eye(width, dtype=dice.dtype, device=dice.device)

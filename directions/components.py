"""Components: the directions along which samples vary most, from batches that need not be kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from steer.space import Space

REPLICATES = 20
"""How often samples are drawn anew to see how far components turn."""

HASHED = Space("hashed", "inner", (256,))
"""What observed values become for that."""


@dataclass(frozen=True, eq=False)
class Components:
    """Directions of a space, those with the largest effect first.

    Attributes:
        directions: (components, values), each as long as one standard deviation of the space along it.
        variances: of the observed values along each, all that are known, falling.
        total: what the shares of the components are taken of.
        linear_share: how much of the observed variance the turned space explains linearly, 0 to 1.
    """

    directions: Tensor
    variances: Tensor
    total: float
    linear_share: float


@runtime_checkable
class Estimate(Protocol):
    """Components of samples that come in batches."""

    def add(self, turns: Tensor, values: Tensor, weights: Tensor | None = None) -> None:
        """Take in samples of the turned and of the observed values, (batch, values) each, in float64.

        Each counts once, or as often as ``weights`` say, (batch,).
        """
        ...

    def components(self) -> Components:
        """Return the components of all that came."""
        ...


class Regression:
    """Reduced-rank regression of the observed values on the turned ones, from running sums in float64."""

    def __init__(self, count: int, turned: Space) -> None:
        self.count, self.turned, self.samples = count, turned, 0.0
        self.sums: dict[str, Tensor] = {}

    def add(self, turns: Tensor, values: Tensor, weights: Tensor | None = None) -> None:
        """See `Estimate.add`."""
        times = turns.new_ones(len(turns)) if weights is None else weights.to(turns)
        counted = times[:, None] * turns
        self.samples += float(times.sum())
        parts = {
            "turns": counted.sum(0),
            "values": times @ values,
            "turns turns": turns.T @ counted,
            "values turns": values.T @ counted,
            "squares": times @ values.square().sum(1),
        }
        self.sums = {name: self.sums[name] + part for name, part in parts.items()} if self.sums else parts

    def components(self) -> Components:
        """See `Estimate.components`."""
        spread, cross, varied = self.moments()
        matrix = cross @ torch.linalg.pinv(spread, hermitian=True)
        share = float((matrix * cross).sum()) / varied if varied > 0 else 0.0
        return principal(matrix, isotropic(self.turned) if self.turned.isotropic else spread, self.count, share)

    def moments(self) -> tuple[Tensor, Tensor, float]:
        """Return the covariance of what is turned, its covariance with what is observed, and the variance of that."""
        mean = {name: total / self.samples for name, total in self.sums.items()}
        spread = mean["turns turns"] - torch.outer(mean["turns"], mean["turns"])
        cross = mean["values turns"] - torch.outer(mean["values"], mean["turns"])
        return spread, cross, float(mean["squares"] - mean["values"].square().sum())


class Covariance:
    """The leading part of a covariance of any size, merged batch by batch; after Ross et al. (2008)."""

    def __init__(self, count: int) -> None:
        self.count, self.kept = count, 2 * count + 30
        self.samples, self.scatter = 0.0, 0.0
        self.mean = self.rows = torch.empty(0)

    def add(self, turns: Tensor, values: Tensor, weights: Tensor | None = None) -> None:
        """See `Estimate.add`; what is turned is what is observed."""
        times = values.new_ones(len(values)) if weights is None else weights.to(values)
        count = float(times.sum())
        if not count:
            return
        mean, share = times @ values / count, count / (self.samples + count)
        parts = [times.sqrt()[:, None] * (values - mean)]
        if self.samples:
            between = math.sqrt(self.samples * share) * (self.mean - mean)
            parts.append(between[None])
        self.scatter += sum(float(part.square().sum()) for part in parts)
        self.mean = torch.lerp(self.mean, mean, share) if self.samples else mean
        self.samples += count
        stacked = torch.cat([*parts, self.rows]) if len(self.rows) else parts[0]
        variances, mixes = _eigen(stacked @ stacked.T)
        self.rows = mixes[variances > 1e-12 * variances[0]][: self.kept] @ stacked  # orthogonal; squares add to scatter

    def components(self) -> Components:
        """See `Estimate.components`."""
        variances = self.rows.square().sum(1) / self.samples
        directions = self.rows[: self.count] / math.sqrt(self.samples)
        return Components(directions, variances, self.scatter / self.samples, 1.0)


class Projection:
    """The components of what is observed, and what is turned with each; after Härkönen et al. (2020), section 3.2.

    Args:
        observed: takes the components of what is observed.
        regression: of that on what is turned.
    """

    def __init__(self, observed: Estimate, regression: Regression) -> None:
        self.observed, self.regression = observed, regression

    def add(self, turns: Tensor, values: Tensor, weights: Tensor | None = None) -> None:
        """See `Estimate.add`."""
        self.observed.add(values, values, weights)
        self.regression.add(turns, values, weights)

    def components(self) -> Components:
        """See `Estimate.components`."""
        observed, turned = self.observed.components(), self.regression.turned
        spread, cross, _ = self.regression.moments()
        units = normalized(observed.directions @ cross)
        covariance = isotropic(turned) if turned.isotropic else spread
        lengths = ((units @ covariance) * units).sum(1).sqrt()
        share = self.regression.components().linear_share
        return Components(lengths[:, None] * units, observed.variances, observed.total, share)


class Stability:
    """How far components turn when samples are drawn anew: a Poisson bootstrap, of values that are hashed to few.

    Every observed value is added to one of a few hundred sums, with a random sign, which keeps angles on average
    (Charikar et al., 2002); so memory grows neither with samples nor with values. What is turned is not hashed.

    Args:
        make: returns the estimate that is made of each draw; the first one counts every sample once.
        same: whether the observed values themselves are turned.
        seed: of the draws.
    """

    def __init__(self, make: Callable[[], Estimate], *, same: bool, seed: int) -> None:
        self.same, self.random = same, torch.Generator().manual_seed(seed)
        self.estimates = [make() for _ in range(1 + REPLICATES)]
        self.places = self.signs = torch.empty(0)

    def add(self, turns: Tensor, values: Tensor, *, paired: bool) -> None:
        """Take in samples, as `Estimate.add`; ``paired`` are drawn two by two."""
        if not len(self.places):
            size = values.shape[1]
            thrown = torch.randint(HASHED.shape[0], (size,), generator=self.random)
            self.places = thrown if size > HASHED.shape[0] else torch.arange(size)
            self.signs = 2.0 * torch.randint(2, (size,), generator=self.random) - 1
        few = values.new_zeros(len(values), HASHED.shape[0]).index_add_(1, self.places, values * self.signs)
        drawn = -(-len(values) // 2) if paired else len(values)
        for number, estimate in enumerate(self.estimates):
            times = torch.poisson(torch.ones(drawn), generator=self.random) if number else torch.ones(drawn)
            weights = times.repeat_interleave(2)[: len(values)] if paired else times
            estimate.add(few if self.same else turns, few, weights)

    def angles(self) -> list[list[float]]:
        """Return the 90 % interval, in degrees, by which each component turns."""
        whole, *redrawn = (normalized(estimate.components().directions) for estimate in self.estimates)
        count = min(len(whole), *map(len, redrawn))
        cosines = torch.stack([(whole[:count] * each[:count]).sum(1).abs() for each in redrawn])  # (replicates, count)
        degrees = torch.rad2deg(torch.acos(cosines.clamp_max(1)))
        ends = degrees.quantile(torch.tensor([0.05, 0.95], dtype=degrees.dtype), dim=0)
        return [[round(low, 2), round(high, 2)] for low, high in ends.T.tolist()]


def principal(matrix: Tensor, covariance: Tensor, count: int, linear_share: float = 1.0) -> Components:
    """Return the principal components of an affine layer, as directions of what it is fed.

    Args:
        matrix: (observed values, turned values).
        covariance: of the turned values, (turned values, turned values).
        count: the most components that are returned.
        linear_share: passed on.

    Returns:
        For dice, the right singular vectors of the matrix; else the directions whose turning moves each component
        alone, given how the turned values vary together.
    """
    spread, axes = _eigen(covariance)
    root = (axes.T * spread.clamp_min(0).sqrt()) @ axes
    variances, weights = _eigen(root @ matrix.T @ matrix @ root)
    count = min(count, int((variances > 1e-12 * variances[0]).sum()))
    directions = normalized(weights[:count] @ root)
    deviations = ((directions @ covariance) * directions).sum(1).sqrt()
    return Components(deviations[:, None] * directions, variances, float(variances.sum()), linear_share)


def isotropic(space: Space) -> Tensor:
    """Return the covariance of dice."""
    return space.sigma**2 * torch.eye(math.prod(space.shape), dtype=torch.float64)


def _eigen(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, falling and never negative, and eigenvectors as rows."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values.flip(0).clamp_min(0), vectors.flip(1).T


def normalized(directions: Tensor) -> Tensor:
    """Return each row at length 1."""
    return torch.nn.functional.normalize(directions, dim=1)


def signed(direction: Tensor) -> Tensor:
    """Return the direction with its largest entry positive."""
    return direction * direction[direction.abs().argmax()].sign()


def largest_angle(first: Tensor, second: Tensor) -> float:
    """Return the largest principal angle between the spans of rows, in degrees; after Björck & Golub (1973)."""
    bases = [torch.linalg.qr(rows.T).Q for rows in (first, second)]
    off = bases[1] - bases[0] @ (bases[0].T @ bases[1])  # the sine, exact for small angles where the cosine is not
    return math.degrees(math.asin(min(float(torch.linalg.matrix_norm(off, 2)), 1.0)))

"""Jacobian: the directions of a space that change one picture most, within a mask if there is one.

The pullback metric, as Park et al. (2023), arXiv 2307.12868, use it for diffusion models, by products with the Jacobian
and its transpose alone. Confined to a mask, after Zhu et al. (2021), LowRankGAN, arXiv 2106.04488, and Chen et al.
(2024), LOCO Edit, arXiv 2409.02374. They take those directions out that change the rest most; here the change inside is
made as large as can be for the change outside, which keeps more of the one for less of the other: on aviary-biggan,
two sigmas of the second direction changed the inside by 10.3 and the rest by 1.8, in place of 9.8 and 3.6.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from steer.directions.components import signed
from steer.directions.plausible import UNMEASURED, plausible_range
from steer.directions.readings import deviations
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import KnobSet, LinearKnob, Provenance, Window
from steer.latent import Latent
from steer.pictures import read_recipe_text
from steer.prepare import prepare
from steer.recipe import Recipe
from steer.sampler import Sampler
from steer.space import Space
from steer.steering import Steering

SMALL = 64
"""Spaces of no more values are looked at whole; in larger ones, the directions with the largest effect are iterated."""

SPARE, BACKGROUND, ROUNDS = 4, 12, 4
"""Directions iterated beside those asked for, those of the background, and how often each is improved."""

STILL = 0.05
"""A direction is still outside where it changes less there than this part of what the strongest changes inside."""


@dataclass(frozen=True)
class Jacobian:
    """Finds the directions that change one picture most.

    Attributes:
        space: where to turn; left out, the generator's first.
        seed: which picture: that of this seed.
        picture: or that of a file: one made by the toolkit is drawn again, any other is inverted.
        mask: where it may change: a box as parts of the picture, ``left,upper,right,lower``, such as
            ``0.2,0.1,0.7,0.6``, or the file of a picture that is white there. Left out, everywhere.
        components: how many knobs.
        window: the part of the way, 0 to 1, in which the knobs act.
        condition: what to ask for, such as ``{"label": "robin"}``.
        sampler: the walk that is differentiated, for generators that have a choice; left out, their draft, since all of
            a walk is held in memory.
        measure_ranges: whether to look at the picture for the plausible range of every knob.
    """

    space: str | None = None
    seed: int = 0
    picture: str | None = None
    mask: str | None = None
    components: int = 4
    window: tuple[float, float] = (0.0, 1.0)
    condition: Mapping[str, str] | None = None
    sampler: Sampler | None = None
    measure_ranges: bool = False

    def find(self, generator: Generator, *, progress: Progress | None = None) -> KnobSet:
        """Find the knobs ``local0``, ``local1``, ..., which hold for that picture, and for others as far as they do.

        The scores of each are its ``change`` inside the mask per unit, in the linear approximation (the root of the
        sum of squares over all pixels and channels, in [0, 1]), and how large the change outside really is beside
        that inside when it is turned by one unit: ``outside``.

        Raises:
            BadInput: the picture does not change smoothly with the space, or picture or mask cannot be read.
        """
        generator = generator.with_sampler(self.sampler or generator.sampler or generator.draft)
        space = generator.space(self.space or next(iter(generator.spaces)))
        if self.components < 1:
            raise BadInput(f"jacobian takes 1 component or more, not {self.components}")
        latent = self._latent(generator)
        mask = read_mask(self.mask, generator.backend.picture_size).to(generator.device)
        tangent = Tangent.at(generator, latent, space, Window(*self.window))
        directions, changes = _largest(tangent, mask, self.components, progress)
        lengths = deviations(generator, space.name, directions.cpu()).float()
        unit = "sigma" if bool((lengths > 0).all()) else "absolute"  # what is never drawn has no spread
        knobs: dict[str, LinearKnob] = {}
        for index, direction in enumerate(directions.cpu()):
            length = float(lengths[index]) if unit == "sigma" else 1.0
            shaped = length * signed(direction).reshape(space.shape)
            knob = LinearKnob(f"local{index}", space.name, shaped, unit, window=Window(*self.window))
            scores = {"change": round(length * float(changes[index]), 4)}
            if self.mask is not None:
                scores["outside"] = round(_outside(generator, latent, knob, mask), 4)
            if self.measure_ranges:
                knob = replace(knob, range=plausible_range(generator, knob, latent=latent))
            origin = Provenance(generator.name, generator.fingerprint, "jacobian", asdict(self), scores)
            knobs[knob.name] = replace(knob, provenance=origin)
        report: dict[str, Any] = {"space": space.name, "products": tangent.products}
        report["knobs"] = {name: dict(knob.provenance.scores) for name, knob in knobs.items()}
        return KnobSet(knobs, report if self.measure_ranges else {**report, "ranges": UNMEASURED})

    def _latent(self, generator: Generator) -> Latent:
        """Return the picture's latent, one row, free of its anchor."""
        if self.picture is None:
            return generator.sample([self.seed], condition=dict(self.condition or {}))
        path = Path(self.picture)
        if path.is_file() and read_recipe_text(path) is not None:
            return Recipe.load(path).latent(generator).rows([0]).without_anchor()
        return generator.invert(path, condition=self.condition).latent.without_anchor()


def read_mask(mask: str | None, size: tuple[int, int]) -> Tensor:
    """Return a mask as it was given, (1, height, width) in [0, 1].

    >>> read_mask("0,0,0.5,1", (1, 4))
    tensor([[[1., 1., 0., 0.]]])

    Raises:
        BadInput: it is neither a box nor a picture, or nothing is in it.
    """
    height, width = size
    if mask is None:
        return torch.ones(1, height, width)
    numbers = re.fullmatch(r"\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*", mask)
    if numbers is None:
        inside = prepare(mask, size).picture.mean(1)  # (1, height, width)
    else:
        left, upper, right, lower = (float(number) for number in numbers.groups())
        x, y = (torch.arange(count).add(0.5) / count for count in (width, height))
        inside = ((y >= upper) & (y < lower))[:, None] & ((x >= left) & (x < right))
        inside = inside[None].float()
    if not bool((inside > 0).any()):
        raise BadInput(
            f"nothing of the picture lies in the mask '{mask}'; a box is left,upper,right,lower, each 0 to 1"
        )
    return inside


@dataclass(eq=False)
class Tangent:
    """How a picture changes with the values of a space, to first order: products with the Jacobian and its transpose.

    Attributes:
        offset: what is added to the values, 0, (1, *shape).
        picture: (1, 3, height, width), as a function of the offset.
        weights: those of the pixels in ``pulled``, (1, 3, height, width).
        pulled: the transposed Jacobian times the weights, as a function of them, (1, *shape).
        products: how many products were taken.
    """

    offset: Tensor
    picture: Tensor
    weights: Tensor
    pulled: Tensor
    products: int = 0

    @classmethod
    def at(cls, generator: Generator, latent: Latent, space: Space, window: Window) -> "Tangent":
        """Return the tangent at a latent of one row.

        Raises:
            BadInput: the picture does not depend on the space smoothly.
        """
        offset = torch.zeros(1, *space.shape, device=generator.device, requires_grad=True)
        # Attention in one fused step has no second derivative, which products with the Jacobian itself take.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            turn = _Offset("offset", space.name, offset[0].detach(), window=window, offset=offset)
            picture = generator.decode(latent, Steering([(turn, 1.0)]))
            if not picture.requires_grad:
                raise BadInput(f"pictures of '{generator.name}' do not change smoothly with '{space.name}'")
            weights = torch.zeros_like(picture, requires_grad=True)
            (pulled,) = torch.autograd.grad(picture, offset, weights, create_graph=True)
        return cls(offset, picture, weights, pulled)

    @property
    def values(self) -> int:
        """How many values the space has."""
        return self.offset.numel()

    def push(self, direction: Tensor) -> Tensor:
        """Return the change of the picture for one step along a direction, (values,): (3, height, width)."""
        self.products += 1
        step = direction.reshape(self.pulled.shape).to(self.pulled)
        return torch.autograd.grad(self.pulled, self.weights, step, retain_graph=True)[0][0]

    def pull(self, change: Tensor) -> Tensor:
        """Return the transpose: how much each value of the space is for a change, (3, height, width): (values,)."""
        self.products += 1
        return torch.autograd.grad(self.picture, self.offset, change[None], retain_graph=True)[0].flatten()


@dataclass(frozen=True, eq=False)
class _Offset(LinearKnob):
    """Adds what may be differentiated by."""

    offset: Tensor = field(default_factory=lambda: torch.empty(0))

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        return self.offset.expand_as(values)


def _largest(tangent: Tangent, mask: Tensor, count: int, progress: Progress | None) -> tuple[Tensor, Tensor]:
    """Return the directions that change most inside a mask for what they change outside, and by how much they do.

    Args:
        tangent: at the picture.
        mask: (1, height, width).
        count: how many at most.
        progress: called with the rounds done.

    Returns:
        Directions of length 1, (directions, values), and the changes inside for a step along each, (directions,).
    """
    rest = 1 - mask
    if tangent.values <= SMALL:
        basis = torch.eye(tangent.values, device=mask.device)
    else:
        found = [_iterated(tangent, mask, count + SPARE, progress)]
        if bool(rest.any()):
            found.append(_iterated(tangent, rest, BACKGROUND, progress))
        basis = torch.linalg.qr(torch.cat(found).T).Q.T
    changes = torch.stack([tangent.push(direction) for direction in basis])  # (basis, 3, height, width)
    inside, outside = ((part * changes).flatten(1).double() for part in (mask, rest))
    within, without = inside @ inside.T, outside @ outside.T
    strongest = float(torch.linalg.eigvalsh(within)[-1])
    if strongest <= 0:
        raise BadInput("nothing inside the mask changes with that space; turn another, or take a larger mask")
    # The quotient of both changes is largest along generalised eigenvectors; a little stillness costs nothing.
    held = torch.linalg.cholesky(without + STILL**2 * strongest * torch.eye(len(basis), device=mask.device))
    half = torch.linalg.solve_triangular(held, within, upper=False)
    quotients = torch.linalg.solve_triangular(held, half.T, upper=False)
    mixes = torch.linalg.eigh(quotients).eigenvectors.flip(1)[:, :count]
    mixes = torch.linalg.solve_triangular(held.T, mixes, upper=True)
    mixes = (mixes / mixes.norm(dim=0)).T  # (directions, basis)
    return mixes.float() @ basis, (mixes @ inside).norm(dim=1)


def _outside(generator: Generator, latent: Latent, knob: LinearKnob, mask: Tensor) -> float:
    """Return the change outside the mask over that inside, for a turn of one unit."""
    with torch.no_grad():
        plain, turned = generator.decode(latent.rows([0, 0]), Steering([(knob, [0.0, 1.0])]))
    change = turned - plain
    return float(((1 - mask) * change).norm() / (mask * change).norm().clamp_min(1e-9))


def _iterated(tangent: Tangent, mask: Tensor, count: int, progress: Progress | None) -> Tensor:
    """Return orthonormal directions that nearly span those of the largest change in a mask, by subspace iteration."""
    random = torch.Generator().manual_seed(0)
    start = torch.randn((tangent.values, min(count, tangent.values)), generator=random)
    basis = torch.linalg.qr(start.to(mask.device)).Q.T
    for number in range(ROUNDS):
        pulled = [tangent.pull(mask.square() * tangent.push(direction)) for direction in basis]
        basis = torch.linalg.qr(torch.stack(pulled).T).Q.T
        if progress is not None:
            progress(number + 1, ROUNDS)
    return basis

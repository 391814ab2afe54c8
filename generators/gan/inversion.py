"""Inversion of a BigGAN: the dice, the class and what each block adds to the dice, found for a picture.

An encoder guesses the dice for every class; then dice, class mixture and offsets descend along the unlikeness of what
they draw, in pixels and in the frozen features that the encoder reads. The guess and then the descent are after Zhu
et al. (2016), arXiv 1609.03552; dice for each block by themselves after Abdal et al. (2019), arXiv 1904.03189.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from steer.backend import Stage
from steer.errors import BadInput, BrokenFile
from steer.inversion import Found
from steer.latent import Latent
from steer.progress import Progress
from steer.registry import load_measurer

if TYPE_CHECKING:
    from steer.generators.biggan import BigGAN

CANDIDATES = 3
"""Classes that are tried out before the best is taken."""

AT_ONCE = 32
"""Rows drawn at a time."""

RATE = 0.05
"""Learning rate of the descent, falling to 0 along a cosine."""

SURE = 6.0
"""The leaning, as a logit, towards the class that a guess is made for."""

SHELL = 1.25
"""How far the dice go at most, as root mean square in sigmas: hardly a throw lies beyond."""

FEATURE_WEIGHT = 0.05
"""What a squared standard deviation of all features counts beside a difference of 1 in all pixels."""

UNLIKE = 0.08
"""The mean difference of pixels from which on a picture counts as one that is not drawn here."""


@runtime_checkable
class Featured(Protocol):
    """A measurer that lends its features."""

    def features(self, images: Tensor) -> Sequence[Tensor]:
        """Return feature maps of pictures (batch, 3, height, width) in [0, 1]."""
        ...


@dataclass(frozen=True, eq=False)
class Unlikeness:
    """By how much pictures differ from one, in pixels and in features.

    Attributes:
        target: the picture, (1, 3, height, width) in [0, 1].
        measurer: lends the features; pixels alone count where nobody does.
        maps: the target's feature maps.
        scales: one over the standard deviation of each of their channels, (1, channels, 1, 1).
    """

    target: Tensor
    measurer: Featured | None = None
    maps: Sequence[Tensor] = ()
    scales: Sequence[Tensor] = ()

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the unlikeness of pictures (batch, 3, height, width), (batch,)."""
        unlike = (pictures - self.target).abs().mean((1, 2, 3))
        if self.measurer is not None:
            found = self.measurer.features(pictures)
            each = zip(found, self.maps, self.scales, strict=True)
            apart = [((there - here) * scale).square().mean((1, 2, 3)) for there, here, scale in each]
            unlike = unlike + FEATURE_WEIGHT * torch.stack(apart).mean(0)
        return unlike


@dataclass(frozen=True, eq=False)
class Dice:
    """What descends: unbounded numbers that stand for a latent.

    Attributes:
        z: (batch, z_dim); drawn in where it leaves the shell.
        leanings: (batch, classes), logits of the class mixture.
        offsets: (batch, stages, z_dim); drawn in where a stage departs further than ``freedom``.
        freedom: root mean square in sigmas.
    """

    z: Tensor
    leanings: Tensor
    offsets: Tensor
    freedom: float

    def latent(self, embedding: Tensor) -> Latent:
        """Return the latent; ``embedding`` is (classes, class_dim)."""
        values = {
            "z": _drawn_in(self.z, SHELL),
            "class": self.leanings.softmax(1) @ embedding,
            "offsets": _drawn_in(self.offsets, self.freedom),
        }
        return Latent(values, {}, (None,) * len(self.z))

    def rows(self, index: Tensor) -> "Dice":
        """Return the named rows."""
        return replace(self, z=self.z[index], leanings=self.leanings[index], offsets=self.offsets[index])


def _drawn_in(values: Tensor, limit: float) -> Tensor:
    """Return the values, drawn in along their last axis to a root mean square of at most ``limit``."""
    size = (values.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    return values * (limit / size).clamp(max=1.0)


def invert(
    backend: "BigGAN", picture: Tensor, label: str | None, *, freedom: float, descent: int, progress: Progress | None
) -> Found:
    """Find dice, class and offsets whose picture is the one given.

    Arguments, errors and what comes back are those of `steer.generators.biggan.BigGAN.invert`; ``label`` is the class
    to draw it with, or None for a mixture of all.
    """
    if not (math.isfinite(freedom) and freedom >= 0 and descent >= 0):
        raise BadInput(f"freedom and descent are numbers from 0 up, not {freedom} and {descent}")
    labels, embedding = backend.config.labels, backend.network.embedding
    classes = torch.tensor([labels.index(label)] if label else range(len(labels)))
    guesses, unlikeness = _guesses(backend, picture.cpu(), classes, freedom)

    def unlike(dice: Dice) -> Tensor:
        return unlikeness(_drawn(backend, dice.latent(embedding)).cpu())

    def improved(dice: Dice, moving: Sequence[str], count: int, done: int) -> Dice:
        parts = {name: getattr(dice, name).clone().requires_grad_() for name in moving}
        optimiser = torch.optim.Adam(list(parts.values()))
        for step in range(count):
            optimiser.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / count)) / 2
            optimiser.zero_grad()
            unlike(replace(dice, **parts)).sum().backward()
            optimiser.step()
            if progress is not None:
                progress(done + step + 1, descent)
        return replace(dice, **{name: part.detach() for name, part in parts.items()})

    with torch.no_grad():
        tried = torch.cat([unlike(guesses.rows(rows)) for rows in torch.arange(len(classes)).split(AT_ONCE)])
    moving = ["z"] if label else ["z", "leanings"]
    with torch.enable_grad():
        dice = improved(guesses.rows(tried.argsort()[:CANDIDATES]), moving, descent // 2, 0)
        with torch.no_grad():
            dice = dice.rows(unlike(dice).argmin(0, keepdim=True))
        dice = improved(dice, [*moving, *(["offsets"] if freedom else [])], descent - descent // 2, descent // 2)
    with torch.no_grad():
        latent = dice.latent(embedding)
        missed = float((_drawn(backend, latent).cpu() - picture.cpu()).abs().mean())
    shares = dict(zip(labels, dice.leanings[0].softmax(0).tolist(), strict=True))
    advice = f"what comes closest still differs by {missed:.2f} on average; pictures like it are hardly drawn here"
    return Found(
        latent=replace(latent, condition={"label": (max(shares, key=shares.__getitem__),)}),
        settings={"freedom": freedom, "descent": descent},
        calls=-(-len(classes) // AT_ONCE) + descent + 2,
        complaints=(advice,) if missed > UNLIKE else (),
        details=_details(latent, shares),
    )


def _guesses(backend: "BigGAN", picture: Tensor, classes: Tensor, freedom: float) -> tuple[Dice, Unlikeness]:
    """Return dice for each class, and what to judge them by: both by the encoder's features where there is one."""
    from steer.generators.gan.dice_encoder import ENCODER, load_encoder
    from steer.generators.gan.random_features import RANDOM, RandomFeatures

    config, device = backend.config, backend.network.embedding.device
    one_hot = torch.nn.functional.one_hot(classes, len(config.labels)).float()
    z = torch.zeros(len(classes), config.z_dim)
    unlikeness = Unlikeness(picture)
    if backend.home is not None and (backend.home / ENCODER).is_file():
        encoder, name = load_encoder(backend.home)
        measurer = RandomFeatures(config.resolution) if name == RANDOM else load_measurer(name)
        if not isinstance(measurer, Featured) or encoder.out.out_features != 2 * config.z_dim:
            raise BrokenFile(f"'{backend.home / ENCODER}' does not fit this BigGAN and '{name}'; make it again")
        with torch.no_grad():
            maps = list(measurer.features(picture))
            z, _ = encoder([each.expand(len(classes), -1, -1, -1) for each in maps], one_hot)
            drawn = _drawn(backend, backend.sample(range(AT_ONCE), condition={}).to(device))
            scales = [(each.var((0, 2, 3), keepdim=True) + 1e-3).rsqrt() for each in measurer.features(drawn.cpu())]
        unlikeness = Unlikeness(picture, measurer, maps, scales)
    offsets = torch.zeros(len(classes), *backend.spaces["offsets"].shape)
    return Dice(z.to(device), SURE * one_hot.to(device), offsets.to(device), freedom), unlikeness


def _drawn(backend: "BigGAN", latent: Latent) -> Tensor:
    state = backend.begin(latent)
    for stage in backend.stages(latent):
        state = backend.advance(state, stage, _unsteered)
    return backend.picture(state)


def _unsteered(space: str, stage: Stage, values: Tensor) -> Tensor:
    return values


def _details(latent: Latent, shares: dict[str, float]) -> dict[str, Any]:
    """Return how far one row lies from the dice that are drawn, for whoever asks how well its knobs will turn."""
    z, offsets = latent["z"][0], latent["offsets"][0]
    count = len(z)
    return {
        "method": "encoder and descent",
        "dice_rms": float(z.square().mean().sqrt()),
        "dice_standard_errors": float((z.square().sum() - count) / math.sqrt(2 * count)),
        "offsets_rms": float(offsets.square().mean().sqrt()),
        "classes": {name: share for name, share in shares.items() if share >= 0.01},
    }

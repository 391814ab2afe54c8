"""Two generators whose every answer is known: the aviary without its drawing, and a plain affine layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, cast

import torch
from torch import Tensor

from steer.attribute import Attribute
from steer.backend import Backend, Condition, Sampler, Stage, State, SteeringCall
from steer.generator import Generator
from steer.generators.aviary.backend import Aviary
from steer.generators.aviary.factors import DICE, DICE_COUNT, FACTORS
from steer.knob import KnobSet, LinearKnob, RingKnob
from steer.latent import Latent
from steer.seeds import draw_normal
from steer.space import Space


def random_rotation(size: int, seed: int = 0) -> Tensor:
    """Return an orthogonal matrix."""
    return torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(seed))).Q


class UndrawnAviary(Aviary):
    """The aviary, its dice mixed by a rotation; the "picture" holds its factors as twelve numbers."""

    rotation: ClassVar[Tensor] = random_rotation(DICE_COUNT)
    measurer: ClassVar[str] = "picture"
    picture_size = (2, 2)

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        def mixed(space: str, stage: Stage, values: Tensor) -> Tensor:
            steered = steering(space, stage, values)
            return steered @ self.rotation if space == "z" else steered

        return super().advance(state, stage, mixed)

    def picture(self, state: State) -> Tensor:
        low = torch.tensor([factor.low for factor in FACTORS.values()])
        high = torch.tensor([factor.high for factor in FACTORS.values()])
        code = (state.tensors["factors"] - low) / (high - low)
        return torch.nn.functional.pad(code, (0, 2)).clamp(0, 1).reshape(-1, 3, 2, 2)

    def shipped_knobs(self) -> KnobSet:
        knobs = {}
        for name, knob in super().shipped_knobs().items():
            axes = self.rotation[:, DICE[name]].T.contiguous()
            knobs[name] = (
                RingKnob(name, "z", axes, attribute=name)
                if isinstance(knob, RingKnob)
                else LinearKnob(name, "z", axes[0], range=knob.range, attribute=name)
            )
        return KnobSet(knobs)


class Truth:
    """Reads the factors back out of an undrawn picture, exactly."""

    name: str = "truth"
    reference: str | None = None
    attributes: Mapping[str, Attribute] = MappingProxyType(
        {
            name: Attribute(name, each.kind, each.low, each.high, each.unit, each.spread, each.classes)
            for name, each in FACTORS.items()
        }
    )

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        codes = dict(zip(FACTORS, images.flatten(1).unbind(1), strict=False))
        read = {name: each.low + codes[name] * (each.high - each.low) for name, each in FACTORS.items()}
        return {**read, "species": read["species"].round()}

    def in_domain(self, images: Tensor) -> Tensor:
        return images.new_ones(len(images))


@dataclass(frozen=True, eq=False)
class Affine:
    """Dice, an affine layer with an offset for each class, its rectified copy, and a picture of the first numbers."""

    dice: int = 6
    width: int = 40
    fingerprint: str = "affine"
    measurer: str = "picture"
    picture_size: tuple[int, int] = (2, 2)
    samplers: ClassVar[Mapping[str, Sampler]] = MappingProxyType({})

    @property
    def spaces(self) -> Mapping[str, Space]:
        shapes = {"layer:0": (self.width,), "layer:1": (self.width // 2, 2)}
        inner = {name: Space(name, "inner", shape) for name, shape in shapes.items()}
        return {"z": Space("z", "input", (self.dice,), "normal"), **inner}

    @property
    def conditions(self) -> Mapping[str, Condition]:
        return {"label": Condition("label", "label", ("even", "odd"))}

    @cached_property
    def matrix(self) -> Tensor:
        """From dice to layer 0: singular values 1, 1/2, 1/4, ... in directions of no dice in particular."""
        left = random_rotation(self.width, 1)[:, : self.dice]
        return left * 0.5 ** torch.arange(self.dice) @ random_rotation(self.dice, 2)

    @property
    def directions(self) -> Tensor:
        """The right singular vectors, one a row."""
        return random_rotation(self.dice, 2)

    def to(self, device: torch.device) -> "Affine":
        return self

    def sample(
        self, seeds: Sequence[int], *, condition: Mapping[str, Sequence[str]], truncation: float = 1.0
    ) -> Latent:
        labels = tuple(condition.get("label", ["even" if seed % 2 == 0 else "odd" for seed in seeds]))
        values = {"z": truncation * draw_normal(seeds, "z", (self.dice,))}
        return Latent(values, {"label": labels}, tuple(seeds), truncation)

    def stages(self, latent: Latent, sampler: Sampler | None) -> Sequence[Stage]:
        return [Stage(index, (index / 3, (index + 1) / 3), frozenset({name})) for index, name in enumerate(self.spaces)]

    def begin(self, latent: Latent, sampler: Sampler | None) -> State:
        offset = torch.tensor([[5.0 * (label == "odd")] for label in latent.condition["label"]])
        return State({"h": latent["z"], "offset": offset})

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        h, offset = state.tensors["h"], state.tensors["offset"]
        name = list(self.spaces)[stage.index]
        h = steering(name, stage, h)
        if stage.index == 0:
            h = h @ self.matrix.T + 0.3 + offset
        elif stage.index == 1:
            h = torch.relu(h - offset).reshape(len(h), -1, 2)
        return State({"h": h, "offset": offset})

    def picture(self, state: State) -> Tensor:
        return torch.sigmoid(state.tensors["h"].flatten(1)[:, :12]).reshape(-1, 3, 2, 2)

    def linear_map(self, observed: str, space: str) -> Tensor | None:
        return self.matrix if (observed, space) == ("layer:0", "z") else None

    def shipped_knobs(self) -> KnobSet:
        return KnobSet({})


@dataclass(frozen=True, eq=False)
class Unsaid(Affine):
    """The same, but it does not say that it is affine."""

    def linear_map(self, observed: str, space: str) -> Tensor | None:
        return None


def undrawn_aviary() -> Generator:
    """Return the aviary without its drawing."""
    return Generator(cast(Backend, UndrawnAviary()), name="undrawn-aviary")


def affine(*, said: bool = True) -> Generator:
    """Return the affine layer, which says or does not say that it is one."""
    return Generator(cast(Backend, Affine() if said else Unsaid()), name="affine")

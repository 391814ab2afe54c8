"""The renderer as a generator: its knobs are known exactly, so every finder can be tested against them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from steer.backend import Condition, Sampler, Stage, State, SteeringCall
from steer.generators.aviary.factors import (
    DICE,
    DICE_COUNT,
    FACTORS,
    SPECIES,
    UNIFORM,
    Prior,
    dice_to_factors,
)
from steer.generators.aviary.renderer import RENDERER_VERSION, render
from steer.knob import KnobSet, LinearKnob, Provenance, RingKnob
from steer.latent import Latent
from steer.seeds import draw_normal, stream
from steer.space import Space

LINEAR_RANGE = 2.5
"""A die beyond this many sigmas no longer moves its factor by a visible step."""


@dataclass(frozen=True)
class Aviary:
    """A backend that renders birds: dice to factors, factors to a picture.

    Attributes:
        prior: how the factors are distributed.
        size: height and width of its pictures, in pixels.
    """

    prior: Prior = UNIFORM
    size: int = 64
    measurer: ClassVar[str] = "aviary-judge"
    samplers: ClassVar[Mapping[str, Sampler]] = MappingProxyType({})
    spaces: Mapping[str, Space] = field(init=False)
    conditions: Mapping[str, Condition] = field(init=False)

    def __post_init__(self) -> None:
        spaces = (
            Space("z", "input", (DICE_COUNT,), "normal", "one die for a linear factor, two for a circular one"),
            Space(
                "species",
                "input",
                (len(SPECIES),),
                "learned",
                "a weight for each species; the largest is drawn",
            ),
            Space("factors", "inner", (len(FACTORS),), "learned", "the factors themselves, in their own units"),
        )
        object.__setattr__(self, "spaces", {space.name: space for space in spaces})
        label = Condition("label", "label", SPECIES, "the species; a die of its own where it is not asked for")
        object.__setattr__(self, "conditions", {"label": label})

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the pictures, in pixels."""
        return self.size, self.size

    @property
    def fingerprint(self) -> str:
        """A hash of renderer and prior."""
        return hashlib.sha256(f"aviary {RENDERER_VERSION} {self.prior} {self.size}".encode()).hexdigest()

    def to(self, device: torch.device) -> "Aviary":
        """Return itself; it renders where its latents are."""
        return self

    def sample(
        self, seeds: Sequence[int], *, condition: Mapping[str, Sequence[str]], truncation: float = 1.0
    ) -> Latent:
        """Draw dice and species; truncation scales the dice, which draws linear factors to their middle."""
        low, high = (int(end) for end in self.prior.range_of("species"))
        drawn = [int(torch.randint(low, high, (), generator=stream(seed, "species"))) for seed in seeds]
        labels = tuple(condition["label"]) if "label" in condition else tuple(SPECIES[index] for index in drawn)
        indices = torch.tensor([SPECIES.index(label) for label in labels])
        values = {
            "z": truncation * draw_normal(seeds, "z", (DICE_COUNT,)),
            "species": torch.nn.functional.one_hot(indices, len(SPECIES)).float(),
        }
        return Latent(values, {"label": labels}, tuple(seeds), truncation)

    def stages(self, latent: Latent, sampler: Sampler | None) -> Sequence[Stage]:
        """Return two stages: the dice are thrown, the bird is drawn."""
        return (
            Stage(0, (0.0, 0.5), frozenset({"z", "species"}), "dice"),
            Stage(1, (0.5, 1.0), frozenset({"factors"}), "drawing"),
        )

    def begin(self, latent: Latent, sampler: Sampler | None) -> State:
        """Return the dice and the species' weights."""
        return State(dict(latent.values))

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        """Turn dice into factors, or steer the factors."""
        if stage.index == 0:
            species = steering("species", stage, state.tensors["species"]).argmax(dim=1)
            dice = steering("z", stage, state.tensors["z"])
            factors = dice_to_factors(dice, species, self.prior)
            return State({"factors": torch.stack([factors[name].float() for name in FACTORS], dim=1)})
        return State({"factors": steering("factors", stage, state.tensors["factors"])})

    def picture(self, state: State) -> Tensor:
        """Render the factors."""
        factors = dict(zip(FACTORS, state.tensors["factors"].unbind(dim=1), strict=True))
        factors["species"] = factors["species"].round().long().clamp(0, len(SPECIES) - 1)
        return render(factors, self.size)

    def linear_map(self, observed: str, space: str) -> Tensor | None:
        """Return None: no factor is affine in its dice."""
        return None

    def shipped_knobs(self) -> KnobSet:
        """Return the true knobs: one for each factor but the species, in dice space."""
        knobs: dict[str, LinearKnob | RingKnob] = {}
        origin = Provenance("aviary", self.fingerprint, "truth")
        axes = torch.eye(DICE_COUNT)
        for name, dice in DICE.items():
            if FACTORS[name].kind == "circular":
                knobs[name] = RingKnob(name, "z", axes[dice], attribute=name, provenance=origin)
            else:
                ends = (-LINEAR_RANGE, LINEAR_RANGE)
                knobs[name] = LinearKnob(name, "z", axes[dice][0], range=ends, attribute=name, provenance=origin)
        return KnobSet(knobs)


def load(folder: Path | None) -> Aviary:
    """Draw rendered birds, whose knobs are known exactly; there are no weights, so a folder is ignored."""
    return Aviary()

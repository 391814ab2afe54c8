"""Pictures drawn from a mixture of Gaussians: what a perfect denoiser predicts for them is known exactly."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from steer.backend import Condition, Sampler, Stage, State, SteeringCall
from steer.generator import Generator, Progress
from steer.generators.diffusion.inversion import Method, invert
from steer.generators.diffusion.schedule import Levels, Schedule
from steer.generators.diffusion.stepper import Denoiser, Prediction, Stepper
from steer.inversion import Found
from steer.knob import KnobSet
from steer.latent import Latent
from steer.seeds import draw_normal
from steer.space import Space

SHAPE = (3, 4, 4)
SIZE = math.prod(SHAPE)
SPACINGS = ["leading", "trailing", "linspace", "quad"]
PREDICTIONS = ["epsilon", "v", "sample"]


@dataclass(frozen=True)
class Mixture:
    """Gaussians around random means, all with the same spread along the same random axes.

    Attributes:
        means: how many Gaussians; a single one lies around 0.
        widest: variance along the first axis.
        narrowest: variance along the last one; between them it falls geometrically.
        apart: standard deviation of the means themselves.
    """

    means: int = 6
    widest: float = 0.5
    narrowest: float = 1e-3
    apart: float = 0.6

    @cached_property
    def centres(self) -> Tensor:
        rng = torch.Generator().manual_seed(0)
        away = 0.0 if self.means == 1 else self.apart
        return away * torch.randn(self.means, SIZE, generator=rng, dtype=torch.float64)

    @cached_property
    def axes(self) -> Tensor:
        rng = torch.Generator().manual_seed(1)
        return torch.linalg.qr(torch.randn(SIZE, SIZE, generator=rng, dtype=torch.float64)).Q

    @cached_property
    def variances(self) -> Tensor:
        return torch.logspace(math.log10(self.widest), math.log10(self.narrowest), SIZE, dtype=torch.float64)

    def draw(self, count: int, seed: int = 2) -> Tensor:
        """Draw pictures (count, *SHAPE)."""
        rng = torch.Generator().manual_seed(seed)
        centres = self.centres[torch.randint(self.means, (count,), generator=rng)]
        dice = torch.randn(count, SIZE, generator=rng, dtype=torch.float64)
        return (centres + dice * self.variances.sqrt() @ self.axes.T).float().reshape(-1, *SHAPE)

    def expected(self, x: Tensor, alpha_bar: float, shift: Tensor | float = 0.0) -> Tensor:
        """Return the mean of all pictures that noise may have turned into ``x``, by Bayes' rule.

        Args:
            x: noisy pictures (batch, SIZE), float64.
            alpha_bar: how much of the picture is left.
            shift: moves every centre, (batch, SIZE).
        """
        r = math.sqrt(alpha_bar)
        away = ((x - r * shift)[:, None] - r * self.centres) @ self.axes  # (batch, means, SIZE)
        variances = alpha_bar * self.variances + 1 - alpha_bar
        likely = torch.softmax(-0.5 * (away.square() / variances).sum(2), 1)
        inside = self.centres + (away * (r * self.variances / variances)) @ self.axes.T
        return (likely[..., None] * inside).sum(1) + shift

    def denoiser(self, schedule: Schedule, prediction: Prediction, shift: Tensor | float = 0.0) -> Denoiser:
        """Return the perfect denoiser of pictures whose centres are shifted by (batch, *SHAPE)."""
        flat = shift.double().flatten(1) if isinstance(shift, Tensor) else shift

        def denoise(x: Tensor, t: int) -> Tensor:
            r, n = math.sqrt(schedule.alpha_bar(t)), math.sqrt(1 - schedule.alpha_bar(t))
            wide = x.double().flatten(1)
            picture = self.expected(wide, schedule.alpha_bar(t), flat)
            noise = (wide - r * picture) / n
            wanted = {"epsilon": noise, "v": r * noise - n * picture, "sample": picture}[prediction]
            return wanted.reshape(x.shape).to(x.dtype)

        return denoise

    def scale(self, schedule: Schedule, levels: Levels) -> Tensor:
        """Return what all steps together multiply each axis of a single Gaussian by, (SIZE,).

        There the expected picture is r λ / (r² λ + n²) times the state, so every step multiplies by a number.
        """
        scale = torch.ones(SIZE, dtype=torch.float64)
        for t, s in levels.down:
            a, b = schedule.alpha_bar(t), schedule.alpha_bar(s)
            signal, noise = math.sqrt(a * b) * self.variances, math.sqrt((1 - a) * (1 - b))
            scale *= (signal + noise) / (a * self.variances + 1 - a)
        return scale


class Plane(Mixture):
    """A single Gaussian in a plane: half the axes have no variance at all, and its pictures have 0 there."""

    @cached_property
    def variances(self) -> Tensor:
        return torch.cat([torch.full((SIZE // 2,), self.widest), torch.zeros(SIZE // 2)]).double()


PICTURES = Mixture(widest=0.03, narrowest=3e-3, apart=0.3)
"""A mixture whose pictures lie in [-1, 1], and vary by more than 8 bits round."""


@dataclass(frozen=True, eq=False)
class Diffuser:
    """A diffusion model as a back end whose network is the perfect denoiser of a mixture.

    Spaces: ``noise``, and ``guess``, the clean picture guessed in each step.
    """

    mixture: Mixture = PICTURES
    schedule: Schedule = field(default_factory=lambda: Schedule.cosine(100, clean=1 - 1e-6))
    fingerprint: str = "mixture-1"
    measurer: str = "picture"
    picture_size: tuple[int, int] = SHAPE[1:]

    inversions: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"ddim": {"method": "ddim"}, "anderson": {}}
    )
    spaces: Mapping[str, Space] = field(
        default_factory=lambda: {
            "noise": Space("noise", "input", SHAPE, "normal"),
            "guess": Space("guess", "inner", SHAPE),
        }
    )
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    samplers: Mapping[str, Sampler] = field(default_factory=lambda: {"draft": Sampler(5), "final": Sampler(20)})

    def to(self, device: torch.device) -> "Diffuser":
        return self

    def stepper(self, sampler: Sampler | None) -> Stepper:
        sampler = sampler or self.samplers["final"]
        levels = Levels.spread(len(self.schedule), sampler.steps, sampler.spacing, low_levels=2)
        return Stepper(self.schedule, levels, "v")

    def sample(
        self, seeds: Sequence[int], *, condition: Mapping[str, Sequence[str]], truncation: float = 1.0
    ) -> Latent:
        return Latent({"noise": truncation * draw_normal(seeds, "noise", SHAPE)}, {}, tuple(seeds), truncation)

    def stages(self, latent: Latent, sampler: Sampler | None) -> Sequence[Stage]:
        first, *others = self.stepper(sampler).levels.stages(["guess"])
        return [replace(first, spaces=first.spaces | {"noise"}), *others]

    def begin(self, latent: Latent, sampler: Sampler | None) -> State:
        levels = torch.tensor(self.stepper(sampler).levels.times).expand(len(latent), -1)
        return State({"x": latent["noise"], "guess": torch.zeros_like(latent["noise"]), "levels": levels})

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        stepper = Stepper(self.schedule, Levels(tuple(state.tensors["levels"][0].tolist()), len(self.schedule)), "v")
        t, s = stepper.levels.down[stage.index]
        x = steering("noise", stage, state.tensors["x"]) if stage.index == 0 else state.tensors["x"]
        output = self.mixture.denoiser(self.schedule, "v")(x, t)
        plain = stepper.guess(x, output, t)
        guess = steering("guess", stage, plain)
        landed = stepper.step(x, output, t, s)
        if guess is not plain:
            landed = landed + math.sqrt(self.schedule.alpha_bar(s)) * (guess - plain)
        return State({**state.tensors, "x": landed, "guess": guess})

    def picture(self, state: State) -> Tensor:
        return (state.tensors["x"] / 2 + 0.5).clamp(0, 1)

    def noisy_picture(self, state: State) -> Tensor:
        return self.picture(state)

    def noise_levels(self) -> Tensor:
        return self.schedule.alpha_bars

    def linear_map(self, observed: str, space: str) -> Tensor | None:
        return None

    def shipped_knobs(self) -> KnobSet:
        return KnobSet({})

    def invert(
        self,
        picture: Tensor,
        *,
        condition: Mapping[str, Sequence[str]],
        sampler: Sampler | None,
        progress: Progress | None,
        method: Method = "anderson",
        iterations: int = 12,
    ) -> Found:
        stepper, denoiser = self.stepper(sampler), self.mixture.denoiser(self.schedule, "v")
        inversion = invert(denoiser, 2 * picture - 1, stepper, method=method, iterations=iterations, progress=progress)
        latent = Latent({"noise": inversion.noise}, {}, (None,))
        return inversion.found(latent, sampler or self.samplers["final"], {"method": method, "iterations": iterations})


def diffuser() -> Generator:
    """Return the mixture as a generator."""
    return Generator(Diffuser(), name="mixture")

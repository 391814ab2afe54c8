"""An experiment: a denoiser learns with one choice of noise and learning rate, and is watched as it does."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from steer.apps.lab.denoiser import Denoiser
from steer.apps.lab.targets import SIDE, Target
from steer.errors import BadInput
from steer.generators.diffusion.schedule import Schedule
from steer.seeds import draw_normal, stream
from steer.shapes import Pictures

LEVELS = 100
"""Noise levels; at each one more noise is added."""

WATCHED = (24, 49, 74, 99)
"""The levels at which the denoiser is watched: a quarter, a half, three quarters and all of the noise."""

BATCH = 8
MOMENTUM = 0.9

AVERAGED = 50
"""The steps over which the loss is averaged."""

FAR_OFF = 10.0
"""A denoiser has diverged once it does so many times worse than one who learnt nothing."""

LEAST_BETA, MOST_BETA = 1e-5, 0.99
LEAST_RATE, MOST_RATE = 1e-6, 100.0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """How a denoiser stands after some steps; pictures lie in [0, 1].

    Attributes:
        step: how many steps it has learnt.
        clean: the target.
        noisy: the target at each of the levels `WATCHED`, the same noise in all, clipped.
        denoised: what the denoiser makes of each; grey where that is no number.
        loss: mean squared error on the batch of this step, pictures counted in [-1, 1].
        average_loss: its mean over the last 50 steps.
        diverged: whether it ever did ten times worse than one who learnt nothing, or came to no number at all.
    """

    step: int
    clean: Float[Tensor, "1 3 side side"]
    noisy: Float[Tensor, "levels 3 side side"]
    denoised: Float[Tensor, "levels 3 side side"]
    loss: float
    average_loss: float
    diverged: bool


@dataclass(frozen=True, eq=False)
class Experiment:
    """One choice of everything; the same choice gives the same run.

    Attributes:
        target: what is to be denoised.
        beta: the noise's share that the last level adds, 1e-5 to 0.99; the first adds a hundredth of it, and between
            them it rises evenly.
        learning_rate: how far a step goes down the slope, 1e-6 to 100.
        seed: of the first weights, of the order of pictures and of the noise.
    """

    target: Target
    beta: float = 0.03
    learning_rate: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("beta", self.beta, LEAST_BETA, MOST_BETA),
            ("learning rate", self.learning_rate, LEAST_RATE, MOST_RATE),
        ):
            if not least <= value <= most:
                raise BadInput(f"the {name} is {least:g} to {most:g}, not {value!r:.40}")

    @cached_property
    def schedule(self) -> Schedule:
        """How much of the picture is left at each level."""
        return Schedule.linear(LEVELS, self.beta / LEVELS, self.beta)

    @cached_property
    def loss_of_the_mean(self) -> float:
        """The loss of one who always answers the mean of the family, having seen nothing."""
        return float((2 * (self.target.family - self.target.mean)).square().mean())

    @cached_property
    def loss_of_the_input(self) -> float:
        """The loss of one who answers what was asked, having learnt nothing."""
        alpha_bars = self.schedule.alpha_bars
        energy = float((2 * self.target.family - 1).square().mean())
        return float(((1 - alpha_bars.sqrt()).square() * energy + 1 - alpha_bars).mean())

    def run(self, steps: int = 1000, *, every: int = 10) -> Iterator[Snapshot]:
        """Yield how the denoiser stands before the first step, after every few, after the last, and when it diverges.

        A run whose loss is no number any more ends there. To stop one, ask for no more.

        Args:
            steps: how many to learn.
            every: how many lie between two snapshots.

        Raises:
            BadInput: one of them is below 1.
        """
        if steps < 1 or every < 1:
            raise BadInput(f"steps and the steps between two snapshots are at least 1, not {steps} and {every}")
        lesson = _Lesson(self)
        for step in range(steps + 1):
            before = lesson.diverged
            lesson.ask()
            if step % every == 0 or step == steps or lesson.lost or lesson.diverged != before:
                yield lesson.snapshot(step)
            if lesson.lost:
                return
            lesson.learn()


class _Lesson:
    """A denoiser at its lesson: asked, then corrected, over and over."""

    def __init__(self, experiment: Experiment) -> None:
        target, seed = experiment.target, experiment.seed
        self.rng = stream(seed, "lab")
        self.denoiser = Denoiser(SIDE, self.rng)
        self.teacher = torch.optim.SGD(self.denoiser.parameters(), experiment.learning_rate, MOMENTUM)
        self.family, self.clean = 2 * target.family - 1, 2 * target.clean - 1
        self.alpha_bars = experiment.schedule.alpha_bars.float()
        self.noise = draw_normal([seed], "lab noise", self.clean.shape[1:])
        self.hopeless = FAR_OFF * max(experiment.loss_of_the_mean, experiment.loss_of_the_input)
        self.losses: deque[float] = deque(maxlen=AVERAGED)
        self.diverged = False

    @property
    def lost(self) -> bool:
        """Whether there is no number left to learn from."""
        return not math.isfinite(self.losses[-1])

    def ask(self) -> None:
        """Let the denoiser guess a batch, each picture at a level of its own."""
        clean = self.family[torch.randint(len(self.family), (BATCH,), generator=self.rng)]
        levels = torch.randint(LEVELS, (BATCH,), generator=self.rng)
        noise = torch.randn(clean.shape, generator=self.rng)
        with torch.enable_grad():
            self.loss = F.mse_loss(self._guess(self._noisy(clean, noise, levels), levels), clean)
        self.losses.append(float(self.loss.detach()))
        self.diverged = self.diverged or self.lost or self.average > self.hopeless

    def learn(self) -> None:
        """Take one step down the slope of that batch's loss."""
        self.teacher.zero_grad()
        self.loss.backward()
        self.teacher.step()

    @property
    def average(self) -> float:
        """The mean of the last losses."""
        return sum(self.losses) / len(self.losses)

    def snapshot(self, step: int) -> Snapshot:
        """Return how the denoiser stands; what is no number is shown as grey."""
        levels = torch.tensor(WATCHED)
        noisy = self._noisy(self.clean, self.noise, levels)
        with torch.no_grad():
            denoised = self._guess(noisy, levels).nan_to_num(0.0)
        return Snapshot(
            step=step,
            clean=_shown(self.clean),
            noisy=_shown(noisy),
            denoised=_shown(denoised),
            loss=self.losses[-1],
            average_loss=self.average,
            diverged=self.diverged,
        )

    def _noisy(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        alpha_bar = self.alpha_bars[levels][:, None, None, None]
        return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise

    def _guess(self, noisy: Tensor, levels: Tensor) -> Tensor:
        return self.denoiser(noisy, (1 - self.alpha_bars[levels]).sqrt())


def _shown(x: Tensor) -> Pictures:
    return ((x + 1) / 2).clamp(0, 1)

"""Exact inversion: from a picture to the noise that leads to it, and from there to pictures steered.

A step takes the state y at level t to step(y) at level s. Undoing it is the equation step(y) = x, with the denoiser
asked at y itself. Plain inversion of the sampler asks it at x instead; here the equation is solved.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from steer.errors import BadInput, UnknownName
from steer.generator import Progress
from steer.generators.diffusion.schedule import CLEAN
from steer.generators.diffusion.stepper import Denoiser, States, Stepper, predict
from steer.inversion import Found
from steer.latent import Latent
from steer.sampler import Sampler

Method = Literal["anderson", "fixed_point", "ddim"]

SLACK = 10.0
"""How many tolerances a residual may keep and still count as converged: rounding alone leaves some."""

STIFFNESS = 1e-3
"""The least change in where a step lands, per change in where it starts, that Anderson's method counts on."""

RIDGE = 1e-6
"""Added to Anderson's normalised squares, so that differences which repeat each other do no harm in float32."""


@dataclass(frozen=True, eq=False)
class NoiseStatistics:
    """How much inverted states look like pure noise, a number a row.

    Attributes:
        mean: (batch,) mean; 0 for noise.
        spread: (batch,) standard deviation; 1 for noise.
        autocorrelation: (batch,) correlation of values beside each other along the axes of space; 0 for noise.
        sizes: how many values the mean and the spread come from, and how many pairs the autocorrelation.
    """

    mean: Tensor
    spread: Tensor
    autocorrelation: Tensor
    sizes: tuple[int, int]

    def deviations(self) -> dict[str, Tensor]:
        """Return how far each lies from that of Gaussian noise, in standard errors, (batch,)."""
        values, pairs = self.sizes
        return {
            "mean": self.mean * math.sqrt(values),
            "spread": (self.spread - 1) * math.sqrt(2 * values),
            "autocorrelation": self.autocorrelation * math.sqrt(pairs),
        }


def noise_statistics(noise: States) -> NoiseStatistics:
    """Measure states (batch, channels, *space), or (batch, values), against Gaussian noise."""
    noise = noise.double()
    mean, spread = noise.flatten(1).mean(1), noise.flatten(1).std(1, correction=0)
    scaled = (noise - _rowwise(mean, noise)) / _rowwise(spread, noise).clamp_min(1e-12)
    axes = range(2, noise.dim()) if noise.dim() > 2 else (1,)
    products = [
        (scaled.narrow(axis, 1, noise.shape[axis] - 1) * scaled.narrow(axis, 0, noise.shape[axis] - 1)).flatten(1)
        for axis in axes
    ]
    neighbours = torch.cat(products, 1)  # (batch, pairs)
    sizes = (noise[0].numel(), neighbours.shape[1])
    return NoiseStatistics(mean, spread, neighbours.mean(1), sizes)


@dataclass(frozen=True, eq=False)
class Report:
    """How well an inversion went, measured.

    Attributes:
        method: how each step was undone.
        tolerance: the residual at which a step counted as undone.
        steps: the steps in order, each from level s up to level t.
        residual: (steps, batch) root mean square by which the step back misses the state it should land on.
        calls: (steps, batch) how often the denoiser was asked until the row was done, the last measurement included.
        noise: what the noise found looks like.
    """

    method: Method
    tolerance: float
    steps: tuple[tuple[int, int], ...]
    residual: Tensor
    calls: Tensor
    noise: NoiseStatistics

    @property
    def converged(self) -> Tensor:
        """Whether every step of a row was undone to within ten tolerances, (batch,)."""
        return (self.residual <= SLACK * self.tolerance).all(0)

    @property
    def calls_per_step(self) -> Tensor:
        """How often the denoiser was asked in the mean step, (batch,)."""
        return self.calls.double().mean(0)

    def complaints(self) -> tuple[str, ...]:
        """Return one sentence for every picture that did not converge, with its worst step."""
        return tuple(
            f"picture {row + 1} did not converge: the step from noise level {self.steps[worst][1]} to "
            f"{self.steps[worst][0]} misses by {self.residual[worst, row]:.1e} where {self.tolerance:.1e} was asked; "
            "take more steps, more low levels or more iterations"
            for row, worst in enumerate(self.residual.argmax(0).tolist())
            if not self.converged[row]
        )

    def record(self) -> dict[str, Any]:
        """Return the report as JSON, one entry a row where it is about rows; null for what is not finite."""
        return {
            "method": self.method,
            "tolerance": self.tolerance,
            "steps": [list(step) for step in self.steps],
            "residual": [[_finite(miss) for miss in step] for step in self.residual.tolist()],
            "calls": self.calls.tolist(),
            "converged": self.converged.tolist(),
            "noise": {
                "mean": list(map(_finite, self.noise.mean.tolist())),
                "spread": list(map(_finite, self.noise.spread.tolist())),
                "autocorrelation": list(map(_finite, self.noise.autocorrelation.tolist())),
                "standard_errors": {
                    name: list(map(_finite, rows.tolist())) for name, rows in self.noise.deviations().items()
                },
            },
        }


@dataclass(frozen=True, eq=False)
class Inversion:
    """Pictures turned into the noise that leads to them.

    Attributes:
        trajectory: the state at each level from -1, the picture itself, up; (batch, ...) float32.
        landings: for each level but the top, where the step from the state above really lands, the same shape; an
            exact inverse lands on the state.
        guesses: for each level but the top, the clean picture that the step landing there guesses.
        report: how well it went.
    """

    trajectory: Mapping[int, Tensor]
    landings: Mapping[int, Tensor]
    guesses: Mapping[int, Tensor]
    report: Report

    @property
    def noise(self) -> Tensor:
        """The noise found, states at the top level (batch, ...); on its own it leads back to the pictures."""
        return self.trajectory[max(self.trajectory)]

    def by_stage(self, at_levels: Mapping[int, Tensor]) -> Tensor:
        """Put what belongs to levels into the order of stages, (batch, stages, ...), as an anchor stores it."""
        return torch.stack([at_levels[level] for level in sorted(self.landings, reverse=True)], 1)

    def found(self, latent: Latent, sampler: Sampler, settings: Mapping[str, Any]) -> Found:
        """Return the inversion of one picture as a backend does whose state has ``x`` and ``guess``.

        The guess of the last step is the picture itself.

        Args:
            latent: one row that holds the noise.
            sampler: the sampler that was inverted.
            settings: the options that were used.
        """
        states = {"x": self.trajectory, "guess": {**self.guesses, CLEAN: self.trajectory[CLEAN]}}
        landings = {"x": self.landings, "guess": {**self.guesses, CLEAN: self.landings[CLEAN]}}
        return Found(
            latent=latent,
            settings=settings,
            calls=int(self.report.calls.sum()),
            sampler=sampler,
            states={name: self.by_stage(each) for name, each in states.items()},
            landings={name: self.by_stage(each) for name, each in landings.items()},
            complaints=self.report.complaints(),
            details=self.report.record(),
        )


def invert(
    denoiser: Denoiser,
    picture: States,
    stepper: Stepper,
    *,
    method: Method = "anderson",
    iterations: int = 12,
    memory: int = 4,
    tolerance: float = 2e-7,
    progress: Progress | None = None,
) -> Inversion:
    """Find the noise that the sampler turns into a picture.

    Args:
        denoiser: what predicts; deterministic, and the same as in sampling.
        picture: pictures or latents in the denoiser's own range, (batch, ...).
        stepper: the sampler to invert, without fresh noise.
        method: "anderson" accelerates the fixed point of each step and starts where the last steps point;
            "fixed_point" iterates it plainly and "ddim" takes one step of it, for comparison.
        iterations: how often a step's state is improved at most.
        memory: how many differences "anderson" remembers.
        tolerance: the residual, as a root mean square over a row, at which the row is done with a step. What float32
            leaves is about 1e-7 for states that spread by 1.
        progress: called after every step.

    Returns:
        The way back, and a report that says which pictures did not converge. How far the noise alone, sampled anew,
        leads back is for the caller to measure.

    Raises:
        BadInput: the sampler draws fresh noise, the picture is not finite, an option is not above 0, or the denoiser
            returns another shape.
        UnknownName: there is no such method.
    """
    if stepper.eta > 0:
        raise BadInput(f"a sampler that draws fresh noise has no inverse; use eta 0, not {stepper.eta}")
    if picture.dim() < 2 or not picture.numel() or not bool(torch.isfinite(picture).all()):
        raise BadInput(f"a picture to invert is (batch, ...) and finite; this is {tuple(picture.shape)}")
    if iterations < 1 or memory < 1 or not tolerance > 0:
        raise BadInput(f"iterations {iterations}, memory {memory} and tolerance {tolerance} are all above 0")
    if method not in get_args(Method):
        raise UnknownName("method of inversion", method, get_args(Method))
    x = picture.float()
    trajectory, landings, guesses = {CLEAN: x}, {}, {}
    passed: list[tuple[int, Tensor]] = []
    residuals, calls = [], []
    solvers: Mapping[Method, Callable[[_Equation], _Solution]] = {
        "anderson": lambda equation: _solve(equation, _ahead(equation, passed), iterations, memory, tolerance),
        "fixed_point": lambda equation: _solve(equation, equation.target, iterations, 0, tolerance),
        "ddim": _plain,
    }
    with torch.no_grad():
        for done, (s, t) in enumerate(stepper.levels.up, start=1):
            solution = solvers[method](_Equation(denoiser, stepper, t, s, trajectory[s]))
            trajectory[t], landings[s] = solution.state, solution.landing
            guesses[s] = stepper.guess(solution.state, solution.output, t)
            passed = [*passed[-1:], (t, stepper.velocity(solution.state, solution.output, t))]
            residuals.append(solution.residual)
            calls.append(solution.calls)
            if progress is not None:
                progress(done, len(stepper.levels))
    report = Report(
        method=method,
        tolerance=tolerance,
        steps=stepper.levels.up,
        residual=torch.stack(residuals).cpu(),
        calls=torch.stack(calls).cpu(),
        noise=noise_statistics(trajectory[max(trajectory)].cpu()),
    )
    return Inversion(trajectory, landings, guesses, report)


@dataclass(frozen=True, eq=False)
class _Equation:
    """Where to start at level t so that the step lands on ``target`` at level s."""

    denoiser: Denoiser
    stepper: Stepper
    t: int
    s: int
    target: Tensor

    def try_out(self, y: Tensor) -> "_Solution":
        output = predict(self.denoiser, y, self.t)
        landing = self.stepper.step(y, output, self.t, self.s)
        residual = _rms(self.target - landing).nan_to_num(nan=math.inf, posinf=math.inf)
        return _Solution(y, output, landing, residual, torch.ones_like(residual, dtype=torch.long))


@dataclass(frozen=True, eq=False)
class _Solution:
    """States at level t, what the denoiser predicts there, where the step lands, and by how much it misses."""

    state: Tensor
    output: Tensor
    landing: Tensor
    residual: Tensor
    calls: Tensor

    def or_better(self, other: "_Solution", rows: Tensor) -> "_Solution":
        """Return the better of both in each of ``rows``, and count the call there."""
        better = rows & (other.residual < self.residual)
        wide = _rowwise(better, self.state)
        return _Solution(
            torch.where(wide, other.state, self.state),
            torch.where(wide, other.output, self.output),
            torch.where(wide, other.landing, self.landing),
            torch.where(better, other.residual, self.residual),
            self.calls + rows.long(),
        )


def _solve(equation: _Equation, y: Tensor, iterations: int, memory: int, tolerance: float) -> _Solution:
    """Iterate y ← y + (target − step(y)), accelerated where there is memory; each row stops on its own."""
    best = tried = equation.try_out(y)
    states: list[Tensor] = []
    misses: list[Tensor] = []
    for _ in range(iterations):
        going = best.residual > tolerance
        if not bool(going.any()):
            break
        states = [*states, y][-memory - 1 :]
        misses = [*misses, equation.target - tried.landing][-memory - 1 :]
        # A row that is done waits at its best state, so that the batch, and with it every bit, stays the same.
        y = torch.where(_rowwise(going, y), y + _accelerated(states, misses), best.state)
        tried = equation.try_out(y)
        best = best.or_better(tried, going)
    return best


def _accelerated(states: Sequence[Tensor], misses: Sequence[Tensor]) -> Tensor:
    """Return how far to move from the last state, by Anderson's method, each row for itself.

    After Walker and Ni (2011), Anderson acceleration for fixed-point iterations, section 2. Where the equation hardly
    holds a direction, moves along it cost what they are long; else rounding sends a state that has no inverse far off.
    """
    last = misses[-1]
    if len(misses) == 1:
        return last
    moved = _differences(states)
    changed = _differences(misses)  # (batch, remembered, values)
    length = (changed.square() + STIFFNESS**2 * moved.square()).sum(2, keepdim=True).sqrt()
    moved, changed = (differences / length.clamp_min(1e-30) for differences in (moved, changed))
    gram = changed @ changed.mT + STIFFNESS**2 * (moved @ moved.mT) + RIDGE * torch.eye(changed.shape[1]).to(changed)
    gamma = torch.linalg.solve(gram, changed @ last.flatten(1)[..., None])
    return last - ((moved + changed).mT @ gamma).view_as(last)


def _differences(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([later - earlier for earlier, later in pairwise(tensors)], 1).flatten(2)


def _ahead(equation: _Equation, passed: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Guess the state at level t: go on turning, with the velocities at the last two levels carried on in a line.

    They come from the last solutions and cost no call.
    """
    if not passed:
        return equation.target
    angle = equation.stepper.schedule.angle
    velocity = passed[-1][1]
    turn = angle(equation.t) - angle(equation.s)
    if len(passed) == 2:
        (before, earlier), (_, later) = passed
        velocity = later + (turn / (angle(equation.s) - angle(before))) * (later - earlier)
    return (equation.target + math.sin(turn) * velocity) / math.cos(turn)


def _plain(equation: _Equation) -> _Solution:
    """Take the noise at the target for that of the state looked for: plain inversion, Song et al. (2021), section 4.3.

    The second call measures by how much that misses.
    """
    stepper, t, s = equation.stepper, equation.t, equation.s
    first = equation.try_out(equation.target)
    noise = stepper.noise(equation.target, first.output, t)
    solution = equation.try_out(stepper.undo(equation.target, noise, t, s))
    return replace(solution, calls=first.calls + solution.calls)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _rms(states: Tensor) -> Tensor:
    return states.flatten(1).square().mean(1).sqrt()


def _rowwise(values: Tensor, states: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (states.dim() - 1))

"""The deterministic sampler of Song et al. (2021), arXiv 2010.02502, on explicit noise levels."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from jaxtyping import Float
from torch import Tensor

from steer.errors import BadInput, UnknownName
from steer.generator import Progress
from steer.generators.diffusion.schedule import Levels, Schedule
from steer.sampler import Spacing
from steer.seeds import draw_normal

Prediction = Literal["epsilon", "v", "sample"]
"""What a denoiser predicts: the noise, the rotation's velocity (Salimans and Ho, 2022), or the clean picture."""

States = Float[Tensor, "batch *shape"]
"""Noisy pictures or latents, float32."""

Denoiser = Callable[[Tensor, int], Tensor]
"""Called with states (batch, ...) and their noise level; returns its prediction, of the same shape."""

# With r = sqrt(alpha_bar) and n = sqrt(1 - alpha_bar): the clean picture and the noise, each as its share of the state
# and its share of the prediction.
_PARTS: Mapping[Prediction, Callable[[float, float], tuple[tuple[float, float], tuple[float, float]]]] = {
    "epsilon": lambda r, n: ((1 / r, -n / r), (0.0, 1.0)),
    "v": lambda r, n: ((r, -n), (n, r)),
    "sample": lambda r, n: ((0.0, 1.0), (1 / n, -r / n)),
}

_CONFIGURED: Mapping[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}


@dataclass(frozen=True, eq=False)
class Stepper:
    """How a denoiser's prediction leads from one noise level to the next.

    Every step is a weighted sum of the state and the prediction. The weights are worked out in float64 and the states
    stay float32, so that a step rounds as little as it can.

    Attributes:
        schedule: how much of the picture is left at each level.
        levels: the levels visited.
        prediction: what the denoiser predicts.
        eta: fresh noise in each step, 0 (none, so that it can be undone) to 1 (as in ancestral sampling).
    """

    schedule: Schedule
    levels: Levels
    prediction: Prediction = "epsilon"
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.levels.count != len(self.schedule):
            raise BadInput(f"levels spread over {self.levels.count} do not fit a schedule of {len(self.schedule)}")
        if not 0 <= self.eta <= 1:
            raise BadInput(f"eta is 0 to 1, not {self.eta}")
        if self.prediction == "epsilon" and self.schedule.alpha_bar(self.levels.times[-1]) == 0:
            raise BadInput(
                f"at level {self.levels.times[-1]} nothing of the picture is left, and the noise predicted there "
                "says nothing about it; use a lower top level, or a denoiser that predicts v or the sample"
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], steps: int, *, eta: float = 0.0) -> "Stepper":
        """Build the stepper that a diffusers scheduler's configuration describes.

        Clipping and thresholding are left out: they cannot be undone.

        Raises:
            UnknownName: it names a schedule, a spacing or a prediction that is unknown here.
            BadInput: the parts do not fit.
        """
        schedule = Schedule.from_config(config)
        spacing = config.get("timestep_spacing", "leading")
        prediction = config.get("prediction_type", "epsilon")
        if spacing not in get_args(Spacing):
            raise UnknownName("spacing", spacing, get_args(Spacing))
        if prediction not in _CONFIGURED:
            raise UnknownName("prediction", prediction, _CONFIGURED)
        offset = config.get("steps_offset", 0) if spacing == "leading" else 0
        levels = Levels.spread(len(schedule), steps, spacing, offset=offset)
        return cls(schedule, levels, _CONFIGURED[prediction], eta)

    def guess(self, x: States, output: States, t: int) -> States:
        """Return the clean picture that the prediction at level t stands for."""
        (of_x, of_output), _ = self._parts(t)
        return of_x * x + of_output * output.to(x)

    def noise(self, x: States, output: States, t: int) -> States:
        """Return the noise that the prediction at level t stands for."""
        _, (of_x, of_output) = self._parts(t)
        return of_x * x + of_output * output.to(x)

    def velocity(self, x: States, output: States, t: int) -> States:
        """Return how the state moves as its angle grows: a step is a rotation of state and velocity."""
        r, n = self._roots(t)
        return r * self.noise(x, output, t) - n * self.guess(x, output, t)

    def step(self, x: States, output: States, t: int, s: int, fresh: States | None = None) -> States:
        """Go from level t down to level s.

        Args:
            x: states at level t.
            output: what the denoiser predicts there.
            t: the level they are at.
            s: the level to go to.
            fresh: standard normal noise, of the same shape; needed where eta is above 0.

        Returns:
            States at level s; equation 12 of Song et al. (2021).
        """
        guess, noise = self._parts(t)
        r, n = self._roots(s)
        sigma = self.sigma(t, s)
        kept = math.sqrt(max(n**2 - sigma**2, 0.0))
        landed = (r * guess[0] + kept * noise[0]) * x + (r * guess[1] + kept * noise[1]) * output.to(x)
        if sigma > 0:
            assert fresh is not None, "a step with eta above 0 takes fresh noise"
            landed = landed + sigma * fresh
        return landed

    def undo(self, x: States, noise: States, t: int, s: int) -> States:
        """Return the state at level t from which a step with this noise leads to ``x`` at level s.

        The noise is to be that of the state which is returned, so undoing a step is an equation and not a formula:
        `steer.generators.diffusion.inversion` solves it.
        """
        (r_t, n_t), (r_s, n_s) = self._roots(t), self._roots(s)
        return r_t / r_s * x + (n_t - r_t / r_s * n_s) * noise

    def sigma(self, t: int, s: int) -> float:
        """Return the spread of the fresh noise in the step from t to s; equation 16 of Song et al. (2021)."""
        a, b = self.schedule.alpha_bar(t), self.schedule.alpha_bar(s)
        return self.eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))

    def _roots(self, level: int) -> tuple[float, float]:
        alpha_bar = self.schedule.alpha_bar(level)
        return math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)

    def _parts(self, t: int) -> tuple[tuple[float, float], tuple[float, float]]:
        return _PARTS[self.prediction](*self._roots(t))


def predict(denoiser: Denoiser, x: States, t: int) -> States:
    """Ask the denoiser, and check that it answers.

    Raises:
        BadInput: it returned another shape.
    """
    output = denoiser(x, t)
    if output.shape != x.shape:
        raise BadInput(
            f"the denoiser returned {tuple(output.shape)} for states of {tuple(x.shape)}; "
            "where it predicts a variance too, pass on its first half only"
        )
    return output


def sample(
    denoiser: Denoiser,
    noise: States,
    stepper: Stepper,
    *,
    seeds: Sequence[int] = (),
    progress: Progress | None = None,
) -> States:
    """Walk from noise to the picture.

    Args:
        denoiser: what predicts.
        noise: states at the top level, (batch, ...).
        stepper: how to step.
        seeds: one a row; needed where eta is above 0. Each (seed, level) has its own stream of noise.
        progress: called after every step.

    Returns:
        States at level -1, (batch, ...) float32.

    Raises:
        BadInput: eta is above 0 and there is not one seed a row, or the denoiser returns another shape.
    """
    if stepper.eta > 0 and len(seeds) != len(noise):
        raise BadInput(f"eta above 0 draws fresh noise: give one seed a row ({len(noise)}), not {len(seeds)}")
    x = noise.float()
    for done, (t, s) in enumerate(stepper.levels.down, start=1):
        fresh = draw_normal(seeds, f"fresh noise:{t}", x.shape[1:]).to(x) if stepper.eta > 0 else None
        x = stepper.step(x, predict(denoiser, x, t), t, s, fresh)
        if progress is not None:
            progress(done, len(stepper.levels))
    return x

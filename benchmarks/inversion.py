"""Compare our inversion with its peers, on pictures whose perfect denoiser is known, or on a model of yours.

    python benchmarks/inversion.py              # the Gaussian mixture of the tests, in seconds
    python benchmarks/inversion.py MODEL        # a diffusion model by name or folder, on its own pictures

The peers are written from their papers: plain inversion (Song et al. 2021, arXiv 2010.02502), ReNoise without its
regularisation, which trades exactness for noise that is easier to edit (Garibi et al. 2024, arXiv 2403.14602), and
EDICT (Wallace et al. 2023, arXiv 2211.12446), which inverts a pair of states exactly in place of one.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from steer.generators.diffusion.inversion import invert
from steer.generators.diffusion.schedule import Levels, Schedule
from steer.generators.diffusion.stepper import Denoiser, Stepper, sample

STEPS = (10, 20, 50, 100)
PICTURES = 8
RENOISED, AVERAGED = 10, 5
"""Rounds of ReNoise, and how many of the last ones are averaged."""

MIXING = 0.93
"""How much of a state EDICT keeps when it mixes the pair, as in its paper."""

Way = Callable[[Denoiser, Tensor, Stepper], tuple[Tensor, Tensor]]
"""From pictures to the noise found and the pictures that it leads back to."""


def ours(method: str) -> Way:
    """Return one of the methods that the toolkit itself offers."""

    def way(denoiser: Denoiser, x: Tensor, stepper: Stepper) -> tuple[Tensor, Tensor]:
        noise = invert(denoiser, x, stepper, method=method).noise  # type: ignore[arg-type]
        return noise, sample(denoiser, noise, stepper)

    return way


def renoise(denoiser: Denoiser, x: Tensor, stepper: Stepper) -> tuple[Tensor, Tensor]:
    """Invert by asking the denoiser again at the state found last, and averaging what it says."""
    y = x
    for s, t in stepper.levels.up:
        source, said = y, []
        for _ in range(RENOISED):
            said.append(stepper.noise(y, denoiser(y, t), t))
            y = stepper.undo(source, said[-1], t, s)
        y = stepper.undo(source, torch.stack(said[-AVERAGED:]).mean(0), t, s)
    return y, sample(denoiser, y, stepper)


def edict(denoiser: Denoiser, picture: Tensor, stepper: Stepper) -> tuple[Tensor, Tensor]:
    """Invert a pair of states, each moved by what the denoiser says at the other, and lead both back."""

    def noise(state: Tensor, t: int) -> Tensor:
        return stepper.noise(state, denoiser(state, t), t)

    x = y = picture
    for s, t in stepper.levels.up:
        y_between = (y - (1 - MIXING) * x) / MIXING
        x_between = (x - (1 - MIXING) * y_between) / MIXING
        y = stepper.undo(y_between, noise(x_between, t), t, s)
        x = stepper.undo(x_between, noise(y, t), t, s)
    found = x
    for t, s in stepper.levels.down:
        # Undone the other way round, a step goes from t down to s by a noise that is given.
        x = stepper.undo(x, noise(y, t), s, t)
        y = stepper.undo(y, noise(x, t), s, t)
        x = MIXING * x + (1 - MIXING) * y
        y = MIXING * y + (1 - MIXING) * x
    return found, x


WAYS: Mapping[str, Way] = {
    "plain DDIM": ours("ddim"),
    "ReNoise": renoise,
    "EDICT": edict,
    "fixed point": ours("fixed_point"),
    "Anderson (ours)": ours("anderson"),
}


def mixture() -> tuple[Tensor, Callable[[int], tuple[Denoiser, Stepper]]]:
    """Return pictures of the tests' mixture, and its perfect denoiser for a number of steps."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from mixture import Mixture

    schedule = Schedule.linear(clean=1 - 1e-6)

    def at(steps: int) -> tuple[Denoiser, Stepper]:
        stepper = Stepper(schedule, Levels.spread(len(schedule), steps, low_levels=2), "v")
        return Mixture().denoiser(schedule, "v"), stepper

    return Mixture().draw(PICTURES), at


def model(name: str) -> tuple[Tensor, Callable[[int], tuple[Denoiser, Stepper]]]:
    """Return a model's own pictures, and its denoiser for a number of steps."""
    import steer
    from steer.generators.ddim import DDIM

    generator = steer.load_generator(name)
    backend = generator.backend
    assert isinstance(backend, DDIM), "only diffusion models have a denoiser"
    latent = generator.sample(list(range(4_000_000, 4_000_000 + PICTURES)))
    x = 2 * generator.decode(latent).mul(255).round().div(255) - 1
    return x, lambda steps: (backend.denoiser(latent), backend.stepper(steer.Sampler(steps)))


def main() -> None:
    """Print the table."""
    pictures, at = model(sys.argv[1]) if len(sys.argv) > 1 else mixture()
    row = "{:16} {:>6} {:>12} {:>12} {:>12} {:>12}\n".format
    sys.stdout.write(row("method", "steps", "median rms", "worst rms", "noise spread", "calls/step"))
    for steps in STEPS:
        for name, way in WAYS.items():
            asked = 0
            denoiser, stepper = at(steps)

            def counted(x: Tensor, t: int, denoiser: Denoiser = denoiser) -> Tensor:
                nonlocal asked
                asked += 1
                return denoiser(x, t)

            with torch.no_grad():
                noise, returned = way(counted, pictures, stepper)
            missed = (returned - pictures).flatten(1).square().mean(1).sqrt()
            back = 2 if name == "EDICT" else 1  # the way back is not counted
            calls = asked / len(stepper.levels) - back
            numbers = f"{missed.median():.1e}", f"{missed.max():.1e}", f"{noise.std():.3f}", f"{calls:.1f}"
            sys.stdout.write(row(name, steps, *numbers))


if __name__ == "__main__":
    main()

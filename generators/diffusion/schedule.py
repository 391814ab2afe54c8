"""Noise schedules, and the noise levels of one that a sampler visits."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from steer.backend import Stage
from steer.errors import BadInput, UnknownName
from steer.sampler import Spacing

CLEAN = -1
"""The level of the clean picture; those a denoiser is trained on count from 0."""

LOW_LEVEL_RATIO = 4
"""How far above the level below it a low level lies at most, both counted from the clean picture."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """How much of the picture is left at each noise level that a denoiser was trained on.

    At level t a noisy picture is sqrt(alpha_bar) · picture + sqrt(1 − alpha_bar) · noise.

    Attributes:
        alpha_bars: (levels,) in [0, 1), float64 on the CPU, falling from level 0 up.
        clean: alpha_bar of the clean picture. At exactly 1 the last step asks for a state whose denoised picture *is*
            the picture, and one that lies a little beside the denoiser's range has none; at 1 − 1e-6 every picture
            has one, and those sampled keep noise of a thousandth.
    """

    alpha_bars: Tensor
    clean: float = 1.0

    def __post_init__(self) -> None:
        trained = self.alpha_bars.tolist()
        falling = all(low < high for high, low in pairwise(trained))
        if not trained or not falling or not 0 <= trained[-1] <= trained[0] <= self.clean <= 1 or trained[0] == 1:
            raise BadInput("a schedule's alpha_bars fall from level to level, below 1 and at least 0, clean above them")

    def __len__(self) -> int:
        return len(self.alpha_bars)

    def alpha_bar(self, level: int) -> float:
        """Return the picture's share in the variance at a level from -1, the clean picture, up.

        >>> Schedule.linear().alpha_bar(-1)
        1.0
        """
        return self.clean if level == CLEAN else float(self.alpha_bars[level])

    def angle(self, level: int) -> float:
        """Return how far a level lies from the clean picture on the way to pure noise, in radians, 0 to pi / 2."""
        alpha_bar = self.alpha_bar(level)
        return math.atan2(math.sqrt(1 - alpha_bar), math.sqrt(alpha_bar))

    @classmethod
    def from_betas(cls, betas: Iterable[float], *, clean: float = 1.0) -> "Schedule":
        """Build a schedule from the share of noise that each level adds.

        Raises:
            BadInput: they do not make a schedule.
        """
        return cls(torch.cumprod(1 - torch.tensor(list(betas), dtype=torch.float64), 0), clean)

    @classmethod
    def linear(cls, count: int = 1000, first: float = 1e-4, last: float = 0.02, *, clean: float = 1.0) -> "Schedule":
        """Build the schedule of Ho et al. (2020), arXiv 2006.11239: betas rise evenly."""
        return cls.from_betas(_evenly(first, last, count), clean=clean)

    @classmethod
    def scaled_linear(
        cls, count: int = 1000, first: float = 0.00085, last: float = 0.012, *, clean: float = 1.0
    ) -> "Schedule":
        """Build the schedule of Rombach et al. (2022), arXiv 2112.10752: square roots of betas rise evenly."""
        return cls.from_betas([root**2 for root in _evenly(first**0.5, last**0.5, count)], clean=clean)

    @classmethod
    def cosine(cls, count: int = 1000, *, clean: float = 1.0) -> "Schedule":
        """Build the schedule of Nichol and Dhariwal (2021), arXiv 2102.09672, section 3.2."""
        ideal = [math.cos((level / count + 0.008) / 1.008 * math.pi / 2) ** 2 for level in range(count + 1)]
        return cls.from_betas([min(1 - low / high, 0.999) for high, low in pairwise(ideal)], clean=clean)

    def ending_in_noise(self) -> "Schedule":
        """Return the schedule stretched until nothing of the picture is left at the top level.

        After Lin et al. (2023), arXiv 2305.08891, algorithm 1.
        """
        roots = self.alpha_bars.sqrt()
        stretched = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
        return Schedule(stretched.square(), self.clean)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Schedule":
        """Build the schedule that a diffusers scheduler's configuration describes; what it leaves out is as there.

        Raises:
            UnknownName: it names a schedule that is unknown here.
            BadInput: it does not make a schedule.
        """
        count = config.get("num_train_timesteps", 1000)
        first, last = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
        named: Mapping[str, Callable[[], Schedule]] = {
            "linear": lambda: cls.linear(count, first, last),
            "scaled_linear": lambda: cls.scaled_linear(count, first, last),
            "squaredcos_cap_v2": lambda: cls.cosine(count),
        }
        name = config.get("beta_schedule", "linear")
        if config.get("trained_betas") is not None:
            schedule = cls.from_betas(config["trained_betas"])
        elif name in named:
            schedule = named[name]()
        else:
            raise UnknownName("beta schedule", name, named, "or give the betas themselves: Schedule.from_betas")
        if config.get("rescale_betas_zero_snr", False):
            schedule = schedule.ending_in_noise()
        clean = 1.0 if config.get("set_alpha_to_one", True) else schedule.alpha_bar(0)
        return cls(schedule.alpha_bars, clean)


def _evenly(first: float, last: float, count: int) -> list[float]:
    return torch.linspace(first, last, count, dtype=torch.float64).tolist()


# In whole numbers where it can be: a level that rounding moves is another picture.
_SPACINGS: Mapping[Spacing, Callable[[int, int], list[int]]] = {
    "leading": lambda count, steps: [i * count // steps for i in range(steps)],
    "trailing": lambda count, steps: [round(i * count / steps) - 1 for i in range(1, steps + 1)],
    "linspace": lambda count, steps: [round(i * (count - 1) / max(steps - 1, 1)) for i in range(steps)],
    "quad": lambda count, steps: [4 * count * i**2 // (5 * max(steps - 1, 1) ** 2) for i in range(steps)],
}


@dataclass(frozen=True)
class Levels:
    """The noise levels a sampler visits; sampling walks down the list and inversion up the same one.

    Attributes:
        times: the levels, rising from -1, the clean picture.
        count: how many levels the denoiser was trained on.
    """

    times: tuple[int, ...]
    count: int

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in pairwise(self.times))
        if len(self.times) < 2 or self.times[0] != CLEAN or not rising or self.times[-1] >= self.count:
            raise BadInput(
                f"noise levels rise from {CLEAN}, the clean picture, to at most {self.count - 1}, "
                f"at least one step; not {list(self.times)!r:.80}"
            )

    @classmethod
    def spread(
        cls, count: int, steps: int, spacing: Spacing = "trailing", *, offset: int = 0, low_levels: int = 0
    ) -> "Levels":
        """Spread steps over the levels a denoiser was trained on.

        Where ``steps`` divides ``count``, "leading" and "trailing" are those of diffusers; elsewhere they stay as even
        as whole numbers allow. "quad" is that of Song et al. (2021), arXiv 2010.02502, appendix D.2, over the lower
        four fifths of the levels as in their experiments, with levels that would fall together moved up.

        >>> Levels.spread(1000, 4).times
        (-1, 249, 499, 749, 999)
        >>> Levels.spread(1000, 4, low_levels=2).times
        (-1, 14, 61, 249, 499, 749, 999)

        Args:
            count: how many levels there are.
            steps: how many steps to take, 1 to ``count``.
            spacing: how they are spread.
            offset: how far to move all of them up.
            low_levels: how many levels at most to add at the low end, where a step is so wide that it can hardly be
                undone; each is a further step.

        Raises:
            BadInput: there are no steps, or more than levels, or the offset moves them past the top.
        """
        if not 1 <= steps <= count:
            raise BadInput(f"steps are 1 to {count}, the levels that the denoiser was trained on; not {steps}")
        times = [CLEAN]
        for time in _SPACINGS[spacing](count, steps):
            times.append(max(time + offset, times[-1] + 1))
        if times[-1] >= count:
            raise BadInput(f"an offset of {offset} moves the top level past {count - 1}; use a smaller one")
        return cls(tuple(_refined(times, low_levels)), count)

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.times) - 1

    @cached_property
    def up(self) -> tuple[tuple[int, int], ...]:
        """The steps of inversion in order, from s up to t: pairs (s, t)."""
        return tuple(pairwise(self.times))

    @cached_property
    def down(self) -> tuple[tuple[int, int], ...]:
        """The steps of sampling in order, from t down to s: pairs (t, s); the i-th is stage i."""
        return tuple((t, s) for s, t in reversed(self.up))

    def stages(self, spaces: Iterable[str] = ()) -> tuple[Stage, ...]:
        """Return one stage a step, its interval in 1 − t / count, so that a window means the same in any list.

        What lies above the top level belongs to the first stage: its state is taken for pure noise.
        """
        edges = [0.0, *(1 - (s + 1) / self.count for _, s in self.down)]
        names = [f"noise level {t}" for t, _ in self.down]
        return tuple(
            Stage(index, interval, frozenset(spaces), name)
            for index, (interval, name) in enumerate(zip(pairwise(edges), names, strict=True))
        )


def _refined(times: Sequence[int], extra: int) -> list[int]:
    """Split the lowest step that is wider than it should be, and again, up to ``extra`` times."""
    times = list(times)
    for _ in range(extra):
        for place, (s, t) in enumerate(pairwise(times), start=1):
            split = (t + 1) // LOW_LEVEL_RATIO - 1
            if split > s:
                times.insert(place, split)
                break
    return times

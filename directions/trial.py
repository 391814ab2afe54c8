"""Trials: knobs really turned on a few samples, to compare what they change with what must not change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from steer.attribute import Measurer
from steer.directions.background import BACKGROUND, with_background
from steer.directions.figures import SMALLEST_CHANGE
from steer.directions.readings import domain, read_pictures
from steer.directions.swept import Swept, sweep_knob
from steer.errors import UnknownName
from steer.generator import Generator
from steer.knob import Knob
from steer.latent import Latent

FIRST_SEED = 5_000_000
"""Corrections are learnt on the samples from here on, compared on those 1,000 later, reported on those 2,000 later."""

COMPARED_FROM, REPORTED_FROM = FIRST_SEED + 1_000, FIRST_SEED + 2_000
COMPARED, REPORTED = 24, 24
"""How many samples corrections are compared on, and how many a report is about."""


@dataclass(frozen=True)
class Eyes:
    """What is looked at: a measurer, and which of its attributes are locked.

    Attributes:
        measurer: what reads pictures.
        locked: the attributes that must not change; a knob's own target does not count among them.
    """

    measurer: Measurer
    locked: tuple[str, ...]

    @classmethod
    def of(cls, measurer: Measurer, lock: Sequence[str], generator: Generator, latent: Latent) -> "Eyes":
        """Return eyes that watch what is locked, the background too if it is; every number and angle if nothing is.

        Raises:
            UnknownName: there is no such attribute.
            BadInput: the measurer cannot tell the background.
        """
        numbers = [name for name, attribute in measurer.attributes.items() if attribute.kind != "categorical"]
        for name in lock:
            if name not in (*numbers, BACKGROUND):
                raise UnknownName("attribute to lock", name, (*numbers, BACKGROUND))
        if BACKGROUND not in lock:
            return cls(measurer, tuple(lock) or tuple(numbers))
        wide = with_background(measurer, generator, latent)
        cells = [name for name in wide.attributes if name.startswith(f"{BACKGROUND}:")]
        return cls(wide, (*(name for name in lock if name != BACKGROUND), *cells))

    def locking(self, lock: Sequence[str]) -> "Eyes":
        """Return the same eyes with something else locked; the background only where they watch it."""
        cells = [name for name in self.measurer.attributes if name.startswith(f"{BACKGROUND}:") and BACKGROUND in lock]
        return Eyes(self.measurer, (*(name for name in lock if name != BACKGROUND), *cells))

    def others(self, target: str) -> list[str]:
        """Return what is locked beside the target."""
        return [name for name in self.locked if name != target]


class Trial:
    """Samples on which knobs are really turned."""

    def __init__(self, generator: Generator, eyes: Eyes, first: int, count: int) -> None:
        self.generator, self.eyes = generator, eyes
        self.latent = generator.sample(range(first, first + count))
        self.unturned = read_pictures(generator, self.latent, domain(eyes.measurer, attributes=True))

    def turn(self, knob: Knob, amounts: Sequence[float]) -> Swept:
        """Turn a knob on every sample."""
        return sweep_knob(self.generator, self.eyes.measurer, self.latent, self.unturned, knob, amounts)

    def figures(self, knob: Knob, amounts: Sequence[float]) -> dict[str, Any]:
        """Return gain and leakage as JSON-able values; the parts of the background in one."""
        swept, target = self.turn(knob, amounts), target_of(knob)
        moved = max(swept.moved(target), SMALLEST_CHANGE)
        leakage: dict[str, float] = {}
        for name in self.eyes.others(target):
            whole = name.partition(":")[0] if name.startswith(f"{BACKGROUND}:") else name
            leakage[whole] = math.hypot(leakage.get(whole, 0.0), swept.moved(name) / moved)
        return {
            "gain": round(moved / float(np.sqrt(np.square(swept.amounts).mean())), 6),
            "leakage": {name: round(value, 4) for name, value in leakage.items()},
            "leakage_rms": round(math.hypot(*leakage.values()), 4),
        }


def target_of(knob: Knob) -> str:
    """Return the attribute that a knob is meant for; there is one."""
    assert knob.attribute is not None
    return knob.attribute

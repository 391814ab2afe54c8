"""Locks: what a person wants held while knobs turn, and the turns that hold it."""

from collections.abc import Callable, Sequence
from functools import cached_property

from torch import Tensor

from steer.apps.fairness import FairLock
from steer.directions.background import BACKGROUND
from steer.directions.hold import (
    FINDER,
    SAMPLES,
    Answers,
    Draw,
    as_turns,
    changes,
    correct,
    guess,
    lockable,
    measure_answers,
    read,
)
from steer.directions.readings import labeller
from steer.directions.trial import FIRST_SEED, Eyes
from steer.errors import SteerError
from steer.generator import Generator
from steer.latent import Latent
from steer.registry import load_measurer
from steer.steering import Steering, Turn


class Holder:
    """What holds locks on the pictures of one generator, and says how well.

    Corrections go by the measurer that finders learn from, and what is said of them by the generator's own judge.

    Args:
        generator: whose pictures they are.
        lock: taken while this makes pictures of its own.
    """

    def __init__(self, generator: Generator, lock: FairLock) -> None:
        self.generator, self._lock = generator, lock
        self._eyes: dict[tuple[bool, bool], Eyes] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What can be locked; nothing where pictures cannot be measured, or corrected."""
        try:
            return lockable(self.generator, labeller(self.generator))
        except (SteerError, ImportError):
            return ()

    def answers(self, locks: Sequence[str], latent: Latent, draw: Draw, check: Callable[[], None]) -> Answers:
        """Measure how pictures answer to their dice, the background too where it is locked."""
        return measure_answers(self.generator, latent, self.eyes(locks), draw, check)

    def guess(self, answers: Answers, locks: Sequence[str], latent: Latent, turns: Steering, draw: Draw) -> list[Turn]:
        """Return the turns that should hold what is locked, by the answers alone."""
        step = guess(answers.locking(self.eyes(locks)), self.generator, latent, turns, draw)
        return as_turns(step, self.generator, locks)

    def correct(
        self, answers: Answers, locks: Sequence[str], latent: Latent, turns: Steering, draw: Draw
    ) -> list[Turn]:
        """Return the turns that hold what is locked, as tried on the pictures."""
        step = correct(answers.locking(self.eyes(locks)), self.generator, latent, turns, draw)
        return as_turns(step, self.generator, locks)

    def change(self, locks: Sequence[str], unturned: Tensor, turned: Tensor) -> dict[str, float]:
        """Return how much what is locked has changed between pictures, in spreads, by the judge.

        Args:
            locks: what to look at.
            unturned: pictures (batch, 3, height, width) in [0, 1].
            turned: the same pictures turned.
        """
        eyes = self.eyes(locks, judging=True)
        return changes(eyes, read(eyes, unturned), read(eyes, turned))

    def eyes(self, locks: Sequence[str], *, judging: bool = False) -> Eyes:
        """Return what reads pictures, with something locked; how much backgrounds differ is looked at once."""
        wide = BACKGROUND in locks
        if (judging, wide) not in self._eyes:
            measurer = load_measurer(self.generator.backend.measurer) if judging else labeller(self.generator)
            samples = self.generator.sample(range(FIRST_SEED, FIRST_SEED + SAMPLES))
            with self._lock:
                self._eyes[judging, wide] = Eyes.of(measurer, [BACKGROUND] if wide else [], self.generator, samples)
        return self._eyes[judging, wide].locking(locks)


def holds(turn: Turn) -> bool:
    """Return whether a turn is one that holds something, rather than one that a person made."""
    return turn.knob.provenance.finder == FINDER

"""Hold: keep what is locked about each picture as it was while knobs turn, by moving its dice as little as that takes.

A knob turns every sample the same way, and what it changes beside its target differs from sample to sample: that part
no correction of the knob itself undoes (the ``floor`` of `disentangle`). So here every picture is corrected by itself.
How its readings answer to small steps of its own dice is measured once; then the steps that undo what turns do to what
is locked, and keep what they are meant for, are the damped least squares of those answers (Levenberg, 1944), which
after every step are mended by what it really did (Broyden, 1965).
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from steer.attribute import Masking, Measurer
from steer.directions.background import BACKGROUND
from steer.directions.readings import batches, labeller
from steer.directions.trial import FIRST_SEED, Eyes
from steer.door import expect
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import LinearKnob, Provenance
from steer.latent import Latent
from steer.progress import Progress
from steer.registry import load_measurer
from steer.steering import Steering, Turn

FINDER = "hold"
"""What made the knobs that hold, as their provenance says."""

MOST_DICE = 64
"""How many dice pictures are corrected by at most: each is tried on every picture."""

STEP = 0.3
"""Sigmas of the dice, to both sides, over which answers are measured."""

ROUNDS = 4
"""Steps of a correction; more hardly hold better."""

SHARES = (0.3, 0.6, 1.0)
"""Parts of each step that are tried side by side: answers change on the way, those of angles most."""

LONGEST = 1.5
"""Sigmas of the dice that one step goes at most: answers are those of a place, and steps beyond it guesses."""

DAMPING = 0.05
"""The square of a change, in spreads, that a step of one sigma must be worth."""

REST = 0.5
"""How much a change counts of what is neither locked nor turned, against one of what is, where a step is looked for."""

DOUBT = 0.05
"""Spreads that whoever reads pictures is easily wrong by: changes near it may be no changes, and are left."""

SAMPLES = 48
"""How many show how much backgrounds differ."""

Draw = Callable[[Latent, Steering], Tensor]
"""From a latent and turns to pictures (batch, 3, height, width) in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Answers:
    """How the readings of pictures answer to small steps of their own dice.

    Attributes:
        eyes: what reads them, and what is locked.
        unturned: the readings of the pictures as they are, in their units, (batch, numbers).
        slopes: in spreads per sigma, (batch, numbers, dice).
    """

    eyes: Eyes
    unturned: Tensor
    slopes: Tensor

    def locking(self, eyes: Eyes) -> "Answers":
        """Return the same answers for eyes that watch the same, with something else locked."""
        return replace(self, eyes=eyes)

    def rows(self, index: Sequence[int]) -> "Answers":
        """Return the answers of the named pictures, repeats allowed."""
        rows = list(index)
        return replace(self, unturned=self.unturned[rows], slopes=self.slopes[rows])


@dataclass(frozen=True, eq=False)
class Held:
    """Turns of pictures with what is locked held.

    Attributes:
        steering: the turns and what corrects them, to decode the same latent with.
        before: for everything locked, its root-mean-square change by the turns alone, in spreads, by the judge.
        after: the same with the correction.
    """

    steering: Steering
    before: Mapping[str, float]
    after: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return how much is held as JSON-able values."""
        return {"before": dict(self.before), "after": dict(self.after)}


def hold(
    generator: Generator,
    latent: Latent,
    steering: Steering,
    *,
    lock: Sequence[str],
    measurer: Measurer | None = None,
    judge: Measurer | None = None,
    progress: Progress | None = None,
) -> Held:
    """Correct turns on each picture so that what is locked stays as it was before them.

    What the turned knobs are meant for is not held, though it be locked.

    Args:
        generator: what makes the pictures.
        latent: the pictures.
        steering: the turns.
        lock: what must not change: attributes by name, and "background" for all that is not the thing itself.
        measurer: what the correction goes by; by default the one that finders learn from.
        judge: what says how well it went; by default the generator's own.
        progress: called with the number of pictures that were corrected.

    Raises:
        BadInput: nothing is locked, or the generator has no dice that are few enough to try each.
        UnknownName: there is no such attribute.

    >>> import steer
    >>> birds = steer.load_generator("aviary-biggan")
    >>> turns = steer.Steering([(steer.shipped_knobs(birds)["x"], 1.7)])
    >>> held = steer.hold(birds, birds.sample([1, 2]), turns, lock=["size"])
    >>> held.after["size"] < held.before["size"]
    True
    """
    expect(lock, Sequence, "what is locked is a list of names, such as ['size', 'background']")
    if not lock or isinstance(lock, str):
        raise BadInput("say what to lock as a list of names, such as ['size', 'background']")
    if dice_of(generator) is None:
        raise BadInput(f"'{generator.name}' has no few dice to correct pictures by, so nothing can be locked")
    samples = generator.sample(range(FIRST_SEED, FIRST_SEED + SAMPLES))
    eyes, judging = (
        Eyes.of(each, lock, generator, samples)
        for each in (
            measurer if measurer is not None else labeller(generator),
            judge if judge is not None else load_measurer(generator.backend.measurer),
        )
    )

    def draw(some: Latent, turns: Steering) -> Tensor:
        with torch.no_grad():
            return generator.decode(some, turns).cpu()

    parts = []
    for rows in batches(len(latent), 1):
        some, turned = latent.rows(rows), steering.rows(rows, len(latent))
        answers = measure_answers(generator, some, eyes, draw)
        parts.append(correct(answers, generator, some, turned, draw))
        if progress is not None:
            progress(rows[-1] + 1, len(latent))
    held = Steering([*steering.turns, *as_turns(torch.cat(parts), generator, lock)])
    unturned, before, after = (
        torch.cat(
            [read(judging, draw(latent.rows(rows), each.rows(rows, len(latent)))) for rows in batches(len(latent))]
        )
        for each in (Steering(), steering, held)
    )
    return Held(held, changes(judging, unturned, before), changes(judging, unturned, after))


def dice_of(generator: Generator) -> str | None:
    """Return the space of the dice that pictures are corrected by; None where there are none, or too many."""
    spaces = generator.spaces.items()
    few = (name for name, s in spaces if s.kind == "input" and s.isotropic and math.prod(s.shape) <= MOST_DICE)
    return next(few, None)


def lockable(generator: Generator, measurer: Measurer) -> tuple[str, ...]:
    """Return what can be locked about the pictures of a generator, by name."""
    if dice_of(generator) is None:
        return ()
    return (*_numbers(measurer), *((BACKGROUND,) if isinstance(measurer, Masking) else ()))


def measure_answers(
    generator: Generator, latent: Latent, eyes: Eyes, draw: Draw, check: Callable[[], None] = lambda: None
) -> Answers:
    """Step to both sides along every die of pictures, and read what that changes.

    Args:
        generator: what makes the pictures.
        latent: the pictures.
        eyes: what reads them.
        draw: makes pictures.
        check: called before each of them; what it raises ends the work.
    """
    space = dice_of(generator)
    assert space is not None
    one = torch.eye(math.prod(generator.space(space).shape)) * STEP
    unturned, slopes = [], []
    for row in range(len(latent)):
        check()
        here = latent.rows([row])
        unturned.append(read(eyes, draw(here, Steering())))
        stepped = Steering(as_turns(torch.cat([one, -one]), generator))
        up, down = read(eyes, draw(here.rows([0] * 2 * len(one)), stepped)).chunk(2)
        slopes.append(_differences(eyes, up, down).T / (2 * STEP))
    return Answers(eyes, torch.cat(unturned), torch.stack(slopes))


def guess(answers: Answers, generator: Generator, latent: Latent, steering: Steering, draw: Draw) -> Tensor:
    """Return the step that should hold what is locked, by the answers alone; see `correct`."""
    aim = _Aim.of(answers, steering, read(answers.eyes, draw(latent, steering)))
    return aim.move(answers.slopes, aim.there, torch.zeros(len(latent), answers.slopes.shape[2], dtype=torch.float64))


def correct(answers: Answers, generator: Generator, latent: Latent, steering: Steering, draw: Draw) -> Tensor:
    """Return the steps of pictures' dice, in sigmas, (batch, dice), that hold what is locked while knobs turn.

    Of all the steps that were tried that is taken which leaves least to be wished, that of nothing among them. Here
    everything counts alike: where holding what is locked would change more of the rest, it is not held.

    Args:
        answers: of these pictures.
        generator: what makes them.
        latent: the pictures.
        steering: the turns.
        draw: makes pictures.
    """
    aim = _Aim.of(answers, steering, read(answers.eyes, draw(latent, steering)))
    there, slopes = aim.there, answers.slopes
    batch, dice = len(latent), slopes.shape[2]
    step, shares = torch.zeros(batch, dice, dtype=torch.float64), torch.tensor(SHARES, dtype=torch.float64)
    least = aim.cost(there, step)
    every = [row for row in range(batch) for _ in SHARES]
    tried, turns = latent.rows(every), steering.rows(every, batch).turns
    for _ in range(ROUNDS):
        moves = aim.move(slopes, there, step)[:, None] * shares[:, None]  # (batch, shares, dice)
        steps = step[:, None] + moves
        stepped = Steering([*turns, *as_turns(steps.flatten(0, 1), generator)])
        readings = read(answers.eyes, draw(tried, stepped))
        arrived = _differences(answers.eyes, readings, answers.unturned[every])
        costs = aim.rows(every).cost(arrived, steps.flatten(0, 1)).reshape(batch, len(shares))
        best = costs.argmin(1)
        rows = torch.arange(batch)
        arrived, move = arrived.reshape(batch, len(shares), -1)[rows, best], moves[rows, best]
        surprise = arrived - there - (slopes @ move[..., None])[..., 0]
        slopes = slopes + surprise[..., None] * move[:, None] / move.square().sum(1).clamp_min(1e-9)[:, None, None]
        better = (costs[rows, best] < least)[:, None]
        step, there = torch.where(better, steps[rows, best], step), torch.where(better, arrived, there)
        least = torch.minimum(least, costs[rows, best])
    return step


def as_turns(step: Tensor, generator: Generator, lock: Sequence[str] = ()) -> list[Turn]:
    """Return steps of dice in sigmas, (batch, dice), as turns: as few as can say them.

    Args:
        step: a row for each picture.
        generator: whose dice they are.
        lock: what they hold, to be written down.
    """
    space = generator.space(dice_of(generator) or "")
    few = len(step) <= step.shape[1]  # a direction for each picture, or one for each die
    directions, amounts = (step, torch.eye(len(step))) if few else (torch.eye(step.shape[1]), step.T)
    told = Provenance(generator.name, generator.fingerprint, FINDER, {"lock": list(lock)})
    turns = []
    for direction, amount in zip(directions, amounts, strict=True):
        along = (direction * space.sigma).float().reshape(space.shape)
        if lock or bool((along != 0).any()):  # what was locked is written down though nothing could be done for it
            name = f"held {hashlib.sha256(along.numpy().tobytes()).hexdigest()[:8]}"  # walks tell knobs by their names
            turns.append(Turn(LinearKnob(name, space.name, along, range=(0.0, 1.0), provenance=told), amount.tolist()))
    return turns


def changes(eyes: Eyes, unturned: Tensor, turned: Tensor) -> dict[str, float]:
    """Return how much everything locked has changed from readings to others, (batch, numbers), by name.

    That is the root mean square over pictures, in spreads; the parts of the background count as one.
    """
    moved = _differences(eyes, turned, unturned).square().mean(0).sqrt().tolist()
    found: dict[str, float] = {}
    for name, change in zip(_numbers(eyes.measurer), moved, strict=True):
        if name in eyes.locked:
            whole = name.partition(":")[0]
            found[whole] = math.hypot(found.get(whole, 0.0), change)
    return found


def read(eyes: Eyes, pictures: Tensor) -> Tensor:
    """Read every number and angle off pictures (batch, 3, height, width) in [0, 1]; (batch, numbers) in their units."""
    with torch.no_grad():
        values = eyes.measurer.measure(pictures)
    return torch.stack([values[name].double() for name in _numbers(eyes.measurer)], 1)


@dataclass(frozen=True, eq=False)
class _Aim:
    """Where the readings of pictures are to be.

    Attributes:
        there: how far they were moved by the turns, in spreads, (batch, numbers).
        wanted: how far they are to be: what is locked not at all, all else as far as it is.
        weight: how much each counts, (numbers,).
    """

    there: Tensor
    wanted: Tensor
    weight: Tensor

    @classmethod
    def of(cls, answers: Answers, steering: Steering, turned: Tensor) -> "_Aim":
        targets = {turn.knob.attribute for turn in steering.turns if not turn.idle}
        names = _numbers(answers.eyes.measurer)
        locked = torch.tensor([name in answers.eyes.locked and name not in targets for name in names])
        meant = torch.tensor([name in targets for name in names])
        there = _differences(answers.eyes, turned, answers.unturned)
        weight = torch.where(locked | meant, 1.0, REST).double()
        return cls(there, torch.where(locked, _doubted(there, names), there), weight)

    def rows(self, index: Sequence[int]) -> "_Aim":
        """Return where the named pictures are to be, repeats allowed."""
        rows = list(index)
        return _Aim(self.there[rows], self.wanted[rows], self.weight)

    def move(self, slopes: Tensor, there: Tensor, step: Tensor) -> Tensor:
        """Return where to step from a step, (batch, dice), by the answers there."""
        answers = slopes * self.weight[:, None]  # (batch, numbers, dice)
        missing = ((self.wanted - there) * self.weight)[..., None]
        damping = DAMPING * torch.eye(slopes.shape[2], dtype=torch.float64)
        downhill = answers.mT @ missing - (damping @ step[..., None])
        move: Tensor = torch.linalg.solve(answers.mT @ answers + damping, downhill)[..., 0]
        return move * (LONGEST / move.norm(dim=1, keepdim=True).clamp_min(LONGEST))

    def cost(self, there: Tensor, step: Tensor) -> Tensor:
        """Return what is left to be wished, (batch,)."""
        return (there - self.wanted).square().sum(1) + DAMPING * step.square().sum(1)


def _doubted(there: Tensor, names: Sequence[str]) -> Tensor:
    """Return the part of changes (batch, numbers) that is left: near all of small ones, near nothing of large ones.

    After Breiman's garrote (1995), which is smooth, so that no picture jumps as a knob turns.
    """
    whole = torch.tensor([name.startswith(f"{BACKGROUND}:") for name in names])
    background = there[:, whole].norm(dim=1, keepdim=True).expand_as(there)
    size = torch.where(whole, background, there.abs())
    return there * (DOUBT / size.clamp_min(DOUBT)).square()


def _numbers(measurer: Measurer) -> list[str]:
    return [name for name, attribute in measurer.attributes.items() if attribute.kind != "categorical"]


def _differences(eyes: Eyes, values: Tensor, reference: Tensor) -> Tensor:
    """Return how far readings are from others, in spreads, all (batch, numbers)."""
    attributes = [eyes.measurer.attributes[name] for name in _numbers(eyes.measurer)]
    columns = zip(attributes, values.unbind(1), reference.unbind(1), strict=True)
    return torch.stack([each.difference(one, other) / each.spread for each, one, other in columns], 1)

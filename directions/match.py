"""Match: find the fewest knobs, and their amounts, that turn one picture into another.

Knobs are added one after the other, each time the one that brings the picture nearest, and all amounts are set anew
after each: orthogonal matching pursuit (Pati et al., 1993), with turned pictures in place of a dictionary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steer.directions.perceptual import Distance, perceptual_distance
from steer.directions.readings import read_pictures
from steer.door import SOME_KNOBS, expect
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import Knob
from steer.latent import Latent
from steer.prepare import PictureSource, prepare
from steer.progress import Progress
from steer.steering import Steering

GRID = 9
HALVINGS = 4
ROUNDS = 2
WORTH_IT = 0.1
"""A knob must take this part of what is left of the distance away, or it is not worth turning."""


@dataclass(frozen=True, eq=False)
class Matched:
    """The knobs that turn one picture into another.

    Attributes:
        steering: the turns, to decode the first picture's latent with.
        amounts: how far each knob is turned, by name, the one that was found first in front.
        before: the distance of the two pictures.
        after: the distance that the turns leave.
        path: the distance left after each knob that was added.
    """

    steering: Steering
    amounts: Mapping[str, float]
    before: float
    after: float
    path: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return amounts and distances as JSON-able values."""
        return {
            "amounts": dict(self.amounts),
            "distance_before": self.before,
            "distance_after": self.after,
            "distance_path": list(self.path),
        }


def match(
    generator: Generator,
    knobs: Mapping[str, Knob],
    latent: Latent,
    picture: PictureSource,
    *,
    most: int = 4,
    distance: Distance | None = None,
    progress: Progress | None = None,
) -> Matched:
    """Find the fewest knobs that turn a latent's picture into another one.

    Args:
        generator: what the knobs turn.
        knobs: those to choose from, by name.
        latent: the first picture, one row, such as that of `Generator.invert`.
        picture: the second.
        most: the largest number of knobs.
        distance: how different two pictures are; by default `perceptual_distance`.
        progress: called after each knob that was tried.

    Raises:
        BadInput: there are no knobs, or the latent is not one picture.
    """
    expect(knobs, Mapping, SOME_KNOBS)
    if not knobs or most < 1 or len(latent) != 1:
        raise BadInput("one picture is matched with another, by 1 knob or more")
    tell = distance if distance is not None else perceptual_distance(generator)
    goal = prepare(picture, generator.backend.picture_size).picture
    board = _Board(generator, knobs, latent, goal, tell)
    before = left = board.distances([{}])[0]
    amounts: dict[str, float] = {}
    path: list[float] = []
    rounds = min(most, len(knobs))
    for number in range(rounds):
        tried = {name: board.best(amounts, name, _grid(knob)) for name, knob in knobs.items() if name not in amounts}
        name = min(tried, key=lambda each: tried[each][1])
        added, there = board.refined({**amounts, name: tried[name][0]})
        if progress is not None:
            progress(number + 1, rounds)
        if there > (1 - WORTH_IT) * left:
            break
        amounts, left = added, there
        path.append(there)
    amounts, left = board.pruned(amounts, left)
    steering = Steering([(knobs[name], amount) for name, amount in amounts.items()])
    return Matched(steering, amounts, before, left, tuple(path))


def _grid(knob: Knob) -> list[float]:
    grid: list[float] = torch.linspace(*knob.range, GRID).tolist()
    return grid


class _Board:
    """One picture under many settings of the knobs, and how far each is from the goal."""

    def __init__(
        self, generator: Generator, knobs: Mapping[str, Knob], latent: Latent, goal: Tensor, tell: Distance
    ) -> None:
        self.generator, self.knobs, self.latent, self.goal, self.tell = generator, knobs, latent, goal, tell

    def distances(self, settings: list[dict[str, float]]) -> list[float]:
        """Return the distance that each setting leaves."""
        names = {name for setting in settings for name in setting}
        turns = [(self.knobs[name], [setting.get(name, 0.0) for setting in settings]) for name in names]
        rows = self.latent.rows([0] * len(settings))

        def read(images: Tensor) -> dict[str, Tensor]:
            return {"distance": self.tell(images, self.goal.expand_as(images))}

        told: list[float] = read_pictures(self.generator, rows, read, Steering(turns))["distance"].tolist()
        return told

    def best(self, amounts: Mapping[str, float], name: str, tried: list[float]) -> tuple[float, float]:
        """Return the best of some amounts of one knob, the others held, and the distance it leaves."""
        left = self.distances([{**amounts, name: amount} for amount in tried])
        best = min(range(len(tried)), key=lambda number: left[number])
        return tried[best], left[best]

    def refined(self, amounts: dict[str, float]) -> tuple[dict[str, float], float]:
        """Return all amounts set anew, one after the other in ever smaller steps, and the distance left."""
        amounts, left = dict(amounts), self.distances([amounts])[0]
        for halving in range(1, HALVINGS + 1):
            for name in [*amounts] * ROUNDS:
                low, high = self.knobs[name].range
                step = (high - low) / (GRID - 1) / 2**halving
                tried = [max(low, amounts[name] - step), min(high, amounts[name] + step)]
                amount, there = self.best(amounts, name, tried)
                if there < left:
                    amounts[name], left = amount, there
        return amounts, left

    def pruned(self, amounts: dict[str, float], left: float) -> tuple[dict[str, float], float]:
        """Return the amounts without the knobs that later ones have made needless."""
        for name in list(amounts)[:-1]:
            fewer, there = self.refined({other: amount for other, amount in amounts.items() if other != name})
            if there * (1 - WORTH_IT) <= left:
                amounts, left = fewer, there
        return amounts, left

"""Steering: knobs with their amounts, applied to values as they pass."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from steer.backend import Stage
from steer.door import A_KNOB, expect
from steer.errors import BadInput
from steer.knob import Changing, Knob, Window, given
from steer.latent import Latent
from steer.shapes import Amounts

Amount = float | Sequence[float] | Tensor


@dataclass(frozen=True, eq=False)
class Turn:
    """One knob turned by an amount.

    Attributes:
        knob: what is turned.
        amount: how far, in the knob's unit: one number, or one per sample.
        window: where it acts; the knob's own window where None.
        absolute: the amount is the coordinate to arrive at, instead of how far to go from where the sample is.
    """

    knob: Knob
    amount: Amount
    window: Window | None = None
    absolute: bool = False

    def __post_init__(self) -> None:
        expect(self.knob, Knob, A_KNOB)
        try:
            amount = torch.as_tensor(self.amount, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError):
            amount = torch.tensor(torch.nan)
        if not bool(torch.isfinite(amount).all()):
            low, high = self.knob.range
            raise BadInput(
                f"knob '{self.knob.name}' cannot be turned by {self.amount!r:.60}; "
                f"its range is {low:.3g} to {high:.3g} {self.knob.unit}"
            )

    def amounts(self, batch: int) -> Amounts:
        """Return one amount a sample, (batch,).

        Raises:
            BadInput: there are neither one nor ``batch`` amounts.
        """
        amount = torch.as_tensor(self.amount, dtype=torch.float32)
        if amount.dim() > 1 or amount.numel() not in (1, batch):
            raise BadInput(
                f"knob '{self.knob.name}' takes one amount or one per sample ({batch}), not {list(amount.shape)}"
            )
        return amount.reshape(-1).expand(batch)

    def weight(self, stage: Stage) -> float:
        """Return how much of a stage the turn covers, 0 to 1."""
        return (self.window or self.knob.window).weight(stage.interval)

    def moved(self, batch: int) -> Bool[Tensor, "batch"]:
        """Return the rows that the turn changes, or that a gradient asks about, (batch,)."""
        every = self.absolute or torch.as_tensor(self.amount).requires_grad
        return torch.ones(batch, dtype=torch.bool) if every else self.amounts(batch).cpu() != 0

    @property
    def idle(self) -> bool:
        """Whether the turn changes nothing."""
        amount = torch.as_tensor(self.amount)
        return not (self.absolute or amount.requires_grad or bool((amount != 0).any()))


class Steering:
    """A set of turns; their order never matters.

    Args:
        turns: `Turn` objects, or pairs of a knob and an amount (a float or one per sample).
    """

    def __init__(self, turns: Iterable[Turn | tuple[Knob, Amount]] = ()) -> None:
        self.turns: tuple[Turn, ...] = tuple(sorted(_whole(turns), key=lambda turn: (turn.knob.name, turn.knob.space)))
        self._last: dict[int, tuple[Tensor, Knob, Tensor]] = {}

    def __call__(self, space: str, stage: Stage, values: Tensor) -> Tensor:
        """Return the steered values, (batch, *shape); the very same object where nothing is turned.

        Every displacement is computed from the unsteered values; rows with amount 0 come back bit-equal.
        """
        steered = values
        for index, turn in enumerate(self.turns):
            if turn.knob.space == space and not turn.idle and (weight := turn.weight(stage)) > 0:
                steered = steered + weight * self._displacement(index, stage, values)
        return steered

    def _displacement(self, index: int, stage: Stage, values: Tensor) -> Tensor:
        """Return what a turn adds; computed once where the very same values pass in one stage after the other."""
        turn = self.turns[index]
        knob = turn.knob.at(stage.interval) if isinstance(turn.knob, Changing) else turn.knob
        if index in self._last and self._last[index][0] is values and self._last[index][1] is knob:
            return self._last[index][2]
        amounts = turn.amounts(len(values)).to(values.device)
        displacement = knob.displacement(values, amounts, absolute=turn.absolute)
        self._last[index] = values, knob, displacement
        return displacement

    def __repr__(self) -> str:
        return f"Steering({', '.join(f'{turn.knob.name} {turn.amount}' for turn in self.turns)})"

    def touches(self, stage: Stage) -> bool:
        """Whether any turn changes values that pass in this stage."""
        return next(self._acting(stage), None) is not None

    def touched(self, stage: Stage, batch: int) -> Bool[Tensor, "batch"]:
        """Return the rows in which a turn changes values that pass in this stage, (batch,)."""
        rows = torch.zeros(batch, dtype=torch.bool)
        for turn in self._acting(stage):
            rows = rows | turn.moved(batch)
        return rows

    def _acting(self, stage: Stage) -> Iterator[Turn]:
        return (
            turn for turn in self.turns if turn.knob.space in stage.spaces and not turn.idle and turn.weight(stage) > 0
        )

    def rows(self, index: Sequence[int], batch: int) -> "Steering":
        """Return the steering of some rows out of a batch."""
        rows = list(index)
        return Steering(replace(turn, amount=turn.amounts(batch)[rows]) for turn in self.turns)

    def given(self, latent: Latent) -> "Steering":
        """Return the steering as it turns the rows of a latent."""
        return Steering(replace(turn, knob=given(turn.knob, latent.values)) for turn in self.turns)


def _whole(turns: Any) -> Iterator[Turn]:
    """Yield what was given as whole turns.

    Raises:
        BadInput: it is something else.
    """
    for turn in turns if isinstance(turns, Iterable) else (turns,):
        match turn:
            case Turn() if turn is not turns:
                yield turn
            case (knob, amount):
                yield Turn(knob, amount)
            case _:
                raise BadInput(
                    "steering is a list of turns, each of them a knob with its amount: "
                    f"Steering([(knob, amount), …]); a {type(turn).__name__} is no turn"
                )

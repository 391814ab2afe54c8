"""Following an attribute: a small network that tells attributes from values, and the shortest way along one of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 16
"""Way points between where a sample is and where it goes."""

CIRCLE = math.tau / math.sqrt(12)
"""One spread of an angle that is anywhere on its circle, in radians."""

CIRCUMFERENCE = math.tau / CIRCLE
"""A whole turn, in spreads."""

SMALLEST_LENGTH = 1e-3

SMALLEST_RADIUS = 0.3
"""Where cosine and sine are both smaller than this, an angle is hardly told, and its slope would grow without end."""

DAMPING = 0.01
"""Keeps steps short where attributes hardly answer: a squared slope, in spreads per sigma."""

CLEAR_AFTER = 1 / 3
"""How far an angle turns, in spreads, until all is done to show it clearly; before, in proportion."""

LONGEST_STEP = 1.5
"""How far one step goes at most, in sigmas."""


@dataclass(frozen=True, eq=False)
class Response:
    """How attributes answer to the values of a space: a plain network, with its slopes.

    The network sees a sample's coordinates, in sigmas along ``axes``, and its context: other numbers that make samples
    differ, such as a class embedding.

    Attributes:
        axes: (coordinates, *shape), orthogonal, each one sigma of the space long.
        widths: of its layers, from what it sees to what it puts out.
        weights: of all layers in a row; those of one are (outputs, inputs + 1), the last column what is added.
        circles: for every attribute whether it is an angle; those take two outputs, cosine and sine.
    """

    axes: Tensor
    widths: Sequence[int]
    weights: Tensor
    circles: Sequence[bool]

    @cached_property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """The matrix of each layer, (outputs, inputs), and what it adds, (outputs,)."""
        shapes = [(outputs, inputs + 1) for inputs, outputs in pairwise(self.widths)]
        flat = self.weights.split([rows * columns for rows, columns in shapes])
        whole = [part.reshape(shape) for part, shape in zip(flat, shapes, strict=True)]
        return [(layer[:, :-1].contiguous(), layer[:, -1].contiguous()) for layer in whole]

    def coordinates(self, values: Tensor) -> Tensor:
        """Return where values (batch, *shape) stand along the axes, (batch, coordinates)."""
        axes = self.axes.flatten(1)
        return values.flatten(1) @ (axes / axes.square().sum(1, keepdim=True)).T

    def values(self, coordinates: Tensor) -> Tensor:
        """Return the values that coordinates (batch, coordinates) stand for, (batch, *shape)."""
        return (coordinates @ self.axes.flatten(1)).unflatten(1, self.axes.shape[1:])

    def outputs(self, coordinates: Tensor, context: Tensor) -> Tensor:
        """Return numbers in spreads, cosines and sines, (batch, outputs)."""
        return self._forward(coordinates, context)[0]

    def _forward(self, coordinates: Tensor, context: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs, and how steep each rectifier is, (batch, hidden)."""
        values, steep = torch.cat([coordinates, context], 1), []
        for matrix, added in self.layers[:-1]:
            before = F.linear(values, matrix, added)
            gate = before.sigmoid()
            values = before * gate
            steep.append(torch.addcmul(gate, values, 1 - gate))
        return F.linear(values, *self.layers[-1]), steep

    def readings(self, coordinates: Tensor, context: Tensor) -> Tensor:
        """Return every attribute in spreads, (batch, attributes)."""
        outputs = self.outputs(coordinates, context)
        return self._told(outputs[:, self._first], outputs[:, self._second])

    def slopes(self, coordinates: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return every attribute in spreads, (batch, attributes), and how fast it grows, (..., coordinates)."""
        return self._attributes(*self._outputs_and_slopes(coordinates, context))

    def _attributes(self, outputs: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        cosine, sine = outputs[:, self._first], outputs[:, self._second]
        first, second = slopes[:, self._first], slopes[:, self._second]
        square = (cosine.square() + sine.square()).clamp_min(SMALLEST_RADIUS**2) * CIRCLE
        across = (cosine[..., None] * second - sine[..., None] * first) / square[..., None]
        return self._told(cosine, sine), torch.where(self._circle[:, None], across, first)

    def _outwards(self, outputs: Tensor, slopes: Tensor, angle: int) -> Tensor:
        """Return the shortest step to where an angle is told clearly: to radius 1, (batch, coordinates)."""
        pair = [int(self._first[angle]), int(self._second[angle])]
        radius = outputs[:, pair].square().sum(1, keepdim=True).sqrt().clamp_min(SMALLEST_LENGTH)
        slope = (outputs[:, pair, None] * slopes[:, pair]).sum(1) / radius
        return (1 - radius).clamp_min(0) * slope / (slope.square().sum(1, keepdim=True) + DAMPING)

    def _outputs_and_slopes(self, coordinates: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs, (batch, outputs), and how fast each grows, (batch, outputs, coordinates)."""
        outputs, steep = self._forward(coordinates, context)
        slopes = self.layers[-1][0].expand(len(outputs), -1, -1)  # (batch, outputs, hidden)
        for (matrix, _), each in zip(self.layers[-2::-1], steep[::-1], strict=True):
            slopes = slopes * each[:, None] @ matrix
        return outputs, slopes[..., : coordinates.shape[1]]

    def _told(self, cosine: Tensor, sine: Tensor) -> Tensor:
        """Return attributes in spreads by their outputs, (batch, attributes) each; a number stands in both."""
        angle = torch.atan2(sine, torch.where(self._circle, cosine, self._one))  # numbers never at 0, 0: no slope there
        return torch.where(self._circle, angle / CIRCLE, cosine)

    @cached_property
    def _circle(self) -> Tensor:
        return torch.tensor(self.circles, device=self.weights.device)

    @cached_property
    def _one(self) -> Tensor:
        return self.weights.new_ones(())

    @cached_property
    def _first(self) -> Tensor:
        """Where each attribute stands among the outputs; of an angle its cosine."""
        widths = 1 + self._circle.long()
        return widths.cumsum(0) - widths

    @cached_property
    def _second(self) -> Tensor:
        """Where the sine of each angle stands among the outputs; of a number itself."""
        return self._first + self._circle

    def follow(self, start: Tensor, context: Tensor, target: int, amount: Tensor) -> Tensor:
        """Go the shortest way that moves one attribute by an amount and holds the others.

        The amount is divided among way points. The step to each is the shortest in sigmas that undoes what attributes
        are off by so far, by the slopes half way: J⁺ r = Jᵀ (J Jᵀ + damping)⁻¹ r, after Nakamura & Hanafusa (1986).
        Where attributes leave it free, it also leads back to the distance from 0 that the start has, in which dice
        that are drawn hardly vary; and for an angle that the start shows unclearly, the farther it turns the more, to
        where it is clear. Exactly nothing happens where the amount is 0.

        Args:
            start: (batch, coordinates).
            context: (batch, context).
            target: number of the attribute.
            amount: (batch,) in spreads.

        Returns:
            Where it leads, (batch, coordinates).
        """
        began, length = self.readings(start, context), _length(start)
        change = F.one_hot(torch.tensor(target), began.shape[1]).to(start) * amount[:, None]
        place = start
        for step in range(1, STEPS + 1):
            seen = self._outputs_and_slopes(place, context)
            readings, slopes = self._attributes(*seen)
            off = self._short_way_round(began + change * (step / STEPS) - readings)
            pull = (length / _length(place) - 1) * place
            if self.circles[target]:
                turned = (amount.abs() * step / STEPS / CLEAR_AFTER).clamp_max(1)[:, None]
                pull = pull + turned * self._outwards(*seen, target)
            _, half_way = self.slopes(place + _step(slopes, off, pull) / 2, context)
            place = place + _step(half_way, off, pull)
        return place

    def follow_round(self, start: Tensor, context: Tensor, target: int, turns: Tensor) -> Tensor:
        """Follow an angle so that a whole turn leads back to the start.

        The way onwards and the way back lead to nearly the same place. Where between them this ends changes with the
        amount: at 0 there is only the one, at a whole turn only the other.

        Args:
            start: (batch, coordinates).
            context: (batch, context).
            target: number of the attribute, an angle.
            turns: (batch,); 1 is once round.

        Returns:
            Where it leads, (batch, coordinates).
        """
        onwards = torch.remainder(turns, 1)
        amounts = CIRCUMFERENCE * torch.cat([onwards, onwards - 1])
        there, back = self.follow(start.repeat(2, 1), context.repeat(2, 1), target, amounts).chunk(2)
        return torch.lerp(there, back, onwards[:, None])

    def _short_way_round(self, change: Tensor) -> Tensor:
        half = CIRCUMFERENCE / 2
        return torch.where(self._circle, torch.remainder(change + half, CIRCUMFERENCE) - half, change)


def _length(place: Tensor) -> Tensor:
    """Return the distance from 0, (batch, 1)."""
    return place.square().sum(1, keepdim=True).clamp_min(SMALLEST_LENGTH**2).sqrt()


def _step(slopes: Tensor, change: Tensor, pull: Tensor) -> Tensor:
    """Return the step nearest to ``pull`` that makes a change, damped and of bounded length, (batch, coordinates)."""
    left = change - (slopes @ pull[..., None])[..., 0]
    gram = slopes @ slopes.mT
    gram.diagonal(dim1=-2, dim2=-1).add_(DAMPING)
    step = pull + (slopes.mT @ torch.linalg.solve(gram, left[..., None]))[..., 0]
    return step * (LONGEST_STEP / _length(step).clamp_min(LONGEST_STEP))

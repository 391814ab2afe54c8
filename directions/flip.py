"""Flip: the same knob, turning the other way."""

from dataclasses import replace
from functools import singledispatch

import torch

from steer.errors import BadInput
from steer.knob import ArcKnob, CalibratedKnob, CurveKnob, FlowKnob, Knob, LinearKnob, RingKnob


def flip(knob: Knob) -> Knob:
    """Return a knob whose every amount does what the opposite amount did; its range is turned round with it.

    Raises:
        BadInput: nobody knows how a knob of its kind is turned round.
    """
    low, high = knob.range
    return replace(_flipped(knob), range=(-high, -low))


@singledispatch
def _flipped(knob: Knob) -> Knob:
    raise BadInput(f"a knob of the kind '{knob.kind}' goes one way only; turn it by negative amounts")


@_flipped.register
def _linear(knob: LinearKnob) -> Knob:
    return replace(knob, direction=-knob.direction)


@_flipped.register
def _arc(knob: ArcKnob) -> Knob:
    return replace(knob, direction=-knob.direction)


@_flipped.register
def _ring(knob: RingKnob) -> Knob:
    sign = torch.tensor([1.0, -1.0])  # of the two directions of the plane
    return replace(knob, plane=knob.plane * sign.reshape(2, *(1 for _ in knob.shape)), centre=knob.centre * sign)


@_flipped.register
def _calibrated(knob: CalibratedKnob) -> Knob:
    return replace(knob, base=flip(knob.base), coordinates=-knob.coordinates.flip(0), levels=-knob.levels.flip(0))


@_flipped.register
def _flow(knob: FlowKnob) -> Knob:
    """Let the network tell the attribute with the other sign; of an angle its sine."""
    circle = knob.circles[knob.target]
    output = sum(1 + each for each in knob.circles[: knob.target]) + circle
    sign = torch.ones(knob.widths[-1])
    sign[output] = -1
    return replace(knob, weights=_with_outputs(knob.weights, knob.widths, sign))


@_flipped.register
def _curve(knob: CurveKnob) -> Knob:
    """Let the network tell the opposite velocity."""
    sign = -torch.ones(knob.widths[-1])
    return replace(knob, direction=-knob.direction, weights=_with_outputs(knob.weights, knob.widths, sign))


def _with_outputs(weights: torch.Tensor, widths: tuple[int, ...], sign: torch.Tensor) -> torch.Tensor:
    """Return the weights of a network with its outputs times a sign each."""
    last = widths[-1] * (widths[-2] + 1)
    layer = weights[-last:].reshape(widths[-1], -1) * sign.to(weights)[:, None]
    return torch.cat([weights[:-last], layer.flatten()])

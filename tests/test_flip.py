"""A flipped knob does by every amount what the knob did by the opposite one, whatever its kind."""

import pytest
import torch

from steer.directions.flip import flip
from steer.knob import ArcKnob, CalibratedKnob, CurveKnob, FlowKnob, Knob, LinearKnob, RingKnob

SEEDED = torch.Generator().manual_seed(7)


def drawn(*shape: int) -> torch.Tensor:
    """Draw numbers in float64: a flow is followed over many steps, each of which would round."""
    return torch.randn(shape, generator=SEEDED, dtype=torch.float64)


def orthonormal(count: int, size: int) -> torch.Tensor:
    return torch.linalg.qr(drawn(size, count)).Q.T.contiguous()


LEVELS = torch.tensor([-2.0, -0.4, 0.1, 0.3, 2.0], dtype=torch.float64)
LINE = LinearKnob("line", "z", drawn(6), range=(-1.0, 3.0))
RING = RingKnob("ring", "z", orthonormal(2, 6), range=(-90.0, 180.0))
SHAPED_RING = RingKnob(
    "parts", "z", torch.stack([orthonormal(2, 6), orthonormal(2, 6)]), centre=drawn(2, 2), edges=(0.0, 0.5, 1.0)
)
WIDTHS = (6, 8, 4)
WEIGHTS = drawn(8 * 7 + 4 * 9) * 0.3
FLOW = FlowKnob("flow", "z", torch.eye(6), WIDTHS, WEIGHTS, (False, True, False), 0, torch.zeros(1, 0))
ONES = torch.ones(5, dtype=torch.float64)
KNOBS: list[Knob] = [
    LINE,
    ArcKnob("arc", "z", 0.3 * drawn(6)),
    RING,
    SHAPED_RING,
    CalibratedKnob("calibrated", LINE, torch.linspace(-2, 2, 5).double(), LEVELS),
    FLOW,
    FlowKnob("round", "z", torch.eye(6), WIDTHS, WEIGHTS, (False, True, False), 1, torch.zeros(1, 0), unit="degree"),
    CurveKnob("curve", "z", drawn(6), torch.eye(6), (6, 8, 6), drawn(8 * 7 + 6 * 9) * 0.3, 3.0, torch.zeros(1, 0)),
]


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.name)
def test_a_flipped_knob_does_by_every_amount_what_it_did_by_the_opposite(knob: Knob) -> None:
    values, flipped = drawn(5, 6), flip(knob)
    scale = 60.0 if knob.unit == "degree" else 1.0
    for amount in (-1.0, 0.5, 2.0):
        there = knob.displacement(values, torch.full((5,), -amount * scale, dtype=torch.float64))
        assert there.abs().max() > 1e-3
        assert flipped.displacement(values, torch.full((5,), amount * scale, dtype=torch.float64)).allclose(
            there, atol=1e-6
        )
    assert flipped.range == (-knob.range[1], -knob.range[0])
    assert flip(flipped).displacement(values, ONES).allclose(knob.displacement(values, ONES), atol=1e-6)


def test_the_place_where_a_sample_stands_is_told_with_the_other_sign() -> None:
    values = drawn(5, 6)
    for knob in KNOBS:
        assert flip(knob).coordinate(values).allclose(-knob.coordinate(values), atol=1e-6)

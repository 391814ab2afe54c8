"""Flow knobs: the shortest way along one attribute that holds the others, checked against hand-made responses."""

import math
from collections.abc import Mapping
from itertools import pairwise

import pytest
import torch
from known_world import undrawn_aviary
from torch import Tensor

import steer
from steer.flow import Response
from steer.knob import FlowKnob, Provenance

ROWS = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.6, 0.8, 0.0], [0.0, 0.3, 0.0, 1.0]])
"""How three attributes of a hand-made response grow with four values."""


def straight(rows: Tensor, offsets: Tensor | None = None) -> tuple[tuple[int, ...], Tensor]:
    """Return widths and weights of a network that is a matrix: silu(x) - silu(-x) = x.

    ``offsets`` (attributes, context) says what the context adds.
    """
    count, size = rows.shape
    given = torch.zeros(count, 0) if offsets is None else offsets
    inward = torch.cat([rows, given, torch.zeros(count, 1)], 1)
    outward = torch.cat([torch.eye(count), -torch.eye(count), torch.zeros(count, 1)], 1)
    widths = (size + given.shape[1], 2 * count, count)
    return widths, torch.cat([torch.cat([inward, -inward]).flatten(), outward.flatten()])


def flow(rows: Tensor = ROWS, circles: tuple[bool, ...] = (False, False, False), target: int = 0, **rest) -> FlowKnob:
    widths, weights = straight(rows, rest.pop("offsets", None))
    rest = {"context": torch.zeros(1, 0), **rest}
    unit = "degree" if circles[target] else "spread"
    return FlowKnob("a flow", "z", torch.eye(rows.shape[1]), widths, weights, circles, target, unit=unit, **rest)


def curved(size: int = 5, context: int = 2) -> Response:
    """Return a response with random weights: two numbers and an angle."""
    widths = (size + context, 16, 16, 4)
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(b, a + 1, generator=random) * a**-0.5 for a, b in pairwise(widths)]
    return Response(torch.eye(size), widths, torch.cat([each.flatten() for each in weights]), (False, True, False))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_slopes_are_the_derivatives_of_readings() -> None:
    response, context = curved(), torch.randn(6, 2)
    place = torch.randn(6, 5, requires_grad=True)
    readings, slopes = response.slopes(place, context)
    torch.testing.assert_close(readings, response.readings(place, context))
    for number in range(3):
        (expected,) = torch.autograd.grad(response.readings(place, context)[:, number].sum(), place)
        pair = response.outputs(place, context)[:, 1:3]
        told = pair.square().sum(1) > 0.3**2 if number == 1 else torch.ones(6, dtype=torch.bool)
        torch.testing.assert_close(slopes[told, number], expected[told])


def test_an_angle_that_a_sample_shows_unclearly_becomes_clear_as_it_turns() -> None:
    knob = flow(torch.eye(4)[:3], circles=(True, False))  # cosine, sine and a number stand in the first three values
    start = torch.tensor([[0.2, 0.0, 0.5, 1.0]])
    moved = start + knob.displacement(start, torch.tensor([90.0]))
    assert math.degrees(math.atan2(moved[0, 1], moved[0, 0])) == pytest.approx(90, abs=3)
    assert float(moved[0, :2].norm()) == pytest.approx(1, abs=0.2)
    assert float(moved[0, 2]) == pytest.approx(0.5, abs=0.02)
    assert float(knob.displacement(start, torch.tensor([0.1])).norm()) < 0.05


def test_it_moves_its_attribute_by_the_amount_and_holds_the_others() -> None:
    values, amounts = torch.randn(8, 4), torch.linspace(-1.5, 1.5, 8)
    for target in range(3):
        moved = flow(target=target).displacement(values, amounts)
        expected = torch.nn.functional.one_hot(torch.tensor(target), 3) * amounts[:, None]
        torch.testing.assert_close(moved @ ROWS.T, expected, atol=0.05, rtol=0)


def test_where_attributes_answer_evenly_the_way_is_the_shortest_there_is() -> None:
    rows = ROWS[:2]
    values = torch.tensor([[0.0, 0.0, 0.0, 50.0]])  # so far from 0 that the distance hardly changes
    moved = flow(rows, (False, False)).displacement(values, torch.tensor([0.8]))
    shortest = torch.linalg.pinv(rows)[:, 0] * 0.8
    torch.testing.assert_close(moved[0], shortest, atol=0.02, rtol=0)


def test_dice_keep_their_distance_from_zero_where_that_is_free() -> None:
    values = torch.randn(8, 12, generator=torch.Generator().manual_seed(0))
    rows = torch.eye(12)[:2]
    moved = values + flow(rows, (False, False)).displacement(values, torch.full((8,), 1.5))
    change = (moved.norm(dim=1) / values.norm(dim=1) - 1).abs()
    straight = ((values + 1.5 * rows[0]).norm(dim=1) / values.norm(dim=1) - 1).abs()
    assert change.max() < 0.1
    assert straight.max() > 0.25
    assert (moved[:, 0] - values[:, 0] - 1.5).abs().max() < 0.05


def test_an_angle_is_turned_round_its_circle() -> None:
    angle = flow(torch.eye(4)[:3], (True, False), context=torch.zeros(1, 0))
    values = torch.tensor([[1.0, 0.0, 0.5, 2.0]])
    for degrees in (30.0, 90.0, -120.0):
        moved = values + angle.displacement(values, torch.tensor([degrees]))
        turned = torch.rad2deg(torch.atan2(moved[:, 1], moved[:, 0]))
        assert float(turned) == pytest.approx(degrees, abs=2)
        assert float(moved[0, 2]) == pytest.approx(0.5, abs=0.02)


def test_a_whole_turn_leads_home_and_both_ways_half_round_meet() -> None:
    response, values = curved(context=0), torch.randn(6, 5)
    knob = FlowKnob(
        "a", "z", torch.eye(5), response.widths, response.weights, response.circles, 1, torch.zeros(1, 0), unit="degree"
    )
    assert not knob.displacement(values, torch.full((6,), 360.0)).any()
    up, down = (knob.displacement(values, torch.full((6,), amount)) for amount in (180.0, -180.0))
    torch.testing.assert_close(up, down)


def test_nothing_is_turned_by_0_whatever_else_is_in_the_batch() -> None:
    for target in range(2):
        knob = flow(torch.eye(4), (False, True, False), target)
        values = torch.cat([torch.randn(3, 4), torch.zeros(1, 4)])
        moved = knob.displacement(values, torch.tensor([0.0, 1.0, 0.0, 0.0]))
        assert not moved[[0, 2, 3]].any()
        assert moved[1].any()
        assert moved.isfinite().all()


def test_an_absolute_turn_arrives_at_its_amount_and_a_die_thrown_anew_at_that_of_the_other() -> None:
    knob, values, fresh = flow(target=1), torch.randn(5, 4), torch.randn(5, 4)
    arrived = values + knob.displacement(values, torch.full((5,), -0.7), absolute=True)
    torch.testing.assert_close(knob.coordinate(arrived), torch.full((5,), -0.7), atol=0.05, rtol=0)
    rolled = knob.roll(values, fresh)
    torch.testing.assert_close(knob.coordinate(rolled), knob.coordinate(fresh), atol=0.05, rtol=0)
    torch.testing.assert_close(rolled @ ROWS[[0, 2]].T, values @ ROWS[[0, 2]].T, atol=0.05, rtol=0)


def test_amounts_have_gradients() -> None:
    amounts = torch.tensor([0.5, 0.0], requires_grad=True)
    moved = flow().displacement(torch.randn(2, 4), amounts)
    (slope,) = torch.autograd.grad((moved @ ROWS[0]).sum(), amounts)
    torch.testing.assert_close(slope, torch.ones(2), atol=0.05, rtol=0)


def test_a_flow_comes_back_from_a_file_as_small_as_it_was(tmp_path) -> None:
    knob = flow(context_space="species", context=torch.zeros(1, 0), provenance=Provenance(scores={"r2": 0.9}))
    halved = FlowKnob(**{**vars(knob), "weights": knob.weights.half()})
    steer.KnobSet({"a flow": halved}).save(tmp_path / "flow.safetensors")
    again = steer.load_knobs(tmp_path / "flow.safetensors")["a flow"]
    assert isinstance(again, FlowKnob)
    assert again.weights.dtype == torch.float16
    values, amounts = torch.randn(3, 4), torch.tensor([1.0, -0.5, 0.0])
    assert torch.equal(again.displacement(values, amounts), halved.displacement(values, amounts))


class Counting(FlowKnob):
    """Counts how often it is asked, and keeps what it was given."""

    asked: list[Tensor]

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        self.asked.append(self.context)
        return super().displacement(values, amount, absolute=absolute)


def species_flow(kind: type[FlowKnob] = FlowKnob) -> FlowKnob:
    """Return a flow of the undrawn aviary: its first die, answered to the more the later the species."""
    offsets = torch.linspace(-1, 1, 8)[None]
    widths, weights = straight(torch.eye(12)[:1], offsets)
    context = torch.full((1, 8), 1 / 8)
    return kind("a flow", "z", torch.eye(12), widths, weights, (False,), 0, context, "species")


def test_the_engine_tells_a_flow_what_each_sample_is_made_of() -> None:
    birds = undrawn_aviary()
    latent = birds.sample(range(12), condition={"label": ["robin", "owl"] * 6})
    knob = species_flow()
    amounts = torch.linspace(-1, 1, 12)
    own = knob.given(latent.values)
    assert not torch.equal(own.coordinate(latent["z"]), knob.coordinate(latent["z"]))
    goal = latent.with_values("z", latent["z"] + own.displacement(latent["z"], amounts, absolute=True))
    turned = birds.decode(latent, steer.Steering([steer.Turn(knob, amounts, absolute=True)]))
    assert torch.equal(turned, birds.decode(goal))
    torch.testing.assert_close(own.coordinate(goal["z"]), amounts, atol=0.05, rtol=0)


def test_one_die_of_a_latent_is_thrown_as_its_samples_are_made() -> None:
    birds = undrawn_aviary()
    held = birds.sample([1, 2], condition={"label": "robin"})
    fresh = birds.sample([3, 4], condition={"label": "robin"})
    knob = species_flow()
    rolled = held.rolled(knob, fresh)
    assert rolled.seeds == (None, None)
    torch.testing.assert_close(rolled["z"][:, 0], fresh["z"][:, 0], atol=0.05, rtol=0)
    line = steer.shipped_knobs(birds)["size"]
    straight_rolled = held.rolled(line, fresh)
    torch.testing.assert_close(line.coordinate(straight_rolled["z"]), line.coordinate(fresh["z"]))


def test_what_passes_in_many_stages_is_displaced_once() -> None:
    birds = steer.load_generator("aviary-biggan", "cpu")
    assert len(birds.backend.stages(birds.sample([0]), None)) > 2
    widths, weights = straight(torch.eye(24)[:1], torch.zeros(1, 16))
    Counting.asked = []
    knob = Counting("a flow", "z", torch.eye(24), widths, weights, (False,), 0, torch.zeros(1, 16), "class")
    latent = birds.sample([0, 1])
    with torch.no_grad():
        turned = birds.decode(latent, steer.Steering([(knob, 1.0)]))
    assert len(Counting.asked) == 1
    assert torch.equal(Counting.asked[0], latent["class"])
    values = latent["z"] + knob.displacement(latent["z"], torch.ones(2))
    with torch.no_grad():
        torch.testing.assert_close(turned, birds.decode(latent.with_values("z", values)))


def test_a_recipe_replays_a_flow_bit_for_bit(tmp_path) -> None:
    birds = steer.load_generator("aviary-biggan", "cpu")
    widths, weights = straight(torch.eye(24)[:1], torch.zeros(1, 16))
    parts: Mapping = {"context": torch.zeros(1, 16), "context_space": "class", "weights": weights.half()}
    knob = FlowKnob("a flow", "z", torch.eye(24), widths, circles=(False,), target=0, **parts)
    latent = birds.sample([0, 1])
    steering = steer.Steering([(knob, [0.5, -1.0])])
    recipe = steer.Recipe.of(birds, latent, steering)
    recipe.save(tmp_path / "turned.png", birds)
    with torch.no_grad():
        assert torch.equal(steer.Recipe.load(tmp_path / "turned.png").render(birds), birds.decode(latent, steering))
    assert math.prod(knob.weights.shape) * 2 * 4 / 3 < len(recipe.json_text())

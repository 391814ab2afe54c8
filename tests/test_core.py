"""What the core promises: latents, knobs, steering, the engine, knob files."""

import math

import pytest
import torch
from plugin.steer_shapes import Shapes

import steer
from steer.amounts import evenly
from steer.errors import BadInput, BrokenFile, Cancelled, UnknownName, WrongGenerator
from steer.files import read_tensors, write_tensors
from steer.generator import Generator
from steer.knob import Provenance
from steer.seeds import TRUNCATED_DEVIATION, draw_normal, draw_truncated_normal
from steer.walk import great_circle


@pytest.fixture
def shapes():
    return Generator(Shapes(), name="shapes")


def line(direction, space="z", **rest):
    return steer.LinearKnob("a knob", space, torch.tensor(direction), **rest)


def arc(direction):
    return steer.ArcKnob("an arc", "z", torch.tensor(direction))


RIGHT = [0.0, 0.0, 0.0, 1.0]


class Shift:
    """A stranger's knob, which has no base class and is no dataclass: it adds its amount to every value."""

    kind, name, space, shape, unit, range = "shift", "a shift", "z", (4,), "absolute", (-1.0, 1.0)
    window, attribute, provenance = steer.Window(), None, Provenance()

    def displacement(self, values, amount, *, absolute=False):
        return (amount - self.coordinate(values) * absolute)[:, None].expand_as(values)

    def coordinate(self, values):
        return values.mean(1)

    def roll(self, values, fresh):
        return values + (self.coordinate(fresh) - self.coordinate(values))[:, None]


class TestSeeds:
    def test_a_list_of_numbers_and_ranges_is_read_in_order(self):
        assert steer.parse_seeds("1, 2,5-7,3") == [1, 2, 5, 6, 7, 3]

    @pytest.mark.parametrize("text", ["", "a", "1,,2", "5-1", "-3", "1.5", "0-99999999"])
    def test_anything_else_is_refused(self, text):
        with pytest.raises(BadInput):
            steer.parse_seeds(text)

    def test_each_seed_and_space_has_its_own_stream(self):
        z = draw_normal([7, 8], "z", (3,))
        assert torch.equal(z[1:], draw_normal([8], "z", (3,)))
        assert not torch.equal(z, draw_normal([7, 8], "noise", (3,)))

    def test_truncated_dice_have_the_spread_of_the_textbook(self):
        # The variance of a standard normal truncated to [-a, a] is 1 - 2 a phi(a) / (2 Phi(a) - 1).
        a = 2.0
        density = math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        variance = 1 - 2 * a * density / math.erf(a / math.sqrt(2))
        assert pytest.approx(math.sqrt(variance), abs=1e-12) == TRUNCATED_DEVIATION
        dice = draw_truncated_normal(range(400), "z", (100,))
        assert dice.abs().max() <= 2
        assert float(dice.std()) == pytest.approx(TRUNCATED_DEVIATION, rel=0.01)


class TestKnobs:
    def test_a_linear_knob_moves_by_its_amount_along_its_coordinate(self):
        knob, values = line([0.0, 2.0, 0.0, 0.0]), torch.randn(5, 4)
        moved = values + knob.displacement(values, torch.full((5,), 1.5))
        torch.testing.assert_close(knob.coordinate(moved), knob.coordinate(values) + 1.5)

    def test_an_absolute_turn_arrives_at_its_amount(self):
        knob, values = line([1.0, 2.0, 0.0, 0.0]), torch.randn(5, 4)
        moved = values + knob.displacement(values, torch.full((5,), -0.7), absolute=True)
        torch.testing.assert_close(knob.coordinate(moved), torch.full((5,), -0.7))

    def test_a_ring_knob_turns_its_plane_and_keeps_the_length(self):
        ring, values = steer.RingKnob("hue", "z", torch.eye(4)[:2]), torch.randn(6, 4)
        values[:, 0] = 1 + values[:, 0].abs()
        moved = values + ring.displacement(values, torch.full((6,), 90.0))
        torch.testing.assert_close(moved[:, 0], -values[:, 1])
        torch.testing.assert_close(moved[:, 1], values[:, 0])
        torch.testing.assert_close(moved[:, 2:], values[:, 2:])

    def test_a_ring_knob_leads_what_is_near_its_centre_out_to_half_the_radius_and_home_again(self):
        ring, values = steer.RingKnob("hue", "z", torch.eye(2), radius=2.0), torch.tensor([[0.06, 0.08]])
        lengths = [
            float((values + ring.displacement(values, torch.tensor([turn]))).norm()) for turn in range(0, 361, 60)
        ]
        assert lengths[:4] == sorted(lengths[:4])  # 0.1 out to 1
        assert lengths[3] == pytest.approx(1, abs=1e-5)
        assert lengths == pytest.approx(lengths[::-1], abs=1e-5)
        there = values + ring.displacement(values, torch.tensor([50.0]))
        torch.testing.assert_close(ring.coordinate(there), ring.coordinate(values) + 50)

    def test_a_ring_knob_comes_home_after_360_degrees(self):
        ring, values = steer.RingKnob("hue", "z", torch.eye(4)[:2]), torch.randn(6, 4)
        assert ring.displacement(values, torch.full((6,), 360.0)).abs().max() < 1e-5

    def test_an_absolute_ring_turn_arrives_at_its_angle(self):
        ring, values = steer.RingKnob("hue", "z", torch.eye(4)[1:3]), torch.randn(6, 4)
        moved = values + ring.displacement(values, torch.full((6,), 30.0), absolute=True)
        torch.testing.assert_close(ring.coordinate(moved), torch.full((6,), 30.0))

    def test_one_die_is_thrown_along_a_knob_and_all_else_is_held(self):
        values, fresh = torch.randn(6, 4), torch.randn(6, 4)
        rolled = line([0.0, 3.0, 0.0, 0.0]).roll(values, fresh)
        torch.testing.assert_close(rolled, torch.cat([values[:, :1], fresh[:, 1:2], values[:, 2:]], 1))
        rolled = arc(RIGHT).roll(values, fresh)
        torch.testing.assert_close(rolled, torch.cat([values[:, :3], fresh[:, 3:]], 1))
        ring = steer.RingKnob("hue", "z", torch.eye(4)[:2], centre=torch.tensor([5.0, -1.0]))
        torch.testing.assert_close(ring.roll(values, fresh), torch.cat([fresh[:, :2], values[:, 2:]], 1))

    def test_an_arc_knob_keeps_the_distance_and_goes_its_amount_along_the_arc(self):
        knob, values = arc([0.0, 0.5, 0.5, 0.0]), torch.randn(6, 4)
        moved = values + knob.displacement(values, torch.full((6,), 0.3))
        torch.testing.assert_close(moved.norm(dim=1), values.norm(dim=1))
        torch.testing.assert_close(knob.coordinate(moved), knob.coordinate(values) + 0.3)
        angles = torch.acos(torch.nn.functional.cosine_similarity(moved, values))
        torch.testing.assert_close(angles * values.norm(dim=1), torch.full((6,), 0.3 * 0.5**0.5), rtol=1e-3, atol=0)

    def test_an_arc_knob_begins_as_a_linear_one_does_at_right_angles_to_it(self):
        values = torch.tensor([[3.0, 0.0, 4.0, 0.0]])
        small = torch.tensor([1e-3])
        straight = line([0.0, 2.0, 0.0, 0.0]).displacement(values, small)
        torch.testing.assert_close(arc([0.0, 2.0, 0.0, 0.0]).displacement(values, small), straight, rtol=0, atol=1e-6)

    def test_an_arc_knob_ends_where_values_point_along_it(self):
        knob, values = arc([1.0, 0.0, 0.0, 0.0]), torch.tensor([[1.0, 2.0, 2.0, 0.0]])
        for amount, end in ((9.0, [3.0, 0.0, 0.0, 0.0]), (-9.0, [-3.0, 0.0, 0.0, 0.0])):
            moved = values + knob.displacement(values, torch.tensor([amount]))
            torch.testing.assert_close(moved, torch.tensor([end]), atol=1e-5, rtol=0)

    def test_an_absolute_arc_arrives_at_its_amount(self):
        knob, values = arc(RIGHT), 5 * torch.randn(6, 4)
        moved = values + knob.displacement(values, torch.full((6,), -0.4), absolute=True)
        torch.testing.assert_close(knob.coordinate(moved), torch.full((6,), -0.4))

    def test_an_arc_knob_of_values_at_the_centre_or_the_pole_stays_finite(self):
        knob = arc([2.0, 0.0, 0.0, 0.0])
        values = torch.tensor([[0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0], [-3.0, 0.0, 0.0, 0.0]])
        for amount in (-1.0, 0.0, 1.0):
            assert knob.displacement(values, torch.full((3,), amount)).isfinite().all()

    @pytest.mark.parametrize("knob", [line(RIGHT), arc(RIGHT), steer.RingKnob("hue", "z", torch.eye(4)[:2])])
    def test_amount_zero_is_exactly_nothing(self, knob):
        assert not knob.displacement(torch.randn(3, 4), torch.zeros(3)).any()

    def test_a_window_weighs_a_stage_by_how_much_it_covers(self):
        assert steer.Window(0.25, 0.5).weight((0.0, 1.0)) == 0.25
        assert steer.Window(0.0, 0.5).weight((0.5, 1.0)) == 0
        with pytest.raises(BadInput):
            steer.Window(0.5, 0.5)

    def test_knob_files_give_back_what_was_saved(self, tmp_path):
        origin = Provenance("shapes", "abc", "hand", {"seed": 1}, {"r2": 0.9})
        ring = steer.RingKnob("hue", "z", torch.eye(4)[:2], attribute="hue", provenance=origin)
        curved = arc([0.0, 3.0, 0.0, 0.0])
        knobs = steer.KnobSet(
            {"a knob": line(RIGHT, window=steer.Window(0, 0.5)), "hue": ring, "an arc": curved}, {"n": 3}
        )
        knobs.save(tmp_path / "knobs.safetensors")
        again = steer.load_knobs(tmp_path / "knobs.safetensors")
        assert list(again) == ["a knob", "hue", "an arc"]
        assert isinstance(again["an arc"], steer.ArcKnob)
        assert torch.equal(again["an arc"].direction, curved.direction)
        assert again.report == {"n": 3}
        assert again["hue"].provenance == origin
        assert again["a knob"].window == steer.Window(0, 0.5)
        assert torch.equal(again["hue"].plane, ring.plane)

    def test_a_knob_file_that_is_something_else_is_refused(self, tmp_path):
        pickle = tmp_path / "knobs.pkl"
        pickle.write_bytes(b"\x80\x04N.")
        with pytest.raises(BadInput, match="pickle"):
            steer.load_knobs(pickle)
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(b"\x10\x00")
        with pytest.raises(BrokenFile, match="whole"):
            steer.load_knobs(cut)
        other = tmp_path / "weights.safetensors"
        write_tensors(other, {"w": torch.zeros(2)}, {"kind": "weights"})
        with pytest.raises(BrokenFile, match="no knobs"):
            steer.load_knobs(other)
        newer = tmp_path / "newer.safetensors"
        write_tensors(newer, {}, {"kind": "knobs", "schema": 99, "knobs": []})
        with pytest.raises(BrokenFile, match="newer"):
            steer.load_knobs(newer)


class TestSteering:
    def test_no_turns_give_back_the_very_same_object(self, shapes):
        values, stage = torch.randn(2, 4), shapes.backend.stages(None, None)[0]
        assert steer.Steering()("z", stage, values) is values
        assert steer.Steering([(line(RIGHT), 0.0)])("z", stage, values) is values

    def test_the_order_of_turns_never_matters(self, shapes):
        first = steer.LinearKnob("first", "z", torch.randn(4))
        second = steer.RingKnob("second", "z", torch.eye(4)[:2])
        third = steer.LinearKnob("third", "z", torch.randn(4))
        latent = shapes.sample([1, 2])
        one = shapes.decode(latent, steer.Steering([(first, 0.3), (second, 40.0), (third, -1.1)]))
        two = shapes.decode(latent, steer.Steering([(third, -1.1), (first, 0.3), (second, 40.0)]))
        assert torch.equal(one, two)

    def test_whatever_has_the_parts_of_a_knob_can_be_turned(self, shapes):
        latent = shapes.sample([1, 2])
        moved = latent.with_values("z", latent["z"] + 0.5)
        turned = shapes.decode(latent, steer.Steering([(Shift(), 0.5)]))
        torch.testing.assert_close(turned, shapes.decode(moved))

    def test_a_window_confines_a_turn_to_the_stages_it_covers(self, shapes):
        latent, knob = shapes.sample([1]), line(RIGHT)
        late = shapes.decode(latent, steer.Steering([steer.Turn(knob, 2.0, steer.Window(0.5, 1.0))]))
        half = shapes.decode(latent, steer.Steering([steer.Turn(knob, 2.0, steer.Window(0.25, 1.0))]))
        assert torch.equal(late, shapes.decode(latent))
        torch.testing.assert_close(half, shapes.decode(latent, steer.Steering([(knob, 1.0)])))

    def test_amounts_that_do_not_fit_are_refused(self, shapes):
        latent = shapes.sample([1, 2, 3])
        with pytest.raises(BadInput, match="one per sample"):
            shapes.decode(latent, steer.Steering([(line(RIGHT), [1.0, 2.0])]))
        for amount in (math.nan, math.inf, 1e300, [1.0, math.nan, 2.0]):
            with pytest.raises(BadInput, match=r"cannot be turned by .*; its range is -3 to 3"):
                steer.Steering([(line(RIGHT), amount)])


class TestGenerator:
    def test_seeds_of_any_whole_kind_are_taken_and_others_refused(self, shapes):
        assert len(shapes.sample(range(3))) == 3
        for seeds in ([], [-1], [2**60]):
            with pytest.raises(BadInput):
                shapes.sample(seeds)

    @pytest.mark.parametrize("truncation", [0, -1, 1.5, math.nan])
    def test_a_truncation_outside_its_range_is_refused(self, shapes, truncation):
        with pytest.raises(BadInput, match="truncation"):
            shapes.sample([1], truncation=truncation)

    def test_decoding_is_differentiable_in_dice_and_amounts(self, shapes):
        latent = shapes.sample([1, 2])
        z = latent["z"].clone().requires_grad_()
        amount = torch.zeros(2, requires_grad=True)
        shapes.decode(latent.with_values("z", z), steer.Steering([(line(RIGHT), amount)])).sum().backward()
        assert z.grad.abs().sum() > 0
        assert amount.grad.abs().sum() > 0

    def test_a_late_turn_resumes_from_the_cache_with_the_same_bits(self, shapes):
        latent = shapes.sample(range(20))
        knob = line([0.5, 0.0, 0.0, 0.0], space="disc")
        runs = []
        advance = shapes.backend.advance
        shapes.backend.advance = lambda state, stage, turns: (
            runs.append(stage.index),
            advance(state, stage, turns),
        )[1]
        first = shapes.decode(latent, steer.Steering([(knob, 1.0)]))
        cold = len(runs)
        second = shapes.decode(latent, steer.Steering([(knob, 1.0)]))
        assert len(runs) - cold < cold
        assert torch.equal(first, second)
        fresh = Generator(Shapes(), name="shapes")
        assert torch.equal(first, fresh.decode(latent, steer.Steering([(knob, 1.0)])))

    def test_observing_stops_at_the_stage_it_needs(self, shapes):
        latent = shapes.sample([1, 2])
        torch.testing.assert_close(shapes.observe(latent, "disc"), latent["z"] @ Shapes.mix.T)
        turned = shapes.observe(latent, "disc", steer.Steering([(line(RIGHT), 1.0)]))
        torch.testing.assert_close(turned[:, 3] - (latent["z"] @ Shapes.mix.T)[:, 3], torch.full((2,), 0.4))

    def test_progress_counts_up_to_the_whole_and_can_cancel(self, shapes):
        seen = []
        shapes.decode(shapes.sample(range(40)), progress=lambda done, total: seen.append((done, total)))
        assert seen[-1] == (6, 6)

        def stop(done, total):
            raise Cancelled("enough")

        with pytest.raises(Cancelled):
            shapes.decode(shapes.sample([1]), progress=stop)

    def test_a_knob_of_other_weights_is_refused_until_one_insists(self, shapes):
        knob = line(RIGHT, provenance=Provenance(fingerprint="other"))
        with pytest.raises(WrongGenerator, match=r"other.*shapes-1"):
            shapes.decode(shapes.sample([1]), steer.Steering([(knob, 1.0)]))
        shapes.decode(shapes.sample([1]), steer.Steering([(steer.adopt(knob, shapes.fingerprint), 1.0)]))

    def test_a_knob_for_another_space_is_refused(self, shapes):
        with pytest.raises(UnknownName, match="there are z, disc"):
            shapes.decode(shapes.sample([1]), steer.Steering([(line(RIGHT, space="w"), 1.0)]))
        with pytest.raises(BadInput, match="shape"):
            shapes.decode(shapes.sample([1]), steer.Steering([(line([1.0]), 1.0)]))

    def test_an_unknown_generator_is_named_with_those_there_are(self):
        with pytest.raises(UnknownName, match="aviary"):
            steer.load_generator("bigan")


class TestWalk:
    def test_a_great_circle_keeps_the_radius_between_equal_radii(self):
        here, there = torch.tensor([[3.0, 0.0, 4.0]]), torch.tensor([[0.0, 5.0, 0.0]])
        for u in (0.25, 0.5, 0.9):
            assert float(great_circle(here, there, u).norm()) == pytest.approx(5)
        torch.testing.assert_close(great_circle(here, there, 0.5), (here + there) / 2**0.5)

    def test_a_great_circle_meets_its_ends_and_survives_equal_ones(self):
        here, there = torch.randn(2, 1, 8)
        torch.testing.assert_close(great_circle(here, there, 0.0), here)
        torch.testing.assert_close(great_circle(here, there, 1.0), there)
        torch.testing.assert_close(great_circle(here, here, 0.3), here)

    def test_a_sweep_begins_and_ends_at_its_amounts(self, shapes):
        latent, knob = shapes.sample([1, 2]), line(RIGHT)
        frames = list(steer.Walk.sweep(shapes, knob, latent, start=-1, end=2, seconds=0.3).frames())
        assert len(frames) == 10
        torch.testing.assert_close(frames[0], shapes.decode(latent, steer.Steering([(knob, -1.0)])))
        torch.testing.assert_close(frames[-1], shapes.decode(latent, steer.Steering([(knob, 2.0)])))

    def test_what_a_walk_takes_is_counted_once(self, shapes):
        latent, knob = shapes.sample([1]), line(RIGHT)
        assert len(steer.Walk.sweep(shapes, knob, latent, seconds=3600, fps=1)) == 3601
        for long in ({"seconds": 3601}, {"seconds": 3602, "there_and_back": True}):
            with pytest.raises(BadInput, match="up to 3600 seconds, and this one would take 360"):
                steer.Walk.sweep(shapes, knob, latent, **long)

    def test_a_loop_closes_without_showing_a_frame_twice(self, shapes):
        walk = steer.Walk.between(shapes, shapes.sample([1, 2, 3]), seconds=0.2, fps=10, easing="linear")
        frames = torch.cat(list(walk.frames()))
        assert len(frames) == len(walk) == 6
        steps = (frames - frames.roll(1, 0)).abs().amax((1, 2, 3))
        assert (steps > 0).all()

    def test_a_walk_that_cannot_be_walked_is_refused(self, shapes):
        with pytest.raises(BadInput, match="two keyframes"):
            steer.Walk(shapes, [steer.Keyframe(shapes.sample([1]))])
        with pytest.raises(BadInput, match="same number"):
            steer.Walk(shapes, [steer.Keyframe(shapes.sample([1])), steer.Keyframe(shapes.sample([1, 2]))])


def test_a_file_whose_numbers_changed_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(True), "h": torch.ones(2).half()}
    write_tensors(path, tensors, {"kind": "weights"})
    again, header = read_tensors(path)
    assert header == {"kind": "weights"}
    assert all(torch.equal(again[name], each) for name, each in tensors.items())
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 1
    path.write_bytes(whole)
    with pytest.raises(BrokenFile, match="damaged"):
        read_tensors(path)


def test_every_public_name_is_there():
    for name in steer.__all__:
        assert getattr(steer, name).__doc__, name
    assert steer.__all__ == sorted(steer.__all__, key=lambda name: (name[0].islower(), name))


def test_half_way_between_as_much_down_and_up_nothing_is_turned() -> None:
    for count in range(3, 102, 2):
        for end in (0.7, 1.0, 2.3, 180.0):
            amounts = evenly(-end, end, count)
            assert amounts[count // 2] == 0
            assert (amounts[0], amounts[-1]) == (-end, end)
            assert all(abs(low + high) < 1e-8 for low, high in zip(amounts, reversed(amounts), strict=True))

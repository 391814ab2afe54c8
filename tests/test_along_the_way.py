"""Knobs that change on the way to the picture, what passes in a space on that way, and the steps it takes."""

import math
from dataclasses import replace

import pytest
import torch
from mixture import SHAPE, diffuser
from torch import Tensor

import steer
from steer.errors import BadInput, UnknownName
from steer.knob import LinearKnob, RingKnob, load_knobs
from steer.recipe import Recipe


@pytest.fixture(scope="module")
def generator():
    return diffuser()


def unit(*numbers: float) -> Tensor:
    return torch.tensor(numbers)


NORTH, EAST = unit(1.0, 0.0, 0.0, 0.0), unit(0.0, 1.0, 0.0, 0.0)


class TestChangingKnobs:
    knob = LinearKnob("a", "h", torch.stack([NORTH, 2 * EAST]), edges=(0.0, 0.25, 1.0))

    def test_the_part_in_which_the_middle_of_a_stage_lies_turns(self):
        for interval, expected in (
            ((0.0, 0.2), NORTH),
            ((0.1, 0.3), NORTH),
            ((0.2, 0.4), 2 * EAST),
            ((0.5, 1), 2 * EAST),
        ):
            assert torch.equal(self.knob.at(interval).direction, expected)
        assert self.knob.shape == self.knob.at((0.0, 0.1)).shape == (4,)

    def test_outside_of_its_edges_the_nearest_part_turns(self):
        narrow = replace(self.knob, edges=(0.4, 0.5, 0.6))
        assert torch.equal(narrow.at((0.0, 0.1)).direction, NORTH)
        assert torch.equal(narrow.at((0.9, 1.0)).direction, 2 * EAST)

    def test_asked_about_values_alone_its_first_part_answers(self):
        values, amount = torch.randn(3, 4), torch.tensor([0.0, 1.0, 2.0])
        first = self.knob.at((0.0, 0.1))
        assert torch.equal(self.knob.displacement(values, amount), first.displacement(values, amount))
        assert torch.equal(self.knob.coordinate(values), first.coordinate(values))

    def test_the_same_knob_turns_in_few_stages_and_in_many(self, generator):
        board = torch.ones(2, *SHAPE)
        board[0, :, ::2] = board[1, :, :, ::2] = -1
        knob = LinearKnob("a", "guess", 0.3 * board, edges=(0.0, 0.5, 1.0))
        latent = generator.sample([1])
        early = LinearKnob("a", "guess", 0.3 * board[0], window=steer.Window(0.0, 0.5))
        late = LinearKnob("b", "guess", 0.3 * board[1], window=steer.Window(0.5, 1.0))
        for steps in (4, 20):
            sampler = steer.Sampler(steps)  # both have a stage that ends in the middle
            turned = generator.decode(latent, steer.Steering([(knob, 1.0)]), sampler=sampler)
            both = generator.decode(latent, steer.Steering([(early, 1.0), (late, 1.0)]), sampler=sampler)
            torch.testing.assert_close(turned, both)

    def test_a_ring_turns_about_its_centre_in_the_plane_of_each_part(self):
        planes = torch.stack([torch.stack([NORTH, EAST]), torch.stack([NORTH, unit(0, 0, 1.0, 0)])])
        ring = RingKnob("r", "h", planes, centre=torch.tensor([[5.0, 0.0], [0.0, 7.0]]), edges=(0.0, 0.5, 1.0))
        assert ring.shape == (4,)
        values, quarter = torch.tensor([[6.0, 0.0, 7.0, 3.0]]), torch.tensor([90.0])
        for interval, expected in (((0.0, 0.1), [5.0, 1.0, 7.0, 3.0]), ((0.8, 1.0), [0.0, 0.0, 13.0, 3.0])):
            moved = values + ring.at(interval).displacement(values, quarter)
            torch.testing.assert_close(moved, torch.tensor([expected]))
        assert ring.at((0.0, 0.1)).coordinate(values).item() == 0.0
        assert math.isclose(ring.at((0.8, 1.0)).coordinate(values).item(), 0.0, abs_tol=1e-6)

    def test_they_come_back_from_files_and_recipes(self, tmp_path, generator):
        ring = RingKnob(
            "ring", "guess", torch.linalg.qr(torch.randn(48, 4)).Q.T.reshape(2, 2, *SHAPE), edges=(0, 0.5, 1)
        )
        line = LinearKnob("line", "guess", torch.randn(2, *SHAPE), edges=(0.0, 0.5, 1.0))
        steer.KnobSet({"ring": replace(ring, centre=torch.ones(2, 2)), "line": line}).save(tmp_path / "k.safetensors")
        turns = steer.Steering([(knob, 2.0) for knob in load_knobs(tmp_path / "k.safetensors").values()])
        latent = generator.sample([1])
        expected = generator.decode(latent, turns)
        assert torch.equal(Recipe.parse(Recipe.of(generator, latent, turns).json_text()).render(generator), expected)
        assert float((expected - generator.decode(latent)).abs().max()) > 0.01

    def test_edges_that_do_not_fit_are_refused(self):
        for edges in ((0.0, 1.0), (0.0, 0.5, 0.5), (0.0, 0.5, 1.5), (-0.1, 0.5, 1.0)):
            with pytest.raises(BadInput, match="2 parts of the knob 'a' need 3 edges"):
                replace(self.knob, edges=edges)


class TestTraces:
    def test_they_hold_what_is_observed_in_every_stage_and_the_pictures(self, generator):
        latent, sampler = generator.sample([3, 4, 5]), steer.Sampler(6)
        trace = generator.trace(latent, "guess", sampler=sampler, chunk=2)
        assert torch.equal(trace.pictures, generator.decode(latent, sampler=sampler, chunk=2))
        assert [stage.index for stage in trace.stages] == list(range(len(trace.stages)))
        assert trace.values.shape == (3, len(trace.stages), *SHAPE)
        for stage in (0, 4):
            seen = generator.observe(latent, "guess", sampler=sampler, stage=stage, chunk=2)
            assert torch.equal(trace.values[:, stage], seen)

    def test_a_space_that_is_met_once_is_seen_once(self, generator):
        trace = generator.trace(generator.sample([3]), "noise")
        assert trace.values.shape == (1, 1, *SHAPE)

    def test_what_is_not_there_and_stored_ways_are_refused(self, generator):
        with pytest.raises(UnknownName):
            generator.trace(generator.sample([0]), "layer:0")
        found = generator.invert(torch.rand(1, 3, 4, 4), method="ddim")
        with pytest.raises(BadInput, match="without_anchor"):
            generator.trace(found.latent, "guess")


class TestUsualSamplers:
    def test_a_generator_with_a_sampler_takes_it_where_none_is_asked_for(self, generator):
        latent, short = generator.sample([1]), steer.Sampler(3)
        quick = generator.with_sampler(short)
        assert torch.equal(quick.decode(latent), generator.decode(latent, sampler=short))
        assert torch.equal(
            quick.decode(latent, sampler=steer.Sampler(7)), generator.decode(latent, sampler=steer.Sampler(7))
        )
        assert not torch.equal(quick.decode(latent), generator.decode(latent))
        assert generator.sampler is None
        assert torch.equal(
            generator.with_sampler(generator.draft).decode(latent), generator.decode(latent, sampler=steer.Sampler(5))
        )

    def test_recipes_and_walks_record_it(self, generator):
        quick = generator.with_sampler(steer.Sampler(3))
        latent = quick.sample([1])
        assert Recipe.of(quick, latent).sampler["steps"] == 3
        walk = steer.Walk.between(quick, quick.sample([1, 2]), seconds=0.1)
        record = Recipe.of_walk(walk)
        assert torch.equal(next(record.to_walk(generator).frames()), next(walk.frames()))

    def test_an_inverted_picture_keeps_to_its_own(self, generator):
        quick = generator.with_sampler(steer.Sampler(3))
        found = generator.invert(torch.rand(1, 3, 4, 4), sampler=steer.Sampler(10))
        assert torch.equal(quick.decode(found.latent), generator.decode(found.latent))
        assert quick.invert(torch.rand(1, 3, 4, 4)).sampler == steer.Sampler(3)

    def test_a_generator_without_a_choice_refuses_one(self):
        with pytest.raises(BadInput, match="'aviary' makes a picture in one go"):
            steer.load_generator("aviary").with_sampler(steer.Sampler(3))

"""Knobs that change on the way to the picture, what passes in a space on that way, and the steps it takes."""

import math
from dataclasses import replace

import pytest
import torch
from mixture import SHAPE, diffuser
from sklearn import decomposition
from tiny_diffusion import tiny_ddim
from torch import Tensor

import steer
from steer.directions.pca import PCA
from steer.directions.probe import Probe
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

    def test_on_a_stored_way_they_hold_what_the_stored_states_lead_to(self, generator):
        found = generator.invert(torch.rand(1, 3, 4, 4), method="ddim").latent
        trace = generator.trace(found, "guess")
        assert torch.equal(trace.pictures, generator.decode(found))
        assert torch.equal(trace.values[:, 7], generator.observe(found, "guess", stage=7))

    def test_a_space_that_is_not_there_is_refused(self, generator):
        with pytest.raises(UnknownName):
            generator.trace(generator.sample([0]), "layer:0")


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


class TestFindersAlongTheWay:
    def test_components_of_each_stage_are_those_of_its_covariance_in_one_order_and_sign(self, generator):
        sampler = steer.Sampler(3)
        finder = PCA("guess", "guess", components=3, samples=200, sampler=sampler, tolerance=0.0)
        knobs = finder.find(generator)
        values = generator.trace(generator.sample(range(10_000_000, 10_000_200)), "guess", sampler=sampler).values
        stages = generator.backend.stages(generator.sample([0]), sampler)
        assert knobs["pc0"].edges == (0.0, *(stage.interval[1] for stage in stages))
        for part in range(values.shape[1]):
            exact = torch.from_numpy(decomposition.PCA(3).fit(values[:, part].flatten(1).numpy()).components_)
            found = torch.stack([knob.direction[part].flatten() for knob in knobs.values()])
            cosines = torch.nn.functional.cosine_similarity(found[:, None], exact[None], dim=2).abs()
            assert cosines.max(1).values.min() > 0.99  # the same components, whatever their order
        for knob in knobs.values():
            neighbours = torch.nn.functional.cosine_similarity(
                knob.direction[1:].flatten(1), knob.direction[:-1].flatten(1)
            )
            assert neighbours.min() > 0
        assert len(knobs.report["along_the_way"]["alignment"]) == values.shape[1] - 1

    def test_a_part_of_the_way_is_looked_at_and_turned_in_alone(self, generator):
        sampler = steer.Sampler(10)
        knob = PCA("guess", "guess", 1, samples=100, sampler=sampler, at=(0.4, 0.7)).find(generator)["pc0"]
        assert knob.window == steer.Window(0.4, 0.7)
        assert knob.edges == pytest.approx((0.4, 0.5, 0.6, 0.7))
        shared = PCA("guess", "guess", 1, samples=100, sampler=sampler, per_stage=False).find(generator)["pc0"]
        assert shared.edges == ()
        assert shared.direction.shape == SHAPE

    def test_a_probe_finds_what_brightens_in_every_stage_and_serves_other_numbers_of_steps(self, generator):
        def left(pictures: Tensor) -> Tensor:
            return pictures[:, :, :, :2].mean((1, 2, 3))

        knob = Probe("left", "guess", 300, left, sampler=steer.Sampler(5)).find(generator)["left"]
        assert len(knob.edges) == len(knob.direction) + 1
        scores = knob.provenance.scores
        assert max(scores["along_the_way"]["r2"]) == scores["r2"] > 0.95  # the last guess is the picture
        assert knob.provenance.options["sampler"]["steps"] == 5
        latent = generator.sample(range(30))
        for steps in (5, 20):
            sampler = steer.Sampler(steps)
            plain, turned = (
                left(generator.decode(latent, turns, sampler=sampler))
                for turns in (None, steer.Steering([(knob, 1.0)]))
            )
            assert float((turned > plain).float().mean()) == 1.0

    def test_a_ring_found_in_inner_values_turns_about_their_mean(self, generator):
        def angle(pictures: Tensor) -> Tensor:
            halves = pictures[:, 0, :, :2].mean((1, 2)), pictures[:, 0, :, 2:].mean((1, 2))
            return torch.rad2deg(torch.atan2(*(half - half.mean() for half in halves)))

        knob = Probe("angle", "guess", 300, angle, kind="circular", at=(0.9, 1.0)).find(generator)["angle"]
        values = generator.trace(
            generator.sample(range(500_000_000, 500_000_300)), "guess", sampler=generator.draft
        ).values
        whole = values[:, -len(knob.centre) :] if knob.edges else values[:, -1:]
        for part in range(whole.shape[1]):
            here = knob.at(whole_interval(knob, part))
            middle = here.plane.flatten(1) @ whole[:, part].flatten(1).mean(0)
            torch.testing.assert_close(here.centre, middle, atol=1e-4, rtol=1e-3)
            assert here.centre.norm() > 0.01

    def test_a_space_that_never_changes_is_refused(self, tmp_path):
        model = tiny_ddim(levels=2)
        with pytest.raises(BadInput, match="'strength' is the same in all samples"):
            Probe("brightness", "strength", 100).find(model)
        with pytest.raises(BadInput, match="'strength' never changes"):
            PCA("strength", "strength", samples=100).find(model)

    def test_what_is_no_part_of_the_way_and_a_choice_that_is_not_there_are_refused(self, generator):
        with pytest.raises(BadInput, match="within 0 to 1"):
            PCA("guess", "guess", samples=100, at=(0.5, 0.2)).find(generator)
        with pytest.raises(BadInput, match="no choice of steps"):
            PCA("factors", "factors", sampler=steer.Sampler(3)).find(steer.load_generator("aviary"))


def whole_interval(knob: RingKnob, part: int) -> tuple[float, float]:
    return (knob.edges[part], knob.edges[part + 1]) if knob.edges else (0.9, 1.0)

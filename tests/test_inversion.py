"""What inversion promises: the noise found leads back without an anchor, and what did not converge says so."""

import json
import math

import pytest
import torch
from mixture import PREDICTIONS, SHAPE, SPACINGS, Mixture, Plane

from steer.anchor import Anchor, Source
from steer.errors import BadInput, Cancelled
from steer.generators.diffusion.inversion import invert, noise_statistics
from steer.generators.diffusion.schedule import Levels, Schedule
from steer.generators.diffusion.stepper import Stepper, sample

ALMOST_CLEAN = 1 - 1e-6
METHODS = ["anderson", "fixed_point", "ddim"]


def known(steps, spacing="trailing", prediction="v", low_levels=2, schedule=None, mixture=None):
    """Return a stepper with low levels and the perfect denoiser for it."""
    schedule = schedule or Schedule.linear(clean=ALMOST_CLEAN)
    levels = Levels.spread(len(schedule), steps, spacing, low_levels=low_levels)
    return Stepper(schedule, levels, prediction), (mixture or Mixture()).denoiser(schedule, prediction)


def missed(inversion, denoiser, stepper):
    """Return by how much the noise found, sampled without an anchor, misses each picture: root mean squares."""
    return (sample(denoiser, inversion.noise, stepper) - inversion.trajectory[-1]).square().mean((1, 2, 3)).sqrt()


def anchor_of(inversion):
    """Return the anchor that the engine keeps to."""
    sources = tuple(Source(bytes([row])) for row in range(len(inversion.noise)))
    states, landings = inversion.by_stage(inversion.trajectory), inversion.by_stage(inversion.landings)
    return Anchor(sources, None, {"x": states}, {"x": landings})


def median(values):
    return float(values.median())


class TestRoundTrip:
    @pytest.mark.parametrize("steps", [20, 33])
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_the_noise_found_leads_back_without_an_anchor(self, prediction, spacing, steps):
        stepper, denoiser = known(steps, spacing, prediction)
        picture = Mixture().draw(8)
        inversion = invert(denoiser, picture, stepper)
        assert median(missed(inversion, denoiser, stepper)) <= 1e-6
        assert inversion.report.converged.all()
        assert float(inversion.report.calls_per_step.max()) <= 6
        assert median(inversion.report.calls_per_step) <= 5

    @pytest.mark.slow
    @pytest.mark.parametrize("steps", [20, 21, 30, 37, 50, 64, 77, 100])
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_whatever_the_number_of_steps_it_leads_back(self, prediction, spacing, steps):
        stepper, denoiser = known(steps, spacing, prediction)
        assert median(missed(invert(denoiser, Mixture().draw(24), stepper), denoiser, stepper)) <= 1e-6

    @pytest.mark.parametrize(
        "schedule",
        [Schedule.cosine(clean=ALMOST_CLEAN), Schedule.scaled_linear().ending_in_noise(), Schedule.linear(250)],
        ids=["cosine", "ending in noise", "short"],
    )
    def test_other_schedules_lead_back_as_well(self, schedule):
        stepper, denoiser = known(30, schedule=schedule)
        assert median(missed(invert(denoiser, Mixture().draw(8), stepper), denoiser, stepper)) <= 1e-6

    def test_the_noise_of_one_gaussian_is_what_the_algebra_says(self):
        gaussian = Mixture(means=1)
        stepper, denoiser = known(50, mixture=gaussian)
        picture = gaussian.draw(8)
        found = invert(denoiser, picture, stepper).noise
        along = picture.double().flatten(1) @ gaussian.axes
        noise = along / gaussian.scale(stepper.schedule, stepper.levels)
        # Where pictures hardly spread, a millionth in the picture is a ten-thousandth in the noise.
        torch.testing.assert_close(found.double().flatten(1) @ gaussian.axes, noise, atol=1e-4, rtol=0)

    def test_the_noise_that_made_a_picture_is_found_again(self):
        stepper, denoiser = known(50)
        noise = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(0))
        found = invert(denoiser, sample(denoiser, noise, stepper), stepper).noise
        assert median((found - noise).abs().amax((1, 2, 3))) <= 1e-3

    def test_anderson_beats_the_plain_fixed_point_and_that_the_plain_inversion(self):
        stepper, denoiser = known(50)
        picture = Mixture().draw(8)
        found = {method: invert(denoiser, picture, stepper, method=method, iterations=8) for method in METHODS}
        error = {method: median(missed(inversion, denoiser, stepper)) for method, inversion in found.items()}
        reports = {method: inversion.report for method, inversion in found.items()}
        assert error["anderson"] < error["fixed_point"] / 10 < error["ddim"] / 100
        assert median(reports["anderson"].calls_per_step) < median(reports["fixed_point"].calls_per_step)
        assert (reports["ddim"].calls == 2).all()

    def test_a_picture_alone_is_inverted_as_it_is_among_others(self):
        stepper, denoiser = known(20)
        picture = Mixture().draw(6)
        together, alone = invert(denoiser, picture, stepper), invert(denoiser, picture[4:5], stepper)
        assert (together.noise[4:5] - alone.noise).abs().max() <= 1e-4
        assert torch.equal(together.noise, invert(denoiser, picture, stepper).noise)

    def test_states_stay_float32_whatever_the_picture_comes_in(self):
        stepper, denoiser = known(5)
        assert invert(denoiser, Mixture().draw(2).half(), stepper).noise.dtype == torch.float32


class TestReport:
    def test_every_step_and_row_is_accounted_for(self):
        asked = []
        stepper, exact = known(20)
        inversion = invert(lambda x, t: (asked.append(t), exact(x, t))[1], Mixture().draw(3), stepper)
        report = inversion.report
        assert report.residual.shape == report.calls.shape == (22, 3)
        assert report.steps == stepper.levels.up
        assert int(report.calls.amax(1).sum()) == len(asked)  # the slowest row of a step sets its calls
        assert set(inversion.trajectory) == set(stepper.levels.times)
        assert report.complaints() == ()

    def test_the_residual_is_what_each_step_back_really_misses(self):
        stepper, denoiser = known(20)
        inversion = invert(denoiser, Mixture().draw(3), stepper, iterations=2)
        way = inversion.trajectory
        for row, (s, t) in zip(inversion.report.residual, stepper.levels.up, strict=True):
            landed = stepper.step(way[t], denoiser(way[t], t), t, s)
            assert torch.equal(landed, inversion.landings[s])
            torch.testing.assert_close((landed - way[s]).square().mean((1, 2, 3)).sqrt(), row)

    def test_a_picture_beside_the_range_of_a_denoiser_converges_only_where_the_clean_level_keeps_some_noise(self):
        plane = Plane(means=1)
        inside = plane.draw(1)
        beside = inside + 1e-3 * plane.axes[:, -1].float().reshape(1, *SHAPE)
        picture = torch.cat([beside, inside])
        stepper, denoiser = known(20, schedule=Schedule.linear(clean=1.0), mixture=plane)
        report = invert(denoiser, picture, stepper).report
        assert report.converged.tolist() == [False, True]
        (complaint,) = report.complaints()
        assert "picture 1 did not converge: the step from noise level 2 to -1 misses by" in complaint
        stepper, denoiser = known(20, mixture=plane)
        assert invert(denoiser, picture, stepper).report.converged.all()

    def test_low_levels_mend_the_one_step_that_is_too_wide(self):
        wide, denoiser = known(20, low_levels=0)
        mended, _ = known(20, low_levels=2)
        before, after = (invert(denoiser, Mixture().draw(8), stepper) for stepper in (wide, mended))
        assert before.report.residual[0].min() > 1e-4 > 1e-6 > after.report.residual[0].max()
        assert median(missed(after, denoiser, mended)) < median(missed(before, denoiser, wide)) / 1000

    def test_few_steps_report_what_they_miss(self):
        stepper, denoiser = known(2, low_levels=0)
        inversion = invert(denoiser, Mixture().draw(4), stepper)
        assert len(inversion.report.complaints()) == 4 == int((~inversion.report.converged).sum())
        assert median(missed(inversion, denoiser, stepper)) > 1e-3

    def test_a_denoiser_that_answers_nonsense_does_not_count_as_converged(self):
        stepper, _ = known(5)
        report = invert(lambda x, t: torch.full_like(x, math.nan), Mixture().draw(2), stepper).report
        assert not report.converged.any()
        json.dumps(report.record(), allow_nan=False)

    def test_the_report_is_json(self):
        stepper, denoiser = known(5)
        record = json.loads(json.dumps(invert(denoiser, Mixture().draw(2), stepper).report.record()))
        assert record["method"] == "anderson"
        assert len(record["converged"]) == len(record["noise"]["spread"]) == 2

    def test_noise_is_told_from_what_is_not(self):
        noise = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        for errors in noise_statistics(noise).deviations().values():
            assert errors.abs().max() < 4.5
            assert float(errors.square().mean()) == pytest.approx(1, abs=0.5)
        smooth = noise_statistics(torch.nn.functional.avg_pool2d(noise, 3, 1)).deviations()
        assert smooth["autocorrelation"].min() > 5
        assert smooth["spread"].max() < -5

    def test_noise_statistics_are_those_of_a_hand_calculation(self):
        found = noise_statistics(torch.tensor([[1.0, -1.0, 1.0, -1.0], [0.0, 0.0, 4.0, 4.0]]))
        assert found.mean.tolist() == [0, 2]
        assert found.spread.tolist() == [1, 2]
        assert found.autocorrelation.tolist() == pytest.approx([-1, 1 / 3])
        assert found.sizes == (4, 3)


def steered(inversion, stepper, plain, turned, amounts, first=0):
    """Sample an inverted picture, with turns of ``amounts`` from the step ``first`` on."""
    anchor, x = anchor_of(inversion), inversion.noise
    touched = torch.zeros(len(x), dtype=torch.bool)
    for index, (t, s) in enumerate(stepper.levels.down):
        touched = touched | ((amounts != 0) & (index >= first))
        output = turned(x, t) if index >= first else plain(x, t)
        x = anchor.corrected({"x": stepper.step(x, output, t, s)}, index, touched)["x"]
    return x


class TestAnchor:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("steps", [5, 13])
    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_a_zero_turn_returns_the_picture_bit_for_bit(self, method, steps, prediction):
        stepper, denoiser = known(steps, prediction=prediction, low_levels=0)
        picture = Mixture().draw(4)
        inversion = invert(denoiser, picture, stepper, method=method, iterations=2)
        assert torch.equal(steered(inversion, stepper, denoiser, denoiser, torch.zeros(4)), picture)
        # Even a row that counts as touched cancels exactly, as long as the denoiser gives the same bits again.
        assert torch.equal(steered(inversion, stepper, denoiser, denoiser, torch.ones(4)), picture)

    def test_rows_that_no_turn_touches_keep_their_bits_beside_those_that_are_turned(self):
        stepper, denoiser = known(20)
        picture, amounts = Mixture().draw(4), torch.tensor([0.0, 0.5, 0.0, -0.5])
        inversion = invert(denoiser, picture, stepper)
        turned = Mixture().denoiser(stepper.schedule, "v", shifts(amounts))
        moved = steered(inversion, stepper, denoiser, turned, amounts)
        assert torch.equal(moved[[0, 2]], picture[[0, 2]])
        assert ((moved - picture)[[1, 3]].abs().amax((1, 2, 3)) > 0.1).all()

    def test_until_the_first_turn_the_stored_states_are_copied(self):
        stepper, denoiser = known(20, low_levels=0)
        picture = Mixture().draw(2)
        inversion = invert(denoiser, picture, stepper)
        x, none = torch.randn(2, *SHAPE), torch.zeros(2, dtype=torch.bool)
        for index, (_, s) in enumerate(stepper.levels.down):
            kept = anchor_of(inversion).corrected({"x": x, "other": x}, index, none)
            assert torch.equal(kept["x"], inversion.trajectory[s])
            assert kept["other"] is x
        late = steered(inversion, stepper, denoiser, denoiser, torch.ones(2), first=19)
        assert torch.equal(late, picture)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("steps", [10, 50])
    def test_a_turn_of_a_thousandth_changes_a_picture_by_less_than_a_hundredth(self, method, steps):
        stepper, denoiser = known(steps)
        picture, amounts = Mixture().draw(8), torch.full((8,), 1e-3)
        inversion = invert(denoiser, picture, stepper, method=method)
        turned = Mixture().denoiser(stepper.schedule, "v", shifts(amounts))
        change = (steered(inversion, stepper, denoiser, turned, amounts) - picture).abs().amax((1, 2, 3))
        assert change.max() <= 0.01
        assert change.min() > 0

    def test_a_turn_goes_as_far_with_the_anchor_as_without(self):
        stepper, denoiser = known(50)
        picture, amounts = Mixture().draw(8), torch.full((8,), 0.3)
        inversion = invert(denoiser, picture, stepper)
        turned = Mixture().denoiser(stepper.schedule, "v", shifts(amounts))
        anchored = steered(inversion, stepper, denoiser, turned, amounts) - picture
        plain = sample(turned, inversion.noise, stepper) - picture
        assert (anchored - plain).abs().max() <= 1e-4 < float(plain.abs().max())

    def test_rows_of_an_anchor_are_those_of_its_pictures(self):
        stepper, denoiser = known(5)
        picture = Mixture().draw(3)
        anchor = anchor_of(invert(denoiser, picture, stepper))
        picked = anchor.rows([2, 0, 2]).to("cpu")
        assert len(anchor) == len(picked) == 3
        assert [source.png for source in picked.sources] == [b"\2", b"\0", b"\2"]
        assert torch.equal(picked.after(len(stepper.levels) - 1)["x"], picture[[2, 0, 2]])
        assert torch.equal(picked.landings["x"], anchor.landings["x"][[2, 0, 2]])


class TestRefusals:
    def test_a_sampler_with_fresh_noise_is_refused(self):
        schedule = Schedule.linear()
        stepper = Stepper(schedule, Levels.spread(1000, 5), eta=0.5)
        with pytest.raises(BadInput, match="eta 0"):
            invert(Mixture().denoiser(schedule, "epsilon"), Mixture().draw(1), stepper)

    @pytest.mark.parametrize("picture", [torch.full((1, 3), math.nan), torch.zeros(3), torch.zeros(0, 3)])
    def test_what_is_no_picture_is_refused(self, picture):
        stepper, denoiser = known(5)
        with pytest.raises(BadInput, match="finite"):
            invert(denoiser, picture, stepper)

    @pytest.mark.parametrize("options", [{"iterations": 0}, {"memory": 0}, {"tolerance": 0.0}])
    def test_options_that_make_no_sense_are_refused(self, options):
        stepper, denoiser = known(5)
        with pytest.raises(BadInput, match="above 0"):
            invert(denoiser, Mixture().draw(1), stepper, **options)

    def test_progress_counts_the_steps_and_can_cancel(self):
        stepper, denoiser = known(5, low_levels=0)
        seen = []
        invert(denoiser, Mixture().draw(1), stepper, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]

        def stop(done, total):
            raise Cancelled("enough")

        with pytest.raises(Cancelled):
            invert(denoiser, Mixture().draw(1), stepper, progress=stop)


def shifts(amounts):
    """Return by how much to shift the centres of each row: a turn towards a checkerboard."""
    board = torch.ones(SHAPE)
    board[:, ::2, 1::2] = board[:, 1::2, ::2] = -1
    return amounts.reshape(-1, 1, 1, 1) * board

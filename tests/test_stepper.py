"""What the stepper promises: levels that are right for any step count, and the steps of the DDIM paper."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from mixture import PREDICTIONS, SHAPE, SPACINGS, Mixture

from steer.backend import Sampler
from steer.errors import BadInput, Cancelled, UnknownName
from steer.generators.diffusion.schedule import Levels, Schedule
from steer.generators.diffusion.stepper import Stepper, sample
from steer.knob import Window
from steer.seeds import draw_normal

CONFIGURED = {"epsilon": "epsilon", "v": "v_prediction", "sample": "sample"}


class TestSchedule:
    @pytest.mark.parametrize(
        "config",
        [
            {"beta_schedule": "linear"},
            {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
            {"beta_schedule": "squaredcos_cap_v2"},
            {"beta_schedule": "linear", "num_train_timesteps": 250, "beta_start": 4e-4, "beta_end": 0.08},
            {"trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3},
            {"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True},
        ],
    )
    def test_a_configuration_gives_the_alphas_that_diffusers_gives(self, config):
        schedule, theirs = Schedule.from_config(config), DDIMScheduler.from_config(config)
        assert schedule.alpha_bars.dtype == torch.float64
        torch.testing.assert_close(schedule.alpha_bars.float(), theirs.alphas_cumprod, atol=1e-6, rtol=0)

    def test_the_clean_level_is_clean_unless_the_configuration_says_otherwise(self):
        assert Schedule.from_config({}).alpha_bar(-1) == 1
        kept = Schedule.from_config({"set_alpha_to_one": False})
        assert kept.alpha_bar(-1) == kept.alpha_bar(0) < 1

    def test_a_schedule_ending_in_noise_keeps_its_start_and_leaves_nothing_at_its_end(self):
        schedule = Schedule.scaled_linear()
        ending = schedule.ending_in_noise()
        assert ending.alpha_bar(999) == 0
        assert ending.alpha_bar(0) == pytest.approx(schedule.alpha_bar(0), abs=1e-12)

    def test_the_angle_grows_from_the_clean_picture_to_a_quarter_turn(self):
        angles = [Schedule.cosine().ending_in_noise().angle(level) for level in (-1, 0, 10, 500, 999)]
        assert angles == sorted(angles)
        assert (angles[0], angles[-1]) == (0, math.pi / 2)

    @pytest.mark.parametrize("alpha_bars", [[], [0.9, 0.95], [1.0, 0.5], [0.5, -0.1], [0.9, math.nan]])
    def test_alphas_that_are_no_schedule_are_refused(self, alpha_bars):
        with pytest.raises(BadInput, match="fall"):
            Schedule(torch.tensor(alpha_bars, dtype=torch.float64))

    def test_a_clean_level_noisier_than_the_first_is_refused(self):
        with pytest.raises(BadInput, match="clean"):
            Schedule.linear(clean=0.9)

    def test_an_unknown_schedule_is_named_with_those_there_are(self):
        with pytest.raises(UnknownName, match="squaredcos_cap_v2"):
            Schedule.from_config({"beta_schedule": "sigmoid"})


class TestLevels:
    @pytest.mark.parametrize(
        ("spacing", "times"),
        [
            ("leading", (-1, 0, 333, 666)),
            ("trailing", (-1, 332, 666, 999)),
            ("linspace", (-1, 0, 500, 999)),
            ("quad", (-1, 0, 200, 800)),
        ],
    )
    def test_three_steps_over_a_thousand_levels_are_those_of_a_hand_calculation(self, spacing, times):
        assert Levels.spread(1000, 3, spacing).times == times

    @pytest.mark.parametrize("spacing", SPACINGS)
    def test_any_number_of_steps_is_taken_exactly(self, spacing):
        for count in (1, 7, 100):
            for steps in range(1, count + 1):
                levels = Levels.spread(count, steps, spacing)  # rising and inside, or it would be refused
                assert len(levels) == len(levels.up) == len(levels.down) == steps

    @pytest.mark.parametrize("steps", [7, 13, 30, 300, 400, 501, 600, 999])
    def test_steps_that_do_not_divide_the_levels_still_cover_them_evenly(self, steps):
        for spacing in ("leading", "trailing", "linspace"):
            times = Levels.spread(1000, steps, spacing).times[1:]
            widths = {high - low for low, high in pairwise(times)}
            assert max(widths) - min(widths) <= 1
            assert times[0] + (999 - times[-1]) <= math.ceil(1000 / steps)
        assert Levels.spread(1000, steps, "trailing").times[-1] == 999

    @pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
    @pytest.mark.parametrize("steps", [1, 2, 10, 50, 250, 1000])
    def test_steps_that_divide_the_levels_are_those_of_diffusers(self, spacing, steps):
        theirs = DDIMScheduler(timestep_spacing=spacing)
        theirs.set_timesteps(steps)
        assert [t for t, _ in Levels.spread(1000, steps, spacing).down] == theirs.timesteps.tolist()

    def test_the_default_sampler_of_the_core_names_a_spacing(self):
        assert len(Levels.spread(1000, Sampler().steps, Sampler().spacing)) == Sampler().steps

    def test_low_levels_narrow_the_lowest_wide_step_and_no_other(self):
        plain = Levels.spread(1000, 50)
        assert Levels.spread(1000, 50, low_levels=1).times == (-1, 4, *plain.times[1:])
        assert Levels.spread(1000, 50, "leading", low_levels=1).times == (-1, 0, 4, 20, *range(40, 1000, 20))
        narrow = Levels.spread(1000, 50, "quad")
        assert Levels.spread(1000, 50, "quad", low_levels=3) == narrow

    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("steps", [1, 7, 50, 1000])
    def test_stages_tile_the_way_and_lie_where_their_noise_lies(self, spacing, steps):
        levels = Levels.spread(1000, steps, spacing, low_levels=1)
        stages = levels.stages(["bottleneck"])
        assert [stage.index for stage in stages] == list(range(len(levels)))
        assert (stages[0].interval[0], stages[-1].interval[1]) == (0, 1)
        assert all(here.interval[1] == there.interval[0] for here, there in pairwise(stages))
        for stage, (_, s) in zip(stages, levels.down, strict=True):
            assert stage.interval[1] == pytest.approx(1 - (s + 1) / 1000)
            assert stage.spaces == {"bottleneck"}

    def test_a_window_means_the_same_whatever_the_steps(self):
        window = Window(0.3, 0.7)
        for steps in (8, 50, 73):
            stages = Levels.spread(1000, steps).stages()
            covered = sum(window.weight(stage.interval) * (stage.interval[1] - stage.interval[0]) for stage in stages)
            assert covered == pytest.approx(0.4)

    @pytest.mark.parametrize("steps", [0, -1, 1001])
    def test_no_steps_or_more_than_levels_are_refused(self, steps):
        with pytest.raises(BadInput, match="steps are 1 to 1000"):
            Levels.spread(1000, steps)

    @pytest.mark.parametrize("times", [(), (-1,), (0, 10), (-1, 10, 10), (-1, 20, 10), (-1, 1000)])
    def test_levels_that_do_not_rise_from_the_clean_picture_are_refused(self, times):
        with pytest.raises(BadInput, match="rise"):
            Levels(times, 1000)

    def test_an_offset_past_the_top_is_refused(self):
        assert Levels.spread(1000, 4, "leading", offset=1).times == (-1, 1, 251, 501, 751)
        with pytest.raises(BadInput, match="smaller"):
            Levels.spread(1000, 1000, "leading", offset=1)


class TestSteps:
    @pytest.mark.parametrize("prediction", PREDICTIONS)
    @pytest.mark.parametrize("spacing", ["leading", "trailing"])
    @pytest.mark.parametrize("to_one", [True, False])
    def test_where_spacing_coincides_samples_are_those_of_diffusers(self, prediction, spacing, to_one):
        config = {
            "prediction_type": CONFIGURED[prediction],
            "timestep_spacing": spacing,
            "steps_offset": 1 if spacing == "leading" else 0,
            "set_alpha_to_one": to_one,
            "clip_sample": False,
        }
        assert drift_from_diffusers(config, prediction) <= 1e-5

    @pytest.mark.parametrize("prediction", ["v", "sample"])
    def test_a_schedule_that_ends_in_noise_samples_as_in_diffusers(self, prediction):
        config = {
            "prediction_type": CONFIGURED[prediction],
            "timestep_spacing": "trailing",
            "beta_schedule": "scaled_linear",
            "rescale_betas_zero_snr": True,
            "clip_sample": False,
        }
        assert drift_from_diffusers(config, prediction) <= 1e-5

    @pytest.mark.parametrize("eta", [0.3, 1.0])
    def test_with_the_same_fresh_noise_samples_are_those_of_diffusers(self, eta):
        assert drift_from_diffusers({"clip_sample": False}, "epsilon", eta) <= 1e-5

    def test_a_network_samples_as_in_the_pipeline_of_diffusers(self):
        torch.manual_seed(0)
        blocks = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1, "sample_size": 8}
        down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
        network = UNet2DModel(**blocks, down_block_types=down, up_block_types=up, attention_head_dim=4).eval()
        pipeline = DDIMPipeline(network, DDIMScheduler(clip_sample=False))
        pipeline.set_progress_bar_config(disable=True)
        theirs = pipeline(2, torch.Generator().manual_seed(1), num_inference_steps=10, output_type="np").images
        noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            stepper = Stepper.from_config(pipeline.scheduler.config, 10)
            ours = sample(lambda x, t: network(x, t).sample, noise, stepper)
        pictures = (ours / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        torch.testing.assert_close(pictures, torch.from_numpy(theirs), atol=1e-5, rtol=0)

    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_guess_and_noise_make_up_the_state_they_were_read_from(self, prediction):
        schedule = Schedule.cosine()
        stepper = Stepper(schedule, Levels.spread(1000, 10), prediction)
        x, output = torch.randn(2, 5, *SHAPE, dtype=torch.float64)
        r, n = math.sqrt(schedule.alpha_bar(499)), math.sqrt(1 - schedule.alpha_bar(499))
        torch.testing.assert_close(r * stepper.guess(x, output, 499) + n * stepper.noise(x, output, 499), x)

    def test_every_prediction_of_one_denoiser_takes_the_same_step(self):
        schedule, x = Schedule.linear(), torch.randn(5, *SHAPE, dtype=torch.float64)
        landed = []
        for prediction in PREDICTIONS:
            stepper = Stepper(schedule, Levels.spread(1000, 10), prediction)
            landed.append(stepper.step(x, Mixture().denoiser(schedule, prediction)(x, 499), 499, 399))
        torch.testing.assert_close(landed[0], landed[1])
        torch.testing.assert_close(landed[0], landed[2])

    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_a_step_rotates_the_state_towards_the_velocity(self, prediction):
        schedule = Schedule.cosine()
        stepper = Stepper(schedule, Levels.spread(1000, 10), prediction)
        x, output = torch.randn(2, 5, *SHAPE, dtype=torch.float64)
        turn = schedule.angle(499) - schedule.angle(399)
        turned = math.cos(turn) * x - math.sin(turn) * stepper.velocity(x, output, 499)
        torch.testing.assert_close(stepper.step(x, output, 499, 399), turned)

    @pytest.mark.parametrize("prediction", PREDICTIONS)
    @pytest.mark.parametrize(("t", "s"), [(999, 899), (499, 399), (99, -1)])
    def test_a_step_is_undone_by_the_noise_it_was_made_with(self, prediction, t, s):
        stepper = Stepper(Schedule.linear(), Levels.spread(1000, 10), prediction)
        x, output = torch.randn(2, 5, *SHAPE, dtype=torch.float64)
        landed = stepper.step(x, output, t, s)
        torch.testing.assert_close(stepper.undo(landed, stepper.noise(x, output, t), t, s), x, rtol=1e-9, atol=1e-9)

    def test_fresh_noise_is_that_of_the_seed_in_any_batch(self):
        schedule = Schedule.linear()
        stepper = Stepper(schedule, Levels.spread(1000, 5), eta=1.0)
        denoiser, noise = Mixture().denoiser(schedule, "epsilon"), draw_normal([7, 8, 9], "noise", SHAPE)
        together = sample(denoiser, noise, stepper, seeds=[7, 8, 9])
        torch.testing.assert_close(sample(denoiser, noise[1:2], stepper, seeds=[8]), together[1:2], atol=1e-5, rtol=0)
        assert not torch.allclose(sample(denoiser, noise, stepper, seeds=[7, 8, 10])[2], together[2])
        with pytest.raises(BadInput, match="one seed a row"):
            sample(denoiser, noise, stepper)

    def test_states_are_float32_whatever_the_denoiser_works_in(self):
        schedule = Schedule.linear()
        exact = Mixture().denoiser(schedule, "v")
        stepper = Stepper(schedule, Levels.spread(1000, 5), "v")
        pictures = sample(lambda x, t: exact(x, t).bfloat16(), torch.randn(2, *SHAPE).half(), stepper)
        assert pictures.dtype == torch.float32

    def test_sampling_one_gaussian_scales_each_axis_as_the_algebra_says(self):
        gaussian, schedule, levels = Mixture(means=1), Schedule.cosine(), Levels.spread(1000, 30)
        noise = torch.randn(4, *SHAPE)
        stepper = Stepper(schedule, levels, "sample")
        picture = sample(gaussian.denoiser(schedule, "sample"), noise, stepper)
        scaled = noise.double().flatten(1) @ gaussian.axes * gaussian.scale(schedule, levels)
        torch.testing.assert_close(picture.double().flatten(1) @ gaussian.axes, scaled, atol=1e-5, rtol=1e-5)

    def test_progress_counts_the_steps_and_can_cancel(self):
        schedule, seen = Schedule.linear(), []
        stepper = Stepper(schedule, Levels.spread(1000, 3))
        denoiser = Mixture().denoiser(schedule, "epsilon")
        sample(denoiser, torch.randn(1, *SHAPE), stepper, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(1, 3), (2, 3), (3, 3)]

        def stop(done, total):
            raise Cancelled("enough")

        with pytest.raises(Cancelled):
            sample(denoiser, torch.randn(1, *SHAPE), stepper, progress=stop)

    def test_a_denoiser_of_another_shape_is_refused(self):
        stepper = Stepper(Schedule.linear(), Levels.spread(1000, 3))
        with pytest.raises(BadInput, match=r"\(1, 6, 4, 4\).*variance"):
            sample(lambda x, t: torch.cat([x, x], 1), torch.randn(1, *SHAPE), stepper)

    def test_parts_that_do_not_fit_are_refused(self):
        with pytest.raises(BadInput, match="do not fit"):
            Stepper(Schedule.linear(100), Levels.spread(1000, 10))
        with pytest.raises(BadInput, match="eta"):
            Stepper(Schedule.linear(), Levels.spread(1000, 10), eta=1.5)
        ending = Schedule.linear().ending_in_noise()
        with pytest.raises(BadInput, match="predicts v"):
            Stepper(ending, Levels.spread(1000, 10), "epsilon")
        assert Stepper(ending, Levels.spread(1000, 10, "leading"), "epsilon").levels.times[-1] == 900

    def test_a_configuration_that_names_something_unknown_is_refused(self):
        with pytest.raises(UnknownName, match="v_prediction"):
            Stepper.from_config({"prediction_type": "flow"}, 10)
        with pytest.raises(UnknownName, match="trailing"):
            Stepper.from_config({"timestep_spacing": "karras"}, 10)


def drift_from_diffusers(config, prediction, eta=0.0):
    """Return by how much ten steps of ours and of diffusers differ at most."""
    theirs = DDIMScheduler.from_config(config)
    theirs.set_timesteps(10)
    stepper = Stepper.from_config(theirs.config, 10, eta=eta)
    denoiser, seeds = Mixture().denoiser(stepper.schedule, prediction), [3, 1, 4, 15]
    x = noise = draw_normal(seeds, "noise", SHAPE)
    for t in theirs.timesteps.tolist():
        fresh = draw_normal(seeds, f"fresh noise:{t}", SHAPE) if eta else None
        x = theirs.step(denoiser(x, t), t, x, eta=eta, variance_noise=fresh).prev_sample
    return float((sample(denoiser, noise, stepper, seeds=seeds) - x).abs().max())

"""The denoising lab: what its settings do shows, and the same settings do the same again."""

import math
from dataclasses import replace
from itertools import islice, pairwise
from math import prod

import numpy as np
import pytest
import torch
from PIL import Image

from steer.apps.lab import Experiment, bird, draw_page, own_picture, shapes
from steer.apps.lab.experiment import LEVELS, WATCHED
from steer.apps.lab.targets import SIDE
from steer.errors import BadInput


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Learn on one processor core, as everybody has it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def target():
    return shapes(1)


@pytest.fixture(scope="module")
def sane(target):
    """Return every twentieth snapshot of a run with the settings that one begins with."""
    return list(Experiment(target).run(160, every=20))


def away(pictures, others):
    """Return the root mean square difference of pictures, (batch,)."""
    return (pictures - others).square().mean((1, 2, 3)).sqrt()


class TestSaneSettings:
    def test_the_loss_falls_far_below_what_needs_no_learning(self, sane, target):
        experiment = Experiment(target)
        assert sane[0].average_loss == pytest.approx(experiment.loss_of_the_input, rel=0.5)
        assert sane[-1].average_loss < 0.5 * min(experiment.loss_of_the_mean, experiment.loss_of_the_input)
        assert not any(snapshot.diverged for snapshot in sane)

    def test_the_watched_picture_comes_out_of_the_noise_though_it_is_not_learnt_from(self, sane, target):
        first, last = sane[0], sane[-1]
        assert not (target.family == target.clean).all((1, 2, 3)).any()
        assert (away(last.denoised, last.clean) < 0.6 * away(first.denoised, first.clean)).all()
        assert (away(last.denoised, last.clean) < 0.8 * away(last.denoised, target.mean))[:2].all()

    def test_it_begins_with_the_noisy_picture_itself(self, sane):
        assert torch.allclose(sane[0].denoised, sane[0].noisy, atol=1e-6)

    def test_it_shows_the_target_at_rising_levels_of_one_noise(self, sane, target):
        for snapshot in sane:
            assert torch.allclose(snapshot.clean, target.clean, atol=1e-6)
            assert torch.equal(snapshot.noisy, sane[0].noisy)
        distance = away(sane[0].noisy, target.clean).tolist()
        assert len(distance) == len(WATCHED)
        assert all(near < far for near, far in pairwise(distance))


class TestHighLearningRate:
    @pytest.mark.parametrize("rate", [3.0, 100.0])
    def test_it_diverges_and_says_so(self, target, rate):
        snapshots = list(Experiment(target, learning_rate=rate).run(160))
        assert snapshots[-1].diverged
        assert not snapshots[0].diverged
        assert snapshots[-1].step < 100, "it ends when no number is left"

    def test_what_is_no_number_is_shown_as_grey(self, target):
        *_, last = Experiment(target, learning_rate=100.0).run(160)
        assert not math.isfinite(last.loss)
        assert torch.equal(last.denoised, torch.full_like(last.denoised, 0.5))
        assert torch.isfinite(last.noisy).all()

    def test_the_moment_of_divergence_is_shown(self, target):
        snapshots = list(Experiment(target, learning_rate=1.5).run(160, every=1000))
        assert [snapshot.diverged for snapshot in snapshots[:2]] == [False, True]


class TestNoise:
    def test_too_little_leaves_nothing_to_learn(self, target):
        experiment = Experiment(target, beta=1e-4)
        *_, last = experiment.run(40, every=40)
        assert experiment.loss_of_the_input < 0.02 * experiment.loss_of_the_mean
        assert last.average_loss == pytest.approx(experiment.loss_of_the_input, rel=0.3)
        assert (away(last.denoised, last.noisy) < 0.01).all(), "the answer is the input"

    def test_too_much_leaves_nothing_but_the_mean(self):
        experiments = [Experiment(target, beta=0.6) for target in (shapes(1), shapes(5))]
        ends = []
        for experiment in experiments:
            *_, last = experiment.run(110, every=110)
            assert last.average_loss == pytest.approx(experiment.loss_of_the_mean, rel=0.1)
            ends.append(last)
        assert away(ends[0].clean, ends[1].clean) > 0.2
        for end, experiment in zip(ends, experiments, strict=True):
            guess, mean = end.denoised[1:], experiment.target.mean
            assert (away(guess, mean) < 0.6 * away(guess, end.clean)).all()
        assert (away(ends[0].denoised, ends[1].denoised)[2:] < 0.02).all(), "whatever is shown, the answer is the same"

    def test_the_reference_losses_are_those_of_the_formulas(self, target):
        beta = 0.02
        betas = [beta / LEVELS + (beta - beta / LEVELS) * level / (LEVELS - 1) for level in range(LEVELS)]
        alpha_bars = [prod(1 - each for each in betas[: level + 1]) for level in range(LEVELS)]
        energy = (2 * target.family - 1).double().square().mean().item()
        lost = sum((1 - math.sqrt(a)) ** 2 * energy + 1 - a for a in alpha_bars) / LEVELS
        experiment = Experiment(target, beta=beta)
        assert experiment.loss_of_the_input == pytest.approx(lost, rel=1e-6)
        spread = 4 * target.family.double().var(0, correction=0).mean().item()
        assert experiment.loss_of_the_mean == pytest.approx(spread, rel=1e-5)


class TestRuns:
    def test_the_same_settings_give_the_same_run_whatever_else_is_drawn(self, target):
        runs = []
        for disturbance in (1, 2):
            torch.manual_seed(disturbance)
            runs.append(list(Experiment(target, seed=7).run(6, every=3)))
        for one, other in zip(*runs, strict=True):
            assert (one.step, one.loss, one.average_loss) == (other.step, other.loss, other.average_loss)
            assert torch.equal(one.denoised, other.denoised)

    def test_learning_leaves_the_random_stream_of_others_alone(self, target):
        before = torch.get_rng_state()
        list(Experiment(target).run(2))
        assert torch.equal(torch.get_rng_state(), before)

    def test_another_seed_gives_another_run(self, target):
        first, second = (list(Experiment(target, seed=seed).run(1))[-1] for seed in (0, 1))
        assert first.loss != second.loss
        assert not torch.equal(first.noisy, second.noisy)

    def test_it_stops_where_nobody_asks_for_more(self, target):
        run = Experiment(target).run(10**9)
        assert [snapshot.step for snapshot in islice(run, 2)] == [0, 10]
        run.close()

    def test_it_learns_where_its_caller_wants_no_gradients(self, target):
        with torch.no_grad():
            first, last = Experiment(target).run(1)
        assert not torch.equal(first.denoised, last.denoised)

    def test_losses_are_averaged_over_the_last_fifty_steps(self, target):
        snapshots = list(Experiment(target).run(55, every=1))
        losses = [snapshot.loss for snapshot in snapshots]
        assert snapshots[2].average_loss == pytest.approx(sum(losses[:3]) / 3)
        assert snapshots[55].average_loss == pytest.approx(sum(losses[6:56]) / 50)

    @pytest.mark.parametrize(
        "setting",
        [{"beta": 0.0}, {"beta": 1.0}, {"beta": math.nan}, {"learning_rate": -1.0}, {"learning_rate": math.inf}],
    )
    def test_settings_beyond_use_are_refused(self, target, setting):
        with pytest.raises(BadInput, match="not"):
            replace(Experiment(target), **setting)

    @pytest.mark.parametrize("edge", [{"beta": 1e-5}, {"beta": 0.99}, {"learning_rate": 1e-6}])
    def test_settings_at_the_edge_run(self, target, edge):
        last = list(replace(Experiment(target), **edge).run(3))[-1]
        assert math.isfinite(last.loss)

    def test_no_steps_are_refused(self, target):
        with pytest.raises(BadInput, match="at least 1"):
            next(Experiment(target).run(0))


class TestTargets:
    @pytest.mark.parametrize("make", [bird, shapes])
    def test_a_seed_chooses_what_is_watched_and_not_what_is_learnt_from(self, make):
        one, same, other = make(3), make(3), make(4)
        assert one.clean.shape == (1, 3, SIDE, SIDE)
        assert torch.equal(one.clean, same.clean)
        assert not torch.equal(one.clean, other.clean)
        assert torch.equal(one.family, other.family)
        for pictures in (one.clean, one.family):
            assert 0 <= float(pictures.min()) < float(pictures.max()) <= 1

    def test_an_own_picture_is_watched_whole_and_learnt_in_pieces(self):
        axis = np.linspace(0, 255, 90).astype(np.uint8)
        picture = Image.fromarray(
            np.stack([np.tile(axis, (60, 1)), np.zeros((60, 90)), np.zeros((60, 90))], 2).astype(np.uint8)
        )
        target = own_picture(picture)
        red = target.clean[0, 0, 16]
        assert all(left < right for left, right in pairwise(red.tolist()))
        rising = (target.family[:, 0, 16, -1] > target.family[:, 0, 16, 0]).float().mean()
        assert 0.3 < rising < 0.7, "half of the pieces are mirrored"
        width = (target.family[:, 0, 16, -1] - target.family[:, 0, 16, 0]).abs() / (red[-1] - red[0])
        assert width.min() > 0.4
        assert width.max() < 1.1
        assert target.family[:, 1:].max() == 0

    def test_what_is_no_picture_is_refused(self, tmp_path):
        (tmp_path / "text.png").write_text("no picture")
        with pytest.raises(BadInput):
            own_picture(tmp_path / "text.png")

    def test_a_seed_below_zero_is_refused(self):
        for make in (bird, shapes):
            with pytest.raises(BadInput, match="seed"):
                make(-1)


class TestPage:
    def test_a_page_shows_the_noisy_the_denoised_and_the_clean(self, sane, target):
        page = np.asarray(draw_page(Experiment(target), sane))
        clean = np.asarray(
            Image.fromarray((255 * target.clean[0].permute(1, 2, 0)).round().byte().numpy()).resize(
                (3 * SIDE, 3 * SIDE), Image.Resampling.LANCZOS
            )
        )
        place = page[: 4 * 104 + 40, -8 - 96 : -8].astype(int)
        found = [row for row in range(len(place) - 96) if abs(place[row : row + 96] - clean).max() <= 1]
        assert len(found) == len(WATCHED), "the clean picture closes every row"

    def test_a_run_that_diverged_is_drawn_too(self, target):
        experiment = Experiment(target, learning_rate=100.0)
        page = np.asarray(draw_page(experiment, list(experiment.run(50))))
        assert page.shape[0] > 4 * 96 + 300
        assert (page[-60:].std((0, 1)) > 5).all(), "the steps are written below the curve"

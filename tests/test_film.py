"""Films: what comes about and what dissolves, and that a film is made again from its file."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from mixture import Diffuser, diffuser
from PIL import Image
from tiny_diffusion import write_tiny_ddim

import steer
from steer.errors import BadInput, BrokenFile, Cancelled
from steer.generator import Generator
from steer.generators.diffusion.schedule import Schedule
from steer.recipe import Recipe
from steer.sampler import Sampler


@pytest.fixture(scope="module")
def mixture():
    return diffuser()


@pytest.fixture(scope="module")
def faint():
    """Return a generator whose noise stays so faint that a picture hardly ever clips it."""
    schedule = Schedule.linear(40, 1e-5, 2e-3)
    return Generator(replace(Diffuser(), schedule=schedule, picture_size=(96, 96)), name="faint")


@pytest.fixture
def picture():
    """Return a picture of 8-bit values around the middle, (3, 96, 96)."""
    rng = torch.Generator().manual_seed(3)
    return torch.randint(110, 146, (3, 96, 96), generator=rng) / 255


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the folder of a tiny untrained diffusion model."""
    return write_tiny_ddim(tmp_path_factory.mktemp("models") / "tiny")


def walk(film):
    """Return what each moment of a forward film shows, in the network's numbers, (moments, 3, height, width)."""
    return torch.stack([2 * moment.picture[0] - 1 for moment in film.process.moments()]).double()


class TestForward:
    def test_it_begins_with_the_picture_itself(self, faint, picture):
        first = next(steer.Film.forward(faint, picture, steps=4).process.moments())
        assert torch.equal((255 * first.picture[0]).round(), (255 * picture).round())

    def test_at_every_level_picture_and_noise_have_the_shares_of_the_schedule(self, faint, picture):
        shown = walk(steer.Film.forward(faint, picture, steps=40))
        for x, alpha_bar in zip(shown[1:], faint.backend.noise_levels().tolist(), strict=True):
            noise = x - math.sqrt(alpha_bar) * shown[0]
            assert noise.mean().item() == pytest.approx(0, abs=4 * math.sqrt((1 - alpha_bar) / noise.numel()))
            assert noise.std().item() == pytest.approx(math.sqrt(1 - alpha_bar), rel=0.02)

    def test_every_pixel_takes_a_random_walk(self, faint, picture):
        # x / sqrt(alpha_bar) is the picture plus Brownian motion at the time (1 - alpha_bar) / alpha_bar: what is
        # added from one moment to the next has that variance and knows nothing of what was added before.
        shown = walk(steer.Film.forward(faint, picture, steps=8))
        levels = torch.cat([torch.ones(1), faint.backend.noise_levels()])[::5].double()
        added = (shown / levels.sqrt().reshape(-1, 1, 1, 1)).diff(dim=0).flatten(1)
        times = ((1 - levels) / levels).diff()
        assert (added.var(1) / times - 1).abs().max() < 0.03
        correlation = torch.corrcoef(added) - torch.eye(len(added))
        assert correlation.abs().max() < 4.5 / math.sqrt(added.shape[1])

    def test_fewer_steps_show_moments_of_the_same_walk(self, faint, picture):
        fine, coarse = (walk(steer.Film.forward(faint, picture, steps=steps)) for steps in (40, 5))
        assert torch.equal(fine[::8], coarse)

    def test_each_seed_has_its_own_walk_in_any_company(self, faint, picture):
        *_, together = steer.Film.forward(faint, picture, seeds=(4, 9), steps=4).process.moments()
        *_, alone = steer.Film.forward(faint, picture, seeds=(9,), steps=4).process.moments()
        assert torch.equal(together.picture[1:], alone.picture)
        assert not torch.equal(together.picture[0], together.picture[1])

    def test_a_schedule_that_ends_in_noise_leaves_nothing_of_the_picture(self, picture):
        backend = replace(Diffuser(), schedule=Schedule.cosine(50).ending_in_noise(), picture_size=(96, 96))
        dark, light = (
            list(steer.Film.forward(Generator(backend, name="noise"), shade, steps=5).process.moments())[-1].picture
            for shade in (picture * 0, picture * 0 + 1)
        )
        assert torch.equal(dark, light)

    def test_steps_are_as_many_as_there_are_levels_at_most(self, faint, picture):
        for steps in (0, 41):
            with pytest.raises(BadInput, match="1 to"):
                steer.Film.forward(faint, picture, steps=steps)


class TestReverse:
    def test_it_begins_with_the_dice_and_ends_with_the_picture(self, mixture):
        latent = mixture.sample([0, 1])
        first, *_, last = steer.Film.reverse(mixture, latent).process.moments()
        assert torch.equal(first.noisy, (latent["noise"] / 2 + 0.5).clamp(0, 1))
        with torch.no_grad():
            assert torch.equal(last.picture, mixture.decode(latent))

    def test_noise_shrinks_from_moment_to_moment(self, mixture):
        film = steer.Film.reverse(mixture, mixture.sample([3]), sampler=Sampler(20))
        moments = list(film.process.moments())
        away = [float((moment.noisy - moments[-1].picture).std()) for moment in moments]
        assert len(film) == len(moments) == 22  # 20 steps, a low level more, and the picture
        assert all(later < earlier for earlier, later in pairwise(away))

    def test_turns_act_in_it(self, mixture):
        latent = mixture.sample([3])
        knob = steer.LinearKnob("up", "guess", torch.full((3, 4, 4), 0.1))
        *_, last = steer.Film.reverse(mixture, latent, steer.Steering([(knob, 1.0)])).process.moments()
        with torch.no_grad():
            assert torch.equal(last.picture, mixture.decode(latent, steer.Steering([(knob, 1.0)])))

    def test_an_inverted_picture_is_filmed_with_its_own_steps(self, mixture):
        found = mixture.invert(mixture.backend.mixture.draw(1)[0] / 2 + 0.5, sampler=Sampler(10))
        film = steer.Film.reverse(mixture, found.latent)
        *moments, last = film.process.moments()
        assert len(film) == len(moments) + 1 == len(mixture.backend.stepper(Sampler(10)).levels) + 1
        assert torch.equal(last.picture, mixture.decode(found.latent))

    def test_of_a_generator_without_noise_it_shows_the_picture_after_each_stage(self):
        shapes = steer.load_generator("aviary")
        moments = list(steer.Film.reverse(shapes, shapes.sample([5])).process.moments())
        assert [moment.name for moment in moments] == ["dice", "drawing"]
        assert all(moment.noisy is None for moment in moments)


class TestFilm:
    def test_it_lasts_as_long_as_it_says_and_a_second_more_at_each_end(self, mixture):
        film = steer.Film.reverse(mixture, mixture.sample([0]), seconds=3.0)
        frames = list(film.frames())
        assert len(frames) / film.fps == pytest.approx(5.0, abs=1 / film.fps)
        assert frames[0] is frames[1]
        assert frames[-1] is frames[-2]

    def test_frames_are_made_when_they_are_asked_for(self, mixture):
        seen = []
        frames = steer.Film.reverse(mixture, mixture.sample([0])).frames(progress=lambda *done: seen.append(done))
        next(frames)
        assert seen == []
        list(frames)
        assert seen == [(done, 22) for done in range(1, 23)]

    def test_a_frame_shows_the_guess_beside_its_noise(self, mixture):
        film = steer.Film.reverse(mixture, mixture.sample([0]))
        moment = next(film.process.moments())
        frame = np.asarray(next(film.frames(steer.Layout(scale=40, enlarge="crisp"))))
        for column, shown in enumerate((moment.noisy, moment.picture)):
            cells = frame[-10 - 160 : -10 : 40, 10 + 170 * column : 10 + 170 * column + 160 : 40]
            assert np.array_equal(cells, (255 * shown[0].permute(1, 2, 0)).round().byte().numpy())

    def test_a_strip_runs_from_the_first_moment_to_the_last(self, mixture):
        film = steer.Film.reverse(mixture, mixture.sample([0, 1]), stills=4)
        strip = film.strip(steer.Layout(scale=1, enlarge="crisp"))
        first, *_, last = film.process.moments()
        levels = np.asarray(strip)
        for row, shown in enumerate((first.noisy[0], first.picture[0], first.noisy[1], first.picture[1])):
            wanted = (255 * shown.permute(1, 2, 0)).round().byte().numpy()
            assert any(
                np.array_equal(levels[y : y + 4, x : x + 4], wanted)
                for y in range(8 * row, levels.shape[0] - 3)
                for x in range(levels.shape[1] - 3)
            )
        assert np.array_equal(levels[-8:-4, -8:-4], (255 * last.picture[1].permute(1, 2, 0)).round().byte().numpy())

    def test_more_moments_than_can_be_seen_are_refused(self, mixture):
        with pytest.raises(BadInput, match="50 a second"):
            steer.Film.reverse(mixture, mixture.sample([0]), seconds=0.4)

    def test_the_length_of_a_film_counts_its_ends_standing_still(self, mixture):
        film = steer.Film.reverse(mixture, mixture.sample([0]), sampler=Sampler(7), seconds=2.0)
        assert film.fps == len(film) / 2.0
        assert film.duration == pytest.approx(len(list(film.frames())) / film.fps)
        assert film.duration > 3

    def test_a_film_that_is_stopped_leaves_no_file(self, mixture, tmp_path):
        def stop(done, count):
            if done == 5:
                raise Cancelled("enough")

        with pytest.raises(Cancelled):
            steer.Film.reverse(mixture, mixture.sample([0])).save(tmp_path / "film.gif", progress=stop)
        assert list(tmp_path.iterdir()) == []


class TestRecipe:
    @pytest.fixture(params=["reverse", "forward"])
    def film(self, request, mixture, picture):
        if request.param == "forward":
            return steer.Film.forward(mixture, picture, seeds=(2, 5), steps=12, seconds=2.0, stills=3)
        return steer.Film.reverse(mixture, mixture.sample([2, 5]), sampler=Sampler(7), seconds=2.0, stills=3)

    @pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".json"])
    def test_a_file_makes_the_same_film_again(self, film, mixture, tmp_path, suffix):
        film.save(tmp_path / f"film{suffix}")
        again = Recipe.load(tmp_path / f"film{suffix}").to_film(mixture)
        assert (len(again), again.seconds, again.stills) == (len(film), 2.0, 3)
        for frame, same in zip(film.frames(), again.frames(), strict=True):
            assert frame.tobytes() == same.tobytes()
        assert film.strip().tobytes() == again.strip().tobytes()

    def test_a_film_is_rendered_as_a_strip_too(self, film, mixture, tmp_path):
        film.save(tmp_path / "film.webp")
        recipe = Recipe.load(tmp_path / "film.webp")
        recipe.save(tmp_path / "strip.png", mixture)
        with Image.open(tmp_path / "strip.png") as strip:
            assert strip.convert("RGB").tobytes() == film.strip().tobytes() == recipe.image(mixture).tobytes()

    def test_a_film_is_no_picture_and_no_walk(self, film, mixture):
        with pytest.raises(BadInput, match="to_film"):
            film.recipe().render(mixture)
        with pytest.raises(BadInput, match="not of a walk"):
            film.recipe().to_walk(mixture)
        with pytest.raises(BadInput, match="no recipe of a film"):
            Recipe.of(mixture, mixture.sample([0])).to_film(mixture)

    def test_a_forward_film_without_its_picture_is_broken(self, mixture, picture):
        recipe = steer.Film.forward(mixture, picture).recipe()
        bare = recipe.model_copy(update={"scene": recipe.scene.model_copy(update={"sources": [], "rows": []})})
        with pytest.raises(BrokenFile, match="picture"):
            bare.to_film(mixture)


class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_it_films_noise_condensing(self, folder, made, model):
        said = made("film", model, "--seeds", "0,1", "--steps", "3", "--seconds", "1", "--out", "film.webp")
        assert "6 moments" in said  # three steps, two low levels more, and the picture
        with Image.open("film.webp") as film:
            assert film.n_frames == 6 + 6 + 6
        made("render", "film.webp", "--generator", model, "--out", "strip.png")
        made("film", model, "--seeds", "0,1", "--steps", "3", "--scale", "16", "--out", "same.png")
        with Image.open("strip.png") as strip, Image.open("same.png") as same:
            assert strip.convert("RGB").tobytes() == same.convert("RGB").tobytes()

    def test_it_films_a_picture_dissolving_and_says_how_it_was_prepared(self, folder, made, model):
        Image.effect_noise((30, 20), 40).save("photo.png")
        said = made("film", model, "--forward", "photo.png", "--steps", "4", "--out", "film.gif")
        assert "5 moments" in said
        assert "30x20" in said.replace(" ", "")
        recipe = Recipe.load("film.gif")
        assert (recipe.film.direction, recipe.film.steps, recipe.film.seeds) == ("forward", 4, (0,))

    def test_it_films_the_stages_of_a_generator_without_noise(self, folder, made):
        assert "2 moments" in made("film", "aviary", "--seeds", "0-2", "--turn", "hue=90", "--out", "strip.png")
        with Image.open("strip.png") as strip:
            assert strip.height > strip.width

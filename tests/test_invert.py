"""What `Generator.invert` promises: a picture comes back, small turns change it little, recipes find it again."""

import json

import pytest
import torch
from mixture import PICTURES, SHAPE, Diffuser, diffuser
from plugin.steer_shapes import Shapes

import steer
from steer.errors import BadInput, BrokenFile, Cancelled, UnknownName
from steer.generator import Generator
from steer.latent import concatenate
from steer.pictures import to_images
from steer.testing import check_generator, check_inversion


@pytest.fixture(scope="module")
def generator():
    return diffuser()


def picture_of(seed=2):
    """Return a picture of the mixture in 8 bits, (1, 3, 4, 4)."""
    return (PICTURES.draw(1, seed) / 2 + 0.5).clamp(0, 1).mul(255).round() / 255


def untouched(self, *arguments, **options):
    raise AssertionError("this is not to be called")


@pytest.fixture(scope="module")
def inverted(generator):
    return generator.invert(picture_of())


@pytest.fixture
def knob():
    """Return a knob that turns the guessed picture towards a checkerboard."""
    board = torch.ones(SHAPE)
    board[:, ::2, 1::2] = board[:, 1::2, ::2] = -1
    return steer.LinearKnob("board", "guess", 0.3 * board)


class TestAnchoredRun:
    def test_without_turns_the_picture_comes_back_and_no_network_is_asked(self, inverted, generator, monkeypatch):
        monkeypatch.setattr(Diffuser, "advance", untouched)
        assert to_images(generator.decode(inverted.latent))[0].tobytes() == to_images(picture_of())[0].tobytes()

    def test_turns_of_nothing_change_nothing(self, inverted, generator, knob):
        plain = generator.decode(inverted.latent)
        for turn in (steer.Turn(knob, 0.0), steer.Turn(knob, 0.0, steer.Window(0.5, 1.0))):
            assert torch.equal(generator.decode(inverted.latent, steer.Steering([turn])), plain)

    def test_a_small_turn_changes_it_a_little_however_bad_the_inversion_was(self, generator, knob):
        for options in ({}, {"method": "ddim"}, {"iterations": 1}):
            latent = generator.invert(picture_of(), **options).latent
            moved = generator.decode(latent, steer.Steering([(knob, 1e-3)])) - generator.decode(latent)
            assert 0 < float(moved.abs().max()) <= 0.01

    def test_a_turn_goes_as_far_as_on_the_plain_latent(self, inverted, generator, knob):
        turns, plain = steer.Steering([(knob, 0.5)]), inverted.latent.without_anchor()
        moved = generator.decode(inverted.latent, turns) - generator.decode(inverted.latent)
        sampler = inverted.latent.anchor.sampler
        expected = generator.decode(plain, turns, sampler=sampler) - generator.decode(plain, sampler=sampler)
        torch.testing.assert_close(moved, expected, atol=1e-4, rtol=0)
        assert float(moved.abs().max()) > 0.05

    def test_rows_are_turned_each_by_its_own_amount(self, inverted, generator, knob):
        row = inverted.latent.rows([0, 0, 0])
        turned = generator.decode(row, steer.Steering([(knob, [0.0, 1.0, 0.0])]))
        plain = generator.decode(inverted.latent)
        assert torch.equal(turned[[0, 2]], plain.expand(2, -1, -1, -1))
        assert float((turned[1] - plain[0]).abs().max()) > 0.05
        one_by_one = generator.decode(row, steer.Steering([(knob, [0.0, 1.0, 0.0])]), chunk=1)
        torch.testing.assert_close(turned, one_by_one, atol=1e-5, rtol=0)

    def test_stages_before_the_first_turn_are_not_run(self, inverted, generator, knob, monkeypatch):
        ran, advance = [], Diffuser.advance
        monkeypatch.setattr(Diffuser, "advance", lambda *args: (ran.append(args[2].index), advance(*args))[1])
        generator.decode(inverted.latent, steer.Steering([steer.Turn(knob, 1.0, steer.Window(0.6, 1.0))]))
        stages = generator.backend.stages(inverted.latent, None)
        assert ran == [stage.index for stage in stages if stage.interval[1] > 0.6]

    def test_a_turned_noise_touches_the_first_stage(self, inverted, generator):
        noise = steer.LinearKnob("noise", "noise", torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)))
        moved = generator.decode(inverted.latent, steer.Steering([(noise, 1e-3)])) - generator.decode(inverted.latent)
        assert 0 < float(moved.abs().max()) <= 0.01

    def test_the_film_ends_with_the_picture_and_observing_sees_what_passes(self, inverted, generator, knob):
        turns = steer.Steering([(knob, 1.0)])
        for steering in (None, turns):
            assert torch.equal(
                list(generator.film(inverted.latent, steering))[-1].picture, generator.decode(inverted.latent, steering)
            )
        sampler, plain = inverted.latent.anchor.sampler, inverted.latent.without_anchor()
        for stage in (0, 7):
            torch.testing.assert_close(
                generator.observe(inverted.latent, "guess", stage=stage),
                generator.observe(plain, "guess", stage=stage, sampler=sampler),
                atol=1e-4,
                rtol=0,
            )

    def test_it_is_differentiable_in_the_amount_even_at_0(self, inverted, generator, knob):
        amount = torch.zeros(1, requires_grad=True)
        pictures = generator.decode(inverted.latent, steer.Steering([(knob, amount)]))
        assert torch.equal(pictures.detach(), generator.decode(inverted.latent))
        pictures.square().sum().backward()
        assert float(amount.grad.abs()) > 0

    def test_another_sampler_is_refused_with_both_named(self, inverted, generator):
        with pytest.raises(BadInput, match=r"in 20 steps .* in 10, .*without_anchor"):
            generator.decode(inverted.latent, sampler=steer.Sampler(10))
        assert generator.decode(inverted.latent.without_anchor(), sampler=steer.Sampler(10)).shape == (1, *SHAPE)


class TestLatents:
    def test_rows_and_joined_latents_keep_their_pictures(self, generator):
        latents = [generator.invert(picture_of(seed)).latent for seed in (3, 4)]
        both = concatenate(latents).rows([1, 0, 1]).to("cpu")
        expected = torch.cat([picture_of(4), picture_of(3), picture_of(4)])
        torch.testing.assert_close(generator.decode(both), expected, atol=1e-6, rtol=0)
        assert both.digest != both.without_anchor().digest != latents[0].digest

    def test_inverted_pictures_join_others_only_as_plain_latents(self, inverted, generator):
        sampled = generator.sample([1])
        with pytest.raises(BadInput, match="without_anchor"):
            concatenate([inverted.latent, sampled])
        with pytest.raises(BadInput, match="without_anchor"):
            concatenate([inverted.latent, generator.invert(picture_of(), sampler=steer.Sampler(10)).latent])
        assert len(concatenate([inverted.latent.without_anchor(), sampled])) == 2

    def test_other_values_cut_the_anchor(self, inverted):
        assert inverted.latent.with_values("noise", inverted.latent["noise"] + 1).anchor is None


class TestReport:
    def test_it_is_measured_without_the_anchor(self, inverted, generator):
        plain = generator.decode(inverted.latent.without_anchor(), sampler=inverted.latent.anchor.sampler)
        missed = (plain - picture_of()).double()
        assert inverted.report.error == pytest.approx(float(missed.abs().mean()))
        assert inverted.report.largest_error == pytest.approx(float(missed.abs().max()))
        assert 10 ** (-inverted.report.psnr / 10) == pytest.approx(float(missed.square().mean()))
        assert inverted.report.error < 1e-5
        bad = generator.invert(picture_of(), method="ddim").report
        assert bad.error > 10 * inverted.report.error

    def test_it_is_json_and_says_what_was_done_to_the_picture(self, generator):
        record = json.loads(json.dumps(generator.invert(torch.rand(3, 6, 10)).report.record()))
        assert record["crop"] == [2, 0, 8, 6]
        assert "cropped to 6x6 of 10x6 pixels" in record["notes"]
        assert record["in_domain"] is None  # nothing here knows what such pictures look like
        assert record["details"]["method"] == "anderson"

    def test_a_picture_that_did_not_converge_says_so(self, generator, inverted):
        assert inverted.report.complaints == ()
        (complaint,) = generator.invert(picture_of(), sampler=steer.Sampler(2), iterations=1).report.complaints
        assert "did not converge" in complaint


class TestDoor:
    def test_a_generator_that_cannot_go_back_says_so(self):
        with pytest.raises(BadInput, match="'shapes' cannot invert"):
            Generator(Shapes(), name="shapes").invert(torch.rand(3, 4, 4))

    def test_what_is_unknown_is_named_with_what_there_is(self, generator):
        with pytest.raises(UnknownName, match="there are method, iterations"):
            generator.invert(picture_of(), method_name="ddim")
        with pytest.raises(UnknownName, match="condition"):
            generator.invert(picture_of(), condition={"label": "owl"})

    def test_it_can_be_cancelled(self, generator):
        def stop(done, total):
            raise Cancelled("enough")

        with pytest.raises(Cancelled):
            generator.invert(picture_of(9), progress=stop)

    def test_the_same_is_found_again_at_once(self, generator, inverted, monkeypatch):
        monkeypatch.setattr(Diffuser, "invert", untouched)
        assert generator.invert(picture_of()) is inverted

    def test_a_backend_that_inverts_keeps_every_other_promise(self, generator):
        check_generator(generator)
        check_inversion(generator, method="ddim")


class TestRecipes:
    @pytest.fixture
    def recipe(self, inverted, generator, knob):
        latent = inverted.latent.rows([0, 0])
        return steer.Recipe.of(generator, latent, steer.Steering([(knob, [0.0, 0.7])]))

    def test_the_picture_is_found_again_bit_for_bit(self, recipe, generator, tmp_path):
        recipe.save(tmp_path / "r.png", generator)
        again = steer.Recipe.load(tmp_path / "r.png")
        assert again == recipe
        assert len(again.scene.sources) == 1  # both rows come from one picture
        assert torch.equal(again.render(diffuser()), recipe.render(generator))

    def test_a_large_picture_stands_beside_its_recipe(self, recipe, generator, tmp_path, monkeypatch):
        monkeypatch.setattr("steer.scene.LARGEST_EMBEDDED", 10)
        recipe.save(tmp_path / "r.json")
        (beside,) = tmp_path.glob("*.png")
        assert beside.stem == recipe.scene.sources[0].sha256
        assert "png" not in json.loads((tmp_path / "r.json").read_text())["scene"]["sources"][0]
        assert steer.Recipe.load(tmp_path / "r.json") == recipe
        beside.write_bytes(b"another picture")
        with pytest.raises(BrokenFile, match="beside the recipe"):
            steer.Recipe.load(tmp_path / "r.json").render(generator)

    def test_a_damaged_source_is_refused(self, recipe, generator):
        record = json.loads(recipe.json_text())
        record["scene"]["rows"] = [0, 7]
        with pytest.raises(BrokenFile, match="does not have"):
            steer.Recipe.parse(json.dumps(record)).render(generator)
        record["scene"]["rows"] = [0, 0]
        record["scene"]["sources"][0]["settings"]["sampler"] = {"paces": 3}
        with pytest.raises(BrokenFile, match="cannot be done again"):
            steer.Recipe.parse(json.dumps(record)).render(generator)
        record["scene"]["sources"][0]["png"] = "no base64"
        with pytest.raises(BrokenFile, match="damaged"):
            steer.Recipe.parse(json.dumps(record)).render(generator)
        record["scene"]["sources"][0]["sha256"] = "../elsewhere"
        with pytest.raises(BrokenFile, match="sha256"):
            steer.Recipe.parse(json.dumps(record))

    def test_a_walk_on_an_inverted_picture_is_rebuilt(self, inverted, generator, knob, tmp_path):
        walk = steer.Walk.sweep(generator, knob, inverted.latent, start=0, end=1, seconds=0.4, fps=10)
        frames = list(walk.frames())
        torch.testing.assert_close(frames[0], picture_of(), atol=1e-6, rtol=0)
        walk.save(tmp_path / "walk.gif")
        for frame, same in zip(
            frames, steer.Recipe.load(tmp_path / "walk.gif").to_walk(generator).frames(), strict=True
        ):
            assert torch.equal(frame, same)

    def test_a_walk_between_two_inverted_pictures_starts_and_ends_there(self, generator):
        latents = concatenate([generator.invert(picture_of(seed)).latent for seed in (3, 4)])
        frames = list(steer.Walk.between(generator, latents, seconds=0.5, loop=False, fps=10).frames())
        torch.testing.assert_close(frames[0], picture_of(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(frames[-1], picture_of(4), atol=1e-4, rtol=0)

"""Inversion of a BigGAN finds dice that draw the picture, and says how far they lie from those that are drawn."""

import pytest
import torch

import steer
from steer.errors import BadInput
from steer.generator import Generator
from steer.generators.biggan import BigGAN
from steer.generators.gan.dice_encoder import load_encoder
from steer.generators.gan.network import BigGANConfig, BigGANNetwork, BlockShape
from steer.testing import check_inversion


@pytest.fixture(scope="module")
def tiny():
    """Return a BigGAN of random weights and no encoder, whose classes and dice show."""
    torch.manual_seed(0)
    blocks = (BlockShape(16, 8), BlockShape(8, 8))
    network = BigGANNetwork(BigGANConfig(blocks, ("robin", "owl", "duck"), z_dim=6, class_dim=4, kind="plain"))
    network.initialise()
    return Generator(BigGAN(network), name="tiny")


@pytest.fixture(scope="module")
def picture(tiny):
    return tiny.decode(tiny.sample([5], condition={"label": "owl"}))


def test_its_own_picture_is_found_without_an_encoder(tiny, picture):
    found = tiny.invert(picture, freedom=0.0, descent=120)
    start = tiny.invert(picture, freedom=0.0, descent=0)
    assert found.report.error < 0.02 < start.report.error
    assert max(found.report.details["classes"], key=found.report.details["classes"].get) == "owl"
    assert found.latent.condition == {"label": ("owl",)}
    assert not found.latent["offsets"].any()


def test_freedom_bounds_the_offsets_and_comes_closer(tiny):
    strange = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    errors = []
    for freedom in (0.0, 0.3, 1.0):
        found = tiny.invert(strange, freedom=freedom, descent=60)
        errors.append(found.report.error)
        assert float(found.latent["offsets"].square().mean(2).sqrt().max()) <= freedom + 1e-5
        assert float(found.latent["z"].square().mean().sqrt()) <= 1.25 + 1e-5
        assert found.report.details["offsets_rms"] <= freedom + 1e-5
    assert errors[0] > errors[1] > errors[2]
    assert "hardly drawn" in found.report.complaints[0]


def test_a_label_is_kept_to(tiny, picture):
    latent = tiny.invert(picture, condition={"label": "duck"}, descent=10).latent
    embedding = tiny.backend.network.embedding
    duck = embedding[tiny.backend.config.labels.index("duck")]
    away, others = (latent["class"] - duck).abs().max(), (embedding - duck).abs().max()
    assert float(away) < 0.01 * float(others)  # as sure as the guess was
    assert latent.condition == {"label": ("duck",)}


def test_the_same_picture_gives_the_same_bits_and_a_recipe_needs_no_second_search(tiny, picture, monkeypatch):
    found = tiny.invert(picture, descent=20)
    again = Generator(BigGAN(tiny.backend.network), name="tiny").invert(picture, descent=20)
    assert all(torch.equal(found.latent[space], again.latent[space]) for space in found.latent.values)
    recipe = steer.Recipe.of(tiny, found.latent)
    assert recipe.scene.sources[0].settings == {"condition": {}, "sampler": None, "freedom": 0.3, "descent": 20}
    monkeypatch.delattr(BigGAN, "invert")
    parsed = steer.Recipe.parse(recipe.json_text())
    assert torch.equal(parsed.render(tiny), tiny.decode(found.latent))
    assert steer.Recipe.of(tiny, parsed.latent(tiny)) == recipe


def test_it_is_turned_like_any_other(tiny, picture):
    check_inversion(tiny, descent=2)
    latent = tiny.invert(picture, descent=20).latent
    knob = steer.LinearKnob("a knob", "z", torch.eye(6)[0])
    moved = tiny.decode(latent.rows([0, 0]), steer.Steering([(knob, [0.0, 1.0])]))
    torch.testing.assert_close(moved[:1], tiny.decode(latent), atol=1e-5, rtol=0)
    assert float((moved[1] - moved[0]).abs().max()) > 0.01


def test_options_that_make_no_sense_are_refused(tiny, picture):
    for options in ({"freedom": -1.0}, {"freedom": float("nan")}, {"descent": -1}):
        with pytest.raises(BadInput, match="0 up"):
            tiny.invert(picture, **options)


def test_what_judges_the_shipped_one_is_in_no_loss():
    backend = steer.load_generator("aviary-biggan", "cpu").backend
    _, features = load_encoder(backend.home)
    assert features != backend.measurer


@pytest.mark.slow
def test_the_shipped_one_redraws_renders_and_comes_closer_with_freedom():
    generator, aviary = steer.load_generator("aviary-biggan", "cpu"), steer.load_generator("aviary", "cpu")
    pictures = aviary.decode(aviary.sample([4_000_000, 4_000_001, 4_000_002]))
    errors = {
        name: torch.tensor([generator.invert(picture, **options).report.error for picture in pictures]).mean()
        for name, options in generator.backend.inversions.items()
    }
    assert errors["dice and offsets"] < errors["dice"] < 0.8 * errors["encoder"]

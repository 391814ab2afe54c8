"""`steer invert`, `doctor` and `measure inversion`: what they make, and what they say about a mistake."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel
from mixture import diffuser
from PIL import Image

from steer import registry
from steer.apps import setting
from steer.apps.session import Session
from steer.generators import reconstruction
from steer.recipe import Recipe


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder to work in, with a photograph in it."""
    monkeypatch.chdir(tmp_path)
    reconstruction.to_images(reconstruction.photographs()[1][None])[0].save("flower.jpg")
    return tmp_path


@pytest.fixture
def mixture(monkeypatch):
    """Let every name stand for a diffusion model whose denoiser is known exactly."""
    generator = diffuser()
    monkeypatch.setattr(registry, "load_generator", lambda name, device="auto": generator)
    return generator


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_an_inverted_photograph_is_rendered_turned_filmed_and_restored(folder, made):
    words = [
        "invert",
        "aviary-biggan",
        "flower.jpg",
        "--option",
        "descent=4",
        "--compare",
        "both.png",
        "--out",
        "f.png",
    ]
    said = made(*words)
    assert "cropped to 427x427 of 640x427 pixels" in said
    assert "on average" in said
    assert pixels("both.png").shape[1] > 2 * pixels("f.png").shape[1]
    made("render", "f.png", "--out", "again.png")
    assert np.array_equal(pixels("f.png"), pixels("again.png"))
    made("strip", "aviary-biggan", "--knob", "hue", "--picture", "f.png", "--columns", "3", "--out", "strip.png")
    assert len(Recipe.load("strip.png").scene.sources) == 1
    made("walk", "aviary-biggan", "--knob", "hue", "--picture", "f.png", "--seconds", "0.1", "--out", "walk.gif")
    session = Session("aviary-biggan")
    session.restore("f.png")
    shown = session.picture().pixels.mul(255).round().byte()[0].permute(1, 2, 0).numpy()
    assert np.array_equal(shown, pixels("f.png"))


def test_the_studio_restores_an_inverted_picture_with_its_anchor(folder, made, mixture, monkeypatch):
    monkeypatch.setattr(setting, "load_generator", lambda name: mixture)
    made("invert", "mixture", "flower.jpg", "--steps", "10", "--out", "f.png")
    session = Session("mixture", available=["mixture"])
    session.restore("f.png")
    assert session.setting.dice.latent.anchor is not None
    assert session.recipe().scene.sources == Recipe.load("f.png").scene.sources
    session.birds(4)  # three more are drawn, so it stands beside them as a plain latent
    assert session.setting.dice.latent.anchor is None


def test_what_is_said_is_also_json(folder, made, mixture):
    record = json.loads(made("invert", "mixture", "flower.jpg", "--steps", "10", "--out", "f.png", "--json"))
    assert record["crop"] == [106, 0, 533, 427]
    assert record["error"] < 0.1
    assert record["details"]["method"] == "anderson"


def test_mistakes_are_said_in_one_line_with_the_cure(folder, run):
    for words, message in (
        (["invert", "aviary", "flower.jpg", "--out", "f.png"], "cannot invert"),
        (["invert", "aviary-biggan", "none.jpg", "--out", "f.png"], "no file"),
        (["invert", "aviary-biggan", "flower.jpg", "--out", "f.txt"], "end its name"),
        (["invert", "aviary-biggan", "flower.jpg", "--out", "flower.jpg"], "different files"),
        (["invert", "aviary-biggan", "flower.jpg", "--out", "f.png", "--option", "fredom=1"], "freedom"),
        (["invert", "aviary-biggan", "flower.jpg", "--out", "f.png", "--option", "descent=many"], "descent"),
        (["invert", "aviary-biggan", "flower.jpg", "--out", "f.png", "--label", "dog"], "owl"),
        (["strip", "aviary-biggan", "--knob", "hue", "--out", "s.png"], "--picture FILE"),
        (["strip", "aviary-biggan", "--knob", "hue", "--picture", "flower.jpg", "--out", "s.png"], "carries no recipe"),
        (["strip", "aviary", "--knob", "hue", "--seeds", "1", "--picture", "flower.jpg", "--out", "s.png"], "--seeds"),
        (["walk", "aviary", "--picture", "flower.jpg", "--out", "w.gif"], "--knob"),
    ):
        code, _, errors = run(*words)
        assert code == 2
        assert message in errors
        assert errors.count("\n") == 1


def test_the_table_of_inversion_is_printed_and_is_json(folder, made, mixture, monkeypatch):
    monkeypatch.setattr(reconstruction, "PICTURES", 1)
    monkeypatch.setattr(reconstruction, "load_generator", None)
    table = made("measure", "inversion", "mixture", "--steps", "10")
    assert "anderson" in table
    assert "comes back bit for bit" in table
    record = json.loads(made("measure", "inversion", "mixture", "--steps", "10", "--json"))
    assert len(record["rows"]) == 4
    assert record["zero_turn_bit_exact"] is True


class TestDoctor:
    @pytest.fixture
    def model(self, folder):
        """Write a tiny model of random weights as diffusers saves it."""
        torch.manual_seed(0)
        down, up = ("DownBlock2D", "DownBlock2D"), ("UpBlock2D", "UpBlock2D")
        shape = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1, "attention_head_dim": 4}
        network = UNet2DModel(sample_size=8, down_block_types=down, up_block_types=up, **shape)
        network.save_pretrained(folder / "model" / "unet")
        DDIMScheduler(num_train_timesteps=100).save_pretrained(folder / "model" / "scheduler")
        return "model"

    def test_a_folder_of_diffusers_is_examined_and_taken_there_and_back(self, model, made):
        said = made("doctor", model, "--steps", "20")
        assert "clip_sample" in said
        assert "There and back" in said
        record = json.loads(made("doctor", model, "--steps", "20", "--json"))
        assert "clip_sample" in {finding["name"] for finding in record["findings"]}
        assert record["round_trip"]["error"] < 0.1

    def test_without_weights_the_configuration_alone_is_examined(self, model, folder, made):
        for path in (folder / "model" / "unet").glob("*.safetensors"):
            path.unlink()
        assert "No picture was taken there and back" in made("doctor", model)

    def test_a_generator_without_noise_levels_is_only_taken_there_and_back(self, made, mixture):
        assert "There and back" in made("doctor", "mixture", "--steps", "10")

    def test_other_folders_are_refused(self, folder, run):
        (folder / "empty").mkdir()
        code, _, errors = run("doctor", "empty")
        assert code == 2
        assert "config.json" in errors


def test_turns_that_a_picture_carries_are_left_out_and_that_is_said(folder, made, run):
    made("sample", "aviary", "--seeds", "3", "--turn", "hue=90", "--bare", "--out", "turned.png")
    code, _, errors = run("strip", "aviary", "--knob", "size", "--picture", "turned.png", "--out", "strip.png")
    assert code == 0 and "the turns in 'turned.png' are left out: hue" in errors
    made("sample", "aviary", "--seeds", "3", "--bare", "--out", "plain.png")
    made("strip", "aviary", "--knob", "size", "--picture", "plain.png", "--out", "strip.png")

"""A diffusion model on the command line: asked in words and drawings, in any number of steps, rendered again."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from tiny_diffusion import SIZE, write_tiny_ddim

import steer
from steer.files import read_tensors
from steer.knob import KnobSet, LinearKnob
from steer.recipe import Recipe

ASKED = ("--prompt", "a red owl", "--guidance", "3", "--steps", "2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder to work in, with a model, a sketch, a photograph and a knob of the bottleneck."""
    monkeypatch.chdir(tmp_path)
    model = steer.load_generator(write_tiny_ddim(tmp_path / "model", levels=4))
    sketch = Image.new("L", (SIZE, SIZE), 255)
    ImageDraw.Draw(sketch).ellipse((3, 3, 12, 12), outline=0)
    sketch.save("sketch.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save("photo.png")
    (tmp_path / "text.png").write_text("text")
    direction = torch.randn(model.spaces["bottleneck"].shape, generator=torch.Generator().manual_seed(0))
    KnobSet({"north": LinearKnob("north", "bottleneck", 5 * direction)}).save("north.safetensors")
    return tmp_path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def rendered_again(made, path):
    made("render", path, "--generator", "model", "--out", f"again-{path}")
    return np.array_equal(pixels(path), pixels(f"again-{path}"))


def test_a_sheet_of_what_was_asked_holds_all_of_it_and_is_rendered_again(folder, made):
    made("sample", "model", "--seeds", "0-2", *ASKED, "--sketch", "sketch.png", "--strength", "0.5", "--out", "s.png")
    recipe = Recipe.load("s.png")
    assert recipe.scene.condition["prompt"] == ["a red owl"] * 3
    assert recipe.scene.condition["guidance"] == ["3.0"] * 3
    assert recipe.scene.condition["strength"] == ["0.5"] * 3
    assert recipe.sampler["steps"] == 2
    (folder / "sketch.png").unlink()  # the recipe holds the sketch itself
    assert rendered_again(made, "s.png")
    made("sample", "model", "--seeds", "0-2", "--out", "plain.png")
    assert not np.array_equal(pixels("s.png"), pixels("plain.png"))


def test_a_large_sketch_is_held_once_for_all_rows(folder, made):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save("rough.png")
    made("sample", "model", "--seeds", "0-9", "--sketch", "rough.png", "--steps", "1", "--out", "s.png")
    assert len(Recipe.load("s.png").scene.condition["sketch"]) == 1
    assert rendered_again(made, "s.png")


def test_prompts_may_be_one_for_each_seed(folder, made):
    made("sample", "model", "--seeds", "0-1", "--prompt", "red owl", "--prompt", "blue wren", "--out", "s.json")
    assert Recipe.load("s.json").scene.condition == {"prompt": ["red owl", "blue wren"]}


def test_pictures_are_measured_with_the_steps_that_were_asked_for(folder, made):
    for steps in ("1", "4"):
        made(
            "sample",
            "model",
            "--seeds",
            "0",
            "--steps",
            steps,
            "--attributes",
            f"{steps}.csv",
            "--latents",
            "z.safetensors",
        )
    assert (folder / "1.csv").read_text() != (folder / "4.csv").read_text()
    assert set(read_tensors("z.safetensors")[0]) >= {"noise", "prompt", "guidance"}


def test_a_strip_of_a_bottleneck_knob_is_rendered_again(folder, made):
    words = ("--knob", "north", "--knobs", "north.safetensors", "--columns", "3", *ASKED)
    made("strip", "model", "--seeds", "0,1", *words, "--layout", "sketch.png", "--out", "strip.png")
    recipe = Recipe.load("strip.png")
    assert (recipe.layout.columns, recipe.sampler["steps"]) == (3, 2)
    assert rendered_again(made, "strip.png")
    pictures = recipe.render(steer.load_generator("model"))
    assert float((pictures[0] - pictures[2]).abs().max()) > 0.01


def test_a_walk_passes_prompts_taking_turns(folder, made):
    film = ("--seconds", "0.4", "--fps", "5", "--steps", "2", "--scale", "1")
    made("walk", "model", "--seeds", "3", "--prompt", "red owl", "--prompt", "blue wren", *film, "--out", "w.gif")
    recipe = Recipe.load("w.gif")
    assert [scene.condition["prompt"] for scene in recipe.walk.scenes] == [["red owl"], ["blue wren"]]
    assert [scene.seeds for scene in recipe.walk.scenes] == [[3], [3]]
    assert recipe.sampler["steps"] == 2
    made("render", "w.gif", "--generator", "model", "--out", "again.gif")
    assert (folder / "w.gif").read_bytes() == (folder / "again.gif").read_bytes()


@pytest.mark.slow
def test_an_inverted_photograph_is_steered_by_the_same_knobs(folder, made):
    said = made(
        "invert", "model", "photo.png", "--steps", "4", "--prompt", "a red owl", "--guidance", "1", "--out", "f.png"
    )
    assert "cropped" in said
    knob = ("--knob", "north", "--knobs", "north.safetensors")
    made("strip", "model", "--picture", "f.png", *knob, "--from", "-1", "--to", "1", "--columns", "3", "--out", "s.png")
    recipe = Recipe.load("s.png")
    (source,) = recipe.scene.sources
    assert source.settings["sampler"]["steps"] == 4
    assert source.settings["condition"] == {"prompt": "a red owl", "guidance": "1.0"}
    pictures = recipe.render(steer.load_generator("model"))
    found = pixels("f.png")
    assert np.array_equal((pictures[1] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8), found)
    assert float((pictures[0] - pictures[2]).abs().max()) > 0.01
    assert rendered_again(made, "s.png")
    made("walk", "model", "--picture", "f.png", *knob, "--seconds", "0.4", "--fps", "5", "--out", "w.gif")


@pytest.mark.slow
def test_a_probe_of_the_bottleneck_gives_a_knob_that_a_scorecard_judges(folder, made):
    words = ("--space", "bottleneck", "--attribute", "brightness", "--option", "samples=100", "--steps", "1")
    found = json.loads(made("find", "probe", "model", *words, "--out", "k.safetensors", "--json"))
    (knob,) = found["knobs"]
    assert (knob["name"], knob["space"], knob["options"]["sampler"]["steps"]) == ("brightness", "bottleneck", 1)
    assert len(knob["scores"]["along_the_way"]["r2"]) == 2  # one step, and the low level below it
    card = made("measure", "knobs", "model", "--knobs", "k.safetensors", "--count", "8", "--steps", "1")
    assert "brightness" in card
    assert "random directions" in card
    made("strip", "model", "--seeds", "0", "--knob", "brightness", "--knobs", "k.safetensors", "--out", "s.png")


def test_unknown_words_are_used_as_far_as_known_and_said_once(folder, run):
    words = ("sample", "model", "--seeds", "0-3", "--prompt", "a majestic owl", "--steps", "1", "--out", "s.png")
    code, out, errors = run(*words)
    assert code == 0
    assert "s.png" in out
    assert errors.count("\n") == 1
    assert errors.startswith("steer: note:")
    assert "majestic" in errors


def test_a_drawing_that_had_to_be_cropped_is_said(folder, run):
    code, _, errors = run("sample", "model", "--seeds", "0", "--sketch", "photo.png", "--steps", "1", "--out", "s.png")
    assert code == 0
    assert "the sketch was cropped to 20x20 of 30x20 pixels" in errors


SEED, SHEET = ("--seeds", "0"), ("--out", "s.png")
MISTAKES = {
    "no steps": (["sample", "model", *SEED, "--steps", "0", *SHEET], ["1 to 4 steps, not 0"]),
    "more steps than levels": (["sample", "model", *SEED, "--steps", "5", *SHEET], ["1 to 4", "not 5"]),
    "empty prompt": (["sample", "model", *SEED, "--prompt", "", *SHEET], ["without words"]),
    "no known word": (["sample", "model", *SEED, "--prompt", "majestic", *SHEET], ["majestic", "owl"]),
    "sketch that is no picture": (["sample", "model", *SEED, "--sketch", "text.png", *SHEET], ["text.png", "PNG"]),
    "sketch that is not there": (["sample", "model", *SEED, "--sketch", "gone.png", *SHEET], ["gone.png"]),
    "two drawings": (
        ["sample", "model", *SEED, "--sketch", "sketch.png", "--layout", "sketch.png", *SHEET],
        ["either sketch or layout"],
    ),
    "strength of nothing": (["sample", "model", *SEED, "--strength", "0.5", *SHEET], ["--sketch"]),
    "guidance of no number": (["sample", "model", *SEED, "--guidance", "nan", *SHEET], ["guidance is a number"]),
    "prompts that do not match": (
        ["sample", "model", "--seeds", "0-2", "--prompt", "owl", "--prompt", "wren", *SHEET],
        ["--prompt", "3 seeds", "not 2"],
    ),
    "label": (["sample", "model", *SEED, "--label", "owl", *SHEET], ["no classes"]),
    "steps of a renderer": (["sample", "aviary", *SEED, "--steps", "8", *SHEET], ["'aviary'", "no choice of steps"]),
    "steps of a renderer's strip": (
        ["strip", "aviary", "--knob", "hue", *SEED, "--steps", "8", *SHEET],
        ["'aviary'", "--columns"],
    ),
    "steps of a renderer's film": (
        ["walk", "aviary", "--knob", "hue", *SEED, "--steps", "8", "--out", "w.gif"],
        ["no choice of steps"],
    ),
    "prompt for a renderer": (["sample", "aviary", *SEED, "--prompt", "owl", *SHEET], ["'aviary'", "--prompt"]),
    "prompt beside a picture": (
        ["strip", "model", "--knob", "north", "--knobs", "north.safetensors", "--picture", "photo.png", *ASKED, *SHEET],
        ["--prompt and --guidance"],
    ),
    "folder of anything": (["sample", ".", *SEED, *SHEET], ["config.json", "model_index.json"]),
    "photograph that is none": (["invert", "model", "text.png", "--out", "f.png"], ["text.png"]),
    "inversion in no steps": (["invert", "model", "photo.png", "--steps", "0", "--out", "f.png"], ["not 0"]),
    "inversion in too many steps": (["invert", "model", "photo.png", "--steps", "9", "--out", "f.png"], ["1 to 4"]),
    "inversion of a GAN in steps": (
        ["invert", "aviary-biggan", "photo.png", "--steps", "9", "--out", "f.png"],
        ["no choice of steps"],
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_with_its_cure_and_leaves_nothing_behind(case, folder, run):
    before = sorted(folder.rglob("*"))
    words, said = MISTAKES[case]
    code, out, errors = run(*words)
    assert (code, out) == (2, "")
    assert errors.count("\n") == 1
    for part in said:
        assert part in errors
    assert sorted(folder.rglob("*")) == before


def test_other_steps_than_those_of_its_inversion_are_refused(folder, run, made):
    made("invert", "model", "photo.png", "--steps", "4", "--out", "f.png")
    knob = ("--knob", "north", "--knobs", "north.safetensors")
    code, _, errors = run("strip", "model", "--picture", "f.png", *knob, "--steps", "2", *SHEET)
    assert code == 2
    assert "inverted in 4 steps" in errors


def test_a_folder_as_diffusers_saves_it_is_a_generator(folder, made):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    unet = UNet2DModel(sample_size=8, block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1, **blocks)
    DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=20)).save_pretrained("ddpm")
    made("sample", "ddpm", "--seeds", "0,1", "--steps", "2", "--out", "s.png")
    assert json.loads(Recipe.load("s.png").json_text())["sampler"]["steps"] == 2

"""The command line: what it makes, and what it says about a mistake."""

import csv
import json
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from PIL import Image

import steer
from steer.files import read_tensors
from steer.generators.aviary.backend import Aviary
from steer.generators.shipped_models import SHIPPED
from steer.knob import KnobSet, LinearKnob, Provenance
from steer.pictures import as_png_text, to_images
from steer.recipe import Recipe


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


# --- what it makes ---------------------------------------------------------------------------------------------------


def test_a_training_lists_its_options(made) -> None:  # type: ignore[no-untyped-def]
    listed = made("train", "ddim", "--out", "m", "--option", "list")
    assert "own_share" in listed
    assert "0.5" in listed


def test_a_sheet_carries_its_recipe_and_is_rendered_again_bit_for_bit(folder, made):
    made("sample", "aviary", "--seeds", "1,4-6", "--label", "owl", "--turn", "heading=90", "--out", "sheet.png")
    recipe = Recipe.load("sheet.png")
    assert recipe.scene.seeds == [1, 4, 5, 6]
    assert recipe.scene.condition == {"label": ["owl"] * 4}
    made("render", "sheet.png", "--out", "again.png")
    assert np.array_equal(pixels("sheet.png"), pixels("again.png"))


def test_a_recipe_file_renders_the_same_picture(folder, made):
    words = ["sample", "aviary", "--seeds", "3", "--turn", "size=1.5", "--bare", "--out"]
    made(*words, "bird.json")
    made(*words, "bird.png")
    made("render", "bird.json", "--out", "again.png")
    assert pixels("bird.png").shape == (64, 64, 3)
    assert np.array_equal(pixels("bird.png"), pixels("again.png"))


def test_latents_and_attributes_stand_in_files_for_research(folder, made, monkeypatch):
    monkeypatch.setattr(Aviary, "measurer", "picture")
    made(
        "sample",
        "aviary",
        "--seeds",
        "2,7",
        "--truncation",
        "0.5",
        "--latents",
        "z.safetensors",
        "--attributes",
        "a.csv",
    )
    tensors, header = read_tensors("z.safetensors")
    generator = steer.load_generator("aviary")
    latent = generator.sample([2, 7], truncation=0.5)
    assert torch.equal(tensors["z"], latent["z"])
    assert (header["generator"], header["seeds"], header["truncation"]) == ("aviary", [2, 7], 0.5)
    with open("a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["2", "7"]
    assert [row["label"] for row in rows] == list(latent.condition["label"])
    expected = steer.measure_attributes(generator.decode(latent), generator)["brightness"]
    assert [float(row["brightness"]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-4)


def test_a_strip_has_a_row_a_seed_and_a_column_an_amount(folder, made):
    made(
        "strip",
        "aviary",
        "--knob",
        "size",
        "--seeds",
        "0-1",
        "--columns",
        "3",
        "--from",
        "-1",
        "--to",
        "2",
        "--out",
        "s.png",
    )
    recipe = Recipe.load("s.png")
    assert recipe.scene.seeds == [0, 0, 0, 1, 1, 1]
    assert recipe.scene.turns[0].amount == [-1.0, 0.5, 2.0] * 2
    assert recipe.layout.columns == 3


def test_a_strip_is_of_pictures_turned_otherwise_too(folder, made):
    made(
        *("strip", "aviary", "--knob", "size", "--turn", "hue=120", "--turn", "heading=-30", "--seeds", "0-1"),
        *("--columns", "2", "--out", "s.png"),
    )
    birds = steer.load_generator("aviary")
    knobs = steer.shipped_knobs(birds)
    turns = [(knobs["hue"], 120.0), (knobs["heading"], -30.0), (knobs["size"], list(knobs["size"].range) * 2)]
    expected = birds.decode(birds.sample([0, 0, 1, 1]), steer.Steering(turns))
    assert torch.equal(Recipe.load("s.png").render(), expected)


def test_a_sheet_says_which_seed_each_picture_is_and_keeps_every_pixel(folder, made):
    made("sample", "aviary", "--seeds", "3,7", "--scale", "1", "--out", "numbered.png")
    made("sample", "aviary", "--seeds", "3,7", "--scale", "1", "--no-numbers", "--out", "plain.png")
    numbered, plain = Recipe.load("numbered.png"), Recipe.load("plain.png")
    assert numbered.layout.captions == ("3", "7")
    assert plain.layout.captions == ()
    birds = steer.load_generator("aviary")
    with Image.open("numbered.png") as sheet:
        for place, bird in enumerate(to_images(birds.decode(birds.sample([3, 7])))):
            left = 4 + place * 68
            assert sheet.crop((left, 4, left + 64, 68)).tobytes() == bird.tobytes()


def test_a_knob_sweep_is_filmed_there_and_back(folder, made):
    made(
        *("walk", "aviary", "--knob", "tilt", "--from", "-1", "--to", "1", "--seconds", "0.5", "--fps", "8"),
        *("--seeds", "0", "--loop", "--out", "tilt.gif"),
    )
    with Image.open("tilt.gif") as film:
        assert film.n_frames == 4
    made("render", "tilt.gif", "--out", "again.gif")
    assert (folder / "tilt.gif").read_bytes() == (folder / "again.gif").read_bytes()


def test_a_ring_that_makes_a_whole_turn_closes_without_a_seam(folder, made):
    words = ["walk", "aviary", "--knob", "heading", "--seconds", "0.5", "--fps", "8", "--seeds", "0", "--loop"]
    made(*words, "--out", "turn.json")
    walk = Recipe.load("turn.json").to_walk()
    frames = list(walk.frames())
    headings = [keyframe.turns[0].amounts(1).item() for keyframe in walk.keyframes]
    assert headings[0] == -180
    assert 180 - headings[1] == pytest.approx(360 / len(frames))  # one more step would be where it began


def test_keyframes_pass_seeds_and_classes_taking_turns(folder, made):
    words = [
        "--seeds",
        "1,2,3",
        "--labels",
        "robin,owl",
        "--seconds",
        "0.2",
        "--fps",
        "5",
        "--loop",
        "--out",
        "walk.webp",
    ]
    made("walk", "aviary", *words)
    scenes = Recipe.load("walk.webp").walk.scenes
    assert [scene.seeds for scene in scenes] == [[1], [2], [3]]
    assert [scene.condition["label"] for scene in scenes] == [["robin"], ["owl"], ["robin"]]
    with Image.open("walk.webp") as film:
        assert film.n_frames == 3


def test_lists_have_names_in_json_and_in_tables(made):
    generators = json.loads(made("list", "generators", "--json"))
    assert {"aviary", "aviary-biggan"} <= {entry["name"] for entry in generators}
    finders = json.loads(made("list", "finders", "--json"))
    assert {entry["name"]: entry for entry in finders}["pca"]["options"]["observe"] == "layer:0"
    assert "aviary" in made("list", "generators")
    assert "pca" in made("list", "finders")


def test_shipped_knobs_are_shown_with_unit_and_range(made):
    knobs = {knob["name"]: knob for knob in json.loads(made("knobs", "aviary", "--json"))}
    assert knobs["heading"]["range"] == [-180, 180]
    assert knobs["heading"]["unit"] == "degree"
    assert "heading" in made("knobs", "aviary")


def test_found_knobs_are_saved_and_can_be_turned(folder, made):
    words = [
        "--observe",
        "factors",
        "--space",
        "factors",
        "--option",
        "samples=200",
        "--option",
        "measure_ranges=false",
    ]
    found = json.loads(
        made("find", "pca", "aviary", *words, "--option", "components=2", "--out", "p.safetensors", "--json")
    )
    names = [knob["name"] for knob in found["knobs"]]
    assert len(names) == 2
    assert list(steer.load_knobs("p.safetensors")) == names
    made("sample", "aviary", "--seeds", "0", "--knobs", "p.safetensors", "--turn", f"{names[0]}=0.5", "--out", "s.png")
    assert Recipe.load("s.png").scene.turns[0].knob["name"] == names[0]


def test_version_and_help_come_without_torch_or_gradio_or_numpy():
    code = (
        "import sys\nfrom steer.apps.command_line import main\n"
        "assert main({words}) == 0\n"
        "assert not {{'torch', 'gradio', 'numpy'}} & sys.modules.keys()"
    )
    for words in (["--version"], ["--help"], ["sample", "--help"]):
        done = subprocess.run([sys.executable, "-c", code.format(words=words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "steer" in done.stdout


VERBS = ("list", "sample", "find", "knobs", "strip", "render", "walk", "film", "studio")
GROUPS = ("measure knobs", "measure quality", "train biggan", "train classifier", "train measurer")


@pytest.mark.parametrize("verb", [*VERBS, *GROUPS])
def test_every_verb_explains_itself_with_an_example(verb, made):
    assert f"Example: steer {verb}" in " ".join(made(*verb.split(), "--help").split())


def test_steer_alone_shows_the_verbs(made):
    assert "sample" in made()


# --- what it says about a mistake ------------------------------------------------------------------------------------


def knob_file(path, size=12):
    knob = LinearKnob(path.stem, "z", torch.eye(size)[0], provenance=Provenance("other", "0" * 64))
    KnobSet({path.stem: knob}).save(path)


SHEET = ("--out", "s.png")
MISTAKES = {
    "unknown generator": (["sample", "aviry", "--seeds", "0", *SHEET], ["'aviry'", "did you mean 'aviary'"]),
    "unknown label": (["sample", "aviary", "--seeds", "0", "--label", "robn", *SHEET], ["'robn'", "'robin'"]),
    "unknown knob": (["strip", "aviary", "--knob", "headin", "--seeds", "0", *SHEET], ["'headin'", "'heading'"]),
    "unknown knob to turn": (["sample", "aviary", "--seeds", "0", "--turn", "hu=3", *SHEET], ["'hu'", "'hue'"]),
    "unknown finder": (["find", "pcb", "aviary", "--out", "k.safetensors"], ["'pcb'", "'pca'"]),
    "unknown option of a finder": (
        ["find", "pca", "aviary", "--option", "component=3", "--out", "k.safetensors"],
        ["'component'", "'components'"],
    ),
    "option of another type": (
        ["find", "pca", "aviary", "--option", "components=few", "--out", "k.safetensors"],
        ["'few'", "components"],
    ),
    "unknown list": (["list", "finder"], ["'finder'", "generators, finders, attributes"]),
    "unknown verb": (["smple"], ["smple", "steer --help"]),
    "unknown flag": (["sample", "aviary", "--seed", "0"], ["--seed", "--help"]),
    "missing argument": (["sample"], ["GENERATOR", "steer sample --help"]),
    "missing option": (["sample", "aviary"], ["--seeds"]),
    "seeds of text": (["sample", "aviary", "--seeds", "three", *SHEET], ["'three'", "1,2,5-10"]),
    "seeds below zero": (["sample", "aviary", "--seeds", "-1", *SHEET], ["'-1'"]),
    "seeds that fall": (["sample", "aviary", "--seeds", "5-2", *SHEET], ["5-2"]),
    "truncation of -1": (["sample", "aviary", "--seeds", "0", "--truncation", "-1", *SHEET], ["-1", "at most 1"]),
    "truncation of text": (
        ["sample", "aviary", "--seeds", "0", "--truncation", "low", *SHEET],
        ["--truncation", "number"],
    ),
    "two targets for one knob": (
        ["dial", "aviary", "hue=red", "hue=blue", "--seeds", "0", *SHEET],
        ["'hue'", "both red and blue"],
    ),
    "a target without end": (["dial", "aviary", "size=nan", "--seeds", "0", *SHEET], ["nan", "finite", "height"]),
    "a target picture that is not there": (["dial", "aviary", "hue=gone.png", "--seeds", "0", *SHEET], ["'gone.png'"]),
    "a target that is turned as well": (
        ["dial", "aviary", "hue=red", "--turn", "hue=3", "--seeds", "0", *SHEET],
        ["'hue'", "leave --turn hue=3 out"],
    ),
    "one knob turned twice": (
        ["sample", "aviary", "--seeds", "0", "--turn", "hue=3", "--turn", "hue=4", *SHEET],
        ["'hue'", "both 3 and 4"],
    ),
    "the strip's knob turned as well": (
        ["strip", "aviary", "--knob", "hue", "--turn", "hue=3", "--seeds", "0", *SHEET],
        ["'hue'", "leave --turn hue=3 out"],
    ),
    "the walk's knob turned as well": (
        ["walk", "aviary", "--knob", "hue", "--turn", "hue=3", "--seeds", "0", "--out", "w.gif"],
        ["'hue'", "leave --turn hue=3 out"],
    ),
    "one option twice": (
        ["find", "pca", "aviary", "--option", "components=2", "--option", "components=3", "--out", "k.safetensors"],
        ["'components'", "both 2 and 3"],
    ),
    "no steps": (["sample", "aviary-ddim", "--seeds", "0", "--steps", "0", *SHEET], ["takes 1 to 1000 steps, not 0"]),
    "more steps than levels": (
        ["sample", "aviary-ddim", "--seeds", "0", "--steps", "99999999", *SHEET],
        ["takes 1 to 1000 steps, not 99999999"],
    ),
    "words for what reads none": (
        ["measure", "knobs", "aviary", "--prompt", "a red owl"],
        ["'aviary' cannot be asked for a prompt"],
    ),
    "words and no words": (
        ["measure", "dial", "aviary-ddim", "--prompt", "a red owl", "--unasked"],
        ["--prompt and --unasked", "leave one of them out"],
    ),
    "an open brace": (
        ["sample", "aviary-ddim", "--seeds", "0", "--prompt", "a {red|blue owl", *SHEET],
        ["{this|that}"],
    ),
    "output without a name": (["sample", "aviary", "--seeds", "0", "--out", ""], ["no name", ".png"]),
    "output of a long name": (["sample", "aviary", "--seeds", "0", "--out", 300 * "a" + ".png"], ["too long"]),
    "generator without a name": (["sample", "", "--seeds", "0", *SHEET], ["named ''", "aviary-biggan"]),
    "knob file without a name": (
        ["strip", "aviary", "--knob", "hue", "--knobs", "", "--seeds", "0", *SHEET],
        ["empty"],
    ),
    "training without a name": (["train", "measurer", "--out", ""], ["folder is empty"]),
    "clicks without a person": (["find", "clicks", "aviary", "--out", "k.safetensors"], ["terminal", "ask=FUNCTION"]),
    "weights that are missing": (
        ["sample", "bare", "--seeds", "0", *SHEET],
        ["weights.safetensors", "missing", "again"],
    ),
    "a configuration that is cut short": (["sample", "cut", "--seeds", "0", *SHEET], ["config.json", "make it again"]),
    "turn without an amount": (["sample", "aviary", "--seeds", "0", "--turn", "hue", *SHEET], ["NAME=AMOUNT"]),
    "turn by text": (["sample", "aviary", "--seeds", "0", "--turn", "hue=far", *SHEET], ["NAME=AMOUNT"]),
    "turn by no number": (["sample", "aviary", "--seeds", "0", "--turn", "hue=nan", *SHEET], ["nan", "-180 to 180"]),
    "turn by too much": (["sample", "aviary", "--seeds", "0", "--turn", "hue=1e300", *SHEET], ["1e+300", "180"]),
    "turn to no end": (
        ["strip", "aviary", "--seeds", "0", "--knob", "size", "--to", "inf", *SHEET],
        ["'size' cannot be turned by inf", "-2.5 to 2.5"],
    ),
    "seeds and a picture": (
        ["strip", "aviary", "--knob", "hue", "--seeds", "0", "--picture", "plain.png", *SHEET],
        ["--seeds and --picture", "leave one"],
    ),
    "folder for a picture": (["render", "sub.png", "--out", "again.png"], ["'sub.png' is a folder"]),
    "folder for a knob file": (
        ["sample", "aviary", "--seeds", "0", "--knobs", "empty", "--turn", "hue=1", *SHEET],
        ["'empty' is a folder"],
    ),
    "folder to invert": (["invert", "aviary-biggan", "sub.png", "--out", "i.png"], ["'sub.png' is a folder"]),
    "knob of another shape": (
        ["sample", "aviary", "--seeds", "0", "--knobs", "wide.safetensors", "--turn", "wide=1", "--insist", *SHEET],
        ["(5,)", "(12,)", "another generator"],
    ),
    "walk of no size": (["walk", "aviary", "--seeds", "0,1", "--scale", "0", "--out", "w.gif"], ["at least 1"]),
    "film of no size": (["film", "aviary", "--seeds", "0", "--scale", "0", "--out", "f.gif"], ["at least 1"]),
    "labels that do not match": (
        ["sample", "aviary", "--seeds", "0-2", "--label", "robin,owl", *SHEET],
        ["3 seeds", "not 2"],
    ),
    "no output": (["sample", "aviary", "--seeds", "0"], ["--out"]),
    "unknown suffix": (["sample", "aviary", "--seeds", "0", "--out", "s.bmp"], ["'.bmp'", ".png"]),
    "a picture for a walk": (["walk", "aviary", "--seeds", "0,1", "--out", "w.png"], ["'.png'", ".mp4"]),
    "folder that is not there": (["sample", "aviary", "--seeds", "0", "--out", "no/s.png"], ["'no'", "mkdir -p"]),
    "folder that is a file": (["sample", "aviary", "--seeds", "0", "--out", "text.txt/s.png"], ["text.txt"]),
    "output that is a folder": (["sample", "aviary", "--seeds", "0", "--out", "sub.png"], ["'sub.png' is a folder"]),
    "knob from other weights": (
        ["strip", "aviary", "--knob", "north", "--knobs", "north.safetensors", "--seeds", "0", *SHEET],
        ["'north'", "000000000000", "--insist"],
    ),
    "knob file that is not there": (
        ["strip", "aviary", "--knob", "north", "--knobs", "k.safetensors", "--seeds", "0", *SHEET],
        ["'k.safetensors'"],
    ),
    "knob file that is a picture": (
        ["strip", "aviary", "--knob", "north", "--knobs", "plain.png", "--seeds", "0", *SHEET],
        ["plain.png", "again"],
    ),
    "picture without a recipe": (["render", "plain.png", "--out", "again.png"], ["'plain.png'", "no recipe"]),
    "file that is not there": (["render", "gone.png", "--out", "again.png"], ["'gone.png'"]),
    "text that is no recipe": (["render", "text.json", "--out", "again.png"], ["recipe"]),
    "corrupted weights": (["sample", "broken", "--seeds", "0", *SHEET], ["broken", "again"]),
    "folder without a generator": (["sample", "empty", "--seeds", "0", *SHEET], ["config.json"]),
    "unknown device": (["sample", "aviary", "--seeds", "0", "--device", "toaster", *SHEET], ["toaster", "cpu"]),
    "walk to nowhere": (["walk", "aviary", "--seeds", "0", "--out", "w.gif"], ["at least two"]),
    "amounts without a knob": (["walk", "aviary", "--seeds", "0,1", "--from", "-3", "--out", "w.gif"], ["--knob"]),
    "walk of a year": (["walk", "aviary", "--seeds", "0,1", "--seconds", "3e7", "--out", "w.gif"], ["3600"]),
    "film of a crowd": (["film", "aviary", "--seeds", "0-16", "--out", "f.gif"], ["16", "17"]),
    "film of no time": (["film", "aviary", "--seeds", "0", "--seconds", "0", "--out", "f.gif"], ["50 a second"]),
    "film of one still": (["film", "aviary", "--seeds", "0", "--stills", "1", "--out", "f.png"], ["at least 2"]),
    "steps of what has none": (
        ["film", "aviary", "--seeds", "0", "--steps", "5", "--out", "f.gif"],
        ["'aviary'", "--steps"],
    ),
    "noise of what has none": (
        ["film", "aviary", "--forward", "plain.png", "--out", "f.gif"],
        ["'aviary'", "diffusion"],
    ),
    "a picture that dissolves and is drawn": (
        ["film", "aviary", "--forward", "plain.png", "--label", "owl", "--out", "f.gif"],
        ["--label"],
    ),
    "strip of a million": (
        ["strip", "aviary", "--knob", "hue", "--seeds", "0", "--columns", "1000000", "--out", "s.png"],
        ["200"],
    ),
    "sheet of no end": (["sample", "aviary", "--seeds", "0", "--scale", "1000000", "--out", "s.png"], ["scale"]),
    "probe before the first seed": (
        ["find", "probe", "aviary", "--attribute", "hue", "--option", "seed=-4", "--out", "k.safetensors"],
        ["-4"],
    ),
    "contrast of nothing": (
        ["find", "contrast", "aviary", "--option", "away=0-3", "--out", "k.safetensors"],
        ["told more: towards;", "steer list finders"],
    ),
    "knobs of no file": (["knobs", "nowhere.safetensors"], ["no file 'nowhere.safetensors'"]),
    "walk of no time": (["walk", "aviary", "--seeds", "0,1", "--seconds", "-2", "--out", "w.gif"], ["-2"]),
    "sweep of ages": (
        ["walk", "aviary", "--knob", "hue", "--seeds", "0", "--seconds", "1e12", "--out", "w.gif"],
        ["3600 seconds", "1e+12"],
    ),
    "strip of one column": (
        ["strip", "aviary", "--knob", "hue", "--seeds", "0", "--columns", "1", *SHEET],
        ["2 to 200"],
    ),
    "unknown easing": (
        ["walk", "aviary", "--seeds", "0,1", "--easing", "fast", "--out", "w.gif"],
        ["'fast'", "smooth"],
    ),
    "seeds to count samples": (["measure", "knobs", "aviary", "--seeds", "64"], ["--count 64"]),
    "too few pictures to measure": (["measure", "quality", "aviary", "--count", "3"], ["at least 16"]),
    "photographs without a classifier": (["measure", "quality", "aviary", "--data", "bare"], ["--features"]),
    "training option that is not there": (
        ["train", "measurer", "--out", "m", "--option", "epoch=3"],
        ["'epoch'", "'epochs'"],
    ),
    "data that is not there": (
        ["train", "biggan", "--data", "nowhere", "--steps", "1", "--out", "m"],
        ["'nowhere'", "sub-folder"],
    ),
    "a training of no steps": (["train", "biggan", "--out", "m", "--steps", "0"], ["at least 1 step, not 0"]),
    "a training of no steps by an option": (
        ["train", "ddim", "--out", "m", "--option", "steps=0"],
        ["at least 1 step, not 0"],
    ),
    "training into a file": (["train", "measurer", "--out", "text.txt/m"], ["text.txt/m"]),
    "user without a password": (["studio", "--auth", "me"], ["USER:PASSWORD"]),
    "port out of range": (["studio", "--port", "0"], ["65535"]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_with_its_cure_and_leaves_nothing_behind(case, folder, run):
    knob_file(folder / "north.safetensors")
    knob_file(folder / "wide.safetensors", size=5)
    Image.new("RGB", (8, 8)).save(folder / "plain.png")
    (folder / "text.txt").write_text("text")
    (folder / "text.json").write_text('{"text": 1}')
    for name in ("broken", "empty", "sub.png", "bare", "cut"):
        (folder / name).mkdir()
    shutil.copy(SHIPPED / "aviary-biggan" / "config.json", folder / "bare")
    (folder / "cut" / "config.json").write_text('{"generator": ')
    shutil.copy(folder / "text.txt", folder / "broken" / "weights.safetensors")
    (folder / "broken" / "config.json").write_text('{"generator": "biggan", "schema": 1}')
    before = sorted(folder.rglob("*"))
    words, said = MISTAKES[case]
    code, out, errors = run(*words)
    assert code == 2
    assert out == ""
    assert errors.startswith("steer: ")
    assert errors.count("\n") == 1
    for part in said:
        assert part in errors
    assert sorted(folder.rglob("*")) == before


def test_corrupted_weights_of_a_whole_configuration_are_named(folder, run):
    shutil.copytree(SHIPPED / "aviary-biggan", folder / "model")
    weights = folder / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    code, _, errors = run("sample", "model", "--seeds", "0", *SHEET)
    assert code == 2
    assert "weights.safetensors" in errors
    assert not (folder / "s.png").exists()


READERS = {
    "a sketch": ("sample", "aviary-ddim", "--seeds", "0", "--sketch"),
    "a layout": ("sample", "aviary-ddim", "--seeds", "0", "--layout"),
    "knobs": ("sample", "aviary", "--seeds", "0", "--knobs"),
    "a picture to turn": ("strip", "aviary", "--knob", "hue", "--picture"),
    "a picture to dissolve": ("film", "aviary-ddim", "--forward"),
    "a picture to invert": ("invert", "aviary-biggan"),
    "pictures to match": ("match", "aviary-biggan", "plain.png"),
    "a recipe": ("render",),
}


@pytest.mark.parametrize("what", READERS)
def test_a_file_that_is_not_there_is_missed_before_anything_is_loaded(what, folder, run, monkeypatch):
    monkeypatch.setattr("steer.registry.load_generator", lambda *_: pytest.fail("a generator was loaded"))
    Image.new("RGB", (8, 8)).save(folder / "plain.png")
    code, out, errors = run(*READERS[what], "gone", *SHEET)
    assert (code, out, errors) == (2, "", "steer: there is no file 'gone'\n")
    assert not (folder / "s.png").exists()


def test_a_recipe_of_a_folder_that_is_elsewhere_says_how_to_give_it(folder, run, made):
    shutil.copytree(SHIPPED / "aviary-biggan", folder / "runs" / "mine")
    for out in ("s.json", "s.png"):
        made("sample", "runs/mine", "--seeds", "0", "--out", out)
        code, _, errors = run("render", out, "--out", "again.png")
        assert (code, errors.count("\n")) == (2, 1)
        assert "'mine'" in errors and "--generator FOLDER" in errors
        assert not (folder / "again.png").exists()
    made("render", "s.json", "--generator", "runs/mine", "--out", "again.png")
    assert np.array_equal(pixels("s.png"), pixels("again.png"))


@pytest.mark.parametrize("value", ["steer.generators.gone:load", "steer.generators.biggan:gone"])
def test_an_installation_older_than_its_code_is_said_to_be(value, folder, run, monkeypatch):
    stale = EntryPoint("old", value, "steer.generators")
    monkeypatch.setattr("steer.registry.registered", lambda group: {"old": stale})
    code, _, errors = run("sample", "old", "--seeds", "0", *SHEET)
    assert (code, errors.count("\n")) == (2, 1)
    assert value in errors and "pip install -e ." in errors


def test_one_can_insist_on_a_knob_from_other_weights(folder, made):
    knob_file(folder / "north.safetensors")
    made("sample", "aviary", "--seeds", "0", "--knobs", "north.safetensors", "--turn", "north=1", "--insist", *SHEET)


def test_a_recipe_of_other_weights_is_refused_unless_one_insists(folder, run, made):
    made("sample", "aviary", "--seeds", "0", "--turn", "hue=40", "--out", "r.json")
    recipe = json.loads((folder / "r.json").read_text())
    recipe["fingerprint"] = "f" * 64
    (folder / "r.json").write_text(json.dumps(recipe))
    code, _, errors = run("render", "r.json", *SHEET)
    assert code == 2
    assert "--insist" in errors
    assert not (folder / "s.png").exists()
    made("render", "r.json", "--insist", *SHEET)


def test_stopping_by_the_keyboard_leaves_the_old_file_and_no_other(folder, run, monkeypatch):
    (folder / "s.png").write_text("old")

    def stop(self, path, **options):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", stop)
    code, _, errors = run("sample", "aviary", "--seeds", "0", *SHEET)
    assert code == 130
    assert errors.count("\n") == 1
    assert (folder / "s.png").read_text() == "old"
    assert len(list(folder.iterdir())) == 1


def test_a_defect_shows_where_it_is_and_exits_with_1(folder, run, monkeypatch):
    monkeypatch.setattr(Recipe, "save", lambda *_, **__: 1 / 0)
    code, _, errors = run("sample", "aviary", "--seeds", "0", *SHEET)
    assert code == 1
    assert "ZeroDivisionError" in errors
    assert "defect" in errors.splitlines()[-1]


def test_a_full_disk_is_no_defect(folder, run, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "s.png")

    monkeypatch.setattr(Image.Image, "save", full)
    code, _, errors = run("sample", "aviary", "--seeds", "0", *SHEET)
    assert code == 2
    assert "No space left" in errors
    assert list(folder.iterdir()) == []


def test_the_installed_command_gives_its_exit_code_to_the_shell(folder):
    command = [sys.executable, "-c", "import sys; from steer.apps.command_line import main; sys.exit(main())"]
    done = subprocess.run([*command, "list", "things"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_some_knobs_may_be_scored_alone(folder, made, run):
    told = json.loads(made("measure", "knobs", "aviary", "--knob", "hue", "--knob", "x", "--count", "8", "--json"))
    assert [knob["name"] for knob in told["knobs"]] == ["hue", "x"]
    code, _, errors = run("measure", "knobs", "aviary", "--knob", "hues", "--count", "8")
    assert code == 2 and "did you mean 'hue'?" in errors


@pytest.mark.slow
def test_measured_knobs_follow_the_documented_schema(folder, made):
    told = json.loads(made("measure", "knobs", "aviary", "--count", "8", "--csv", "card.csv", "--json"))
    assert set(told) >= {"generator", "seeds", "knobs", "random_baseline"}
    figures = {"gain", "r2", "leakage", "leakage_mean", "reach", "species_kept"}
    assert set(told["random_baseline"]) >= figures
    assert set(told["knobs"][0]) >= figures | {"name", "attribute", "finder", "unit", "range"}
    assert (folder / "card.csv").read_text().startswith("knob,attribute,figure,of,value,low,high,n\n")


# --- what is worth knowing, and no reason to stop --------------------------------------------------------------------


def test_a_turn_far_beyond_its_measured_range_is_made_and_said_once(folder, run):
    code, _, errors = run("sample", "aviary", "--seeds", "0,1", "--turn", "size=9", *SHEET)
    assert code == 0
    assert errors == (
        "steer: note: size=9 is far beyond -2.5 to 2.5 sigma, where pictures were measured to stay plausible\n"
    )
    code, _, errors = run("strip", "aviary", "--seeds", "0", "--knob", "size", "--from", "0", "--to", "9", *SHEET)
    assert (code, errors.count("\n")) == (0, 1)


def test_a_turn_at_which_numbers_run_over_is_refused_and_never_drawn_black(folder, run):
    for verb in (("sample",), ("film", "--stills", "2")):
        code, _, errors = run(*verb, "aviary-biggan", "--seeds", "0", "--turn", "size=1e30", *SHEET)
        assert code == 2
        assert "turn less far: size from" in errors.splitlines()[-1]
        assert list(folder.iterdir()) == []


def test_a_ring_that_is_turned_further_than_round_and_an_end_of_the_range_are_nothing_to_speak_of(folder, made):
    made("sample", "aviary", "--seeds", "0", "--turn", "hue=400", "--turn", "size=2.5", *SHEET)


@pytest.mark.parametrize(
    "words", [("render", "s.png"), ("strip", "aviary", "--knob", "hue", "--columns", "2", "--picture", "s.png")]
)
def test_a_picture_that_was_edited_is_said_to_be_no_longer_that_of_its_recipe(folder, run, made, words):
    made("sample", "aviary", "--seeds", "0", *SHEET)
    with Image.open("s.png") as image:
        image.load()
        text, changed = as_png_text(image.info["latent_recipe"]), image.copy()
    code, _, errors = run(*words, "--out", "t.png")
    assert (code, errors) == (0, "")
    changed.paste((255, 0, 0), (20, 20, 40, 40))
    changed.save("s.png", pnginfo=text)
    code, _, errors = run(*words, "--out", "t.png")
    assert code == 0
    assert errors.startswith("steer: note: the pixels in 's.png' are not those of its recipe")


def test_long_work_says_now_and_then_how_far_it_is_where_no_bar_can_be_shown(monkeypatch, capsys):
    from steer.apps.commands import writing

    clock = iter([0.0, 29.0, 30.0, 45.0, 60.0])
    monkeypatch.setattr(writing, "monotonic", lambda: next(clock))
    with writing.progress("judging") as report:
        for done in (1, 2, 3, 4):
            report(done, 8)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "steer: judging: 2 of 8, about 90 s left\nsteer: judging: 4 of 8, about 60 s left\n"

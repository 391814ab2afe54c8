"""A recipe rebuilds its pictures bit for bit, wherever it is kept."""

import json

import pytest
import torch
from PIL import Image

import steer
from steer.errors import BadInput, BrokenFile, WrongGenerator
from steer.pictures import to_images


@pytest.fixture(scope="module")
def aviary():
    return steer.load_generator("aviary")


@pytest.fixture
def recipe(aviary):
    knobs = steer.shipped_knobs(aviary)
    latent = aviary.sample([3, 4], condition={"label": ["owl", "duck"]}, truncation=0.8)
    steering = steer.Steering([(knobs["hue"], [60.0, -20.0]), steer.Turn(knobs["size"], 1.5, absolute=True)])
    return steer.Recipe.of(aviary, latent, steering, layout=steer.Layout(columns=2))


@pytest.mark.parametrize("name", ["r.json", "r.png", "r.webp", "r.jpg"])
def test_a_recipe_comes_back_from_every_kind_of_file(recipe, aviary, tmp_path, name):
    recipe.save(tmp_path / name, aviary)
    again = steer.Recipe.load(tmp_path / name)
    assert again == recipe
    assert torch.equal(again.render(), recipe.render(aviary))


def test_a_rendered_picture_has_the_same_bytes(recipe, aviary, tmp_path):
    recipe.save(tmp_path / "one.png", aviary)
    steer.Recipe.load(tmp_path / "one.png").save(tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_bare_picture_is_the_generators_own_pixels(aviary, tmp_path):
    recipe = steer.Recipe.of(aviary, aviary.sample([1]), layout=steer.Layout(bare=True))
    recipe.save(tmp_path / "bird.png")
    with Image.open(tmp_path / "bird.png") as picture:
        assert picture.size == (64, 64)
        assert picture.tobytes() == to_images(recipe.render())[0].tobytes()


def test_what_is_not_a_seeds_own_dice_is_kept_by_value(aviary, tmp_path):
    latent = aviary.sample([1])
    moved = latent.with_values("z", latent["z"] * 0.5 + 0.1)
    recipe = steer.Recipe.of(aviary, moved)
    recipe.save(tmp_path / "r.json")
    assert torch.equal(steer.Recipe.load(tmp_path / "r.json").render(), aviary.decode(moved))


def test_a_recipe_holds_nothing_that_turns_nothing(aviary):
    hue = steer.shipped_knobs(aviary)["hue"]
    recipe = steer.Recipe.of(aviary, aviary.sample([1]), steer.Steering([(hue, 0.0)]))
    assert recipe.scene.turns == []


def test_a_recipe_for_other_weights_is_refused_until_one_insists(recipe, aviary):
    other = recipe.model_copy(update={"fingerprint": "0" * 64})
    with pytest.raises(WrongGenerator, match=r"0000.*insist"):
        other.render(aviary)
    assert torch.equal(other.render(aviary, insist=True), recipe.render(aviary))


def test_a_picture_without_a_recipe_says_so(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    with pytest.raises(BadInput, match="carries no recipe"):
        steer.Recipe.load(tmp_path / "plain.png")


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"generator": "aviary"}', '{"generator": "aviary", "fingerprint": "x"}'],
)
def test_a_text_that_is_no_recipe_is_refused(text):
    with pytest.raises(BrokenFile):
        steer.Recipe.parse(text)


def test_a_newer_schema_is_refused_as_such_whatever_else_it_holds(recipe):
    record = json.loads(recipe.json_text())
    with pytest.raises(BrokenFile, match="newer"):
        steer.Recipe.parse(json.dumps({**record, "schema_version": 99, "tomorrow": 1}))


@pytest.mark.parametrize("place", [(), ("scene",), ("scene", "turns", 0), ("layout",)])
def test_a_field_that_recipes_do_not_have_is_named_and_refused(recipe, place):
    record = json.loads(recipe.json_text())
    part = record
    for step in place:
        part = part[step]
    part["colums"] = 3
    named = ".".join(map(str, (*place, "colums")))
    with pytest.raises(BrokenFile, match=f"it has a field '{named}', which recipes do not have"):
        steer.Recipe.parse(json.dumps(record))


def test_damaged_numbers_are_refused(recipe, aviary):
    record = json.loads(recipe.json_text())
    record["scene"]["turns"][0]["tensors"]["plane"]["data"] = "AAAA"
    with pytest.raises(BrokenFile, match="damaged"):
        steer.Recipe.parse(json.dumps(record)).render(aviary)


def test_nothing_is_left_behind_where_saving_fails(recipe, aviary, tmp_path):
    with pytest.raises(BadInput):
        recipe.save(tmp_path / "nowhere" / "r.png", aviary)
    with pytest.raises(BadInput):
        recipe.save(tmp_path / "r.xyz", aviary)
    assert list(tmp_path.iterdir()) == []


def test_a_walk_is_rebuilt_from_its_video(aviary, tmp_path):
    heading = steer.shipped_knobs(aviary)["heading"]
    walk = steer.Walk.sweep(aviary, heading, aviary.sample([5]), seconds=0.2, fps=20)
    walk.save(tmp_path / "walk.gif")
    again = steer.Recipe.load(tmp_path / "walk.gif").to_walk(aviary)
    for frame, same in zip(walk.frames(), again.frames(), strict=True):
        assert torch.equal(frame, same)
    with pytest.raises(BadInput, match="walk"):
        steer.Recipe.load(tmp_path / "walk.gif").render(aviary)


def test_a_strip_has_a_row_a_seed_and_a_column_an_amount(aviary):
    size = steer.shipped_knobs(aviary)["size"]
    pictures = steer.strip(aviary, size, [1, 2], amounts=[-1.0, 0.0, 1.0]).render()
    assert pictures.shape == (6, 3, 64, 64)
    plain = aviary.decode(aviary.sample([1, 2]))
    torch.testing.assert_close(pictures[[1, 4]], plain)


def test_a_sheet_holds_pictures_that_no_one_scene_can(aviary, tmp_path):
    latents = [aviary.sample([3, 4], truncation=0.5), aviary.sample([3], truncation=1.0)]
    first, second = (steer.Recipe.of(aviary, latent, chunk=1) for latent in latents)
    parts = [(first, [0, 2]), (second, [1])]
    sheet = steer.Recipe.of_sheet(parts, steer.Layout(columns=3))
    sheet.save(tmp_path / "sheet.png", aviary)
    again = steer.Recipe.load(tmp_path / "sheet.png")
    assert again == sheet
    pictures = again.render(aviary)
    for place, latent in enumerate([latents[0].rows([0]), latents[1], latents[0].rows([1])]):
        assert torch.equal(pictures[place], aviary.decode(latent)[0])
    with pytest.raises(BadInput, match="differ in truncation"):
        again.latent(aviary)


def test_parts_of_a_sheet_that_do_not_fit_are_refused(aviary):
    parts = [(steer.Recipe.of(aviary, aviary.sample([seed], truncation=0.5 + seed / 2)), [seed]) for seed in (0, 1)]
    record = json.loads(steer.Recipe.of_sheet(parts).json_text())
    for wrong in ([[0], [0]], [[0], [2]], [[0], []], [[0], [1, 2]]):
        broken = [{**part, "places": places} for part, places in zip(record["parts"], wrong, strict=True)]
        with pytest.raises(BrokenFile, match="do not fit together"):
            steer.Recipe.parse(json.dumps({**record, "parts": broken}))
    with pytest.raises(BrokenFile, match="either a scene"):
        steer.Recipe.parse(json.dumps({**record, "scene": record["parts"][0]["scene"]}))

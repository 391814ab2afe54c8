"""What a grid promises: every cell is a setting of its own, and the sheet can be had again."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_diffusion import write_tiny_ddim

from steer.apps.gridding import MOST_CELLS, dimensions, lay, read_numbers, read_windows
from steer.apps.regridding import axes_of
from steer.apps.restoring import restored
from steer.apps.session import Session
from steer.apps.setting import Setting
from steer.errors import BadInput, UnknownName
from steer.generators.aviary.factors import FACTORS
from steer.knob import Window
from steer.recipe import Recipe
from steer.sampler import Sampler


@pytest.fixture
def setting() -> Setting:
    session = Session("aviary")
    session.turn("size", 1.0)
    return session.setting


@pytest.fixture
def layered() -> Setting:
    """Return a setting of a generator whose knobs act in several stages."""
    session = Session("aviary-biggan")
    session.turn("size", 1.0)
    return session.setting


def factor(cell: Setting, name: str) -> float:
    """Return a true factor of the bird that a cell shows."""
    values = cell.generator.observe(cell.dice.latent, "factors", cell.steering)
    return float(dict(zip(FACTORS, values.unbind(1), strict=True))[name][0])


def test_cells_run_across_then_down_then_sheet_by_sheet(setting: Setting) -> None:
    grid = lay(setting, [("hue", "0, 90"), ("seed", "3,7"), ("class", "owl, robin")])
    assert [grid.labels(place) for place in (0, 1, 2, 4)] == [
        {"hue": "0°", "seed": "3", "class": "owl"},
        {"hue": "+90°", "seed": "3", "class": "owl"},
        {"hue": "0°", "seed": "7", "class": "owl"},
        {"hue": "0°", "seed": "3", "class": "robin"},
    ]
    cell = grid.cells[7]
    assert (cell.amounts, cell.dice.seeds[0], cell.dice.label) == ({"size": 1.0, "hue": 90.0}, 7, "robin")


def test_a_knob_along_an_axis_turns_its_factor_and_nothing_else(setting: Setting) -> None:
    cells = lay(setting, [("hue", "-30 to 30 in 3")]).cells
    hues = [factor(cell, "hue") for cell in cells]
    assert [(hue - hues[1] + 180) % 360 - 180 for hue in hues] == pytest.approx([-30, 0, 30], abs=0.01)
    assert len({round(factor(cell, "size"), 5) for cell in cells}) == 1


def test_the_sheet_is_made_again_bit_for_bit_from_its_recipe(setting: Setting, tmp_path: Path) -> None:
    grid = lay(setting, [("hue", "0, 90, 180"), ("seed", "3,7")])
    drawn = torch.cat(list(grid.draw(lambda done, total: None)))
    assert grid.recipe.render().equal(drawn)
    assert grid.layout.columns == 3


def test_a_cell_by_itself_has_the_bits_it_has_in_the_sheet(setting: Setting) -> None:
    grid = lay(setting, [("hue", "0, 90, 180"), ("seed", "3,7")])
    (alone,) = grid.cells[4].recipe.render()
    assert alone.equal(grid.recipe.render()[4])


def test_a_sheet_over_truncations_and_windows_carries_a_recipe_that_makes_and_restores_it(
    layered: Setting, tmp_path: Path
) -> None:
    grid = lay(layered, [("truncation", "0.5, 1"), ("window", "0 to 0.5, 0 to 1"), ("seed", "3,7")])
    path = tmp_path / "grid.png"
    grid.recipe.save(path, layered.generator)
    again = Recipe.load(path)
    assert again.render().equal(torch.cat(list(grid.draw(lambda done, total: None))))
    session = Session("aviary-biggan")
    assert session.restore(path) == "This file holds 8 pictures; here is the first."
    restored, first = session.setting, grid.cells[0]
    assert (restored.dice.truncation, restored.dice.seeds[0]) == (0.5, 3)
    assert (restored.amounts, restored.windows) == (first.amounts, {"size": Window(0, 0.5)})
    assert session.picture().pixels.equal(again.render()[:1])


def test_a_window_confines_the_turned_knobs_whichever_axis_turns_them(layered: Setting) -> None:
    for axes in (["window", "0.5 to 1"], ["hue", "0, 90"]), (["hue", "0, 90"], ["window", "0.5 to 1"]):
        cells = lay(layered, [(name, text) for name, text in axes]).cells
        assert [cell.windows for cell in cells] == [
            {"size": Window(0.5, 1)},
            {"size": Window(0.5, 1), "hue": Window(0.5, 1)},
        ]
    with pytest.raises(BadInput, match="turn a knob on Turn first"):
        lay(Session("aviary-biggan").setting, [("window", "0 to 1")])


def test_windows_are_written_one_by_one_or_cut_evenly() -> None:
    assert read_windows("0 to 1 in 4")[1] == Window(0.25, 0.5)
    for text in ("", "0", "0.5 to 0.5", "0 to 2", "1 to 0", "0 to 0.5,", "0 to 1 in 0"):
        with pytest.raises(BadInput):
            read_windows(text)


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Return a session of a small diffusion model, which reads words and takes steps."""
    return Session(str(write_tiny_ddim(tmp_path_factory.mktemp("models") / "tiny", levels=60)))


def test_captions_and_steps_along_axes_are_what_the_generator_is_asked_for(drawing: Session) -> None:
    grid = lay(drawing.setting, [("steps", "2, 5"), ("caption", "a red owl; a blue wren")])
    assert [grid.labels(place) for place in (0, 3)] == [
        {"steps": "2", "caption": "a red owl"},
        {"steps": "5", "caption": "a blue wren"},
    ]
    generator = drawing.setting.generator
    drawn = list(grid.draw(lambda done, total: None))
    for picture, (caption, steps) in zip(
        drawn, [("a red owl", 2), ("a red owl", 5), ("a blue wren", 2), ("a blue wren", 5)], strict=True
    ):
        latent = generator.sample([0], condition={"prompt": caption}, truncation=drawing.setting.dice.truncation)
        with torch.no_grad():
            assert picture.equal(generator.decode(latent, sampler=Sampler(steps)))
    assert len({picture.numpy().tobytes() for picture in drawn}) == 4


def test_a_sheet_over_captions_and_steps_is_made_again_and_a_cell_goes_on_as_it_is(
    drawing: Session, tmp_path: Path
) -> None:
    grid = lay(drawing.setting, [("steps", "2, 5"), ("caption", "a red owl; a blue wren")])
    drawn = torch.cat(list(grid.draw(lambda done, total: None)))
    assert Recipe.parse(grid.recipe.json_text()).render(drawing.setting.generator).equal(drawn)
    drawing.adopt(grid.cells[3])
    assert (drawing.setting.dice.caption, drawing.setting.dice.steps) == ("a blue wren", 5)
    assert drawing.picture().pixels.equal(drawn[3:])
    recipe = drawing.recipe()
    drawing.caption("")
    drawing.restore(recipe)
    assert (drawing.setting.dice.caption, drawing.setting.dice.steps) == ("a blue wren", 5)
    assert drawing.picture().pixels.equal(drawn[3:])


def test_the_table_says_window_caption_and_steps(drawing: Session, layered: Setting) -> None:
    windows = lay(layered, [("window", "0 to 0.5, 0 to 1")])
    said = [record["window"] for record in windows.measure(torch.cat(list(windows.draw(lambda done, total: None))))]
    assert said == ["0 to 0.5", "0 to 1"]
    grid = lay(drawing.setting, [("steps", "2, 5"), ("caption", "a red owl")])
    records = grid.measure(torch.cat(list(grid.draw(lambda done, total: None))))
    assert [(record["steps"], record["caption"]) for record in records] == [(2, "a red owl"), (5, "a red owl")]


@pytest.mark.parametrize(
    ("axis", "text", "words"),
    [
        ("caption", "a red owl;", "apart by semicolons"),
        ("caption", "zebra", "zebra"),
        ("steps", "2.5", "whole numbers"),
        ("steps", "0", "1 to 1000 steps"),
    ],
)
def test_captions_and_steps_that_cannot_be_are_refused(drawing: Session, axis: str, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        _ = lay(drawing.setting, [(axis, text)]).recipe


def test_the_table_has_a_row_for_each_cell_with_what_was_asked_and_measured(setting: Setting, tmp_path: Path) -> None:
    grid = lay(setting, [("hue", "0, 90"), ("class", "owl, robin")])
    grid.save_csv(grid.recipe.render(), tmp_path / "grid.csv")
    with (tmp_path / "grid.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["hue"], row["class"]) for row in rows] == [
        ("0.0", "owl"),
        ("90.0", "owl"),
        ("0.0", "robin"),
        ("90.0", "robin"),
    ]
    assert [row["measured species"] for row in rows] == ["owl", "owl", "robin", "robin"]
    turned = (float(rows[1]["measured hue"]) - float(rows[0]["measured hue"])) % 360
    assert turned == pytest.approx(90, abs=15)


@pytest.mark.parametrize("text", ["", "a", "1,,2", "1 to 2", "1 to 2 in 1", "1 to 2 in 99999", "1..2"])
def test_numbers_written_in_another_way_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_numbers(text)


def test_a_grid_that_cannot_be_is_refused_with_what_there_is(setting: Setting) -> None:
    with pytest.raises(UnknownName, match="hue"):
        lay(setting, [("colour", "1")])
    with pytest.raises(UnknownName, match="robin"):
        lay(setting, [("class", "dodo")])
    with pytest.raises(BadInput, match="one to three axes"):
        lay(setting, [("hue", "1"), ("hue", "2")])
    with pytest.raises(BadInput, match=f"up to {MOST_CELLS} cells"):
        _ = lay(setting, [("seed", "0-99"), ("hue", "1,2,3")]).cells


def test_every_dimension_begins_with_values_that_it_can_read(setting: Setting) -> None:
    for dimension in dimensions(setting).values():
        assert len(dimension.read(dimension.usual)) == 5


@pytest.mark.parametrize(
    "axes",
    [
        [("hue", "0.0, 90.0, 180.0"), ("seed", "3, 7")],
        [("seed", "1, 2"), ("size", "-1.0, 0.0, 1.5"), ("class", "owl, robin")],
        [("truncation", "0.5, 1"), ("class", "owl, robin, wren")],
        [("seed", "4, 5, 6")],
    ],
)
def test_the_axes_of_a_sheet_are_read_from_its_recipe(setting: Setting, axes: list[tuple[str, str]]) -> None:
    recipe = lay(setting, axes).recipe
    assert axes_of(recipe, restored(recipe, setting.dice.model)[0]) == axes


def test_a_sheet_that_is_no_grid_has_no_axes(setting: Setting) -> None:
    recipe = replace(setting, dice=replace(setting.dice, birds=4)).recipe
    assert axes_of(recipe, restored(recipe, setting.dice.model)[0]) == []

"""What a grid promises: every cell is a setting of its own, and the sheet can be had again."""

import csv
from pathlib import Path

import pytest
import torch

from steer.apps.gridding import MOST_CELLS, dimensions, lay, read_numbers
from steer.apps.session import Session
from steer.apps.setting import Setting
from steer.errors import BadInput, UnknownName
from steer.generators.aviary.factors import FACTORS


@pytest.fixture
def setting() -> Setting:
    session = Session("aviary")
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


def test_a_recipe_of_several_truncations_is_refused(setting: Setting) -> None:
    with pytest.raises(BadInput, match="truncation once"):
        _ = lay(setting, [("truncation", "0.5, 1")]).recipe


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

"""The tab Grid as a person meets it: every test looks at pixels or values."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import PATIENCE, choose, page_of, pictures, wait_until
from PIL import Image

import steer
from steer.apps.gridding import lay
from steer.apps.session import Session
from steer.pictures import to_images, to_pictures

pytestmark = pytest.mark.browser

GENERATOR = "aviary"
AXES = [("hue", "0, 90, 180"), ("seed", "3,7")]


@pytest.fixture
def page(window: Any, studio: str) -> Iterator[Any]:
    with page_of(window, studio, "Grid") as page:
        yield page


def unfold(page: Any, what: Any) -> None:
    """Open a list, once the one before is gone: it takes a moment to fade."""
    wait_until(page, lambda: not page.get_by_role("option").count(), "the list before to close")
    what.click()


def draw(page: Any, axes: list[tuple[str, str]]) -> None:
    for place, (name, values) in enumerate(axes):
        what, box = page.locator(f"#axis-{place} input"), page.locator(f"#axis-{place} textarea")
        wait_until(page, lambda what=what: what.input_value(), "the axes")
        if what.input_value() != name:
            was = box.input_value() if box.is_visible() else ""
            unfold(page, what)
            page.get_by_role("option", name=name, exact=True).click()
            wait_until(page, lambda box=box, was=was: box.is_visible() and box.input_value() != was, "usual values")
        box.fill(values)
    page.locator("#grid-draw").click()
    page.locator("#grid-png").wait_for()


def offers(page: Any, name: str) -> int:
    """Return whether something may be varied, as the last axis shows it now."""
    what = page.locator("#axis-2 input")
    unfold(page, what)
    there = page.get_by_role("option", name=name, exact=True).count()
    what.blur()
    return int(there)


def save(page: Any, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(button).click()
    download.value.save_as(folder / download.value.suggested_filename)
    return folder / download.value.suggested_filename


def expected(axes: list[tuple[str, str]]) -> torch.Tensor:
    cells = lay(Session(GENERATOR).setting, axes).draw(lambda done, total: None)
    return to_pictures(to_images(torch.cat(list(cells))))


def test_three_axes_are_drawn_cell_by_cell_and_sheet_by_sheet(page: Any) -> None:
    axes = [*AXES, ("class", "owl, robin")]
    draw(page, axes)
    assert torch.cat(pictures(page, "#grid-view")).equal(expected(axes))
    heads = page.locator("#grid-view [role=columnheader], #grid-view [role=rowheader], #grid-view h3")
    said = ["class owl", "0°", "+90°", "+180°", "3", "7", "class robin", "0°", "+90°", "+180°", "3", "7"]
    assert heads.all_inner_texts() == said


def test_a_click_on_a_cell_loads_it_into_turn(page: Any) -> None:
    draw(page, AXES)
    cell = pictures(page, "#grid-view")[4]
    page.locator("#grid-view button").nth(4).click()
    wait_until(page, lambda: pictures(page, "#picture")[0].equal(cell), "the cell on Turn")
    assert page.locator("#seed input").input_value() == "7"
    assert float(page.get_by_label("hue, amount", exact=True).input_value()) == 90


def test_measurements_of_every_cell_are_saved_as_a_table(page: Any, tmp_path: Path) -> None:
    draw(page, [("hue", "0, 90"), ("class", "owl, robin")])
    with save(page, "#grid-csv", tmp_path).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["hue"], row["measured species"]) for row in rows] == [
        ("0.0", "owl"),
        ("90.0", "owl"),
        ("0.0", "robin"),
        ("90.0", "robin"),
    ]


def test_the_sheet_is_saved_with_the_recipe_that_makes_it_again(page: Any, tmp_path: Path) -> None:
    draw(page, AXES)
    path = save(page, "#grid-png", tmp_path)
    recipe = steer.Recipe.load(path)
    assert to_pictures(to_images(recipe.render())).equal(torch.cat(pictures(page, "#grid-view")))
    assert to_pictures([recipe.image()]).equal(to_pictures([Image.open(path)]))


def test_a_sheet_over_truncations_and_windows_is_saved_and_opened_again(page: Any, tmp_path: Path) -> None:
    choose(page, "#generator", "aviary-biggan")
    wait_until(page, lambda: offers(page, "window"), "the other generator's axes")
    draw(page, [("size", "-1, 2"), ("window", "0 to 0.5, 0 to 1"), ("truncation", "0.5, 1")])
    shown = torch.cat(pictures(page, "#grid-view"))
    assert len({picture.numpy().tobytes() for picture in shown}) == 8
    path = save(page, "#grid-png", tmp_path)
    assert to_pictures(to_images(steer.Recipe.load(path).render())).equal(shown)
    with save(page, "#grid-csv", tmp_path).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["size"], row["window"], row["truncation"]) for row in rows[1:3]] == [
        ("2.0", "0 to 0.5", "0.5"),
        ("-1.0", "0 to 1", "0.5"),
    ]

    page.locator("#grid-view button").nth(5).click()
    wait_until(page, lambda: pictures(page, "#picture")[0].equal(shown[5:6]), "the cell on Turn")
    page.locator("#masthead input[type=file]").set_input_files(path)
    wait_until(page, lambda: pictures(page, "#picture")[0].equal(shown[:1]), "the first cell on Turn")
    page.get_by_text("This file holds 8 pictures").wait_for()
    assert float(page.get_by_label("size, amount", exact=True).input_value()) == -1
    assert page.locator("#truncation input[type=number]").input_value() == "0.5"
    names = [page.locator(f"#axis-{place} input").input_value() for place in range(3)]
    written = [page.locator(f"#axis-{place} textarea").input_value() for place in range(3)]
    assert names == ["size", "window", "truncation"]
    assert written == ["-1.0, 2.0", "0 to 0.5, 0 to 1", "0.5, 1"]


def test_a_cell_with_a_caption_and_steps_of_its_own_is_loaded_with_both(page: Any) -> None:
    choose(page, "#generator", "aviary-ddim")
    wait_until(page, lambda: offers(page, "caption"), "the axes of a generator that is loaded only now", 5 * PATIENCE)
    draw(page, [("steps", "1, 2"), ("caption", "a red owl; a blue wren")])
    cell = pictures(page, "#grid-view")[3]
    page.locator("#grid-view button").nth(3).click()
    page.locator("#caption textarea").wait_for()
    wait_until(page, lambda: page.locator("#caption textarea").input_value() == "a blue wren", "the caption on Turn")
    assert page.locator("#steps input").input_value() == "2"
    wait_until(page, lambda: pictures(page, "#picture")[0].equal(cell), "the cell on Turn")


def test_values_that_cannot_be_read_are_refused_in_plain_words(page: Any) -> None:
    page.locator("#axis-0 textarea").fill("red")
    page.locator("#grid-draw").click()
    message = page.get_by_test_id("toast-body")
    message.wait_for()
    assert "values are numbers apart by commas" in message.inner_text()

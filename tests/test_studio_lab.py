"""The tab Lab as a person meets it: every test looks at pixels or values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import held, page_of, pictures, wait_until

import steer
from steer.apps.filming import reverse
from steer.apps.session import Session
from steer.pictures import to_images, to_pictures
from steer.recipe import Recipe

pytestmark = pytest.mark.browser

GENERATOR = "aviary"


@pytest.fixture
def page(window: Any, studio: str) -> Iterator[Any]:
    with page_of(window, studio, "Lab") as page:
        yield page


def choose(page: Any, where: str, number: str) -> None:
    box = page.locator(f"{where} input")
    box.fill(number)
    box.press("Enter")


def learn(page: Any, beta: str, rate: str) -> None:
    choose(page, "#lab-beta", beta)
    choose(page, "#lab-rate", rate)
    page.locator("#lab-target label").nth(1).click()
    page.locator("#lab-start").click()


def course(page: Any) -> dict[str, str]:
    found = page.locator("#lab-view .course")
    return dict(found.evaluate("each => ({...each.dataset})")) if found.count() else {}


def test_a_film_shows_every_moment_and_is_saved_with_its_recipe(page: Any, tmp_path: Path) -> None:
    page.locator("#film-reverse").click()
    page.locator("#film-save").wait_for()
    moments = list(reverse(Session(GENERATOR).setting, 30).process.moments())
    wanted = to_pictures(to_images(torch.cat([moment.picture for moment in moments])))
    assert torch.cat(pictures(page, "#film-view")).equal(wanted)
    slider = page.get_by_label("moment of the film")
    slider.focus()
    slider.press("Home")
    assert page.locator("#film-view .moment:visible").get_attribute("data-name") == moments[0].name
    with page.expect_download() as download:
        page.locator("#film-save").click()
    download.value.save_as(tmp_path / "film.webp")
    film = Recipe.load(tmp_path / "film.webp").to_film(steer.load_generator(GENERATOR))
    assert torch.equal(list(film.process.moments())[-1].picture, moments[-1].picture)


def test_a_high_rate_diverges_before_the_eyes_and_says_so(page: Any) -> None:
    learn(page, "0.03", "3")
    wait_until(page, lambda: course(page).get("diverged") == "true", "divergence")
    assert "diverged" in page.locator("#lab-view [role=alert]").inner_text()


def test_learning_lowers_the_loss_before_the_eyes(page: Any, gate: Path) -> None:
    with held(gate):
        learn(page, "0.03", "0.2")
        wait_until(page, lambda: "average" in course(page), "the first picture")
        first = float(course(page)["average"])
    wait_until(page, lambda: float(course(page)["average"]) < 0.7 * first, "a lower loss")


def test_learning_can_be_stopped_and_what_was_learnt_stays(page: Any, gate: Path) -> None:
    with held(gate):
        learn(page, "0.03", "0.2")
        wait_until(page, lambda: int(course(page).get("step", "0")) > 0, "the first steps")
        page.locator("#learn-cancel").click()
        page.locator("#learn-cancel").wait_for(state="hidden")
    assert 0 < int(course(page)["step"]) < 600


def test_a_number_that_is_none_is_said_in_plain_words(page: Any) -> None:
    learn(page, "much", "0.2")
    wait_until(page, lambda: "'much'" in page.locator("body").inner_text(), "the mistake")
    assert course(page) == {}


def test_two_people_teach_each_their_own_denoiser(page: Any, window: Any, studio: str) -> None:
    with page_of(window, studio, "Lab") as other:
        learn(page, "0.03", "3")
        wait_until(page, lambda: course(page).get("diverged") == "true", "divergence")
        assert course(other) == {}
        learn(other, "0.0001", "0.2")
        wait_until(other, lambda: int(course(other).get("step", "0")) >= 10, "ten steps")
        assert course(other)["diverged"] == "false"
        assert course(page)["diverged"] == "true"

"""Contrast: whatever the two sides are given by, the knob leads from one to the other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from known_world import Truth, affine, undrawn_aviary
from tiny_diffusion import tiny_ddim

import steer
from steer.directions.contrast import Contrast, read_side
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.generators.ddim import DDIM
from steer.knob import LinearKnob
from steer.pictures import save_picture, sheet
from steer.registry import load_measurer, shipped_knobs
from steer.testing import check_finder


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def gan() -> Generator:
    return steer.load_generator("aviary-biggan", "cpu")


@pytest.fixture(scope="module")
def wordy() -> Generator:
    return tiny_ddim(low_levels=0)


def split_by_size(birds: Generator, each: int, first: int = 0) -> tuple[list[int], list[int]]:
    """Return the seeds of as many large and small birds."""
    seeds = range(first, first + 2 * each)
    sizes = Truth().measure(birds.decode(birds.sample(seeds)))["size"]
    order = sizes.argsort(descending=True).tolist()
    return [seeds[row] for row in order[:each]], [seeds[row] for row in order[each:]]


def direction(knob: steer.Knob) -> torch.Tensor:
    assert isinstance(knob, LinearKnob)
    return knob.direction.flatten().double()


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(first @ second / first.norm() / second.norm())


def test_seeds_of_large_and_small_birds_give_the_die_that_makes_them_large(birds: Generator) -> None:
    true = direction(shipped_knobs(birds)["size"])
    found, plain = [], []
    for first in range(0, 3_000, 500):
        large, small = split_by_size(birds, 60, first)
        knob = Contrast(large, small, measure_ranges=False).find(birds)["contrast"]
        found.append(cosine(direction(knob), true))
        means = birds.sample(large)["z"].mean(0) - birds.sample(small)["z"].mean(0)
        plain.append(cosine(means.double(), true))
    assert np.mean(found) > 0.96
    assert np.mean(found) > np.mean(plain), "whitening brings it nearer to the truth"
    assert float(direction(knob).norm()) == pytest.approx(1)


def test_it_says_how_well_the_sides_are_told_apart_and_how_sure_the_direction_is(birds: Generator) -> None:
    large, small = split_by_size(birds, 100)
    apart = Contrast(large, small, measure_ranges=False).find(birds)["contrast"].provenance.scores
    alike = Contrast(range(0, 100), range(100, 200), measure_ranges=False).find(birds)["contrast"].provenance.scores  # type: ignore[arg-type]
    assert apart["accuracy"] > 0.85
    assert 0.35 < alike["accuracy"] < 0.65
    assert apart["commonest"] == alike["commonest"] == 0.5
    few = Contrast(large[:15], small[-15:], measure_ranges=False).find(birds)["contrast"].provenance.scores
    assert apart["angle_90"][1] < few["angle_90"][1]
    assert apart["angle_90"][0] < apart["angle_90"][1] < alike["angle_90"][1]


def test_between_two_single_pictures_one_whole_turn_leads_from_one_to_the_other(gan: Generator, tmp_path: Path) -> None:
    files = []
    for index, seed in enumerate((3, 8)):
        files.append(str(tmp_path / f"{index}.png"))
        pictures = gan.decode(gan.sample([seed], condition={"label": "owl"}))
        save_picture(sheet(pictures, scale=1, gap=0), files[-1])
    options = {"inversion": "encoder", "condition": {"label": "owl"}, "measure_ranges": False}
    knob = Contrast(files[:1], files[1:], **options).find(gan)["contrast"]
    assert (knob.unit, knob.space) == ("absolute", "z")
    towards, away = (gan.invert(file, condition={"label": "owl"}, descent=0).latent for file in files)
    turned = gan.decode(away, steer.Steering([(knob, 1.0)]))
    torch.testing.assert_close(turned, gan.decode(towards), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_pictures_of_large_and_small_birds_give_a_knob_for_size(gan: Generator, tmp_path: Path) -> None:
    aviary = steer.load_generator("aviary", "cpu")
    size = steer.shipped_knobs(aviary)["size"]
    latent = aviary.sample(range(6), condition={"label": "owl"})
    for name, amount in (("large", 1.5), ("small", -1.5)):
        (tmp_path / name).mkdir()
        turned = aviary.decode(latent, steer.Steering([steer.Turn(size, amount, absolute=True)]))
        for row, picture in enumerate(turned):
            save_picture(sheet(picture[None], scale=1, gap=0), tmp_path / name / f"{row}.png")
    options = {"condition": {"label": "owl"}, "measure_ranges": False}
    found = Contrast(str(tmp_path / "large"), str(tmp_path / "small"), **options).find(gan)
    assert found["contrast"].provenance.scores["towards"] == 6
    seen, judge = gan.sample(range(500, 516)), load_measurer("aviary-judge")
    sizes = [
        judge.measure(gan.decode(seen, steer.Steering([(found["contrast"], amount)])))["size"] for amount in (-2.0, 2.0)
    ]
    spread = judge.attributes["size"].spread
    assert float((sizes[1] - sizes[0]).median()) > 1.5 * spread


def test_two_phrases_give_the_difference_of_what_they_mean(wordy: Generator) -> None:
    assert isinstance(wordy.backend, DDIM)
    knob = Contrast("a red owl", "a blue owl", measure_ranges=False).find(wordy)["contrast"]
    by_hand = wordy.backend.phrase_knob("a red owl", "a blue owl")
    assert (knob.space, knob.unit) == ("prompt", "absolute")
    assert torch.equal(knob.direction, by_hand.direction)  # type: ignore[attr-defined]


def test_two_classes_give_the_difference_of_their_embeddings_and_directions_further_in(gan: Generator) -> None:
    knob = Contrast("owl", "duck", measure_ranges=False).find(gan)["contrast"]
    latents = [gan.sample([5], condition={"label": label})["class"][0] for label in ("owl", "duck")]
    assert knob.space == "class"
    torch.testing.assert_close(direction(knob).float(), latents[0] - latents[1])
    inner = Contrast("owl", "duck", space="layer:1", samples=16, measure_ranges=False).find(gan)["contrast"]
    assert inner.unit == "sigma"
    assert inner.provenance.scores["accuracy"] > 0.8


def test_a_side_is_understood_by_what_it_is(gan: Generator, tmp_path: Path) -> None:
    assert read_side("1,5-7", gan).seeds == (1, 5, 6, 7)
    assert read_side([4, 2], gan).seeds == (4, 2)
    (tmp_path / "seeds.txt").write_text("1, 5-7\n9\n", encoding="utf-8")
    assert read_side(str(tmp_path / "seeds.txt"), gan).seeds == (1, 5, 6, 7, 9)
    for name in ("b.png", "a.png", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "seeds.txt").unlink()
    assert [file.name for file in read_side(str(tmp_path), gan).files] == ["a.png", "b.png"]
    assert len(read_side(f"{tmp_path / 'a.png'}, {tmp_path / 'b.png'}", gan).files) == 2
    assert read_side("owl", gan).condition == "label"


@pytest.mark.parametrize("side", ["owly", "no/such.png", "", []])
def test_a_side_that_cannot_be_understood_is_refused_with_what_it_may_be(gan: Generator, side: str) -> None:
    with pytest.raises(BadInput, match=r"seeds"):
        Contrast(side, "1-5").find(gan)


def test_sides_of_two_kinds_or_without_a_difference_are_refused(gan: Generator) -> None:
    with pytest.raises(BadInput, match="not words and seeds"):
        Contrast("owl", "1-5").find(gan)
    with pytest.raises(BadInput, match="same mean in 'z'"):
        Contrast("owl", "duck", space="z").find(gan)
    with pytest.raises(UnknownName, match="dice and offsets"):
        Contrast(["a.png"], ["b.png"], inversion="magic").find(gan)


def test_contrast_keeps_the_promises_of_a_finder(gan: Generator) -> None:
    check_finder(Contrast("1-20", "21-40"), affine())
    check_finder(Contrast("owl", "duck", space="modulation:2", samples=8, measure_ranges=False), gan)

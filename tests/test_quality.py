"""Render-back tells birds from smears; distances and coverage agree with hand calculations."""

import json

import pytest
import torch
import torch.nn.functional as F
from known_world import Affine
from tiny_diffusion import tiny_ddim

import steer
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.generators.aviary.factors import FACTORS, sample_factors
from steer.generators.aviary.quality import coverage, evenness, measure_quality
from steer.generators.aviary.render_back import mask_decibels, render_back
from steer.generators.aviary.renderer import render, render_all
from steer.generators.diffusion.words import UnknownWords
from steer.generators.frechet import frechet

BIRDS = 4
ERRORS = {"hue": 4, "heading": -5, "tilt": 2, "size": 0.01, "x": -0.006, "y": 0.006, "light": 8}


class Guess:
    """A judge that knows the truth of some renders, off by a little in every factor."""

    def __init__(self, factors, mask):
        self.factors, self.drawn = factors, mask

    def measure(self, images):
        return {name: values + ERRORS.get(name, 0) for name, values in self.factors.items()}

    def mask(self, images):
        return self.drawn

    def pooled(self, images):
        return F.adaptive_avg_pool2d(images, 2).flatten(1)


@pytest.fixture(scope="module")
def truth():
    return sample_factors(BIRDS, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def rendering(truth):
    return render_all(truth)


@pytest.fixture(scope="module")
def guess(truth, rendering):
    return Guess(truth, rendering.mask)


@pytest.fixture(scope="module")
def critic():
    return steer.load_measurer("aviary-critic").network


def test_decibels_count_errors_inside_the_mask_only():
    picture, mask = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)
    mask[..., :2] = 1
    other = picture + 0.1 * mask
    other[..., 4:] = 1
    assert mask_decibels(picture, other, mask).item() == pytest.approx(20)


def test_a_mask_without_a_bird_counts_as_nothing():
    picture = torch.rand(1, 3, 64, 64)
    assert mask_decibels(picture, picture, torch.zeros(1, 1, 64, 64)).item() == 0


def test_a_true_bird_comes_back_and_with_it_its_factors(truth, rendering, guess):
    back = render_back(rendering.picture, guess)
    start = render(guess.measure(rendering.picture), 64)
    before = mask_decibels(rendering.picture, start, rendering.mask)
    assert (back.decibels > before + 8).all()
    assert back.decibels.median() > 35
    heading = torch.remainder(back.factors["heading"] - truth["heading"] + 180, 360) - 180
    assert heading.abs().median() < 1
    assert (back.factors["x"] - truth["x"]).abs().median() < 0.002
    assert torch.equal(back.decibels, mask_decibels(back.pictures, back.rendered, rendering.mask))


def test_a_smear_does_not_come_back(rendering, guess):
    smear = F.avg_pool2d(F.pad(rendering.picture, (3, 3, 3, 3), mode="replicate"), 7, 1)
    assert render_back(smear, guess).decibels.median() < 20


def test_frechet_distance_is_that_of_the_closed_form():
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    assert frechet(features, features) == pytest.approx(0, abs=1e-6)
    # Twice as wide: per channel (2σ - σ)² = σ², and the means lie as far apart as the mean is long.
    wide = features.double() * 2
    expected = features.double().mean(0).square().sum() + torch.cov(features.double().T).trace()
    assert frechet(features, wide) == pytest.approx(float(expected), rel=1e-6)


def test_evenness_is_the_share_of_bins_that_are_in_use():
    assert evenness(torch.tensor([3, 3, 3, 3])) == pytest.approx(1)
    assert evenness(torch.tensor([0, 9, 0, 0])) == pytest.approx(0.25)


def test_coverage_of_half_the_variety_is_a_half():
    fresh = sample_factors(4000, generator=torch.Generator().manual_seed(0))
    narrow = dict(fresh)
    narrow["heading"] = fresh["heading"] / 2
    narrow["size"] = 0.56 + (fresh["size"] - 0.56) / 2
    narrow["species"] = fresh["species"] // 2
    narrow["x"] = torch.zeros(4000)
    covered = coverage(narrow, fresh)
    assert list(covered) == list(FACTORS)
    assert covered["heading"] == pytest.approx(0.5, abs=0.02)
    assert covered["size"] == pytest.approx(0.5, abs=1e-3)
    assert covered["species"] == pytest.approx(0.5, abs=0.01)
    assert covered["x"] == 0
    assert covered["hue"] == pytest.approx(1, abs=0.02)
    assert covered["tilt"] == pytest.approx(1)


def test_quality_of_the_renderer_itself_is_at_the_ceiling_and_fully_various(critic, monkeypatch, tmp_path):
    monkeypatch.setattr("steer.generators.aviary.render_back.SCALES", (4,))
    monkeypatch.setattr("steer.generators.aviary.render_back.TRIES", 1)
    monkeypatch.setattr("steer.generators.aviary.quality.CEILING_COUNT", 4)
    seen = []
    measured = measure_quality(
        steer.load_generator("aviary"),
        measurer=critic,
        count=16,
        progress=lambda done, total: seen.append((done, total)),
    )
    told = measured.to_json()
    assert json.loads(json.dumps(told)) == told
    keys = {"render_back_mask_db", "ceiling_mask_db", "frechet", "frechet_floor", "coverage", "coverage_reference"}
    assert set(told) == keys
    assert set(told["render_back_mask_db"]) == {"median", "p10"}
    assert set(told["coverage"]) == set(FACTORS)
    assert told["render_back_mask_db"]["median"] > 20
    assert told["frechet"] == pytest.approx(told["frechet_floor"], rel=1)
    assert seen[-1] == (20, 20)
    assert len(measured.rows()) == 3 + len(FACTORS)
    measured.figure(tmp_path / "quality.png", pairs=4)
    assert (tmp_path / "quality.png").stat().st_size > 0


def test_only_birds_can_be_measured_and_only_enough_of_them(critic):
    with pytest.raises(BadInput, match="only birds of the aviary"):
        measure_quality(Generator(Affine(), name="affine"))
    with pytest.raises(BadInput, match="at least 16"):
        measure_quality(steer.load_generator("aviary"), measurer=critic, count=15)


def test_birds_are_asked_for_by_captions_where_that_is_wanted(monkeypatch):
    asked = []
    words = tiny_ddim(levels=10, low_levels=0)
    monkeypatch.setattr(words.backend, "measurer", "aviary-judge")
    sample = words.backend.sample
    monkeypatch.setattr(
        words.backend, "sample", lambda seeds, **told: asked.append(told["condition"]) or sample(seeds, **told)
    )
    with pytest.warns(UnknownWords):
        measure_quality(words, count=16, asked=True)
    captions = [caption for each in asked for caption in each["prompt"]]
    assert len(captions) == 16
    assert len(set(captions)) > 8
    with pytest.raises(UnknownName):
        measure_quality(steer.load_generator("aviary-biggan"), count=16, asked=True)

"""Obedience: a generator that draws what it is asked for scores high, one that does not scores like chance."""

import json

import pytest
import torch

import steer
from steer.errors import BadInput
from steer.generator import Generator
from steer.generators.aviary.factors import sample_factors
from steer.generators.aviary.obedience import Obedience, captions_obeyed, captions_of, measure_obedience, overlap
from steer.generators.aviary.renderer import render
from steer.generators.ddim import DDIM, DDIMConfig, write_model
from steer.generators.diffusion.network import DenoisingNetwork
from steer.generators.diffusion.words import split
from steer.generators.training.ddim import DDIMTraining
from steer.registry import load_measurer

BIRDS = sample_factors(seeds=range(24))
OTHERS = sample_factors(seeds=range(100, 124))


@pytest.fixture(scope="module")
def judge():
    return load_measurer("aviary-judge")


def test_the_renderer_obeys_and_other_birds_do_not(judge) -> None:
    right, wrong = render(BIRDS), render(OTHERS)
    obeyed, ignored = captions_obeyed(right, BIRDS, judge), captions_obeyed(wrong, BIRDS, judge)
    assert set(obeyed) == {"species", "side", "hue", "heading", "background_hue"}
    assert min(obeyed.values()) > 0.9
    assert ignored["species"] < 0.5
    assert ignored["hue"] < 0.5
    assert overlap(right, BIRDS, judge) > 0.85 > overlap(wrong, BIRDS, judge)


def test_captions_are_the_same_again_and_name_the_bird() -> None:
    captions = captions_of(BIRDS)
    assert captions == captions_of(BIRDS)
    assert all(len(each.split()) > 5 for each in captions)


def test_a_generator_is_asked_for_all_it_can_be_asked_for() -> None:
    torch.manual_seed(0)
    shape = DDIMTraining(channels=(32, 32)).network(("a", "red", "owl", "background", "facing"), drawing=True)
    backend = DDIM(
        DenoisingNetwork(shape),
        DDIMConfig({"prediction_type": "v_prediction"}, low_levels=0, measurer="aviary-judge"),
    )
    told: list[tuple[int, int]] = []
    with pytest.warns(UserWarning, match="passed over"):
        measured = measure_obedience(
            Generator(backend, name="tiny"),
            captions=3,
            drawings=2,
            sampler=steer.Sampler(steps=1),
            progress=lambda done, whole: told.append((done, whole)),
        )
    assert told == [(3, 7), (5, 7), (7, 7)]
    assert {"species", "hue", "sketch", "layout"} <= set(measured.shares)
    assert all(0 <= share <= 1 for share in measured.shares.values())
    assert measured.to_json()["captions"] == 3
    assert len(measured.rows()) == len(measured.shares)


def test_the_command_prints_what_is_obeyed(made, tmp_path) -> None:
    torch.manual_seed(0)
    words = tuple(sorted({word for caption in captions_of(BIRDS) for word in split(caption)}))
    shape = DDIMTraining(channels=(32, 32)).network(words, drawing=True)
    config = DDIMConfig({"prediction_type": "v_prediction", "num_train_timesteps": 4}, measurer="aviary-judge")
    write_model(tmp_path, DenoisingNetwork(shape), config)
    asked = ("measure", "obedience", tmp_path, "--captions", "2", "--drawings", "1", "--steps", "1")
    measured = json.loads(made(*asked, "--json"))
    assert (measured["captions"], measured["drawings"]) == (2, 1)
    assert {"species", "hue", "sketch", "layout"} <= set(measured)
    assert "share of 2 captions" in made(*asked)


def test_a_generator_that_cannot_be_asked_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing"):
        measure_obedience(steer.load_generator("aviary-biggan"))


def test_the_table_says_what_each_number_means() -> None:
    rows = Obedience(500, 200, {"species": 0.9, "sketch": 0.8}).rows()
    assert rows == [
        ("species", "0.900", "share of 500 captions"),
        ("sketch", "0.800", "mean overlap with the bird drawn, of 200"),
    ]

"""Drafts: the same where the walk is the same, near where it is shorter, and knobs that agree say so."""

import json

import pytest
import torch
from mixture import SHAPE, diffuser
from tiny_diffusion import write_tiny_ddim

import steer
from steer.directions.drafts import measure_drafts
from steer.errors import BadInput
from steer.knob import LinearKnob


@pytest.fixture(scope="module")
def generator():
    return diffuser()


def brighter(amount: float = 0.1) -> LinearKnob:
    return LinearKnob("brighter", "guess", torch.full(SHAPE, amount), range=(-1.0, 1.0), attribute="brightness")


def test_a_draft_as_long_as_the_final_picture_is_the_final_picture(generator):
    same = measure_drafts(generator, {"brighter": brighter()}, draft=generator.backend.samplers["final"])
    assert same.pixels == 0
    assert max(same.attributes.values()) == 0
    (knob,) = same.knobs
    assert (knob.pixels, knob.gain) == (0, 1)
    assert knob.correlation == pytest.approx(1)


def test_longer_drafts_are_nearer_and_a_knob_that_acts_once_a_step_does_more_in_more_steps(generator):
    short, longer = (measure_drafts(generator, {"k": brighter()}, draft=steer.Sampler(steps)) for steps in (3, 12))
    assert 0 < longer.pixels < short.pixels < short.between
    (knob,) = longer.knobs
    assert knob.target == "brightness"
    assert knob.correlation > 0.95
    assert knob.gain > 1.1
    (short_knob,) = short.knobs
    assert short_knob.gain > knob.gain


def test_a_knob_whose_window_a_draft_hardly_has_is_told(generator):
    late = LinearKnob("late", "guess", torch.full(SHAPE, 0.3), window=steer.Window(0.99, 1.0), range=(-1.0, 1.0))
    (knob,) = measure_drafts(generator, {"late": late}, draft=steer.Sampler(1)).knobs
    assert knob.gain > 2 or knob.gain < 0.5


def test_what_cannot_be_compared_is_refused(generator):
    with pytest.raises(BadInput, match="no drafts"):
        measure_drafts(steer.load_generator("aviary"))
    with pytest.raises(BadInput, match="2 samples"):
        measure_drafts(generator, samples=1)


def test_the_command_prints_a_table_and_json(made, tmp_path):
    model = write_tiny_ddim(tmp_path / "model", levels=4)
    measured = json.loads(made("measure", "drafts", model, "--count", "2", "--steps", "2", "--json"))
    assert (measured["draft"], measured["final"], measured["samples"]) == (2, 4, 2)
    assert measured["pixels"] > 0
    assert "2 steps against 4" in made("measure", "drafts", model, "--count", "2", "--steps", "2")

"""Films of what is set: the first picture as it is turned, out of noise and back into it."""

import pytest
import torch
from mixture import diffuser

import steer
from steer.apps.filming import can_dissolve, forward, has_steps, reverse, shoot
from steer.apps.setting import Dice, Model, Setting
from steer.errors import BadInput
from steer.knob import KnobSet


@pytest.fixture(scope="module")
def model():
    generator = diffuser()
    knob = steer.LinearKnob("up", "guess", torch.full((3, 4, 4), 0.1))
    return Model("mixture", generator, KnobSet({"up": knob}))


@pytest.fixture
def setting(model):
    return Setting(Dice(model, seeds=tuple(range(5, 14)), birds=4), dict(model.knobs), {"up": 1.0})


def test_the_film_out_of_noise_ends_with_the_first_picture_as_it_is_turned(setting, model):
    *_, last = shoot(reverse(setting, 20), model)
    latent = model.generator.sample([5], truncation=setting.dice.truncation)
    wanted = model.decode(latent, steer.Steering([(model.knobs["up"], 1.0)]))
    assert torch.equal(last.picture, wanted)


def test_steps_are_those_that_were_asked_for(setting):
    assert len(reverse(setting, 10)) < len(reverse(setting, 30))


def test_the_film_into_noise_begins_with_that_picture(setting, model):
    first = next(shoot(forward(setting, 5), model))
    *_, last = shoot(reverse(setting, 20), model)
    assert (first.picture - last.picture).abs().max() <= 0.51 / 255


def test_others_may_use_the_model_between_two_moments(setting, model):
    for _ in shoot(reverse(setting, 5), model):
        assert not model.lock.held


def test_a_generator_without_noise_can_be_filmed_and_not_dissolved():
    aviary = Model("aviary", steer.load_generator("aviary"), KnobSet({}))
    setting = Setting(Dice(aviary), {})
    assert not can_dissolve(aviary)
    assert not has_steps(aviary)
    assert len(list(shoot(reverse(setting, 30), aviary))) == 2
    with pytest.raises(BadInput, match="diffusion"):
        forward(setting, 30)

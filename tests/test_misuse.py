"""What a user may get wrong in Python is said with its cure, and not by whatever breaks first."""

import jaxtyping
import numpy as np
import pytest
import torch

import steer
from steer.errors import SteerError


@pytest.fixture(autouse=True)
def _as_users_run_it():
    """Switch off the checks of types that only the tests have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def birds():
    return steer.load_generator("aviary")


@pytest.fixture(scope="module")
def latent(birds):
    return birds.sample([0, 1, 2])


@pytest.fixture(scope="module")
def hue(birds):
    return steer.shipped_knobs(birds)["hue"]


@pytest.mark.parametrize("pair", [tuple, list])
def test_steering_by_a_bare_pair_is_told_how_turns_are_written(hue, pair):
    with pytest.raises(SteerError, match=r"Steering\(\[\(knob, amount\), …\]\); a RingKnob is no turn"):
        steer.Steering(pair([hue, 60]))


def test_steering_by_one_turn_a_name_or_a_text_is_told_how_turns_are_written(hue):
    for turns in (steer.Turn(hue, 60), hue, 60, {"hue": 60}, "hue=60"):
        with pytest.raises(SteerError, match="a list of turns"):
            steer.Steering(turns)
    with pytest.raises(SteerError, match=r"a knob is what .* not 'hue'"):
        steer.Steering([("hue", 60)])
    with pytest.raises(SteerError, match="cannot be turned by 'far'; its range is -180 to 180"):
        steer.Steering([(hue, "far")])


def test_turns_that_are_no_steering_are_refused(birds, latent, hue):
    with pytest.raises(SteerError, match=r"turns are given as .* not a list"):
        birds.decode(latent, [(hue, 60)])


@pytest.mark.parametrize("seeds", [5, None, "0-5", [1.5], ["1"], [None], np.array([]), float("nan")])
def test_seeds_that_are_no_list_of_whole_numbers_are_refused(birds, seeds):
    with pytest.raises(SteerError, match="a list of whole numbers from 0 up"):
        birds.sample(seeds)


def test_seeds_in_an_array_or_a_tensor_are_as_good_as_in_a_list(birds, latent):
    for seeds in (np.arange(3), torch.arange(3), (0.0, 1.0, 2.0)):
        assert birds.sample(seeds).seeds == latent.seeds


def test_a_condition_that_is_a_bare_label_is_told_how_it_is_written(birds):
    with pytest.raises(SteerError, match=r"is written \{.label.: NAME\}, not 'robin'"):
        birds.sample([0], condition="robin")


def test_values_are_no_latent(birds):
    with pytest.raises(SteerError, match=r"a latent is what .* not a Tensor"):
        birds.decode(torch.zeros(1, 12))
    with pytest.raises(SteerError, match=r"not \[0, 1\]"):
        birds.observe([0, 1], "z")


def test_a_latent_of_another_shape_is_refused(birds):
    with pytest.raises(SteerError, match=r"its 'z' has shape \(3,\)"):
        birds.decode(steer.latent.Latent({"z": torch.zeros(1, 3)}, {"label": ("owl",)}, (None,)))


@pytest.mark.parametrize("rows", [[9], [-4], 0, [0.5], "0"])
def test_rows_that_a_latent_does_not_have_are_refused(latent, rows):
    with pytest.raises(SteerError, match="rows"):
        latent.rows(rows)


@pytest.mark.parametrize("chunk", [0, -1])
def test_a_chunk_of_no_rows_is_refused(birds, latent, chunk):
    with pytest.raises(SteerError, match="a chunk is one row or more"):
        birds.decode(latent, chunk=chunk)


@pytest.mark.parametrize(
    ("pictures", "complaint"),
    [
        (torch.rand(3, 64, 64), r"not \(3, 64, 64\)"),
        (torch.rand(1, 64, 64, 3), r"not \(1, 64, 64, 3\)"),
        (torch.rand(1, 3, 32, 32), r"\(batch, 3, 64, 64\) in \[0, 1\], not \(1, 3, 32, 32\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "uint8"),
        (torch.full((1, 3, 64, 64), 255.0), "these go from 255 to 255"),
        (np.zeros((1, 3, 64, 64)), "not a ndarray"),
    ],
)
def test_what_is_measured_is_a_batch_of_pictures(birds, pictures, complaint):
    with pytest.raises(SteerError, match=complaint):
        steer.measure_attributes(pictures, of=birds)


def test_pictures_are_measured_for_a_generator(birds, latent):
    with pytest.raises(SteerError, match="not 'aviary'"):
        steer.measure_attributes(birds.decode(latent), of="aviary")


def test_a_sheet_has_columns_and_a_scale_of_at_least_1():
    with pytest.raises(SteerError, match="at least 1, not None and 0"):
        steer.Layout(scale=0)


def test_a_name_is_neither_a_generator_nor_a_knob(birds, latent, hue):
    for call in (
        lambda: steer.strip("aviary", hue, [0]),
        lambda: steer.find("pca", "aviary"),
        lambda: steer.shipped_knobs("aviary"),
        lambda: steer.Walk("aviary", [steer.Keyframe(latent)] * 2),
    ):
        with pytest.raises(SteerError, match=r"a generator is what steer.load_generator\(NAME\) returns, not 'aviary'"):
            call()
    for call in (lambda: steer.strip(birds, "hue", [0]), lambda: steer.Walk.sweep(birds, "hue", latent)):
        with pytest.raises(SteerError, match=r"a knob is what .* returns, not 'hue'"):
            call()


def test_seeds_and_other_things_are_no_latents(birds, latent):
    for call in (
        lambda: steer.Walk.between(birds, [0, 1]),
        lambda: steer.Keyframe([0, 1]),
        lambda: birds.observe([0, 1], "z"),
    ):
        with pytest.raises(SteerError, match=r"a latent is what .* not \[0, 1\]"):
            call()
    with pytest.raises(SteerError, match="no latents to put together"):
        steer.concatenate([])
    with pytest.raises(SteerError, match=r"values are a tensor, not \[1\]"):
        latent.with_values("z", [1])
    with pytest.raises(SteerError, match=r"list of steer\.Keyframe, not a Latent"):
        steer.Walk(birds, [latent, latent])


def test_other_kinds_of_arguments_are_told_what_they_should_be(birds, latent, hue):
    for call, complaint in (
        (lambda: steer.load_generator(5), "by its name or from a folder, not 5"),
        (lambda: steer.find(5, birds), "a finder is a name .* not 5"),
        (lambda: steer.find("pca", birds, observ="z"), "no option of the finder 'pca' named 'observ'; there are"),
        (lambda: steer.strip(birds, hue, [0], amounts=5), "amounts are a list of numbers, one a column, not 5"),
        (lambda: birds.sample([0], truncation="low"), "truncation is a number, not 'low'"),
        (lambda: birds.decode(latent, chunk="a"), "a chunk is a whole number of rows, not 'a'"),
        (lambda: steer.load_generator("aviary-biggan").invert(None), "a picture is a file, .* not None"),
    ):
        with pytest.raises(SteerError, match=complaint):
            call()


def test_knobs_that_are_no_set_are_refused_wherever_a_set_is_asked_for(birds, latent, hue):
    calls = {
        "scorecard": lambda: steer.scorecard(birds, "hue"),
        "disentangle": lambda: steer.disentangle(birds, [hue]),
        "localise": lambda: steer.localise(birds, hue),
        "match": lambda: steer.match(birds, [hue], latent.rows([0]), "other.png"),
        "dial": lambda: steer.dial(birds, [hue], latent, {"hue": "orange"}),
    }
    for name, call in calls.items():
        with pytest.raises(SteerError, match=r"knobs are what .* or a dict of names and knobs"):
            pytest.fail(f"{name} took {call()}")
    with pytest.raises(SteerError, match=r"a knob is what .* not 'hue'"):
        steer.calibrate(birds, "hue")


def test_what_to_dial_is_told_how_it_is_written_and_an_angle_has_an_end(birds, latent):
    knobs = steer.shipped_knobs(birds)
    with pytest.raises(SteerError, match=r"such as \{'hue': 'orange'\}, not 'hue=orange'"):
        steer.dial(birds, knobs, latent, "hue=orange")
    with pytest.raises(SteerError, match=r"'hue' cannot be dialled to 1e\+09; an angle is from -360 to 360 degrees"):
        steer.dial(birds, knobs, latent, {"hue": 1e9})


def test_files_that_are_no_path_are_refused():
    for load in (steer.load_knobs, steer.Recipe.load):
        with pytest.raises(SteerError, match=r"path.*, not None"):
            load(None)


def test_an_option_of_a_finder_that_is_no_number_is_refused(birds):
    with pytest.raises(SteerError, match=r"the option samples of the finder 'pca' is a number such as .*, not 'many'"):
        steer.find("pca", birds, samples="many")


def test_a_name_that_is_nearly_right_is_answered_by_the_right_one(birds):
    knobs = steer.shipped_knobs(birds)
    for call, meant in ((lambda: knobs["hoe"], "hue"), (lambda: knobs.only("sise"), "size")):
        with pytest.raises(SteerError, match=f"did you mean '{meant}'"):
            call()
    assert list(knobs.only("size", "hue")) == ["size", "hue"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: steer.Sampler("6"), "a whole number of steps from 1 up, not '6'"),
        (lambda: steer.Sampler(6, eta=None), "a number from 0 to 1, not None"),
        (lambda: steer.Sampler.at(None), r"such as \[20, 250, 999\], not None"),
        (lambda: steer.Sampler.at([20, "250"]), "whole numbers that rise from 0 up"),
    ],
)
def test_a_sampler_of_anything_but_numbers_is_refused(make, said):
    with pytest.raises(SteerError, match=said):
        make()


def test_steps_that_are_no_sampler_are_told_how_they_are_chosen(birds, latent):
    with pytest.raises(SteerError, match=r"steps are chosen by sampler=steer.Sampler\(steps=20\), not 20"):
        birds.decode(latent, sampler=20)

"""Geometry: zoom and shift out of the weights of the first layer, as the dense matrices of the paper give them."""

import numpy as np
import pytest
import torch
from known_world import affine, undrawn_aviary

import steer
from steer.directions.geometry import EDITS, ZOOM, Geometry, moving
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import ArcKnob, LinearKnob
from steer.registry import load_measurer
from steer.testing import check_finder

SIDE = 4


@pytest.fixture(scope="module")
def birds() -> Generator:
    return steer.load_generator("aviary-biggan", "cpu")


def along(name: str, way: int) -> np.ndarray:
    """Return the dense matrix of one axis, (to, from), with rows of nan where nothing is known."""
    matrix = np.zeros((SIDE, SIDE))
    for to in range(SIDE):
        middle = (SIDE - 1) / 2
        place = (to - middle) / ZOOM**way + middle if name == "zoom" else to - way
        if not -1e-9 <= place <= SIDE - 1 + 1e-9:
            matrix[to] = np.nan
            continue
        low = min(int(place + 1e-9), SIDE - 2)
        matrix[to, low], matrix[to, low + 1] = low + 1 - place, place - low
    return matrix


def dense(name: str, way: int) -> np.ndarray:
    """Return the dense matrix of an edit of one channel, (cells, cells)."""
    same = np.eye(SIDE)
    if name == "zoom":
        return np.kron(along(name, way), along(name, way))
    return np.kron(same, along(name, way)) if name == "shift_x" else np.kron(along(name, -way), same)


@pytest.mark.parametrize("name", list(EDITS))
def test_indexing_gives_what_dense_matrices_give(name: str) -> None:
    rng = np.random.default_rng(0)
    values, channels = 5, 7
    matrix, middle = rng.normal(size=(values, channels, SIDE, SIDE)), rng.normal(size=(channels, SIDE, SIDE))
    fed, asked = [], []
    for way in (1, -1):
        edit = dense(name, way)
        known = ~np.isnan(edit).any(1)
        flat = middle.reshape(channels, -1)
        asked.append((flat @ np.nan_to_num(edit).T - flat)[:, known].ravel())
        fed.append(way * matrix.reshape(values, channels, -1)[:, :, known].reshape(values, -1).T)
    expected, left, *_ = np.linalg.lstsq(np.concatenate(fed), np.concatenate(asked), rcond=None)
    step, explained = moving(torch.from_numpy(matrix), torch.from_numpy(middle), EDITS[name])
    np.testing.assert_allclose(step.numpy(), expected, rtol=1e-6)
    assert explained == pytest.approx(1 - left[0] / np.square(np.concatenate(asked)).sum())


def test_a_map_that_can_be_shifted_by_one_value_is_shifted_by_it_whole() -> None:
    ramp = torch.arange(SIDE, dtype=torch.float64).expand(1, SIDE, SIDE)  # shifted by a cell, a ramp falls by 1
    matrix = torch.stack([torch.ones_like(ramp), ramp.transpose(1, 2).square()])
    step, explained = moving(matrix, ramp, EDITS["shift_x"])
    torch.testing.assert_close(step, torch.tensor([-1.0, 0.0], dtype=torch.float64))
    assert explained == pytest.approx(1)


def test_each_knob_moves_the_bird_its_own_way_and_little_else(birds: Generator) -> None:
    judge, latent = load_measurer("aviary-judge"), birds.sample(range(1_600_000, 1_600_016))
    plain = judge.measure(birds.decode(latent))
    meant = {"zoom": "size", "shift_x": "x", "shift_y": "y"}
    for name, knob in Geometry().find(birds).items():
        for amount in (-2.0, 2.0):
            turned = judge.measure(birds.decode(latent, steer.Steering([(knob, amount)])))
            change = {
                other: float(judge.attributes[other].difference(turned[other], plain[other]).median())
                / judge.attributes[other].spread
                for other in meant.values()
            }
            rest = [abs(change[other]) for other in meant.values() if other != meant[name]]
            assert change[meant[name]] * np.sign(amount) > 0.6, (name, change)
            assert max(rest) < 0.25, (name, change)


def test_pictures_turn_only_where_the_first_map_is_made_and_keep_the_norm_of_their_dice(birds: Generator) -> None:
    knob = Geometry().find(birds)["zoom"]
    assert isinstance(knob, ArcKnob)
    latent, turn = birds.sample([1, 2]), steer.Steering([(knob, 2.0)])
    assert not torch.equal(birds.observe(latent, "layer:0", turn), birds.observe(latent, "layer:0"))
    assert torch.equal(birds.observe(latent, "modulation:1", turn), birds.observe(latent, "modulation:1"))
    moved = latent["z"] + knob.displacement(latent["z"], torch.full((2,), 2.0))
    torch.testing.assert_close(moved.norm(dim=1), latent["z"].norm(dim=1))
    straight = Geometry(walk="line", window=(0.0, 1.0)).find(birds)["zoom"]
    assert isinstance(straight, LinearKnob)
    assert torch.equal(straight.direction, knob.direction)
    further = steer.Steering([(straight, 2.0)])
    assert not torch.equal(birds.observe(latent, "modulation:1", further), birds.observe(latent, "modulation:1"))


def test_a_class_that_is_asked_for_has_a_step_of_its_own(birds: Generator) -> None:
    of_all, of_owls = (Geometry(condition=condition).find(birds)["shift_x"] for condition in (None, {"label": "owl"}))
    assert isinstance(of_all, ArcKnob)
    assert isinstance(of_owls, ArcKnob)
    cosine = float(torch.nn.functional.cosine_similarity(of_all.direction, of_owls.direction, dim=0))
    assert 0.5 < cosine < 0.99


def test_a_generator_without_an_affine_map_is_refused_with_what_can_be_turned(birds: Generator) -> None:
    with pytest.raises(BadInput, match="turn one of: z, class"):
        Geometry(space="layer:1").find(birds)
    for other in (affine(), undrawn_aviary()):
        with pytest.raises(BadInput, match="none in this generator"):
            Geometry().find(other)


def test_geometry_keeps_the_promises_of_a_finder(birds: Generator) -> None:
    check_finder(Geometry(), birds)

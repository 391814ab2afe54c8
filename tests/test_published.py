"""Published directions: arrays of other toolkits become knobs whose amounts mean what they meant there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from known_world import Affine, affine
from sklearn.decomposition import PCA

import steer
from steer.directions.published import import_knobs
from steer.errors import BadInput, BrokenFile
from steer.generator import Generator
from steer.knob import LinearKnob

COMPONENTS = 3


@pytest.fixture(scope="module", name="affine")
def affine_layer() -> Generator:
    return affine()


@pytest.fixture
def ganspace(tmp_path: Path) -> Path:
    """Return components of the layer as GANSpace saves them: by PCA of samples, and the dice by regression."""
    z = torch.randn(20_000, 6, generator=torch.Generator().manual_seed(3))
    layer = (z @ Affine().matrix.T).numpy()
    found = PCA(COMPONENTS).fit(layer)
    deviations = np.sqrt(found.explained_variance_)
    dice = np.linalg.lstsq(found.transform(layer) / deviations, z.numpy(), rcond=None)[0]
    np.savez_compressed(
        tmp_path / "affine.npz",
        act_comp=found.components_.reshape(COMPONENTS, 1, 40),
        act_mean=found.mean_.reshape(1, 40),
        act_stdev=deviations,
        lat_comp=(dice / np.linalg.norm(dice, axis=1, keepdims=True)).reshape(COMPONENTS, 1, 6),
        lat_mean=np.zeros((1, 6)),
        lat_stdev=np.ones(COMPONENTS),
        var_ratio=found.explained_variance_ratio_,
        random_stdevs=np.ones(COMPONENTS),
    )
    return tmp_path / "affine.npz"


def direction(knob: steer.Knob) -> torch.Tensor:
    assert isinstance(knob, LinearKnob)
    return knob.direction


def test_components_of_ganspace_turn_the_dice_that_our_own_closed_form_turns(affine: Generator, ganspace: Path) -> None:
    imported = import_knobs(ganspace, affine)
    ours = steer.find("pca", affine, components=COMPONENTS)
    assert list(imported) == ["pc0", "pc1", "pc2"]
    for name, knob in imported.items():
        assert (knob.unit, knob.space) == ("sigma", "z")
        assert abs(float(direction(knob) @ direction(ours[name]))) > 0.999
        share = knob.provenance.scores["explained_variance_ratio"]
        assert share == pytest.approx(ours[name].provenance.scores["explained_variance_ratio"], rel=0.05)


def test_components_of_a_layer_are_as_long_as_one_deviation_of_it(affine: Generator, ganspace: Path) -> None:
    knob = import_knobs(ganspace, affine, space="layer:0")["pc0"]
    assert knob.unit == "sigma"
    assert float(direction(knob).norm()) == pytest.approx(1.0, rel=0.02)  # the first singular value
    assert abs(float(direction(knob) @ Affine().matrix @ Affine().directions[0])) > 0.98


def test_a_boundary_of_interfacegan_moves_by_its_signed_distance(affine: Generator, tmp_path: Path) -> None:
    normal = np.linspace(-1, 2, 6).reshape(1, 6)
    normal /= np.linalg.norm(normal)
    np.save(tmp_path / "aviary_age_boundary.npy", normal)
    (knob,) = import_knobs(tmp_path / "aviary_age_boundary.npy", affine).values()
    z = affine.sample([1, 2])["z"]
    moved = z + knob.displacement(z, torch.tensor([3.0, -3.0]))
    distance = (moved - z) @ torch.from_numpy(normal[0]).float()
    assert knob.name == "aviary_age"
    torch.testing.assert_close(distance, torch.tensor([3.0, -3.0]))


def test_a_matrix_has_one_direction_a_row_and_keeps_its_lengths(affine: Generator, tmp_path: Path) -> None:
    matrix = np.arange(1.0, 25.0).reshape(4, 6)
    np.savez(tmp_path / "sefa.npz", directions=matrix, values=np.ones(4))
    knobs = import_knobs(tmp_path / "sefa.npz", affine)
    assert list(knobs) == ["sefa0", "sefa1", "sefa2", "sefa3"]
    assert knobs["sefa2"].unit == "absolute"
    np.testing.assert_allclose(direction(knobs["sefa2"]).numpy(), matrix[2])
    named = import_knobs(tmp_path / "sefa.npz", affine, name="theirs")
    assert "theirs0" in named


def test_an_array_that_does_not_fit_is_refused_with_the_spaces_that_it_fits(affine: Generator, tmp_path: Path) -> None:
    np.save(tmp_path / "boundary.npy", np.ones((1, 40)))
    with pytest.raises(BadInput, match=r"\(1, 40\).*\(6,\).*fits layer:0, layer:1"):
        import_knobs(tmp_path / "boundary.npy", affine)
    np.save(tmp_path / "wide.npy", np.ones((1, 512)))
    with pytest.raises(BadInput, match="another generator"):
        import_knobs(tmp_path / "wide.npy", affine)


@pytest.mark.parametrize("name", ["objects.npy", "objects.npz", "renamed.npy", "knobs.pkl"])
def test_pickles_are_refused_with_the_reason(affine: Generator, tmp_path: Path, name: str) -> None:
    import pickle

    path, pickled = tmp_path / name, np.array([{"a": 1}], dtype=object)
    if name == "objects.npy":
        np.save(path, pickled, allow_pickle=True)
    elif name == "objects.npz":
        np.savez(path, directions=pickled)
    else:
        path.write_bytes(pickle.dumps(np.ones(6)))
    with pytest.raises(BadInput, match="run code"):
        import_knobs(path, affine)


@pytest.mark.parametrize("name", ["cut.npy", "cut.npz", "nothing.npy"])
def test_a_file_that_is_cut_short_or_holds_no_direction_is_said_to_be_broken(
    affine: Generator, ganspace: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if name == "nothing.npy":
        np.save(path, np.zeros((2, 6)))
    else:
        np.save(tmp_path / "whole.npy", np.ones((3, 6)))
        whole = ganspace if name == "cut.npz" else tmp_path / "whole.npy"
        path.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(BrokenFile):
        import_knobs(path, affine)


def test_the_command_writes_knobs_that_are_bound_to_the_weights(made: Any, run: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "up.npy", np.eye(12)[:2])
    out = tmp_path / "knobs.safetensors"
    told = json.loads(made("import", tmp_path / "up.npy", "aviary", "--out", out, "--json"))
    assert [knob["name"] for knob in told["knobs"]] == ["up0", "up1"]
    assert [knob["unit"] for knob in told["knobs"]] == ["sigma", "sigma"]
    aviary = steer.load_generator("aviary", "cpu")
    assert steer.load_knobs(out)["up1"].provenance.fingerprint == aviary.fingerprint
    made("strip", "aviary", "--knobs", out, "--knob", "up0", "--seeds", "1", "--out", tmp_path / "strip.png")
    code, _, errors = run("import", tmp_path / "up.npy", "aviary", "--space", "factors", "--out", out)
    assert code == 2
    assert "fits z" in errors

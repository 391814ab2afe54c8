"""Closed-form factorisation: the singular vectors of the layers a space is fed into, the strongest first."""

import numpy as np
import pytest
import torch
from known_world import Affine, affine, undrawn_aviary

import steer
from steer.directions.pca import PCA
from steer.directions.sefa import SeFa
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import KnobSet, LinearKnob
from steer.testing import check_finder


@pytest.fixture(scope="module")
def birds() -> Generator:
    return steer.load_generator("aviary-biggan", "cpu")


def directions(knobs: KnobSet) -> torch.Tensor:
    rows = []
    for knob in knobs.values():
        assert isinstance(knob, LinearKnob)
        rows.append(knob.direction.flatten())
    return torch.stack(rows)


def as_in_the_paper(matrices: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues, falling, and eigenvectors, one a row, of the sum of A.T A over matrices of unit rows."""
    stacked = np.concatenate([matrix.numpy() for matrix in matrices]).astype(np.float64)
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    _, values, vectors = np.linalg.svd(stacked, full_matrices=False)
    return values**2, vectors


def test_without_normalising_it_finds_the_singular_vectors_of_the_only_affine_layer() -> None:
    knobs = SeFa(normalise=False).find(affine())
    cosines = torch.nn.functional.cosine_similarity(directions(knobs), Affine().directions, dim=1).abs()
    assert list(knobs) == ["sefa0", "sefa1", "sefa2", "sefa3", "sefa4", "sefa5"]
    assert cosines.min() > 0.99999
    variances = 0.25 ** np.arange(6)
    np.testing.assert_allclose(knobs.report["strength"], variances / variances.sum(), rtol=1e-5)
    assert knobs.report["layers"] == {"layer:0": 1.0}


def test_it_reads_the_first_layer_and_the_batch_norms_of_a_biggan_and_sorts_what_it_finds(birds: Generator) -> None:
    names = ["layer:0", *(f"modulation:{block}" for block in range(1, 5))]
    matrices = [birds.backend.linear_map(name, "z") for name in names]
    values, vectors = as_in_the_paper([matrix for matrix in matrices if matrix is not None])
    knobs = SeFa(components=6).find(birds)
    assert list(knobs.report["layers"]) == names
    np.testing.assert_allclose(knobs.report["strength"], values[:6] / values.sum(), rtol=1e-4)
    assert np.abs((directions(knobs).numpy() * vectors[:6]).sum(1)).min() > 0.999


def test_a_window_looks_at_its_own_layers_and_turns_nothing_else(birds: Generator) -> None:
    knobs = SeFa(components=2, window=(0.4, 0.7)).find(birds)
    assert knobs.report["layers"] == {"modulation:2": 1.0, "modulation:3": 0.5}
    latent = birds.sample([1])
    turned = steer.Steering([(knobs["sefa0"], 2.0)])
    assert torch.equal(birds.observe(latent, "layer:1", turned), birds.observe(latent, "layer:1"))
    assert not torch.equal(birds.observe(latent, "modulation:2", turned), birds.observe(latent, "modulation:2"))
    whole = as_in_the_paper([_matrix(birds, "modulation:2"), _matrix(birds, "modulation:3")])[1]
    halved = torch.cat([_unit(birds, "modulation:2"), 0.5 * _unit(birds, "modulation:3")]).numpy()
    first = np.linalg.svd(halved, full_matrices=False)[2][0]
    found = directions(knobs)[0].numpy()
    assert abs(found @ first) > 0.9999
    assert abs(found @ whole[0]) < 0.9999


def test_what_is_amplified_most_changes_pictures_most(birds: Generator) -> None:
    knobs = list(SeFa(components=24).find(birds).values())
    latent = birds.sample(range(8))
    plain = birds.decode(latent)

    def change(knob: steer.Knob) -> float:
        return float((birds.decode(latent, steer.Steering([(knob, 1.0)])) - plain).abs().mean())

    assert min(map(change, knobs[:3])) > 5 * max(map(change, knobs[-3:]))


def test_a_sigma_of_a_space_that_is_no_dice_is_the_spread_of_its_samples(birds: Generator) -> None:
    (knob,) = SeFa(space="class", components=1).find(birds).values()
    coordinates = knob.coordinate(birds.sample(range(40_000, 40_512))["class"])
    assert float(coordinates.std()) == pytest.approx(1.0, rel=0.1)


def test_it_agrees_with_pca_over_one_layer(birds: Generator) -> None:
    alone = SeFa(components=4, window=(0.2, 0.4), normalise=False).find(birds)
    same = PCA(observe="modulation:1", components=4).find(birds)
    torch.testing.assert_close(directions(alone), directions(same))


@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_the_modulation_of_a_block_is_exactly_the_matrix_it_is_said_to_be(birds: Generator, block: int) -> None:
    latent, name = birds.sample([1, 2]), f"modulation:{block}"
    for space in ("z", "class"):
        step = torch.randn(latent[space].shape, generator=torch.Generator().manual_seed(0))
        moved = latent.with_values(space, latent[space] + step)
        change = birds.observe(moved, name) - birds.observe(latent, name)
        matrix = birds.backend.linear_map(name, space)
        assert matrix is not None
        torch.testing.assert_close(change, step @ matrix.T, atol=1e-5, rtol=1e-4)


def test_a_space_that_no_layer_is_affine_in_is_refused_with_those_that_can_be_turned(birds: Generator) -> None:
    with pytest.raises(BadInput, match="turn one of: z, class"):
        SeFa(space="layer:2").find(birds)
    with pytest.raises(BadInput, match="pca or probe"):
        SeFa().find(undrawn_aviary())


def test_a_window_without_an_affine_layer_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="layer:0"):
        SeFa(window=(0.4, 1.0)).find(affine())


def test_sefa_keeps_the_promises_of_a_finder(birds: Generator) -> None:
    check_finder(SeFa(components=2, measure_ranges=True), affine())
    check_finder(SeFa(space="class", components=2, window=(0.0, 0.3)), birds)


def _matrix(generator: Generator, name: str) -> torch.Tensor:
    matrix = generator.backend.linear_map(name, "z")
    assert matrix is not None
    return matrix


def _unit(generator: Generator, name: str) -> torch.Tensor:
    return torch.nn.functional.normalize(_matrix(generator, name), dim=1)

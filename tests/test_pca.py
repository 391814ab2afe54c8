"""Principal components: exact where they can be, the same by sampling where they cannot."""

import gc
import time

import numpy as np
import pytest
import torch
from known_world import Affine, affine, undrawn_aviary
from sklearn import decomposition
from sklearn.linear_model import LinearRegression

from steer.directions.components import principal
from steer.directions.pca import PCA
from steer.errors import BadInput, Cancelled, UnknownName
from steer.generator import Generator
from steer.knob import KnobSet, LinearKnob
from steer.latent import concatenate
from steer.registry import load_generator
from steer.testing import check_finder


def directions(knobs: KnobSet) -> torch.Tensor:
    rows = []
    for knob in knobs.values():
        assert isinstance(knob, LinearKnob)
        rows.append(knob.direction.flatten())
    return torch.stack(rows)


def cosines(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(first, second, dim=1).abs()


@pytest.fixture(scope="module", name="affine")
def affine_layer() -> Generator:
    return affine()


@pytest.fixture(scope="module")
def unsaid() -> Generator:
    return affine(said=False)


def test_closed_form_gives_the_singular_vectors_and_their_share_of_the_variance(affine: Generator) -> None:
    knobs = PCA(components=4).find(affine)
    assert list(knobs) == ["pc0", "pc1", "pc2", "pc3"]
    assert cosines(directions(knobs), Affine().directions[:4]).min() > 0.99999
    variances = 0.25 ** np.arange(6)
    np.testing.assert_allclose(knobs.report["explained_variance_ratio"], (variances / variances.sum())[:4], rtol=1e-5)
    assert knobs.report["method"] == "closed form"
    assert knobs.report["samples"] == 0


def test_closed_form_agrees_with_sampling_fitting_and_regressing(affine: Generator) -> None:
    z = torch.randn(50_000, 6, generator=torch.Generator().manual_seed(3))
    layer = z @ Affine().matrix.T
    coordinates = decomposition.PCA(3).fit_transform(layer.numpy())
    regressed = torch.from_numpy(LinearRegression().fit(coordinates, z.numpy()).coef_.T)
    found = directions(PCA(components=3).find(affine))
    assert cosines(found, regressed).min() >= 0.999


def test_closed_form_of_a_layer_as_wide_as_the_published_biggan_takes_a_moment() -> None:
    matrix = torch.randn(32_768, 128, generator=torch.Generator().manual_seed(0)).double()
    start = time.process_time()
    found = principal(matrix, torch.eye(128, dtype=torch.float64), 80)
    assert time.process_time() - start < 5
    torch.testing.assert_close(found.directions @ found.directions.T, torch.eye(80, dtype=torch.float64))


def test_streaming_agrees_with_the_closed_form_whatever_the_class(affine: Generator, unsaid: Generator) -> None:
    exact = PCA(components=4).find(affine)
    sampled = PCA(components=4, samples=2_000).find(unsaid)
    assert cosines(directions(sampled), directions(exact)).min() >= 0.999
    np.testing.assert_allclose(
        sampled.report["explained_variance_ratio"], exact.report["explained_variance_ratio"], rtol=1e-3
    )
    assert sampled.report["converged"]
    assert sampled.report["samples"] <= 2_000


def test_streaming_says_how_far_the_components_turned_at_each_doubling(unsaid: Generator) -> None:
    report = PCA(observe="layer:1", samples=2_000, tolerance=0.0).find(unsaid).report
    assert [step["samples"] for step in report["convergence"]] == [2_000]
    assert all(0 < step["degrees"] < 45 for step in report["convergence"])
    assert not report["converged"]
    assert 0 < report["linear_share"] < 1


def test_knobs_are_as_long_as_one_deviation_of_what_they_turn_and_point_one_way(affine: Generator) -> None:
    found = directions(PCA().find(affine))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(6))
    assert all(row[row.abs().argmax()] > 0 for row in found)
    inner = PCA(observe="layer:0", space="layer:0", components=2, samples=2_000)
    lengths = directions(inner.find(affine)).norm(dim=1)
    across_classes = 2.5 * 40**0.5  # half the offset between the classes, in every one of 40 values
    assert lengths[0] == pytest.approx(across_classes, rel=0.02)


def test_components_of_a_space_itself_agree_with_the_full_covariance(affine: Generator) -> None:
    found = PCA(observe="layer:1", space="layer:1", components=3, samples=1_000, tolerance=0.0)
    knobs = found.find(affine)
    seeds = range(10_000_000, 10_001_000)
    layer = affine.observe(affine.sample(seeds), "layer:1").flatten(1).numpy()
    full = decomposition.PCA(3).fit(layer)
    assert cosines(directions(knobs), torch.from_numpy(full.components_)).min() >= 0.999
    np.testing.assert_allclose(knobs.report["explained_variance_ratio"], full.explained_variance_ratio_, rtol=0.01)
    assert all(knob.space == "layer:1" for knob in knobs.values())


def test_memory_does_not_grow_with_the_number_of_samples(unsaid: Generator) -> None:
    def peak(samples: int) -> int:
        largest = 0

        def look(done: int, count: int) -> None:
            nonlocal largest
            tensors = (each for each in gc.get_objects() if type(each) is torch.Tensor)
            largest = max(largest, sum(tensor.nelement() * tensor.element_size() for tensor in tensors))

        PCA(observe="layer:1", samples=samples, tolerance=0.0).find(unsaid, progress=look)
        return largest

    assert peak(2_000) < 1.1 * peak(500)


def test_the_same_seed_gives_the_same_knobs_and_another_seed_others(unsaid: Generator) -> None:
    first, again, other = (
        directions(PCA(observe="layer:1", samples=1_000, seed=seed).find(unsaid)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_plain_dice_are_refused_with_the_reason_and_the_spaces_that_can_be_observed(affine: Generator) -> None:
    with pytest.raises(BadInput, match=r"same spread.*layer:0, layer:1"):
        PCA(observe="z").find(affine)


def test_a_space_that_does_not_depend_on_what_is_turned_is_refused(affine: Generator) -> None:
    with pytest.raises(BadInput, match="met before"):
        PCA(observe="layer:0", space="layer:1").find(affine)
    with pytest.raises(UnknownName, match="layer:0, layer:1"):
        PCA(observe="layer:7").find(affine)


def test_components_first_agree_with_sampling_fitting_and_regressing_elsewhere(unsaid: Generator) -> None:
    found = PCA(observe="layer:1", components=3, samples=2_000, tolerance=0.0, fit="components").find(unsaid)
    latent = unsaid.sample(range(10_000_000, 10_001_000))
    z = torch.cat([latent["z"], -latent["z"]])  # as they are drawn: each with its mirror image
    layer = unsaid.observe(concatenate([latent, latent]).with_values("z", z), "layer:1").flatten(1)
    coordinates = decomposition.PCA(3).fit_transform(layer.numpy())
    regressed = torch.from_numpy(LinearRegression().fit(coordinates, z.numpy()).coef_.T)
    assert found.report["method"] == "streaming projection"
    assert cosines(directions(found), regressed).min() >= 0.999


@pytest.mark.parametrize("space", ["z", "layer:1"])
def test_the_bootstrap_says_how_far_other_samples_turn_the_components(unsaid: Generator, space: str) -> None:
    runs = [
        PCA(observe="layer:1", space=space, components=2, samples=1_000, seed=seed).find(unsaid) for seed in range(6)
    ]
    for index in range(2):
        drawn = torch.stack([directions(run)[index] for run in runs]).double()
        drawn = torch.nn.functional.normalize(drawn, dim=1)
        middle = drawn.mean(0, keepdim=True).expand_as(drawn)
        apart = float(torch.rad2deg(torch.acos(cosines(drawn, middle))).median())
        said = np.mean([np.mean(run.report["angle_90"][index]) for run in runs])
        assert apart / 2 < said < apart * 2


def test_what_is_exact_has_no_angle_to_turn_by(affine: Generator) -> None:
    knobs = PCA(components=2).find(affine)
    assert "angle_90" not in knobs.report
    assert set(knobs["pc0"].provenance.scores) == {"explained_variance_ratio"}


def test_sampling_can_be_followed_and_stopped(unsaid: Generator) -> None:
    seen = []

    def progress(done: int, count: int) -> None:
        seen.append((done, count))
        if done >= 500:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        PCA(samples=2_000).find(unsaid, progress=progress)
    assert seen[-1][0] < 1_000
    assert {count for _, count in seen} == {2_000}


def test_the_closed_form_on_the_shipped_biggan_takes_under_half_a_second_of_one_processor() -> None:
    birds = load_generator("aviary-biggan", "cpu")
    start = time.process_time()
    knobs = PCA(observe="layer:0", space="z").find(birds)
    assert time.process_time() - start < 0.5
    assert "not measured" in knobs.report["ranges"]
    assert all(knob.range == (-3.0, 3.0) for knob in knobs.values())


def test_ranges_are_measured_where_that_is_asked_for(affine: Generator) -> None:
    knobs = PCA(components=1, measure_ranges=True).find(affine)
    assert knobs.report["ranges"].startswith("measured")
    assert knobs["pc0"].range == (-6.0, 6.0)  # the built-in statistics know every picture


def test_pca_keeps_the_promises_of_a_finder() -> None:
    check_finder(PCA(components=2, measure_ranges=True), affine())
    check_finder(PCA(observe="factors", components=3, samples=1_000), undrawn_aviary())

"""Jacobian: the directions that change one picture most, as its whole matrix of derivatives says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from known_world import affine
from PIL import Image
from tiny_diffusion import tiny_ddim

import steer
from steer.directions import jacobian
from steer.directions.jacobian import Jacobian, Tangent, read_mask
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import WHOLE, KnobSet, LinearKnob
from steer.testing import check_finder

FACE = "0.3,0.25,0.8,0.75"


@pytest.fixture(scope="module")
def birds() -> Generator:
    return steer.load_generator("aviary-biggan", "cpu")


@pytest.fixture(scope="module")
def diffusion() -> Generator:
    return tiny_ddim(low_levels=0)


def rows(knobs: KnobSet) -> torch.Tensor:
    directions = []
    for knob in knobs.values():
        assert isinstance(knob, LinearKnob)
        directions.append(knob.direction.flatten().double())
    return torch.stack(directions)


def derivatives(generator: Generator, seed: int) -> np.ndarray:
    """Return the whole matrix of derivatives of a picture by its dice, (pixels, dice)."""
    latent = generator.sample([seed])

    def draw(z: torch.Tensor) -> torch.Tensor:
        return generator.decode(latent.with_values("z", z)).flatten()

    return torch.autograd.functional.jacobian(draw, latent["z"])[:, 0].double().numpy()


def test_it_finds_the_singular_vectors_of_the_whole_matrix_of_derivatives() -> None:
    generator = affine()
    knobs = Jacobian(seed=4, components=3).find(generator)
    _, changes, vectors = np.linalg.svd(derivatives(generator, 4), full_matrices=False)
    np.testing.assert_allclose([knob.provenance.scores["change"] for knob in knobs.values()], changes[:3], atol=1e-4)
    assert np.abs((rows(knobs).numpy() * vectors[:3]).sum(1)).min() > 0.999


def test_in_a_large_space_products_alone_find_directions_that_change_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = affine()
    tangent = Tangent.at(generator, generator.sample([4]), generator.space("layer:0"), WHOLE)
    whole = Jacobian(space="layer:0", seed=4, components=3).find(generator)
    monkeypatch.setattr(jacobian, "SMALL", 4)
    iterated = Jacobian(space="layer:0", seed=4, components=3).find(generator)

    def change(knobs: KnobSet) -> float:
        units = torch.nn.functional.normalize(rows(knobs).float(), dim=1)
        return sum(float(tangent.push(unit).square().sum()) for unit in units)

    assert change(iterated) == pytest.approx(change(whole), rel=0.01)


@pytest.mark.parametrize("space", ["noise", "bottleneck", "bottleneck.p"])
def test_products_with_the_jacobian_and_its_transpose_agree(diffusion: Generator, space: str) -> None:
    sampler, random = steer.Sampler(3), torch.Generator().manual_seed(0)
    short = diffusion.with_sampler(sampler)
    tangent = Tangent.at(short, short.sample([5]), short.space(space), WHOLE)
    direction = torch.randn(tangent.values, generator=random)
    change = torch.randn(tangent.picture.shape[1:], generator=random)
    pushed, pulled = float((tangent.push(direction) * change).sum()), float((tangent.pull(change) * direction).sum())
    assert pushed == pytest.approx(pulled, rel=1e-3)


def test_the_change_that_is_said_is_the_one_that_a_small_turn_makes(birds: Generator) -> None:
    knob = Jacobian(seed=9, components=1).find(birds)["local0"]
    latent = birds.sample([9])
    plain, turned = (birds.decode(latent, steer.Steering([(knob, amount)])) for amount in (0.0, 0.01))
    assert float((turned - plain).norm()) / 0.01 == pytest.approx(knob.provenance.scores["change"], rel=0.05)


def test_what_is_confined_to_a_mask_leaves_the_rest_more_than_the_strongest_would(birds: Generator) -> None:
    mask = read_mask(FACE, (64, 64))
    latent = birds.sample([9])
    plain = birds.decode(latent)

    def outside(knob: steer.Knob) -> float:
        change = birds.decode(latent, steer.Steering([(knob, 1.0)])) - plain
        return float(((1 - mask) * change).norm() / (mask * change).norm())

    free, held = (Jacobian(seed=9, mask=each, components=3).find(birds) for each in (None, FACE))
    assert max(map(outside, held.values())) < 0.4
    assert max(map(outside, held.values())) < min(map(outside, free.values()))
    for knob in held.values():
        assert knob.provenance.scores["outside"] == pytest.approx(outside(knob), abs=1e-3)
    inner = Jacobian(seed=9, mask=FACE, space="layer:3", components=1, window=(0.6, 0.8)).find(birds)["local0"]
    assert outside(inner) < 0.1


def test_a_picture_made_here_is_drawn_again(birds: Generator, tmp_path: Path) -> None:
    steer.Recipe.of(birds, birds.sample([9])).save(tmp_path / "bird.png", birds)
    by_file, by_seed = (
        Jacobian(components=2, **which).find(birds)  # type: ignore[arg-type]
        for which in ({"picture": str(tmp_path / "bird.png")}, {"seed": 9})
    )
    torch.testing.assert_close(rows(by_file), rows(by_seed))


def test_a_mask_is_a_box_or_a_picture(tmp_path: Path) -> None:
    assert read_mask(None, (2, 2)).all()
    assert read_mask("0, 0.5, 1, 1", (4, 2)).tolist() == [[[0, 0], [0, 0], [1, 1], [1, 1]]]
    Image.fromarray(np.array([[255, 0], [0, 255]], dtype=np.uint8)).save(tmp_path / "mask.png")
    assert read_mask(str(tmp_path / "mask.png"), (2, 2)).tolist() == [[[1, 0], [0, 1]]]
    for nothing in ("0.9,0,0.1,1", "2,2,3,3"):
        with pytest.raises(BadInput, match="nothing of the picture"):
            read_mask(nothing, (4, 4))
    with pytest.raises(BadInput, match="no file"):
        read_mask(str(tmp_path / "none.png"), (4, 4))


def test_a_space_that_a_picture_does_not_smoothly_depend_on_is_refused() -> None:
    with pytest.raises(BadInput, match="smoothly"):
        Jacobian(space="species").find(steer.load_generator("aviary", "cpu"))


def test_jacobian_keeps_the_promises_of_a_finder(birds: Generator, diffusion: Generator) -> None:
    check_finder(Jacobian(components=2, measure_ranges=True), affine())
    check_finder(Jacobian(space="offsets", components=1), birds)


@pytest.mark.parametrize(
    "space",
    ["bottleneck", pytest.param("noise", marks=pytest.mark.slow), pytest.param("prompt", marks=pytest.mark.slow)],
)
def test_it_keeps_them_on_a_diffusion_model_too(diffusion: Generator, space: str) -> None:
    check_finder(Jacobian(space=space, components=1, sampler=steer.Sampler(1)), diffusion)

"""Distances between pictures: nothing for the same one, in the units that are promised, larger for what looks worse."""

import sys
from types import SimpleNamespace

import pytest
import torch
from known_world import affine

from steer.attribute import Attribute, FunctionMeasurer, Measurer
from steer.colour import hue_of
from steer.directions.perceptual import colour_difference, feature_distance, perceptual_distance
from steer.errors import BadInput
from steer.registry import load_generator


def grey(level: float) -> torch.Tensor:
    return torch.full((1, 3, 32, 32), float(level))


@pytest.mark.parametrize("by", [None, "cielab", "aviary-critic"])
def test_a_picture_is_at_no_distance_from_itself_and_far_from_another_bird(by: str | None) -> None:
    birds = load_generator("aviary", "cpu")
    distance = perceptual_distance(birds, by)
    pictures = birds.decode(birds.sample([1, 2]))
    dimmed = pictures * 0.97
    assert distance(pictures, pictures).tolist() == pytest.approx([0, 0], abs=1e-6)
    near, far = distance(pictures, dimmed), distance(pictures, pictures.flip(0))
    assert (near > 0).all()
    assert (far > 3 * near).all()


def test_colour_difference_counts_in_delta_e() -> None:
    # The lightness of a linear grey Y is 116 Y^(1/3) - 16; sRGB 0.5 is Y = 0.2140, white is Y = 1.
    assert colour_difference(grey(1), grey(0.5)).item() == pytest.approx(116 * (1 - 0.21404 ** (1 / 3)), rel=1e-3)
    fine = grey(0.5) + 0.2 * (torch.arange(32) % 2 - 0.5)
    coarse = grey(0.5) + 0.2 * ((torch.arange(32) < 16).float() - 0.5)
    assert colour_difference(fine, grey(0.5)) < 0.5 * colour_difference(coarse, grey(0.5))


def test_feature_distance_is_that_of_unit_vectors() -> None:
    one, other = torch.tensor([[3.0, 0.0]])[..., None, None], torch.tensor([[0.0, 5.0]])[..., None, None]
    assert feature_distance((one,), (other,)).item() == pytest.approx(2)
    assert feature_distance((one, one), (other, 7 * one)).item() == pytest.approx(1)


def test_a_generator_without_features_is_told_by_colour() -> None:
    assert perceptual_distance(affine()) is colour_difference


def test_lpips_is_asked_for_pictures_between_0_and_1(monkeypatch: pytest.MonkeyPatch) -> None:
    class Network:
        def __init__(self, **options: object) -> None:
            assert options["net"] == "alex"

        def eval(self) -> "Network":
            return self

        def requires_grad_(self, _: bool) -> "Network":
            return self

        def __call__(self, images: torch.Tensor, others: torch.Tensor, normalize: bool) -> torch.Tensor:
            assert normalize  # pictures come in [0, 1]
            return (images - others).abs().mean((1, 2, 3), keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=Network))
    assert perceptual_distance(affine(), "lpips")(grey(1), grey(0.25)).tolist() == pytest.approx([0.75])


def test_an_unknown_distance_is_refused() -> None:
    for by in ("picture", "eye"):
        with pytest.raises(BadInput, match="cielab, lpips"):
            perceptual_distance(affine(), by)


def test_functions_of_a_user_are_a_measurer_that_knows_its_ranges() -> None:
    redness = Attribute("redness", "linear", 0, 1, "fraction", 0.3)
    own = FunctionMeasurer({"redness": lambda images: images[:, 0].mean((1, 2)) * 2}, {"redness": redness})
    assert isinstance(own, Measurer)
    pictures = torch.cat([grey(0.25), grey(0.75), grey(torch.nan)])
    assert own.measure(pictures)["redness"][:2].tolist() == pytest.approx([0.5, 1.5])
    assert own.in_domain(pictures).tolist() == [1, 0, 0]
    with pytest.raises(BadInput, match="differ"):
        FunctionMeasurer({"redness": lambda images: images.mean((1, 2, 3))}, {})


def test_colours_have_hues_and_greys_have_none() -> None:
    assert [hue_of(each) for each in ("red", "lime", "#0000ff", "hsl(200, 80%, 40%)")] == pytest.approx(
        [0, 120, 240, 200], abs=0.5
    )
    with pytest.raises(BadInput, match="no hue"):
        hue_of("silver")
    with pytest.raises(BadInput, match="#ffa500"):
        hue_of("reddish")

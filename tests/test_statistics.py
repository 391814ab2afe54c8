"""Built-in statistics agree with pictures made by hand, and with what the renderer was asked to draw."""

import math

import pytest
import torch
import torch.nn.functional as F

from steer.attribute import Measurer
from steer.colour import cielab
from steer.generators.aviary.factors import sample_factors
from steer.generators.aviary.renderer import render_all
from steer.generators.statistics import Statistics

SIZE = 48


def even(red, green, blue):
    """Return one even picture."""
    return torch.tensor([red, green, blue])[:, None, None].expand(1, 3, SIZE, SIZE).clone()


def disc(x, y, radius, ground=(0.8, 0.8, 0.8), ink=(0.7, 0.1, 0.1)):
    """Return a disc at an offset right and up of the middle, all in picture widths."""
    line = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    inside = ((line[None, :] - x) ** 2 + (-line[:, None] - y) ** 2 < radius**2).float()
    return even(*ground) * (1 - inside) + even(*ink) * inside


def measure(images):
    return {name: value.item() for name, value in Statistics().measure(images).items()}


def correlation(values, others):
    return float(torch.corrcoef(torch.stack([values.float(), others.float()]))[0, 1])


def test_it_is_a_measurer_whose_attributes_are_what_it_measures():
    statistics = Statistics()
    assert isinstance(statistics, Measurer)
    assert list(statistics.measure(torch.rand(2, 3, SIZE, SIZE))) == list(statistics.attributes)
    assert torch.equal(statistics.in_domain(torch.rand(2, 3, 8, 8)), torch.ones(2))


def test_pictures_that_lack_an_attribute_are_out_of_its_domain():
    grey = torch.rand(1, 1, SIZE, SIZE).expand(1, 3, SIZE, SIZE)
    coloured, flat_grey = even(0.2, 0.5, 0.3), even(0.5, 0.5, 0.5)
    broken = torch.rand(1, 3, SIZE, SIZE).index_fill(3, torch.tensor([0]), torch.nan)
    known = Statistics().in_domain(torch.cat([grey, coloured, flat_grey, broken, 2 * grey]))
    assert known.tolist() == pytest.approx([0.9, 0.6, 0.5, 0, 0])


def test_every_value_lies_in_its_range_on_noise_and_on_even_pictures():
    images = torch.cat([torch.rand(4, 3, SIZE, SIZE), torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, 3, SIZE, SIZE)])
    for name, values in Statistics().measure(images).items():
        attribute = Statistics.attributes[name]
        assert torch.isfinite(values).all()
        assert (values >= attribute.low - 1e-6).all(), name
        assert (values <= attribute.high + 1e-6).all(), name


def test_spreads_are_those_of_even_distributions_over_the_range():
    assert Statistics.attributes["hue"].spread == pytest.approx(360 / math.sqrt(12))
    assert Statistics.attributes["brightness"].spread == pytest.approx(1 / math.sqrt(12))


def test_an_even_picture_has_its_own_brightness_and_no_contrast():
    measured = measure(even(0.25, 0.5, 0.75))
    assert measured["brightness"] == pytest.approx(0.2126 * 0.25 + 0.7152 * 0.5 + 0.0722 * 0.75)
    assert measured["contrast"] == pytest.approx(0, abs=1e-5)
    assert measured["saturation"] == pytest.approx(0.5)
    assert measured["warmth"] == pytest.approx(-0.5)
    assert (measured["salient_x"], measured["salient_size"]) == pytest.approx((0, 0), abs=1e-5)


def test_half_black_half_white_has_the_largest_contrast():
    image = even(0.0, 0.0, 0.0)
    image[..., SIZE // 2 :] = 1
    assert measure(image)["contrast"] == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("colour", "hue"),
    [((1, 0, 0), 0), ((1, 1, 0), 60), ((0, 1, 0), 120), ((0, 1, 1), 180), ((0, 0, 1), 240), ((1, 0, 1), 300)],
)
def test_pure_colours_have_their_hues(colour, hue):
    assert measure(even(*map(float, colour)))["hue"] == pytest.approx(hue, abs=1e-3)


def test_two_reds_on_either_side_of_zero_average_to_red_and_grey_does_not_count():
    image = torch.cat([even(1.0, 0.0, 0.2), even(1.0, 0.2, 0.0), even(0.5, 0.5, 0.5)], 3)
    hue = measure(image)["hue"]
    assert min(hue, 360 - hue) == pytest.approx(0, abs=1e-3)


def test_the_mirror_image_of_a_symmetric_picture_is_itself():
    assert measure(disc(0, 0.1, 0.2))["symmetry"] == pytest.approx(1, abs=1e-4)
    assert measure(disc(0.3, 0.1, 0.1))["symmetry"] < 0.2


def test_blurring_lowers_sharpness():
    noise = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    sharpness = [measure(F.avg_pool2d(noise, size, 1))["sharpness"] for size in (1, 3, 5)]
    assert sharpness[0] > sharpness[1] > sharpness[2]


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.2, -0.1), (-0.15, 0.25)])
def test_a_disc_stands_where_it_was_put_and_is_as_large_as_it_is(x, y):
    measured = measure(disc(x, y, 0.15))
    assert (measured["salient_x"], measured["salient_y"]) == pytest.approx((x, y), abs=0.01)
    assert measured["salient_size"] == pytest.approx(math.pi * 0.15**2, rel=0.05)


def test_a_backdrop_that_changes_from_edge_to_edge_does_not_stand_out():
    line = torch.linspace(0, 1, SIZE)
    backdrop = torch.stack([line.expand(SIZE, SIZE), line[:, None].expand(SIZE, SIZE), torch.full((SIZE, SIZE), 0.5)])
    assert measure(backdrop[None] * 0.5 + 0.25)["salient_size"] < 0.02


def test_white_and_grey_have_the_lightness_of_the_standard():
    white, grey = cielab(even(1.0, 1.0, 1.0))[0, :, 0, 0], cielab(even(0.4663, 0.4663, 0.4663))[0, :, 0, 0]
    assert white.tolist() == pytest.approx([100, 0, 0], abs=1e-3)
    assert grey.tolist() == pytest.approx([50, 0, 0], abs=0.02)  # sRGB 119 of 255 is L* 50


def test_every_statistic_has_a_gradient_even_on_an_even_picture():
    for image in (torch.rand(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5)):
        image.requires_grad_(True)
        sum(value.sum() for value in Statistics().measure(image).values()).backward()
        assert torch.isfinite(image.grad).all()


def test_salience_finds_the_renderers_birds():
    rendering = render_all(sample_factors(60, generator=torch.Generator().manual_seed(1)))
    measured = Statistics().measure(rendering.picture)
    mask = rendering.mask[:, 0]
    line = (torch.arange(64) + 0.5) / 64 - 0.5
    area = mask.mean((1, 2))
    assert correlation(measured["salient_x"], (mask * line).mean((1, 2)) / area) > 0.97
    assert correlation(measured["salient_y"], (mask * -line[:, None]).mean((1, 2)) / area) > 0.93
    assert correlation(measured["salient_size"], area) > 0.9

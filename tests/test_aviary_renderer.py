import time

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from steer.generators.aviary.anatomy import PARTS
from steer.generators.aviary.factors import FACTORS, SPECIES, sample_factors
from steer.generators.aviary.renderer import layout, render, render_all, sketch

ROBIN, HERON = SPECIES.index("robin"), SPECIES.index("heron")
MIDDLE = dict(
    species=ROBIN, hue=0.0, heading=40.0, tilt=0.0, size=0.75, x=0.0, y=0.0,
    background_hue=200.0, background_brightness=0.7, light=0.0,
)  # fmt: skip


def birds(**values: float | list[float]) -> dict[str, Tensor]:
    count = max((len(value) for value in values.values() if isinstance(value, list)), default=1)
    factors = {}
    for name, default in MIDDLE.items():
        value = values.get(name, default)
        column = torch.tensor(value if isinstance(value, list) else [value] * count)
        factors[name] = column.long() if name == "species" else column.float()
    return factors


def hue_of(pixels: Tensor) -> Tensor:
    """Circular mean hue in degrees of (3, count) colours, weighted by chroma."""
    red, green, blue = pixels.double()
    return torch.rad2deg(torch.atan2(3**0.5 * (green - blue).mean(), (2 * red - green - blue).mean())) % 360


def apart(first: Tensor, second: float) -> float:
    return abs((float(first) - second + 180) % 360 - 180)


def centroid(mask: Tensor) -> tuple[Tensor, Tensor]:
    line = (torch.arange(mask.shape[-1]) + 0.5) / mask.shape[-1] - 0.5
    weight = mask.sum((1, 2, 3))
    return (mask * line).sum((1, 2, 3)) / weight, -(mask * line[:, None]).sum((1, 2, 3)) / weight


def test_pictures_are_in_range_and_shaped_as_promised() -> None:
    result = render_all(sample_factors(seeds=range(6)), 48)
    assert result.picture.shape == (6, 3, 48, 48) and result.picture.dtype == torch.float32
    assert result.mask.shape == result.parts.shape == (6, 1, 48, 48)
    for plane in (result.picture, result.mask):
        assert plane.min() >= 0 and plane.max() <= 1
    assert result.parts.min() == 0 and result.parts.max() < len(PARTS)


def test_a_bird_is_bit_equal_in_any_batch_and_every_time() -> None:
    factors = sample_factors(seeds=range(9))
    together = render(factors)
    alone = torch.cat([render({name: values[k : k + 1] for name, values in factors.items()}) for k in range(9)])
    assert torch.equal(together, alone) and torch.equal(together, render(factors))


@pytest.mark.parametrize("hue", range(0, 360, 30))
def test_the_plumage_has_the_hue_asked_for(hue: int) -> None:
    result = render_all(birds(hue=float(hue), heading=180.0), 64)
    body = result.picture[0][:, (result.parts == PARTS.index("body"))[0, 0] & (result.mask[0, 0] == 1)]
    assert apart(hue_of(body), hue) < 15


@pytest.mark.parametrize("hue", range(0, 360, 45))
def test_the_backdrop_has_the_hue_asked_for(hue: int) -> None:
    picture = render(birds(background_hue=float(hue)))
    assert apart(hue_of(picture[0, :, :6].flatten(1)), hue) < 12


def test_the_backdrop_brightens() -> None:
    pictures = render(birds(background_brightness=[0.4, 0.55, 0.7, 0.85, 1.0]))
    values = pictures[:, :, :6].amax(1).mean((1, 2))
    assert values.diff().min() > 0.08


@pytest.mark.parametrize("species", range(8))
def test_the_back_hides_the_beak_and_the_front_shows_it(species: int) -> None:
    parts = layout(birds(species=species, heading=[0.0, 180.0], tilt=0.0), 128)
    beak = (parts == PARTS.index("beak")).sum((1, 2, 3))
    assert beak[0] > 10 and beak[1] == 0


@pytest.mark.parametrize("species", range(8))
def test_a_bird_heading_right_has_its_beak_on_the_right(species: int) -> None:
    result = render_all(birds(species=species, heading=[90.0, 270.0]), 96)
    beak, _ = centroid((result.parts == PARTS.index("beak")).float())
    body, _ = centroid((result.parts == PARTS.index("body")).float())
    assert beak[0] > body[0] + 0.1 and beak[1] < body[1] - 0.1


def test_a_mirrored_scene_is_the_mirrored_picture() -> None:
    factors = sample_factors(seeds=range(16))
    mirrored = dict(factors, heading=(-factors["heading"]) % 360, x=-factors["x"], light=-factors["light"])
    difference = (render(factors).flip(3) - render(mirrored)).abs()
    # A ray that grazes two pieces at once may fall either way.
    assert difference.mean() < 2e-5 and difference.max() < 0.1


def test_the_mask_follows_x_and_y() -> None:
    x, y = centroid(render_all(birds(x=[-0.05, 0.0, 0.05, 0.0, 0.0], y=[0.0, 0.0, 0.0, -0.05, 0.05])).mask)
    assert x[2] - x[1] == pytest.approx(0.05, abs=2e-3) and x[1] - x[0] == pytest.approx(0.05, abs=2e-3)
    assert y[4] - y[3] == pytest.approx(0.10, abs=2e-3)


def test_the_area_grows_as_the_square_of_the_size() -> None:
    area = render_all(birds(size=[0.62, 0.86]), 128).mask.sum((1, 2, 3))
    assert area[1] / area[0] == pytest.approx((0.86 / 0.62) ** 2, rel=0.02)


@pytest.mark.parametrize("species", range(8))
def test_tilting_up_raises_the_beak(species: int) -> None:
    result = render_all(birds(species=species, heading=90.0, tilt=[-20.0, 0.0, 20.0]), 96)
    _, beak = centroid((result.parts == PARTS.index("beak")).float())
    assert beak.diff().min() > 0.02


def test_the_lit_side_is_the_bright_side() -> None:
    result = render_all(birds(heading=0.0, light=[-70.0, 70.0]), 64)
    gray = (result.picture.mean(1, keepdim=True) * (result.mask == 1)).sum(2)
    left, right = gray[..., :32].sum((1, 2)), gray[..., 32:].sum((1, 2))
    assert left[0] > 1.15 * right[0] and right[1] > 1.15 * left[1]


@pytest.mark.parametrize("species", range(8))
def test_nothing_is_cut_off_at_the_corners_of_the_prior(species: int) -> None:
    largest, side = FACTORS["size"].high, FACTORS["x"].high
    for tilt in (FACTORS["tilt"].low, FACTORS["tilt"].high):
        headings = [float(heading) for heading in range(15, 360, 45)]
        middle, up, down = (
            render_all(birds(species=species, heading=headings, tilt=tilt, size=largest, x=x, y=x), 64).mask.sum(
                (1, 2, 3)
            )
            for x in (0.0, side, -side)
        )
        assert (up / middle - 1).abs().max() < 0.03 and (down / middle - 1).abs().max() < 0.03


def test_birds_fill_a_good_part_of_the_picture() -> None:
    share = render_all(sample_factors(64, generator=torch.Generator().manual_seed(0)), 32).mask.mean()
    assert 0.13 < share < 0.25


def test_every_factor_changes_every_picture() -> None:
    base = sample_factors(seeds=range(8))
    start = render(base)
    for name, factor in FACTORS.items():
        moved = dict(base)
        if factor.kind == "categorical":
            moved[name] = (base[name] + 3) % 8
        elif factor.kind == "circular":
            moved[name] = (base[name] + 90) % 360
        else:
            middle = (factor.low + factor.high) / 2
            moved[name] = torch.where(base[name] > middle, factor.low, factor.high)
        changed = ((render(moved) - start).abs().amax(1) > 0.03).float().mean((1, 2))
        assert changed.min() > 0.01, name


def test_a_large_picture_is_the_same_picture() -> None:
    factors = sample_factors(seeds=range(4))
    small = render(factors, 64, supersample=4)
    assert (F.avg_pool2d(render(factors, 256, supersample=1), 4) - small).abs().mean() < 2e-3


def test_parts_and_mask_agree() -> None:
    result = render_all(sample_factors(seeds=range(8)), 64)
    sure = (result.mask == 0) | (result.mask == 1)
    assert torch.equal((result.parts > 0)[sure], (result.mask == 1)[sure])


def test_a_sketch_draws_lines_on_and_around_the_bird_only() -> None:
    factors = sample_factors(seeds=range(4))
    lines, mask = sketch(factors, 128), render_all(factors, 128).mask
    near = F.max_pool2d(mask, 5, 1, 2) > 0
    assert lines.shape == (4, 1, 128, 128) and lines[~near].max() == 0
    assert (lines.amax((1, 2, 3)) == 1).all() and 0.01 < lines.mean() < 0.15


@pytest.mark.slow
def test_fifty_pictures_a_second_are_drawn() -> None:
    factors = sample_factors(128, generator=torch.Generator().manual_seed(0))
    render(factors)
    began = time.perf_counter()
    render(factors)
    assert 128 / (time.perf_counter() - began) > 50

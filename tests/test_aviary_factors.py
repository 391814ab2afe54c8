import math
from collections.abc import Callable

import pytest
import torch

from steer.errors import SteerError
from steer.generators.aviary.factors import (
    DICE,
    DICE_COUNT,
    FACTORS,
    Correlation,
    Prior,
    dice_to_factors,
    factors_to_dice,
    sample_factors,
)

NAMES = "species hue heading tilt size x y background_hue background_brightness light".split()
CORRELATED = Prior(
    {"heading": (-40, 60), "size": (0.65, 0.7)},
    (
        Correlation("hue", "heading", 0.9, 270),
        Correlation("x", "background_hue", 0.7, 30),
        Correlation("tilt", "y", -0.5),
    ),
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_there_are_exactly_the_ten_factors_in_order() -> None:
    assert list(FACTORS) == NAMES


def test_twelve_dice_are_shared_out_without_gaps() -> None:
    used = sorted(die for part in DICE.values() for die in range(part.start, part.stop))
    assert used == list(range(12)) and DICE_COUNT == 12


def test_the_spread_of_a_full_circle_is_104_degrees() -> None:
    assert FACTORS["hue"].spread == pytest.approx(103.92, abs=0.01)


@pytest.mark.parametrize("prior", [Prior(), CORRELATED])
def test_dice_made_from_factors_give_the_factors_back(prior: Prior) -> None:
    factors = sample_factors(500, generator=rng(), prior=prior)
    again = dice_to_factors(factors_to_dice(factors, prior), factors["species"], prior)
    for name, factor in FACTORS.items():
        difference = again[name] - factors[name]
        if factor.kind == "circular":
            difference = torch.remainder(difference + 180, 360) - 180
        assert difference.abs().max() < 1e-3 * max(factor.high - factor.low, 1e-3)


def test_normal_dice_give_uniform_factors() -> None:
    factors = sample_factors(20_000, generator=rng())
    for name, factor in FACTORS.items():
        if factor.kind != "categorical":
            fraction = (factors[name] - factor.low) / (factor.high - factor.low)
            counts = torch.histc(fraction, 10, 0, 1)
            assert (counts - 2000).abs().max() < 5 * math.sqrt(1800), name


def test_a_seed_gives_the_same_bird_in_any_company() -> None:
    alone, together = sample_factors(seeds=[7]), sample_factors(seeds=[3, 7, 1])
    assert all(torch.equal(alone[name][0], together[name][1]) for name in FACTORS)


def test_a_narrowed_prior_stays_in_its_range_even_across_zero() -> None:
    factors = sample_factors(2000, generator=rng(), prior=Prior({"heading": (-30, 30), "species": (2, 4)}))
    away = (torch.remainder(factors["heading"] + 180, 360) - 180).abs()
    assert away.max() <= 30.001 and away.max() > 25
    assert set(factors["species"].tolist()) == {2, 3}


def test_correlated_circles_follow_each_other_with_the_shift() -> None:
    prior = Prior(correlations=(Correlation("hue", "heading", 0.95, 270),))
    factors = sample_factors(5000, generator=rng(), prior=prior)
    red = torch.deg2rad(factors["hue"]).cos() > 0.95
    angle = torch.deg2rad(factors["heading"][red])
    assert angle.sin().mean() < -0.85  # red birds face left


def test_correlated_dice_keep_their_own_distribution() -> None:
    factors = sample_factors(20_000, generator=rng(), prior=Prior(correlations=(Correlation("size", "light", 0.8),)))
    pair = torch.stack([factors["size"], factors["light"]])
    # The rank correlation of a Gaussian copula is 6 / π · arcsin(ρ / 2).
    assert torch.corrcoef(pair)[0, 1] == pytest.approx(6 / math.pi * math.asin(0.4), abs=0.02)
    assert factors["light"].std() == pytest.approx(FACTORS["light"].spread, rel=0.02)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Prior({"colour": (0, 1)}),
        lambda: Prior({"size": (0.1, 0.7)}),
        lambda: Prior({"tilt": (5, 5)}),
        lambda: Prior(correlations=(Correlation("hue", "species", 0.5),)),
        lambda: Prior(correlations=(Correlation("hue", "heading", 1.0),)),
        lambda: Prior(correlations=(Correlation("hue", "heading", 0.5), Correlation("heading", "x", 0.5))),
        lambda: sample_factors(),
    ],
)
def test_an_impossible_prior_is_refused_with_the_cure(make: Callable[[], object]) -> None:
    with pytest.raises(SteerError, match=r"choose|there are|tie|try|let|say"):
        make()

"""The scorecard, against knobs whose every figure can be worked out by hand."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from known_world import Truth, undrawn_aviary
from PIL import Image
from sklearn.isotonic import IsotonicRegression

from steer.directions.bootstrap import intervals
from steer.directions.figures import isotonic
from steer.directions.probe import FIRST_SEED as PROBED
from steer.directions.scorecard import FIRST_SEED, Scorecard, scorecard
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import LinearKnob, RingKnob
from steer.registry import load_generator, load_measurer, shipped_knobs


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def card(birds: Generator) -> Scorecard:
    """Score the true knobs, one that turns size and x at once, one for hue that is half as quick, and a stray one."""
    true = shipped_knobs(birds)
    size, x, hue = true["size"], true["x"], true["hue"]
    assert isinstance(size, LinearKnob)
    assert isinstance(x, LinearKnob)
    assert isinstance(hue, RingKnob)
    mixed = LinearKnob("mixed", "z", 0.8 * size.direction + 0.6 * x.direction, range=(-2.0, 2.0), attribute="size")
    stray = LinearKnob("stray", "z", size.direction, range=(-1.0, 2.0))
    backward = LinearKnob("backward", "z", -size.direction, range=(-2.5, 2.5), attribute="size")
    quarter = RingKnob("quarter", "z", hue.plane, range=(-90.0, 90.0), attribute="hue")
    knobs = {**true, "mixed": mixed, "stray": stray, "backward": backward, "quarter": quarter}
    return scorecard(birds, knobs, seeds=64, measurer=Truth())


def score(card: Scorecard, name: str):  # type: ignore[no-untyped-def]
    return next(knob for knob in card.knobs if knob.name == name).figures


def normal(values: np.ndarray) -> np.ndarray:
    return torch.special.ndtr(torch.from_numpy(values)).numpy()


DICE = np.linspace(-5, 5, 2001)
WEIGHTS = np.exp(-(DICE**2) / 2) / np.exp(-(DICE**2) / 2).sum()


def test_true_rings_turn_degree_for_degree_and_leak_nothing(card: Scorecard) -> None:
    for name in ("hue", "heading", "background_hue"):
        figures = score(card, name)
        assert figures.r2 > 0.999
        assert figures.gain == pytest.approx(1 / (360 / math.sqrt(12)), rel=1e-3)
        assert figures.leakage_worst < 1e-3
        assert figures.reach == pytest.approx((math.sqrt(3), math.sqrt(3)), rel=1e-3)  # 180 / 103.9
        assert figures.species_kept == 1
    assert score(card, "quarter").reach == pytest.approx((math.sqrt(3) / 2, math.sqrt(3) / 2), rel=1e-3)


def test_r2_of_a_true_linear_knob_is_what_the_normal_distribution_says(card: Scorecard) -> None:
    amounts = np.linspace(-2.5, 2.5, 9)
    changes = normal(DICE[:, None] + amounts) - normal(DICE)[:, None]
    mean = WEIGHTS @ changes
    left = (WEIGHTS @ (changes - mean) ** 2).mean()
    there = (WEIGHTS @ (changes - mean.mean()) ** 2).mean()
    for name in ("size", "x", "y", "tilt", "light", "background_brightness"):
        assert score(card, name).r2 == pytest.approx(1 - left / there, abs=0.06), name
        assert score(card, name).leakage_worst < 1e-3


def test_reach_is_the_median_change_at_either_end_in_spreads(card: Scorecard) -> None:
    expected = math.sqrt(12) * (normal(np.array([2.5]))[0] - 0.5)  # the median bird stands in the middle
    for name in ("size", "x", "y"):
        assert score(card, name).reach == pytest.approx((expected, expected), rel=0.25)


def test_a_knob_that_turns_two_things_leaks_by_their_ratio(card: Scorecard) -> None:
    amounts = np.linspace(-2, 2, 9)
    moved, leaked = (
        math.sqrt((WEIGHTS @ (normal(DICE[:, None] + part * amounts) - normal(DICE)[:, None]) ** 2).mean())
        for part in (0.8, 0.6)
    )
    figures = score(card, "mixed")
    assert figures.leakage["x"] == pytest.approx(leaked / moved, rel=0.08)
    assert sum(figures.leakage.values()) == pytest.approx(figures.leakage["x"], abs=1e-3)
    assert figures.leakage_mean == pytest.approx(figures.leakage["x"] / 9, rel=1e-3)


def test_a_backward_knob_has_negative_gain_and_the_reach_of_the_true_one(card: Scorecard) -> None:
    backward, true = score(card, "backward"), score(card, "size")
    assert backward.gain == pytest.approx(-true.gain, rel=1e-6)
    assert backward.r2 == pytest.approx(true.r2, abs=1e-6)
    assert backward.reach == pytest.approx(true.reach[::-1], rel=1e-6)


def test_a_knob_meant_for_nothing_is_judged_by_what_changes_most(card: Scorecard) -> None:
    stray = next(knob for knob in card.knobs if knob.name == "stray")
    assert stray.target.name == "size"
    assert not stray.meant
    assert any(row[1] == "(size)" for row in card.table())


def test_random_directions_are_worse_in_every_way(card: Scorecard) -> None:
    baseline = card.random_baseline
    assert baseline.r2 < 0.7
    assert baseline.leakage_worst > 0.5
    assert max(baseline.reach) < 1
    true = [knob.figures for knob in card.knobs if knob.name in Truth.attributes]
    assert all(figures.r2 > baseline.r2 for figures in true)


def test_the_errors_of_the_judge_itself_do_not_count_as_leakage(
    birds: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shaky(Truth):
        """Reads half of the size into tilt, for any generator."""

        name = "shaky"
        reference: str | None = "undrawn"

        def measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            read = super().measure(images)
            shift = (read["size"] - self.attributes["size"].low) / self.attributes["size"].spread * 0.5
            return {**read, "tilt": read["tilt"] + shift * self.attributes["tilt"].spread}

    monkeypatch.setattr("steer.directions.scorecard.load_generator", lambda name, device: undrawn_aviary())
    true = shipped_knobs(birds)["size"]
    honest = scorecard(birds, {"size": true}, seeds=16, measurer=Shaky())
    assert honest.knobs[0].figures.leakage["tilt"] < 0.05
    Shaky.reference = None
    naive = scorecard(birds, {"size": true}, seeds=16, measurer=Shaky())
    assert naive.knobs[0].figures.leakage["tilt"] == pytest.approx(0.5, abs=0.01)


def test_json_has_the_names_that_scripts_rely_on(card: Scorecard) -> None:
    written = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert list(written)[:4] == ["generator", "seeds", "knobs", "random_baseline"]
    figures = {"gain", "r2", "leakage", "leakage_mean", "reach", "species_kept"}
    assert set(written["random_baseline"]) == {*figures, "intervals"}
    for knob in written["knobs"]:
        assert set(knob) >= {"name", "attribute", "finder", "unit", "range", *figures}
        assert set(knob["leakage"]) == set(Truth.attributes) - {knob["attribute"]}
        assert all(value >= 0 for value in knob["leakage"].values())


def entry(card: Scorecard, name: str):  # type: ignore[no-untyped-def]
    return next(each for each in card.to_json()["knobs"] if each["name"] == name)


def test_every_interval_holds_its_figure_or_nearly_so(card: Scorecard) -> None:
    for name in ("size", "mixed", "hue"):
        score, ends = entry(card, name), entry(card, name)["intervals"]
        for figure in ("gain", "r2", "leakage_mean"):
            low, high = ends[figure]
            assert low - 0.01 <= score[figure] <= high + 0.01
        assert all(low <= value <= high for (low, high), value in zip(ends["response"], score["response"], strict=True))
    low, high = entry(card, "size")["intervals"]["r2"]
    assert 0.01 < high - low < 0.2


def test_true_rings_go_round_once_evenly_and_past_every_sector(card: Scorecard) -> None:
    for name in ("hue", "heading", "background_hue"):
        ring = entry(card, name)["winding"]
        assert ring["winding"] == 1
        assert ring["speed_variation"] < 1e-3
        assert ring["sectors"] == 12
    assert entry(card, "quarter")["winding"] is None
    assert entry(card, "size")["winding"] is None


def test_limits_of_a_true_linear_knob_are_those_of_the_normal_distribution(card: Scorecard) -> None:
    score = entry(card, "x")
    span = 0.14
    for amount, shift in zip(score["amounts"], score["limits"]["mean_shift"], strict=True):
        expected = span * abs(WEIGHTS @ (normal(DICE + amount) - normal(DICE)))
        assert shift == pytest.approx(expected, abs=0.1 * span)
    middle = score["amounts"].index(0)
    assert score["limits"]["overlap"][middle] == pytest.approx(1)
    assert score["limits"]["kl"][middle] == pytest.approx(0, abs=1e-6)
    assert max(score["limits"]["overlap"][0], score["limits"]["overlap"][-1]) < 0.5
    assert entry(card, "hue")["limits"] is None


def test_a_knob_that_fails_in_one_class_says_so(birds: Generator) -> None:
    class Contrary(Truth):
        """Reads the size of owls upside down."""

        def measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            read = super().measure(images)
            size, owl = self.attributes["size"], read["species"] == 6
            return {**read, "size": torch.where(owl, size.low + size.high - read["size"], read["size"])}

    (score,) = scorecard(birds, {"size": shipped_knobs(birds)["size"]}, measurer=Contrary()).to_json()["knobs"]
    told = score["transfer"]
    assert told["owl"]["r2"] < 0
    assert told["owl"]["gain"] < 0
    assert all(each["r2"] > 0.5 and each["gain"] > 0 for name, each in told.items() if name != "owl")


def test_realism_is_followed_along_the_range(birds: Generator) -> None:
    class Picky(Truth):
        """Knows only birds in the lower half of their sizes."""

        def in_domain(self, images: torch.Tensor) -> torch.Tensor:
            return (self.measure(images)["size"] < 0.74).float()

    card = scorecard(birds, {"size": shipped_knobs(birds)["size"]}, measurer=Picky())
    (score,) = card.to_json()["knobs"]
    assert score["in_domain"] == sorted(score["in_domain"], reverse=True)
    assert score["in_domain"][4] == pytest.approx(0.5, abs=0.15)
    assert card.knobs[0].realism < 0.1


def test_the_table_for_spreadsheets_has_every_number_with_its_interval(card: Scorecard, tmp_path: Path) -> None:
    card.save_csv(tmp_path / "card.csv")
    with (tmp_path / "card.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["knob"], row["figure"], row["of"]): row for row in rows}
    score = entry(card, "mixed")
    leak = found["mixed", "leakage", "x"]
    assert float(leak["value"]) == score["leakage"]["x"]
    assert [float(leak["low"]), float(leak["high"])] == score["intervals"]["leakage"]["x"]
    assert leak["n"] == "64"
    assert float(found["mixed", "reach", "up"]["value"]) == score["reach"][1]
    assert float(found["mixed", "limits", "overlap -2"]["value"]) == score["limits"]["overlap"][0]
    assert float(found["mixed", "transfer", "owl gain"]["value"]) == score["transfer"]["owl"]["gain"]
    assert found["random directions", "r2", ""]["n"] == "8"


def test_the_nearest_rising_values_are_those_of_another_implementation() -> None:
    levels = np.random.default_rng(0).normal(size=(20, 9)) + np.linspace(0, 2, 9)
    expected = [IsotonicRegression().fit_transform(np.arange(9), level) for level in levels]
    assert isotonic(levels) == pytest.approx(np.array(expected), abs=1e-12)


def test_an_interval_is_as_wide_as_the_normal_distribution_says() -> None:
    values = np.random.default_rng(1).normal(size=400)
    low, high = intervals(lambda draw: {"mean": [values[draw(len(values))].mean()]})["mean"][0]
    assert high - low == pytest.approx(2 * 1.645 / math.sqrt(400), rel=0.25)
    assert low < values.mean() < high
    assert intervals(lambda draw: {"nothing": None}) == {"nothing": None}


def test_rows_of_text_are_all_as_long_as_the_heading(card: Scorecard) -> None:
    heading, *rows = card.table()
    assert len(rows) == len(card.knobs) + 1
    assert all(len(row) == len(heading) for row in rows)
    assert rows[-1][0] == "random directions"


def test_the_page_is_drawn_whole_or_refused(card: Scorecard, tmp_path: Path) -> None:
    card = replace(card, knobs=card.knobs[-3:])
    card.figure(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as page:
        assert page.width > 1_000
    with pytest.raises(BadInput, match=r"\.pdf, \.png, \.svg"):
        card.figure(tmp_path / "page.doc")
    with pytest.raises(BadInput, match="does not exist"):
        card.figure(tmp_path / "nowhere" / "page.png")


def test_the_same_knobs_get_the_same_figures(birds: Generator) -> None:
    knobs = {"hue": shipped_knobs(birds)["hue"]}
    first, second = (scorecard(birds, knobs, seeds=8, measurer=Truth()) for _ in range(2))
    assert first.to_json() == second.to_json()


def test_samples_are_unseen_by_finders() -> None:
    assert FIRST_SEED == 1_000_000
    assert PROBED > FIRST_SEED + 1_000_000


def test_progress_counts_every_picture(birds: Generator) -> None:
    seen: list[tuple[int, int]] = []
    knobs = {"hue": shipped_knobs(birds)["hue"]}
    scorecard(birds, knobs, seeds=8, amounts=3, measurer=Truth(), progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1] == (3 * (8 + 8 * 8), 3 * (8 + 8 * 8))


def test_nothing_to_score_is_refused(birds: Generator) -> None:
    with pytest.raises(BadInput, match="1 knob"):
        scorecard(birds, {})


@pytest.mark.slow
def test_the_judge_gives_the_true_knobs_full_marks() -> None:
    birds = load_generator("aviary", "cpu")
    knobs = {name: shipped_knobs(birds)[name] for name in ("heading", "size")}
    card = scorecard(birds, knobs, seeds=16, measurer=load_measurer("aviary-judge"))
    for knob in card.knobs:
        assert knob.figures.r2 > 0.7
        assert knob.figures.leakage_worst < 0.1
        assert min(knob.figures.reach) > 1

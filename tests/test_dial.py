"""Dialling knobs to a target, in a world whose every factor is known."""

import json
import math

import pytest
import torch
from known_world import Truth, affine, undrawn_aviary

import steer
from steer.directions.accuracy import measure_dial
from steer.directions.dial import dial
from steer.errors import BadInput, Cancelled, UnknownName
from steer.generator import Generator
from steer.knob import KnobSet, LinearKnob, RingKnob
from steer.registry import shipped_knobs

SEEDS = range(12)


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def knobs(birds: Generator) -> KnobSet:
    return shipped_knobs(birds)


def dialled(birds: Generator, knobs, targets, **options):  # type: ignore[no-untyped-def]
    latent = birds.sample(SEEDS)
    return latent, dial(birds, knobs, latent, targets, measurer=Truth(), judge=Truth(), **options)


def test_every_bird_gets_the_hue_that_was_asked_for_and_nothing_else_changes(birds: Generator, knobs: KnobSet) -> None:
    latent, found = dialled(birds, knobs, {"hue": "lime"})
    shown = Truth().measure(birds.decode(latent, found.steering))["hue"]
    assert shown.tolist() == pytest.approx([120] * len(SEEDS), abs=0.5)
    (reached,) = found.reached
    assert reached.target == 120
    assert reached.error < 0.5
    assert max(found.leakage.values()) < 1e-3
    assert max(map(abs, reached.amounts)) <= 180  # the short way round


def test_a_number_is_reached_where_the_range_goes_that_far_and_nearly_elsewhere(
    birds: Generator, knobs: KnobSet
) -> None:
    _, found = dialled(birds, knobs, {"size": 0.74})
    assert found.reached[0].error < 0.24 * 0.01
    short = LinearKnob("size", "z", knobs["size"].direction, range=(-0.5, 0.5), attribute="size")  # type: ignore[attr-defined]
    latent, found = dialled(birds, {"size": short}, {"size": 0.86})
    assert all(amount == pytest.approx(0.5, abs=0.02) for amount in found.reached[0].amounts)
    reached = Truth().measure(birds.decode(latent, found.steering))["size"].double()
    assert list(found.reached[0].residuals) == pytest.approx((reached - 0.86).tolist(), abs=1e-6)


def test_a_target_beyond_the_range_says_where_the_reach_ends(birds: Generator, knobs: KnobSet) -> None:
    direction = knobs["size"].direction  # type: ignore[attr-defined]
    short = LinearKnob("size", "z", direction, range=(-0.5, 0.5), attribute="size")
    latent, found = dialled(birds, {"size": short}, {"size": 1000.0})
    ends = (Truth().measure(birds.decode(latent, steer.Steering([(short, end)])))["size"] for end in short.range)
    assert found.reached[0].out_of_reach == len(SEEDS)
    assert found.reached[0].reach == pytest.approx([float(each.median()) for each in ends], abs=1e-4)
    assert [each["reached"] for each in found.to_json()["reached"]] == [False]
    _, found = dialled(birds, knobs, {"size": 0.74, "hue": 10.0})
    assert [each.out_of_reach for each in found.reached] == [0, 0]
    assert [each["reached"] for each in found.to_json()["reached"]] == [True, True]
    assert found.reached[1].reach is None


def test_a_reference_picture_says_what_to_reach(birds: Generator, knobs: KnobSet) -> None:
    other = birds.decode(birds.sample([77]))
    hue = float(Truth().measure(other)["hue"])
    _, found = dialled(birds, knobs, {"hue": other})
    assert found.reached[0].target == pytest.approx(hue, abs=1)
    assert found.reached[0].error < 1


def test_two_knobs_that_disturb_each_other_both_arrive(birds: Generator, knobs: KnobSet) -> None:
    size, x = knobs["size"], knobs["x"]
    assert isinstance(size, LinearKnob) and isinstance(x, LinearKnob)
    mixed = {
        "size": LinearKnob("size", "z", size.direction + 0.3 * x.direction, range=(-3, 3), attribute="size"),
        "x": LinearKnob("x", "z", x.direction + 0.3 * size.direction, range=(-3, 3), attribute="x"),
    }
    _, found = dialled(birds, mixed, {"size": 0.74, "x": 0.0})
    assert found.reached[0].error < 0.24 * 0.04
    assert found.reached[1].error < 0.14 * 0.04


def test_other_turns_stay_and_are_no_leakage(birds: Generator, knobs: KnobSet) -> None:
    latent, found = dialled(birds, knobs, {"hue": 10.0}, steering=steer.Steering([(knobs["x"], 1.0)]))
    assert [turn.knob.name for turn in found.steering.turns] == ["hue", "x"]
    alone = Truth().measure(birds.decode(latent, steer.Steering([(knobs["x"], 1.0)])))["x"]
    assert Truth().measure(birds.decode(latent, found.steering))["x"].tolist() == pytest.approx(
        alone.tolist(), abs=1e-6
    )
    assert found.leakage["x"] < 1e-3


def test_leakage_is_what_a_mixed_knob_changes_beside_its_target(birds: Generator, knobs: KnobSet) -> None:
    size, x = knobs["size"], knobs["x"]
    assert isinstance(size, LinearKnob) and isinstance(x, LinearKnob)
    mixed = LinearKnob("size", "z", size.direction + x.direction, range=(-3, 3), attribute="size")
    latent, found = dialled(birds, {"size": mixed}, {"size": 0.74})
    before, after = (Truth().measure(birds.decode(latent, each))["x"] for each in (None, found.steering))
    expected = (after - before).square().mean().sqrt() / (0.14 / math.sqrt(12))
    assert found.leakage["x"] == pytest.approx(float(expected), rel=1e-4)
    assert found.leakage["x"] > 0.3


def test_the_judge_says_what_the_search_could_not_see(birds: Generator, knobs: KnobSet) -> None:
    class Off(Truth):
        """Reads hues 20 degrees too high."""

        def measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            read = super().measure(images)
            return {**read, "hue": torch.remainder(read["hue"] + 20, 360)}

    found = dial(birds, knobs, birds.sample(SEEDS), {"hue": 200.0}, measurer=Off(), judge=Truth())
    assert list(found.reached[0].residuals) == pytest.approx([-20] * len(SEEDS), abs=1)


def test_how_nearly_knobs_are_dialled_is_measured_by_the_judge(birds: Generator, knobs: KnobSet) -> None:
    class Off(Truth):
        """Reads hues 20 degrees too high."""

        def measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            read = super().measure(images)
            return {**read, "hue": torch.remainder(read["hue"] + 20, 360)}

    chosen = {"hue": knobs["hue"], "short": LinearKnob("short", "z", torch.zeros(12), attribute="size")}
    measured = measure_dial(birds, chosen, samples=20, measurer=Off(), judge=Truth())
    hue, short = measured.knobs
    assert (hue.error, hue.error_90, hue.disagreed) == pytest.approx((20, 20, 20), abs=1)
    assert hue.searched < 0.5
    assert hue.out_of_reach == 0
    assert max(hue.leakage.values()) < 1e-3
    assert short.out_of_reach > 0.7  # it turns nothing, and birds are seldom as large as is asked
    assert short.searched == pytest.approx(short.error, abs=1e-6)
    low, high = hue.interval
    assert low - 1e-4 <= hue.error <= high + 1e-4  # every bird is as far off, but for rounding
    json.dumps(measured.to_json(), allow_nan=False)
    with pytest.raises(BadInput, match="10 samples"):
        measure_dial(birds, chosen, samples=9)


def test_the_command_measures_dials(birds: Generator, knobs: KnobSet, made, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    words = ("measure", "dial", "aviary", "--knob", "hue", "--count", "10")
    (knob,) = json.loads(made(*words, "--json"))["knobs"]
    assert knob["knob"] == "hue"
    assert knob["error"] < 12
    measured = measure_dial(birds, {"hue": knobs["hue"]}, samples=10, measurer=Truth(), judge=Truth())
    monkeypatch.setattr("steer.directions.accuracy.measure_dial", lambda *_, **__: measured)
    assert "changed most beside it" in made(*words)


def test_what_cannot_be_dialled_is_refused_with_what_can(birds: Generator, knobs: KnobSet) -> None:
    aimless = RingKnob("round", "z", torch.eye(12)[:2])
    for asked, targets, message in (
        (knobs, {"colour": 3.0}, "no knob named 'colour'"),
        (knobs, {}, "say what to dial"),
        (knobs, {"size": "large"}, "neither a number nor a picture"),
        (knobs, {"hue": "grey"}, "no hue"),
        (knobs, {"heading": "orange"}, "neither a number nor a picture"),
        (knobs, {"hue": math.nan}, "give a finite number"),
        ({"round": aimless}, {"round": 3.0}, "meant for no number"),
    ):
        with pytest.raises((BadInput, UnknownName), match=message):
            dialled(birds, asked, targets)


def test_a_generator_without_a_judge_is_dialled_by_what_any_picture_shows() -> None:
    lines = affine()
    knob = LinearKnob("light", "z", lines.backend.directions[0], attribute="brightness")  # type: ignore[attr-defined]
    found = dial(lines, {"light": knob}, lines.sample(SEEDS), {"light": 0.5})
    assert found.reached[0].attribute.name == "brightness"
    json.dumps(found.to_json(), allow_nan=False)


def test_the_command_dials_and_says_how_nearly(tmp_path, run, made) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "green.png"
    words = ("dial", "aviary", "hue=lime", "--seeds", "1,2", "--out", out)
    told = json.loads(made(*words, "--json"))
    (reached,) = told["reached"]
    assert reached["target"] == 120
    assert reached["median_error"] < 12
    assert set(told["leakage"]) == set(Truth.attributes) - {"hue"}
    assert steer.Recipe.load(out).render().shape[0] == 2
    assert "off by" in made(*words)
    other = tmp_path / "one.png"  # a sheet with a border, which must not be read as part of the bird
    made("sample", "aviary", "--seeds", "77", "--out", other)
    told = json.loads(made("dial", "aviary", f"background_hue={other}", "--seeds", "1", "--out", out, "--json"))
    seen = steer.measure_attributes(steer.Recipe.load(other).render(), of=steer.load_generator("aviary"))
    assert told["reached"][0]["target"] == pytest.approx(float(seen["background_hue"][0]), abs=1)
    assert "picture height" in (said := made("dial", "aviary", "size=1000", "--seeds", "1,2", "--out", out))
    assert "Out of the reach of this knob in 2 of 2 pictures, which show the nearest it comes; it goes from" in said
    code, _, errors = run("dial", "aviary", "hue", "--seeds", "1", "--out", out)
    assert (code, errors.count("\n")) == (2, 1)
    assert "hue=orange" in errors


def test_progress_is_told_after_every_look_and_may_end_the_search(birds: Generator, knobs: KnobSet) -> None:
    told: list[tuple[int, int]] = []
    dialled(birds, knobs, {"hue": "lime", "size": 0.7}, progress=lambda done, whole: told.append((done, whole)))
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) > 2 * 2  # each of the two is dialled twice, and looked at more than once

    def stop(done: int, whole: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        dialled(birds, knobs, {"hue": "lime"}, progress=stop)

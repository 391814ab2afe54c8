"""Correcting knobs against what else they change, where the best correction is known."""

import json
from dataclasses import replace
from typing import cast

import pytest
import torch
from known_world import Truth, UndrawnAviary, undrawn_aviary

import steer
from steer.attribute import Masking
from steer.backend import Backend
from steer.directions.background import background_cells, with_background
from steer.directions.disentangle import disentangle
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.generators.aviary.factors import Correlation, Prior
from steer.knob import CalibratedKnob, KnobSet, LinearKnob, RingKnob
from steer.registry import load_generator, load_measurer, shipped_knobs


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def true(birds: Generator) -> KnobSet:
    return shipped_knobs(birds)


def line(knobs: KnobSet, **parts: float) -> torch.Tensor:
    """Return a sum of the directions of true linear knobs."""
    return sum(part * knobs[name].direction for name, part in parts.items())  # type: ignore[attr-defined,return-value]


def corrected(birds: Generator, knobs, **options):  # type: ignore[no-untyped-def]
    return disentangle(birds, knobs, measurer=Truth(), judge=Truth(), samples=24, **options)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0))


@pytest.fixture(scope="module")
def mended(birds: Generator, true: KnobSet) -> KnobSet:
    mixed = LinearKnob("size", "z", line(true, size=0.8, x=0.6), range=(-2.0, 2.0), attribute="size")
    hue = true["hue"]
    assert isinstance(hue, RingKnob)
    tilted = torch.linalg.qr((hue.plane + 0.5 * torch.stack([line(true, x=1.0), line(true, y=1.0)])).T).Q.T
    frame = tilted * torch.sign((tilted * hue.plane).sum(1, keepdim=True))
    return corrected(birds, {"size": mixed, "hue": RingKnob("hue", "z", frame, attribute="hue")})


def test_a_mixed_knob_becomes_the_true_one(mended: KnobSet, true: KnobSet) -> None:
    size = mended["size"]
    assert isinstance(size, LinearKnob)
    assert cosine(size.direction, line(true, size=1.0)) > 0.98
    assert float(size.direction.norm()) == pytest.approx(1, abs=1e-5)
    said = mended.report["size"]
    assert said["before"]["leakage"]["x"] == pytest.approx(0.75, abs=0.12)  # 0.6 over 0.8
    assert said["after"]["leakage"]["x"] < 0.15
    assert said["after"]["leakage_rms"] < said["before"]["leakage_rms"] / 4
    assert said["after"]["gain"] > said["before"]["gain"]


def test_a_tilted_ring_comes_back_into_its_plane(mended: KnobSet, true: KnobSet) -> None:
    hue, plane = mended["hue"], true["hue"].plane  # type: ignore[attr-defined]
    assert isinstance(hue, RingKnob)
    assert torch.allclose(hue.plane @ hue.plane.T, torch.eye(2), atol=1e-5)
    assert float(torch.linalg.svdvals(hue.plane @ plane.T).min()) > 0.97
    said = mended.report["hue"]
    assert said["after"]["leakage_rms"] < 0.4 * said["before"]["leakage_rms"]


def test_only_what_is_locked_counts(birds: Generator, true: KnobSet) -> None:
    mixed = LinearKnob("size", "z", line(true, size=0.7, x=0.5, y=0.5), range=(-2.0, 2.0), attribute="size")
    found = corrected(birds, {"size": mixed}, lock=["x"])
    direction = found["size"].direction  # type: ignore[attr-defined]
    assert abs(cosine(direction, line(true, x=1.0))) < 0.1
    assert cosine(direction, line(true, y=1.0)) > 0.3
    assert set(found.report["size"]["after"]["leakage"]) == {"x"}


@pytest.mark.parametrize("strength", [0.4, 0.8])
def test_correlated_data_entangle_knobs_by_their_correlation_and_correction_undoes_it(strength: float) -> None:
    prior = Prior(correlations=(Correlation("size", "x", strength),))
    birds = Generator(cast(Backend, UndrawnAviary(prior=prior)), name="entangled")
    plain = steer.find("probe", birds, attribute=("size", "x"), source=Truth(), samples=1_000, disentangle=False)
    found = corrected(birds, plain)
    for name, other in (("size", "x"), ("x", "size")):
        before, after = (found.report[name][when]["leakage"][other] for when in ("before", "after"))
        assert before == pytest.approx(strength, abs=0.12)
        assert after < 0.25 * before


def test_a_knob_that_leaks_nothing_is_left_as_it_is(birds: Generator, true: KnobSet) -> None:
    found = corrected(birds, {"x": true["x"], "hue": true["hue"]})
    assert cosine(found["x"].direction, true["x"].direction) > 0.999  # type: ignore[attr-defined]
    assert found.report["x"]["after"]["leakage_rms"] < 0.02
    assert found.report["hue"]["after"]["leakage_rms"] < 0.02


def test_where_leakage_differs_from_sample_to_sample_it_stays_and_is_said(birds: Generator, true: KnobSet) -> None:
    class Fickle(Truth):
        """Reads half of the size into y, upwards for birds on the right and downwards for those on the left."""

        def measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            read = super().measure(images)
            size, y = self.attributes["size"], self.attributes["y"]
            shift = (read["size"] - 0.74) / size.spread * y.spread * torch.sign(read["x"])
            return {**read, "y": read["y"] + shift}

    knobs = {"size": replace(true["size"], range=(-1.5, 1.5))}
    found = disentangle(birds, knobs, lock=["y"], measurer=Fickle(), judge=Fickle(), samples=24)
    assert found.report["size"]["floor"] > 0.6
    assert found.report["size"]["after"]["leakage_rms"] > 0.6


def test_the_report_can_be_written_and_the_knobs_saved(mended: KnobSet, tmp_path) -> None:  # type: ignore[no-untyped-def]
    json.dumps(mended.report, allow_nan=False)
    mended.save(tmp_path / "knobs.safetensors")
    assert set(steer.load_knobs(tmp_path / "knobs.safetensors").report) == {"size", "hue"}


def test_what_cannot_be_corrected_is_refused(birds: Generator, true: KnobSet) -> None:
    x = true["x"]
    with pytest.raises(UnknownName, match="attribute to lock named 'colour'"):
        corrected(birds, {"x": x}, lock=["colour"])
    with pytest.raises(BadInput, match="background"):
        corrected(birds, {"x": x}, lock=["background"])
    with pytest.raises(BadInput, match="linear and ring"):
        corrected(birds, {"x": replace(x, attribute=None)})
    scale = CalibratedKnob("x", x, torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0]), attribute="x")
    with pytest.raises(BadInput, match="'calibrated'"):
        corrected(birds, {"x": scale})
    inner = LinearKnob("y", "factors", torch.ones(10), attribute="y")
    with pytest.raises(BadInput, match="one space"):
        corrected(birds, {"x": x, "y": inner})


def test_the_background_is_read_around_the_bird() -> None:
    birds, critic = load_generator("aviary", "cpu"), load_measurer("aviary-critic")
    assert isinstance(critic, Masking)
    latent = birds.sample(range(4))
    knobs = shipped_knobs(birds)
    plain, moved, other = (
        background_cells(critic, birds.decode(latent, steer.Steering(turns)))
        for turns in ([], [(knobs["hue"], 120.0)], [(knobs["background_hue"], 120.0)])
    )
    assert plain.shape == (4, 48)
    assert float((moved - plain).abs().mean()) < 0.1 * float((other - plain).abs().mean())
    wide = with_background(critic, birds, latent)
    readings = wide.measure(birds.decode(latent))
    assert list(readings) == list(wide.attributes)
    assert len([name for name in readings if name.startswith("background:")]) == 48


@pytest.mark.slow
def test_the_command_tunes_and_says_what_it_was_before(tmp_path, run, made) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "tuned.safetensors"
    code, _, errors = run("tune", "aviary", "--out", out)
    assert (code, errors.count("\n")) == (2, 1)
    assert "--disentangle" in errors
    assert not out.exists()
    told = json.loads(made("tune", "aviary", "--knob", "background_brightness", "--localise", "--out", out, "--json"))
    report = told["report"]["localised"]["background_brightness"]
    assert report["window"] == [0, 0.5]  # the dice are thrown in the first of two stages
    assert list(steer.load_knobs(out)) == ["background_brightness"]


@pytest.mark.slow
def test_what_is_tuned_joins_the_knobs_that_a_file_holds(tmp_path, made) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "tuned.safetensors"
    for name in ("x", "size"):
        made("tune", "aviary", "--knob", name, "--calibrate", "--count", 6, "--out", out, "--add", "--json")
    assert {name: knob.kind for name, knob in steer.load_knobs(out).items()} == {
        "x": "calibrated",
        "size": "calibrated",
    }

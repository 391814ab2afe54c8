"""Words and pictures of birds say the same: what captions ask for is understood, and what is seen is said."""

import math
from pathlib import Path

import pytest
import torch

import steer
from steer.attribute import Worded
from steer.directions.probe import Probe
from steer.errors import BadInput
from steer.generator import Generator
from steer.generators.aviary.captions import caption, meaning
from steer.generators.aviary.factors import FACTORS, sample_factors
from steer.registry import load_measurer
from steer.sampler import Sampler

SECTORS = {"hue": 12, "heading": 8, "background_hue": 12}
THIRDS = ("size", "background_brightness", "tilt", "x", "light")
LEFT_OUT = ("tilt", "x", "light")
"""What captions do not say every time."""


@pytest.fixture(scope="module")
def birds() -> Generator:
    return steer.load_generator("aviary-ddim", "cpu").with_sampler(Sampler(1))


def off(name: str, angle: float, other: float) -> float:
    """Return by how many sectors two angles differ."""
    return abs((angle - other + 180) % 360 - 180) / (360 / SECTORS[name])


def test_a_caption_is_understood_as_it_was_meant() -> None:
    factors, rng = sample_factors(seeds=list(range(400))), torch.Generator().manual_seed(0)
    open_ended = 0
    for row in range(400):
        bird = {name: float(factors[name][row]) for name in FACTORS}
        meant = meaning(caption(bird, rng))
        assert meant["species"] == bird["species"]
        for name in SECTORS:
            assert off(name, meant[name], bird[name]) <= 0.5 + 1e-6
        for name in THIRDS:
            width = (FACTORS[name].high - FACTORS[name].low) / 3
            near = abs(meant[name] - bird[name]) <= width / 2 + 1e-6
            middle = math.isclose(meant[name], (FACTORS[name].low + FACTORS[name].high) / 2, abs_tol=1e-9)
            assert near or (middle and name in LEFT_OUT)
            open_ended += not near
    assert open_ended < 400 * len(LEFT_OUT) / 2


def test_words_that_say_less_leave_the_rest_open() -> None:
    meant = meaning("a lime green robin on a light blue backdrop, lit from the left")
    assert (meant["hue"], meant["background_hue"]) == (90, 240)
    assert meant["background_brightness"] > meaning("an owl on a blue backdrop")["background_brightness"]
    assert meant["light"] < 0
    assert math.isnan(meant["heading"])
    assert math.isnan(meaning("a robin")["hue"])
    assert math.isnan(meaning("a green backdrop")["species"])


def test_the_judge_says_what_it_sees_in_words_that_mean_it(birds: Generator) -> None:
    aviary = steer.load_generator("aviary")
    pictures = aviary.decode(aviary.sample(range(24)))
    said, judge = steer.describe_pictures(pictures, of=birds), load_measurer("aviary-judge")
    assert said == steer.describe_pictures(pictures, of=birds)
    assert isinstance(judge, Worded)
    meant, seen = judge.meaning(said), judge.measure(pictures)
    for name in SECTORS:
        assert all(off(name, *pair) <= 0.5 + 1e-4 for pair in zip(meant[name], seen[name], strict=True))
    assert meant["species"].equal(seen["species"].float())


def test_pictures_are_not_described_by_who_knows_no_words() -> None:
    aviary = steer.load_generator("aviary-biggan", "cpu")
    with pytest.raises(BadInput, match=r"\(batch, 3, 64, 64\) in \[0, 1\]"):
        steer.describe_pictures(torch.zeros(1, 3, 8, 8), of=aviary)


def test_a_probe_of_words_needs_no_picture_and_finds_what_words_lead_to(
    birds: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steer.directions.probe.plausible_range", lambda *given, **named: (-9.0, 1.0))
    monkeypatch.setattr(type(birds), "decode", lambda *given, **named: pytest.fail("a picture was made"))
    probe = Probe(("hue", "size", "x"), space="prompt", source="words", samples=1_500, disentangle=False)
    found = probe.find(birds)
    assert all(knob.provenance.scores["r2"] > 0.98 for knob in found.values())
    assert -2.7 < found["size"].range[0] < -2.2 and found["size"].range[1] == 1  # from "small" to "large"

    def place(name: str, words: str) -> float:
        return float(found[name].coordinate(birds.sample([0], condition={"prompt": words})["prompt"])[0])

    bird = "a {} owl facing left on a blue background"
    for hue, colour in enumerate(("red", "yellow", "green", "turquoise", "blue", "magenta")):
        assert abs((place("hue", bird.format(colour)) - 60 * hue + 180) % 360 - 180) < 15
    small, plain, large = (place("size", bird.format(each)) for each in ("small red", "red", "large red"))
    assert small < plain - 0.8 < plain < large - 0.8
    assert abs(place("x", bird.format("small red")) - place("x", bird.format("large red"))) < 0.15 * (large - small)


def test_a_probe_of_words_says_what_words_do_not_tell(birds: Generator) -> None:
    with pytest.raises(BadInput, match="nobody knows what words 'aviary-biggan' could be asked in"):
        Probe("hue", source="words").find(steer.load_generator("aviary-biggan", "cpu"))
    with pytest.raises(BadInput, match="the words of some samples leave 'y' open"):
        Probe("y", space="prompt", source="words", samples=200).find(birds)
    robins = {"prompt": "a {small|large} robin"}
    with pytest.raises(BadInput, match="leave 'hue' open"):
        Probe("hue", space="prompt", source="words", samples=200, condition=robins).find(birds)


def test_an_inversion_is_asked_by_what_is_seen(tmp_path: Path, made, capsys: pytest.CaptureFixture[str]) -> None:
    bird, out = tmp_path / "bird.png", tmp_path / "inverted.png"
    made("sample", "aviary", "--seeds", "7", "--bare", "--out", str(bird))

    def asked(*more: str) -> list[str]:
        made("invert", "aviary-ddim", str(bird), "--steps", "2", "--out", str(out), *more)
        scene = steer.Recipe.load(out).scene
        return scene.condition.get("prompt", []) if scene else []

    (seen,) = asked()
    assert "green duck" in seen and "facing right" in seen and "purple" in seen
    assert asked("--prompt", "a duck") == ["a duck"]
    assert asked("--unasked") == []


def test_a_sheet_is_inverted_with_its_border_and_that_is_said(tmp_path: Path, made) -> None:
    sheet, out = tmp_path / "sheet.png", tmp_path / "inverted.png"
    made("sample", "aviary", "--seeds", "7", "--out", str(sheet))
    assert "a sheet with its border" in made("invert", "aviary-ddim", str(sheet), "--steps", "2", "--out", str(out))
    made("sample", "aviary", "--seeds", "7", "--bare", "--out", str(sheet))
    assert "border" not in made("invert", "aviary-ddim", str(sheet), "--steps", "2", "--out", str(out))

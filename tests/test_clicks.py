"""Knobs from a person's answers; the person here answers by the true factor."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from known_world import Truth, undrawn_aviary
from torch import Tensor

import steer
from steer.apps.command_line import main
from steer.directions.clicks import Answer, Ask, Clicks
from steer.directions.probe import Probe
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import Knob, KnobSet
from steer.registry import load_measurer
from steer.testing import check_finder

UNSURE = 0.3
"""The person skips pictures within this many spreads of the middle."""


def answering(factor: str, measurer=None, seen: list[int] | None = None) -> Ask:  # type: ignore[no-untyped-def]
    """Return a person who tells a factor from the middle of its range."""
    measurer = measurer or Truth()
    attribute = measurer.attributes[factor]

    def ask(pictures: Tensor, left: int) -> Sequence[Answer]:
        off = (measurer.measure(pictures)[factor] - (attribute.low + attribute.high) / 2) / attribute.spread
        if seen is not None:
            seen.append(len(pictures))
        return ["skip" if abs(each) < UNSURE else "more" if each > 0 else "less" for each in off.tolist()]

    return ask


def correlation(generator: Generator, knob: Knob, factor: str, measurer=None) -> float:  # type: ignore[no-untyped-def]
    """Return the correlation of a knob's coordinate with the true factor over unseen samples."""
    latent = generator.sample(range(1_000_000, 1_000_400))
    with torch.no_grad():
        true = (measurer or Truth()).measure(generator.decode(latent))[factor]
    return float(np.corrcoef(knob.coordinate(latent[knob.space]).numpy(), true.numpy())[0, 1])


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def found(birds: Generator) -> KnobSet:
    return Clicks(answering("size"), "size", answers=30, source=Truth(), samples=400).find(birds)


@pytest.mark.parametrize("factor", ["size", "x", "light", "background_brightness"])
def test_thirty_answers_come_near_to_a_probe_of_all_labels(birds: Generator, factor: str) -> None:
    clicked = Clicks(answering(factor), factor, answers=30, source=Truth(), samples=400).find(birds)[factor]
    labelled = Probe(factor, source=Truth(), samples=400).find(birds)[factor]
    assert correlation(birds, clicked, factor) >= 0.9 * correlation(birds, labelled, factor)


@pytest.mark.slow
@pytest.mark.parametrize("factor", ["size", "x", "light", "background_brightness"])
def test_so_they_do_on_a_trained_generator_whoever_judges(factor: str) -> None:
    birds, judge = steer.load_generator("aviary-biggan", "cpu"), load_measurer("aviary-judge")
    clicked = Clicks(answering(factor, judge), factor, answers=30).find(birds)[factor]
    labelled = Probe(factor).find(birds)[factor]
    assert correlation(birds, clicked, factor, judge) >= 0.9 * correlation(birds, labelled, factor, judge)


def test_the_answers_are_counted_and_the_knob_says_where_it_is_from(found: KnobSet) -> None:
    knob, scores = found["size"], found.report["knobs"]["size"]
    assert scores["more"] + scores["less"] + scores["skip"] == 30
    assert 0.5 < scores["told"] <= 1
    assert knob.attribute == "size"
    assert knob.provenance.finder == "clicks"
    assert knob.provenance.options["answers"] == 30


def test_what_is_shown_next_is_what_is_least_sure(birds: Generator) -> None:
    off: list[float] = []
    attribute = Truth.attributes["size"]

    def ask(pictures: Tensor, left: int) -> Sequence[Answer]:
        read = (Truth().measure(pictures)["size"] - (attribute.low + attribute.high) / 2) / attribute.spread
        off.extend(read.abs().tolist())
        return answering("size")(pictures, left)

    Clicks(ask, "size", answers=60, source=Truth(), samples=200).find(birds)
    assert np.mean(off[-24:]) < 0.6 * np.mean(off[:6])


def test_as_many_pictures_are_asked_about_as_were_said(birds: Generator) -> None:
    seen: list[int] = []
    Clicks(answering("x", seen=seen), answers=20, batch=6, source=Truth(), samples=200).find(birds)
    assert seen == [6, 6, 6, 2]


def test_whoever_is_asked_knows_how_many_batches_are_left(birds: Generator) -> None:
    told: list[int] = []

    def ask(pictures: Tensor, left: int) -> Sequence[Answer]:
        told.append(left)
        return answering("x")(pictures, left)

    Clicks(ask, answers=20, batch=6, source=Truth(), samples=200).find(birds)
    assert told == [4, 3, 2, 1]


def test_whoever_would_rather_be_asked_finds_the_same_knob(birds: Generator, found: KnobSet) -> None:
    ask, now = answering("size"), Clicks(name="size", answers=30, source=Truth(), samples=400).begin(birds)
    while now.left:
        now = now.answered(ask(now.pictures, now.left))
    assert now.find()["size"].direction.equal(found["size"].direction)
    assert len(now.answered(ask(now.pictures, 0)).given) == 36  # more than was asked for


def test_the_sketch_of_a_knob_comes_nearer_to_it_with_every_batch(birds: Generator, found: KnobSet) -> None:
    ask, now = answering("size"), Clicks(name="size", answers=60, source=Truth()).begin(birds)
    near = []
    for _ in range(10):
        now = now.answered(ask(now.pictures, now.left))
        near.append(correlation(birds, now.sketch(), "size") if now.sided else 0.0)
    assert near[-1] >= 0.9 * correlation(birds, found["size"], "size")
    assert np.mean(near[-3:]) > np.mean(near[:3])


def test_a_sketch_needs_both_sides(birds: Generator) -> None:
    with pytest.raises(BadInput, match="both"):
        Clicks(name="size", source=Truth()).begin(birds).sketch()


def test_clicks_keep_the_promises_of_finders(birds: Generator) -> None:
    check_finder(Clicks(answering("x"), answers=12, source=Truth(), samples=200), birds)


def test_a_head_on_feature_maps_learns_what_no_measurer_reads(birds: Generator) -> None:
    class Seeing(Truth):
        """Sees the factors mixed, and reads nothing."""

        attributes = {}  # type: ignore[assignment]  # noqa: RUF012

        def features(self, images: Tensor) -> tuple[Tensor, ...]:
            return (images, images.flatten(1, 2) * 3)

        def read_features(self, features: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], Tensor]:
            return {}, features[0].new_ones(len(features[0]))

    knob = Clicks(answering("size"), "size", answers=60, look="maps", source=Seeing(), samples=400).find(birds)["size"]
    assert correlation(birds, knob, "size") > 0.8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ask": None}, "asks a person"),
        ({"ask": lambda pictures, left: ["more"] * len(pictures)}, "both"),
        ({"ask": lambda pictures, left: ["more"]}, "each of 6 pictures"),
        ({"ask": lambda pictures, left: ["yes"] * len(pictures)}, "more, less or skip"),
        ({"answers": 1}, "2 answers"),
        ({"answers": 601}, "601"),
        ({"look": "maps"}, "no feature maps"),
    ],
)
def test_what_cannot_be_asked_or_answered_is_refused_with_the_cure(birds, options, words) -> None:
    with pytest.raises(BadInput, match=words):
        Clicks(**{"ask": answering("x"), "source": Truth(), "samples": 200, **options}).find(birds)


class Typed(io.StringIO):
    """What is typed on a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.slow
def test_the_command_shows_sheets_and_asks(tmp_path, monkeypatch, capsys) -> None:
    lines = ["1 2", "3", "5, 6", "2 5", "2 4", "9", "4", "6"]  # 5 is more already, 9 is no picture: it asks again
    monkeypatch.setattr("sys.stdin", Typed("\n".join(lines) + "\n"))
    out = tmp_path / "plump.safetensors"
    options = ["answers=18", "pool=18", "samples=100", "name=plump"]
    typed = [part for option in options for part in ("--option", option)]
    assert main(["find", "clicks", "aviary", "--out", str(out), *typed]) == 0
    said = capsys.readouterr().err
    assert "more plump" in said
    assert "(2 more sheets after it)" in said and "(1 more sheet after it)" in said and "(the last sheet)" in said
    assert "numbers from 1 to 6" in said
    scores = steer.load_knobs(out)["plump"].provenance.scores
    assert (scores["more"], scores["less"], scores["skip"]) == (5, 4, 9)
    assert said.count("more plump") == 4 and said.count("less plump") == 4
    assert (tmp_path / "plump-asked.png").is_file()


def test_the_command_says_so_when_nobody_answers(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stdin", Typed(""))
    typed = ["--option", "pool=60", "--out", str(tmp_path / "k.safetensors")]
    assert main(["find", "clicks", "aviary", *typed]) == 2
    assert "nobody answers" in capsys.readouterr().err
    assert not (tmp_path / "k.safetensors").exists()

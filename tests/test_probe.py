"""Probes and ranges, against knobs that are known exactly."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from known_world import Truth, undrawn_aviary
from torch import Tensor

from steer.directions import readings
from steer.directions.plausible import RANGE_SEEDS, plausible_range
from steer.directions.probe import Probe
from steer.errors import BadInput, Cancelled, UnknownName
from steer.generator import Generator
from steer.knob import KnobSet, LinearKnob, RingKnob
from steer.registry import load_generator, shipped_knobs
from steer.steering import Steering
from steer.testing import check_finder

LINEAR = ("tilt", "size", "x", "y", "background_brightness", "light")
CIRCULAR = ("hue", "heading", "background_hue")


@pytest.fixture(scope="module")
def birds() -> Generator:
    return undrawn_aviary()


@pytest.fixture(scope="module")
def found(birds: Generator) -> KnobSet:
    return Probe(source=Truth(), samples=1_500).find(birds)


def cosine(first: Tensor, second: Tensor) -> float:
    """Return the cosine of the largest angle between two directions or planes."""
    bases = [torch.linalg.qr(each.reshape(-1, 12).T).Q for each in (first, second)]
    return float(torch.linalg.svdvals(bases[0].T @ bases[1]).min())


def test_one_pass_finds_the_true_direction_of_every_linear_attribute(birds: Generator, found: KnobSet) -> None:
    assert set(found) == {*LINEAR, *CIRCULAR}
    for name in LINEAR:
        knob, true = found[name], shipped_knobs(birds)[name]
        assert isinstance(knob, LinearKnob)
        assert isinstance(true, LinearKnob)
        assert float(knob.direction @ true.direction) >= 0.99, name  # length and sign too
        assert found.report["knobs"][name]["r2"] > 0.9  # the normal CDF is nearly straight


def test_one_pass_finds_the_true_plane_of_every_angle_and_which_way_it_turns(birds: Generator, found: KnobSet) -> None:
    latent = birds.sample(range(40))
    before = Truth().measure(birds.decode(latent))
    for name in CIRCULAR:
        knob, true = found[name], shipped_knobs(birds)[name]
        assert isinstance(knob, RingKnob)
        assert isinstance(true, RingKnob)
        assert cosine(knob.plane, true.plane) >= 0.99, name
        torch.testing.assert_close(knob.plane @ knob.plane.T, torch.eye(2))
        assert knob.radius == pytest.approx(math.sqrt(2), rel=0.03)
        assert found.report["knobs"][name]["r2"] > 0.95
        after = Truth().measure(birds.decode(latent, Steering([(knob, 60.0)])))
        turned = Truth.attributes[name].difference(after[name], before[name])
        assert float(turned.median()) == pytest.approx(60, abs=5)


def test_every_direction_comes_with_an_interval_that_shrinks_with_samples(birds: Generator) -> None:
    few, many = (Probe("size", source=Truth(), samples=samples).find(birds) for samples in (200, 1_800))
    (few_low, few_high), (many_low, many_high) = (each.report["knobs"]["size"]["angle_90"] for each in (few, many))
    assert 0 < few_low < few_high
    assert 0 < many_low < many_high
    assert many_high < 0.5 * few_high  # a third, for nine times the samples
    true = shipped_knobs(birds)["size"]
    knob = few["size"]
    assert isinstance(true, LinearKnob)
    assert isinstance(knob, LinearKnob)
    assert math.degrees(math.acos(cosine(knob.direction, true.direction))) < 2 * few_high


def test_a_csv_file_of_seeds_and_values_gives_the_knob_of_its_column(birds: Generator, tmp_path: Path) -> None:
    seeds = list(range(600))
    truth = Truth().measure(birds.decode(birds.sample(seeds)))
    middle = (Truth.attributes["size"].low + Truth.attributes["size"].high) / 2
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["seed", "heading", "y", "large"])
        for seed in seeds:
            size = "yes" if float(truth["size"][seed]) > middle else "no"
            rows.writerow([seed, float(truth["heading"][seed]), float(truth["y"][seed]), size])
    true = shipped_knobs(birds)

    heading = Probe("heading", source=path, kind="circular").find(birds)["heading"]
    assert isinstance(heading, RingKnob)
    assert isinstance(true["heading"], RingKnob)
    assert cosine(heading.plane, true["heading"].plane) >= 0.97

    large = Probe("large", source=str(path)).find(birds)
    knob = large["large"]
    assert isinstance(knob, LinearKnob)
    assert isinstance(true["size"], LinearKnob)
    assert float(knob.direction @ true["size"].direction) >= 0.97
    assert large.report["knobs"]["large"]["accuracy"] > 0.9
    assert large.report["knobs"]["large"]["commonest"] < 0.6


def test_any_function_of_pictures_gives_a_knob(birds: Generator) -> None:
    def brightness(images: Tensor) -> Tensor:
        return Truth().measure(images)["background_brightness"]

    knob = Probe("glow", source=brightness, samples=600).find(birds)["glow"]
    true = shipped_knobs(birds)["background_brightness"]
    assert isinstance(knob, LinearKnob)
    assert isinstance(true, LinearKnob)
    assert float(knob.direction @ true.direction) >= 0.98
    assert knob.provenance.options["source"] == "brightness"


def test_classes_are_probed_one_against_the_rest(birds: Generator) -> None:
    knobs = Probe("species", space="species", source=Truth(), samples=400).find(birds)
    assert list(knobs) == [f"species:{label}" for label in Truth.attributes["species"].classes]
    for index, knob in enumerate(knobs.values()):
        assert isinstance(knob, LinearKnob)
        assert int(knob.direction.argmax()) == index
        assert knob.provenance.scores["accuracy"] == 1.0


def test_what_a_class_adds_to_an_attribute_is_not_taken_for_the_dice(birds: Generator) -> None:
    def biased(images: Tensor) -> Tensor:
        read = Truth().measure(images)
        return read["size"] + 3.0 * (read["species"] % 2)

    knobs = Probe("biased", source=biased, samples=800).find(birds)
    assert knobs.report["knobs"]["biased"]["r2"] > 0.9
    true, knob = shipped_knobs(birds)["size"], knobs["biased"]
    assert isinstance(true, LinearKnob)
    assert isinstance(knob, LinearKnob)
    assert float(knob.direction @ true.direction) >= 0.98


def test_disentangling_leaves_out_what_another_attribute_needs(birds: Generator) -> None:
    class Entangled(Truth):
        """Reads size as partly x: its probe alone points between the two."""

        name = "entangled"

        def measure(self, images: Tensor) -> dict[str, Tensor]:
            read = super().measure(images)
            return {**read, "size": read["size"] + 1.2 * read["x"]}

    plain = Probe("size", source=Entangled(), samples=1_000, disentangle=False).find(birds)["size"]
    clean = Probe("size", source=Entangled(), samples=1_000).find(birds)["size"]
    true = shipped_knobs(birds)["size"]
    assert isinstance(plain, LinearKnob)
    assert isinstance(clean, LinearKnob)
    assert isinstance(true, LinearKnob)
    assert float(plain.direction @ true.direction) < 0.9
    assert float(clean.direction @ true.direction) > 0.99
    assert clean.provenance.scores["form"] == "disentangled"
    assert clean.provenance.scores["leakage"]["disentangled"] < clean.provenance.scores["leakage"]["plain"]


def test_labels_never_come_from_the_judge(birds: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(type(birds.backend), "measurer", "aviary-judge")

    def load(name: str) -> Truth:
        asked.append(name)
        return Truth()

    monkeypatch.setattr(readings, "load_measurer", load)
    Probe("size", samples=200).find(birds)
    assert set(asked) == {"aviary-critic"}


def test_a_knob_that_never_fails_gets_the_whole_circle_or_six_sigmas(birds: Generator) -> None:
    true = shipped_knobs(birds)
    assert plausible_range(birds, true["hue"], measurer=Truth()) == (-180.0, 180.0)
    free = LinearKnob("free", "z", torch.eye(12)[0])
    assert plausible_range(birds, free, measurer=Truth()) == (-6.0, 6.0)


def test_a_range_ends_where_most_pictures_leave_the_domain(birds: Generator) -> None:
    class Picky(Truth):
        """Knows only sizes in the middle half of the prior: dice between -0.6745 and 0.6745."""

        name = "picky"

        def in_domain(self, images: Tensor) -> Tensor:
            attribute = self.attributes["size"]
            place = (self.measure(images)["size"] - attribute.low) / (attribute.high - attribute.low)
            return (torch.abs(place - 0.5) < 0.25).float()

    knob = shipped_knobs(birds)["size"]
    typical = [seed for seed in range(200) if abs(float(knob.coordinate(birds.sample([seed])["z"]))) < 0.3][:9]
    start = knob.coordinate(birds.sample(typical)["z"]).numpy()
    low, high = plausible_range(birds, knob, seeds=typical, measurer=Picky())

    def holds(amount: float) -> bool:
        return float(np.median(np.abs(start + amount) < 0.6745)) == 1

    exact = max(amount for amount in np.arange(0, 2, 0.01) if holds(amount))
    assert holds(low)
    assert holds(high)
    assert exact - 1.5 / 2**3 - 0.1 <= high <= exact
    assert (low, high) == (round(low, 1), round(high, 1))


def test_a_range_ends_where_the_attribute_no_longer_moves(birds: Generator) -> None:
    low, high = plausible_range(birds, shipped_knobs(birds)["size"], measurer=Truth())
    # The slope of the normal CDF is a fifth of that in the middle at 1.8 sigma; the medians start near the middle.
    assert -3 < low < -1.5
    assert 1.5 < high < 3
    assert not set(RANGE_SEEDS) & set(range(1_000_000, 1_000_064))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"attribute": "wingspan"}, "no attribute named 'wingspan'"),
        ({"space": "w"}, "no space named 'w'"),
        ({"source": "nobody"}, "or give a CSV file"),
        ({"samples": 10}, "20 samples each"),
        ({"folds": 1}, "2 folds"),
        ({"attribute": ("size", "x"), "source": torch.mean}, "name only that"),
        ({"attribute": "flat", "source": lambda images: torch.zeros(len(images))}, "give 40 or more that differ"),
    ],
)
def test_what_cannot_be_probed_is_refused_with_the_cure(
    birds: Generator, options: dict[str, object], what: str
) -> None:
    settings: dict[str, object] = {"source": Truth(), "samples": 100, **options}
    with pytest.raises((BadInput, UnknownName), match=what):
        Probe(**settings).find(birds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("seed,size\nred,1\n", "not a whole number"),
        ("bird,size\n1,2\n", "needs a column 'seed'"),
        ("seed,size\n" + "".join(f"{seed},{seed % 7}x\n" for seed in range(60)), "kind='categorical'"),
        ("seed,size\n" + "".join(f"{seed},nan\n" for seed in range(59)) + "60,1\n", "not finite"),
    ],
)
def test_a_csv_file_that_is_no_use_is_refused_with_the_cure(
    birds: Generator, tmp_path: Path, text: str, what: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=what):
        Probe("size", source=path, kind="linear").find(birds)


def test_probing_can_be_followed_and_stopped(birds: Generator) -> None:
    seen: list[tuple[int, int]] = []
    Probe("size", source=Truth(), samples=200).find(birds, progress=lambda done, count: seen.append((done, count)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]

    def stop(done: int, count: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Probe("size", source=Truth(), samples=200).find(birds, progress=stop)


def test_probes_keep_the_promises_of_a_finder(birds: Generator, tmp_path: Path) -> None:
    check_finder(Probe(("hue", "size"), source=Truth(), samples=200), birds)
    knobs = Probe("size", source=Truth(), samples=200).find(birds)
    knobs.save(tmp_path / "knobs.safetensors")
    assert KnobSet.load(tmp_path / "knobs.safetensors").report == knobs.report


@pytest.mark.slow
def test_the_critic_sees_the_true_axes_of_the_drawn_aviary() -> None:
    birds = load_generator("aviary", "cpu")
    found, true = Probe(samples=1_500).find(birds), shipped_knobs(birds)
    for name, knob in found.items():
        directions = [each.plane if isinstance(each, RingKnob) else each.direction for each in (knob, true[name])]  # type: ignore[attr-defined]
        assert cosine(*directions) >= 0.95, name
        assert knob.range[0] <= -1.5, name
        assert knob.range[1] >= 1.5, name

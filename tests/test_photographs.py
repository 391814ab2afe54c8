"""Generators of photographs are measured beside photographs: good ones pass, copies, smears and narrow ones show."""

import json

import pytest
import torch
from mixture import diffuser
from photographs import LABELS, painter, photographs, write_photographs

from steer import registry
from steer.errors import BadInput
from steer.generators.classifier import Classifier
from steer.generators.photographs import condition_for, measure_photographs
from steer.generators.precision_recall import nearest, precision_recall
from steer.generators.training.classifier import ClassifierTraining, train_classifier

COUNT = 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    return write_photographs(root / "train", 100), write_photographs(root / "test", 40, seed=1)


@pytest.fixture(scope="module")
def classifier(folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    shape = {"resolution": 16, "stem": 8, "channels": (8, 16), "epochs": 4, "batch": 16, "threads": 1}
    train_classifier(ClassifierTraining(str(folders[0]), str(folders[1]), **shape), folder)
    return Classifier.load(folder)


@pytest.fixture(scope="module")
def measure(folders, classifier):
    train, test = folders
    return lambda generator, **how: measure_photographs(
        generator, train, classifier, **{"held_out": test, "count": COUNT, **how}
    )


@pytest.fixture(scope="module")
def faithful(measure):
    seen = []
    measured = measure(painter(), progress=lambda *each: seen.append(each))
    assert seen == [(COUNT, COUNT)]
    return measured


def test_precision_and_recall_are_those_of_a_hand_calculation():
    # Third neighbours in each pile are 0.3 away at most at its ends, so each pile reaches 0.3 beyond itself.
    pile = torch.tensor([[0.0], [0.1], [0.2], [0.3]])
    far = pile + 10
    found = precision_recall(torch.cat([pile + 0.05, far + 5]), torch.cat([pile, far]))
    assert (found.within, found.generated, found.covered, found.real) == (4, 8, 4, 8)


def test_a_narrow_generator_is_precise_and_recalls_little_and_a_wild_one_the_reverse():
    cloud = torch.randn((400, 3), generator=torch.Generator().manual_seed(0))
    narrow, wild = precision_recall(0.2 * cloud, cloud.flip(0)), precision_recall(4 * cloud, cloud.flip(0))
    assert narrow.precision > 0.95 > 0.3 > narrow.recall
    assert wild.recall > 0.95 > 0.3 > wild.precision


def test_the_nearest_are_found_across_the_chunks_they_are_looked_for_in():
    samples, others = (torch.randn((n, 4), generator=torch.Generator().manual_seed(n)) for n in (1100, 30))
    found = nearest(samples, others, 2)
    apart = (samples[:, None] - others).norm(dim=2)
    assert torch.allclose(found.distances, apart.sort(1).values[:, :2], atol=1e-4)
    assert torch.equal(found.rows[:, 0], apart.argmin(1))


def test_a_generator_as_good_as_photographs_reaches_the_floor(faithful):
    mine, floor = faithful.samples, faithful.floor
    assert mine.frechet < 3 * floor.frechet
    assert abs(mine.shared.precision - floor.shared.precision) < 0.25
    assert abs(mine.shared.recall - floor.shared.recall) < 0.25
    assert mine.distance == pytest.approx(floor.distance, rel=0.3)
    assert set(mine.named) == set(LABELS)
    assert all(seen >= 0.9 * of and of == COUNT / 2 for seen, of in mine.named.values())


def test_copies_lie_nearer_to_training_pictures_than_any_held_out_photograph(measure):
    train = photographs(100, seed=0)
    levels = train.mul(255).round() / 255
    copied = measure(painter(known=levels))
    assert copied.samples.near == COUNT
    assert copied.floor.near <= 1
    assert copied.samples.distance < 0.1 * copied.floor.distance
    sample, beside = copied.pictures[0, 0], copied.pictures[0, 1]
    assert torch.allclose(sample, beside, atol=1 / 255)


def test_the_wrong_class_is_seen_as_such_and_a_repeated_picture_as_narrow(measure):
    assert sum(seen for seen, _ in measure(painter(wrong=True)).samples.named.values()) < 0.1 * COUNT
    alike = measure(painter(known=photographs(1, seed=7)))
    assert alike.samples.shared.recall < 0.2 < alike.floor.shared.recall
    assert alike.samples.frechet > 3 * alike.floor.frechet


def test_every_number_has_its_count_for_persons_and_scripts(faithful, tmp_path):
    rows = {what: (value, beside) for what, value, beside in faithful.rows()}
    within = faithful.samples.shared.within
    assert rows["precision"][0] == f"{within / COUNT:.2f} ({within} of {COUNT})"
    assert rows["precision"][1].endswith("for held-out photographs")
    assert "  red" in rows
    record = json.loads(json.dumps(faithful.to_json()))
    assert record["samples"]["class_seen"]["red"]["of"] == COUNT // 2
    assert record["held_out"]["count"] == COUNT
    faithful.figure(tmp_path / "beside.png")
    assert (tmp_path / "beside.png").stat().st_size > 0


def test_without_held_out_photographs_every_second_one_stands_in(measure):
    assert measure(painter(), held_out=None).floor.count == COUNT


def test_a_class_is_asked_for_where_the_generator_has_it():
    assert condition_for(painter(), LABELS) == "label"
    assert condition_for(painter(), (*LABELS, "green")) is None


def test_mistakes_are_said_with_their_cure(measure, folders, classifier, tmp_path):
    with pytest.raises(BadInput, match="at least 16"):
        measure(painter(), count=15)
    other = write_photographs(tmp_path / "other", 2)
    (other / "blue").rename(other / "green")
    with pytest.raises(BadInput, match="does not know green"):
        measure_photographs(painter(), other, classifier)
    with pytest.raises(BadInput, match="hold out"):
        measure(painter(), held_out=other)


def test_the_command_trains_the_classifier_and_measures_with_it(folders, made, monkeypatch, tmp_path):
    train, test = folders
    small = ("--option", "resolution=16", "--option", "channels=8,16", "--option", "batch=16", "--option", "threads=1")
    said = made("train", "classifier", "--data", train, "--epochs", "1", *small, "--out", tmp_path / "judge")
    assert "of held-out pictures" in said
    monkeypatch.setattr(registry, "load_generator", lambda name, device="auto": painter())
    words = ("measure", "quality", "painter", "--data", train, "--features", tmp_path / "judge", "--count", "16")
    assert json.loads(made(*words, "--held-out", test, "--json"))["samples"]["count"] == 16
    assert "recall" in made(*words, "--figure", tmp_path / "beside.png")
    assert (tmp_path / "beside.png").stat().st_size > 0


def test_photographs_are_inverted_by_the_command_beside_what_is_published(folders, made, run, monkeypatch):
    monkeypatch.setattr(registry, "load_generator", lambda name, device="auto": diffuser())
    words = (
        "measure",
        "inversion",
        "mixture",
        "--data",
        folders[1],
        "--count",
        "3",
        "--steps",
        "10",
        "--method",
        "ddim",
    )
    table = made(*words)
    assert "published, CIFAR-10" in table
    assert "1.4e-02" in table  # table 2 of the paper, S = 10
    record = json.loads(made(*words, "--json"))
    (row,) = record["rows"]
    assert (row["method"], row["kind"], row["pictures"], row["steps"]) == ("ddim", "photo", 3, 10)
    assert record["published_mse_cifar10"]["1000"] == 0.0001
    code, _, errors = run("measure", "inversion", "mixture", "--method", "dim")
    assert code == 2
    assert "did you mean 'ddim'" in errors

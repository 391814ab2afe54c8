"""A classifier learns the classes of a folder, is scored on others, and serves as a measurer."""

import json
from dataclasses import replace

import pytest
import torch
from photographs import LABELS, painter, photographs, write_photographs

import steer
from steer.errors import BadInput, BrokenFile, UnknownName
from steer.generators.classifier import Classifier, ClassifierConfig
from steer.generators.training.classifier import ClassifierTraining, Trainer, train_classifier
from steer.generators.training.pictures import read_folder
from steer.knob import LinearKnob


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Write pictures to learn from, and others."""
    root = tmp_path_factory.mktemp("photographs")
    return write_photographs(root / "train", 80), write_photographs(root / "test", 40, seed=1)


@pytest.fixture(scope="module")
def training(folders):
    train, test = map(str, folders)
    return ClassifierTraining(
        train,
        test,
        name="colours",
        resolution=16,
        stem=8,
        channels=(8, 16),
        epochs=4,
        batch=16,
        sheet_steps=20,
        threads=1,
    )


@pytest.fixture(scope="module")
def made(training, tmp_path_factory):
    """Train it, and return it with its folder."""
    folder = tmp_path_factory.mktemp("classifier")
    return train_classifier(training, folder), folder


def test_it_names_pictures_that_it_never_saw_and_says_how_many(made):
    classifier, folder = made
    pictures = photographs(50, seed=2)
    right = classifier.measure(pictures)["label"] == torch.arange(2).repeat_interleave(50)
    assert right.float().mean() > 0.9
    assert classifier.accuracy > 0.9
    card = (folder / "README.md").read_text()
    assert f"80 pictures of the folder that `--held-out` names, of which it names {classifier.accuracy:.1%}" in card
    assert "| red | 40 |" in card


def test_what_is_stored_is_what_runs(made):
    classifier, folder = made
    pictures = photographs(5, seed=3)
    again = steer.load_measurer(str(folder))
    assert isinstance(again, steer.Perceptive)
    assert again.attributes == classifier.attributes
    for name, values in classifier.measure(pictures).items():
        assert torch.equal(values, again.measure(pictures)[name])
    assert torch.equal(classifier.pooled(pictures), again.pooled(pictures))


def test_chances_add_up_to_one_and_the_likeliest_class_is_named(made):
    read = made[0].measure(photographs(20, seed=4))
    chances = torch.stack([read[label] for label in LABELS], 1)
    assert torch.allclose(chances.sum(1), torch.ones(40))
    assert torch.equal(chances.argmax(1), read["label"])
    assert torch.equal(made[0].in_domain(photographs(20, seed=4)), chances.amax(1))


def test_its_features_have_mean_0_and_deviation_1_over_what_it_learnt_from(made, folders):
    images = read_folder(folders[0], 16).images.float() / 255
    pooled = made[0].pooled(images)
    moving = pooled.std(0) > 0.01  # a rectified channel may be silent
    assert moving.sum() > 12
    assert pooled.mean(0).abs().max() < 1e-3
    assert torch.allclose(pooled.std(0)[moving], torch.ones(int(moving.sum())), atol=1e-3)


def test_it_judges_a_knob_by_the_probability_of_a_class(made):
    generator = painter()
    upwards = LinearKnob("up", "z", -torch.eye(*generator.space("z").shape * 2)[0], range=(-1.0, 1.0), attribute="red")
    (scored,) = steer.scorecard(generator, {"up": upwards}, seeds=8, measurer=made[0]).knobs
    assert scored.meant
    assert scored.target == made[0].attributes["red"]


def test_without_a_folder_of_others_every_tenth_picture_is_held_out(folders, training, tmp_path):
    classifier = train_classifier(replace(training, held_out=None, epochs=1), tmp_path)
    assert classifier.accuracy <= 1
    assert "16 pictures, every tenth of the folder" in (tmp_path / "README.md").read_text()


def test_pictures_are_shifted_and_mirrored_and_nothing_else(training, folders):
    data = read_folder(folders[0], 16)
    still = Trainer(replace(training, shift=0.0), data, data)
    images = photographs(20, seed=5)
    given = still._disturbed(images)
    same, mirrored = ((given == each).flatten(1).all(1) for each in (images, images.flip(3)))
    assert (same ^ mirrored).all()
    assert 0 < same.sum() < len(images)
    moved = Trainer(training, data, data)._disturbed(images)
    reach = 2  # an eighth of 16 pixels
    padded = torch.nn.functional.pad(images, (reach,) * 4, mode="reflect")
    for picture, wide in zip(moved, padded, strict=True):
        crops = wide.unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        assert any(torch.equal(picture, crop) or torch.equal(picture, crop.flip(2)) for crop in crops)


def test_mistakes_are_said_with_their_cure(made, folders, training, tmp_path):
    other = write_photographs(tmp_path / "other", 2)
    (other / "blue").rename(other / "green")
    with pytest.raises(BadInput, match="score on the same"):
        train_classifier(replace(training, held_out=str(other)), tmp_path / "out")
    with pytest.raises(BadInput, match="lower batch"):
        train_classifier(replace(training, data=str(other), held_out=None), tmp_path / "out")
    with pytest.raises(BadInput, match="rename its folder"):
        ClassifierConfig(("label", "bird"))
    with pytest.raises(BadInput, match="steer train classifier"):
        steer.load_measurer(str(other))
    with pytest.raises(BadInput, match="comes without weights"):
        steer.load_measurer("classifier")
    with pytest.raises(UnknownName, match="or give the folder of a classifier"):
        steer.load_measurer("judge")
    config = made[1] / "config.json"
    broken = json.loads(config.read_text())
    broken["network"]["stem"] = 5
    (tmp_path / "config.json").write_text(json.dumps(broken))
    (tmp_path / "weights.safetensors").write_bytes((made[1] / "weights.safetensors").read_bytes())
    with pytest.raises(BrokenFile, match="holds no classifier that fits"):
        Classifier.load(tmp_path)

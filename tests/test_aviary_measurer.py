import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from steer.errors import BrokenFile, Cancelled, SteerError
from steer.generators.aviary.data import Dataset, dataset
from steer.generators.aviary.factors import FACTORS, sample_factors
from steer.generators.aviary.measurer import Measurer, MeasurerConfig
from steer.generators.aviary.renderer import render, render_all
from steer.generators.shipped_models import SHIPPED
from steer.generators.training.measurer import MeasurerTraining, score, train_measurer

SMALL = MeasurerConfig((8, 8, 8, 8), 8, 16)
FLOORS = dict.fromkeys(FACTORS, 0.96) | {"light": 0.94, "species": 0.98, "mask": 0.9}


@pytest.fixture(scope="module")
def fresh() -> Dataset:
    """Birds that no measurer was trained on."""
    factors = sample_factors(192, generator=torch.Generator().manual_seed(987_654))
    rendering = render_all(factors)
    return Dataset((rendering.picture * 255).round().byte(), (rendering.mask * 255).round().byte(), factors)


@pytest.fixture(scope="module", params=["aviary-critic", "aviary-judge"])
def shipped(request: pytest.FixtureRequest) -> Measurer:
    return Measurer.load(SHIPPED / request.param)


def test_shipped_measurers_read_fresh_birds(shipped: Measurer, fresh: Dataset) -> None:
    scores = score(shipped, fresh)
    assert not {name: value for name, value in scores.items() if value < FLOORS[name]}


def test_cards_claim_what_the_bars_demand(shipped: Measurer) -> None:
    floors = dict.fromkeys(FACTORS, 0.97) | {"light": 0.95, "species": 0.99}
    assert not {name: shipped.scores[name] for name, floor in floors.items() if shipped.scores[name] < floor}


def test_weights_fit_into_three_megabytes(shipped: Measurer) -> None:
    assert (SHIPPED / shipped.name / "weights.safetensors").stat().st_size <= 3_000_000


def test_renders_are_familiar_and_noise_is_not(shipped: Measurer, fresh: Dataset) -> None:
    birds = shipped.in_domain(fresh.pictures[:64].float() / 255)
    noise = shipped.in_domain(torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert birds.median() > 0.95 and noise.max() < 0.25 and birds.max() <= 1 and noise.min() >= 0


def test_one_look_reads_what_two_would(shipped: Measurer, fresh: Dataset) -> None:
    pictures = fresh.pictures[:8].float() / 255
    readings, known = shipped.read_features(shipped.features(pictures))
    assert torch.equal(known, shipped.in_domain(pictures))
    assert all(torch.equal(readings[name], values) for name, values in shipped.measure(pictures).items())


def test_a_picture_of_another_size_measures_the_same(shipped: Measurer) -> None:
    factors = sample_factors(seeds=range(8))
    small, large = shipped.measure(render(factors)), shipped.measure(render(factors, 128))
    assert (small["x"] - large["x"]).abs().max() < 0.02 and (small["size"] - large["size"]).abs().max() < 0.05


def test_measurements_are_differentiable(shipped: Measurer) -> None:
    images = render(sample_factors(seeds=[1])).requires_grad_()
    shipped.measure(images)["hue"].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_feature_maps_have_the_promised_sizes() -> None:
    maps = Measurer().features(torch.rand(2, 3, 64, 64))
    assert [tuple(values.shape[1:]) for values in maps] == [(32, 32, 32), (64, 16, 16), (128, 8, 8), (192, 4, 4)]


def test_folding_changes_no_more_than_float16_does() -> None:
    torch.manual_seed(0)
    measurer, images = Measurer(SMALL), torch.rand(16, 3, 64, 64)
    measurer(images)  # moves the running statistics
    measurer.eval()
    before = measurer(images)
    after = measurer.fold()(images)
    assert (before.mask - after.mask).abs().max() < 5e-3 and (before.linear - after.linear).abs().max() < 5e-3


def test_what_is_stored_is_what_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    measurer, images = Measurer(SMALL, "tiny"), torch.rand(4, 3, 64, 64)
    measurer.calibrate(torch.randn(64, 16), torch.randn(64, 16))
    measurer.save(tmp_path, "# tiny\n")
    loaded = Measurer.load(tmp_path)
    assert loaded.fingerprint == measurer.fingerprint and loaded.name == "tiny"
    assert torch.equal(loaded(images).linear, measurer(images).linear)
    assert torch.equal(loaded.in_domain(images), measurer.in_domain(images))


def test_circles_come_in_degrees() -> None:
    measurer = Measurer(SMALL).fold()
    hue = measurer.measure(torch.rand(8, 3, 64, 64))["hue"]
    assert hue.min() >= 0 and hue.max() <= 360


def test_damaged_or_foreign_files_are_refused(tmp_path: Path) -> None:
    Measurer(SMALL, "tiny").save(tmp_path)
    weights, config = tmp_path / "weights.safetensors", tmp_path / "config.json"
    whole, text = weights.read_bytes(), config.read_text()
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    for content in (bytes(flipped), whole[:500]):
        weights.write_bytes(content)
        with pytest.raises(BrokenFile, match="again"):
            Measurer.load(tmp_path)
    weights.write_bytes(whole)
    parts = json.loads(text)
    wider = {**parts["architecture"], "channels": [8, 8, 8, 16]}
    for change in ({"kind": "cat"}, {"architecture": wider}, {"renderer_version": 99}, {"schema_version": 99}):
        config.write_text(json.dumps({**parts, **change}))
        with pytest.raises(BrokenFile, match=r"again|update"):
            Measurer.load(tmp_path)
    for broken in ("{}", "not json", "[]"):
        config.write_text(broken)
        with pytest.raises(BrokenFile):
            Measurer.load(tmp_path)
    with pytest.raises(SteerError, match="steer train measurer"):
        Measurer.load(tmp_path / "nowhere")


class Perfect(Measurer):
    """Measures without error, by knowing the truth."""

    def __init__(self, data: Dataset, turned: float = 0.0) -> None:
        super().__init__(SMALL)
        self.data, self.turned = data, turned

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        return {**self.data.factors, "hue": self.data.factors["hue"] + self.turned}

    def mask(self, images: Tensor) -> Tensor:
        return self.data.masks.float() / 255


def test_scores_are_one_for_the_truth_and_fall_as_defined(tmp_path: Path) -> None:
    data = dataset(64, seed=5, size=16, cache=tmp_path)
    assert set(score(Perfect(data), data).values()) == {1.0}
    angle = torch.deg2rad(data.factors["hue"])
    resultant = math.hypot(angle.cos().mean(), angle.sin().mean())
    assert score(Perfect(data, 60.0), data)["hue"] == pytest.approx(1 - 0.5 / (1 - resultant), abs=1e-4)


def test_a_training_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEER_CACHE", str(tmp_path / "cache"))
    training = MeasurerTraining("tiny", (8, 8, 8, 8), count=32, epochs=2, batch=8, validation_count=16)

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_measurer(training, tmp_path / "stopped", progress=stop)
    assert not (tmp_path / "stopped").exists()
    steps = []
    resumed = train_measurer(training, tmp_path / "stopped", progress=lambda done, total: steps.append(done))
    straight = train_measurer(training, tmp_path / "straight")
    assert steps[0] == 5 and resumed.fingerprint == straight.fingerprint
    card = (tmp_path / "stopped" / "README.md").read_text()
    assert "steer train measurer" in card and "Apache-2.0" in card


def test_a_training_that_scores_on_its_own_pictures_is_refused() -> None:
    with pytest.raises(SteerError, match="other pictures"):
        MeasurerTraining(data_seed=1, validation_seed=1)

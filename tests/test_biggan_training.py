"""The BigGAN trainer: it learns, resumes from weights alone, and exports what `load_generator` reads."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import steer
from steer.errors import BadInput, Cancelled
from steer.files import read_tensors, write_tensors
from steer.generators.biggan import load
from steer.generators.gan.dice_encoder import load_encoder
from steer.generators.gan.random_features import RandomFeatures
from steer.generators.training.biggan import BigGANTraining, Trainer, export, prepare, train_biggan
from steer.generators.training.dice_flow import DiceFlow
from steer.generators.training.discriminator import Discriminator
from steer.generators.training.pictures import Pictures, read_folder
from steer.generators.training.run import CHECKPOINT, load_checkpoint, save_checkpoint, tile
from steer.generators.training.standing_statistics import standing_statistics

SMALL = BigGANTraining(
    data="discs",
    resolution=16,
    z_dim=4,
    class_dim=4,
    channels=(24, 16, 12),
    batch=8,
    minutes=None,
    steps=6,
    settling_at=0.34,
    flow_steps=5,
    dreams=16,
    adversarial=0.1,
    threads=1,
)


def discs(count: int = 64) -> Pictures:
    """Return discs of random colour, left or right, on grey."""
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(count) % 2
    places = torch.arange(16.0)
    centre = torch.stack([4.0 + 8.0 * label, torch.full((count,), 8.0)], 1)
    far = (places[None, None, :] - centre[:, :1, None]) ** 2 + (places[None, :, None] - centre[:, 1:, None]) ** 2
    mask = (far < 12).float()[:, None]
    colour = torch.rand((count, 3, 1, 1), generator=rng)
    images = mask * colour + (1 - mask) * 0.5
    return Pictures((images * 255).byte(), label, ("left", "right"), (mask * 255).byte())


def trainer(config: BigGANTraining = SMALL) -> Trainer:
    return Trainer(config, discs(), RandomFeatures(16).features)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = discs(16)
    for number, (image, label) in enumerate(zip(pictures.images, pictures.label, strict=True)):
        place = tmp_path / "pictures" / pictures.labels[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).resize((24, 20)).save(place / f"{number}.png")
    return tmp_path / "pictures"


def test_it_learns_to_redraw_what_it_sees() -> None:
    drawing = replace(SMALL, steps=200, settling_at=1.0, drawing_rate=4e-3)
    run = trainer(replace(drawing, pixel_likeness=8.0, divergence=1e-4, batch=16))
    unlike = [run.step()["pixel_likeness"] for _ in range(70)]
    assert sum(unlike[-5:]) / 5 < 0.6 * unlike[0]


def test_one_pass_gives_the_generator_the_gradient_of_its_own_loss() -> None:
    torch.manual_seed(0)
    features, known = RandomFeatures(32).features, F.one_hot(torch.arange(8) % 2).float()
    judge = Discriminator([32, 64, 128], [16, 8, 4], 2).eval()  # spectral norm as it stands
    real, fake = torch.rand(8, 3, 32, 32), torch.rand(8, 3, 32, 32, requires_grad=True)
    lead = judge(features(real), known) - judge(features(fake), known)
    (expected,) = torch.autograd.grad(F.softplus(lead).mean(), fake)
    optimiser = torch.optim.Adam(judge.parameters())
    pull = judge.learn(features(real), features(fake), known, optimiser)["pull"]
    (found,) = torch.autograd.grad(pull, fake)
    assert torch.allclose(found, expected, atol=1e-6, rtol=1e-3)


def test_the_discriminator_learns_to_tell_real_from_fake_and_looks_at_no_map_wider_than_16_pixels() -> None:
    torch.manual_seed(0)
    features, known = RandomFeatures(64).features, F.one_hot(torch.arange(8) % 2).float()
    judge = Discriminator([32, 64, 128, 192], [32, 16, 8, 4], 2)
    optimiser = torch.optim.Adam(judge.parameters(), 3e-3)
    real, fake = features(0.4 + 0.2 * torch.rand(8, 3, 64, 64)), features(torch.rand(8, 3, 64, 64))
    losses = [float(judge.learn(real, fake, known, optimiser)["discriminator"]) for _ in range(10)]
    assert losses[-1] < losses[0]
    assert len(judge.heads) == 3
    scores = judge.eval()(real, known)
    assert torch.equal(judge([torch.zeros_like(real[0]), *real[1:]], known), scores)


def ring(count: int, rng: torch.Generator) -> Tensor:
    """Return dice round a circle that no fresh ones keep to, (count, 2)."""
    angle = torch.rand(count, generator=rng) * 2 * torch.pi
    return 1.4 * torch.stack([angle.cos(), angle.sin()], 1)


def test_fresh_dice_flow_to_the_circle_on_which_pictures_lie() -> None:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    flow = DiceFlow(1, 2, width=64)

    def read(count: int) -> tuple[Tensor, Tensor]:
        return ring(count, rng), torch.ones((count, 1))

    flow.learn(read, steps=1_500, rng=rng)
    fresh = torch.randn((500, 2), generator=rng)
    moved = flow.move(fresh, torch.ones((500, 1)), 0.0, 1.0)
    assert float((fresh.norm(dim=1) - 1.4).abs().mean()) > 0.5
    assert float((moved.norm(dim=1) - 1.4).abs().mean()) < 0.1
    assert float(F.cosine_similarity(fresh, moved).median()) > 0.95  # straight to it, not round it
    assert torch.histc(torch.atan2(*moved.T), 6, -math.pi, math.pi).min() > 40  # of 83 in each sixth


def test_dreams_are_of_the_pictures_next_to_what_the_generator_drew_when_dice_settled() -> None:
    def true(images: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        return images.round(), torch.ones_like(images[:, :1])

    run = Trainer(replace(SMALL, dreams=12), discs(), RandomFeatures(16).features, truth=true)
    for _ in range(3):
        assert "mismatch" in run.step()
    assert not run.flow.learnt
    average = {name: each.clone() for name, each in run.average.state_dict().items()}
    counts = []
    for _ in range(3):
        assert "surprise" in run.step()
        counts.append(run.dreams.count)
    assert counts == [8, 12, 12]
    assert all(torch.equal(each, average[name]) for name, each in run.teacher.state_dict().items())
    pictures = run.dreams.pictures.images_at(torch.arange(8))
    known = run.one_hot(run.dreams.pictures.label[:8])
    moved = run.flow.move(run.dreams.dice[:8], known, 0.0, 1.0)
    drawn = run.paint(moved, run.dreams.pictures.label[:8], run.teacher)
    assert torch.equal(pictures, drawn.clamp(0, 1).round())


def test_rows_of_the_same_classes_are_found() -> None:
    pictures = discs()
    label = torch.tensor([0, 0, 1, 0, 1])
    rows = pictures.like(label, torch.Generator().manual_seed(0))
    assert torch.equal(pictures.label[rows], label)


def test_the_focus_gives_half_its_weight_to_what_is_masked() -> None:
    pictures = discs()
    rows = torch.arange(8)
    focus = pictures.focus_at(rows)
    inside = pictures.masks[rows].float() / 255  # type: ignore[index]
    assert torch.allclose(focus.mean((1, 2, 3)), torch.ones(8), atol=1e-5)
    assert torch.allclose((focus * inside).mean((1, 2, 3)), torch.full((8,), 0.5), atol=1e-5)


def test_a_run_goes_on_from_its_weights_alone(tmp_path: Path) -> None:
    run = trainer()
    for _ in range(3):
        run.step()
    save_checkpoint(run, tmp_path)
    again = trainer(replace(SMALL, seed=5))
    load_checkpoint(again, tmp_path)
    assert again.step_number == 3
    for old, new in (
        (run.average, again.average),
        (run.discriminator, again.discriminator),
        (run.encoder, again.encoder),
        (run.teacher, again.teacher),
        (run.flow, again.flow),
    ):
        assert all(torch.equal(new.state_dict()[name], each) for name, each in old.state_dict().items())
    assert all(value == value for value in again.step().values())


def test_a_checkpoint_of_another_shape_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    save_checkpoint(trainer(), tmp_path)
    other = trainer(replace(SMALL, z_dim=5, seed=1))
    before = {name: each.clone() for name, each in other.generator.state_dict().items()}
    with pytest.raises(BadInput, match=r"another network \(average, encoder, flow, generator, teacher\)"):
        load_checkpoint(other, tmp_path)
    assert all(torch.equal(each, before[name]) for name, each in other.generator.state_dict().items())


@pytest.mark.parametrize("discriminator", ["none", "another"])
def test_a_discriminator_that_a_checkpoint_lacks_starts_afresh(tmp_path: Path, discriminator: str) -> None:
    run = trainer()
    for _ in range(3):
        run.step()
    save_checkpoint(run, tmp_path)
    tensors, header = read_tensors(tmp_path / CHECKPOINT)
    kept = {name: each for name, each in tensors.items() if not name.startswith("discriminator.")}
    if discriminator == "another":
        kept["discriminator.heads.0.patches.bias"] = torch.full((1,), 7.0)
    write_tensors(tmp_path / CHECKPOINT, kept, header)
    again, fresh = trainer(replace(SMALL, seed=5)), trainer(replace(SMALL, seed=5))
    load_checkpoint(again, tmp_path)
    found = again.discriminator.state_dict()
    assert all(torch.equal(found[name], each) for name, each in fresh.discriminator.state_dict().items())
    assert torch.equal(again.generator.embedding, run.generator.embedding)
    assert all(value == value for value in again.step().values())


def test_the_learning_rate_falls_to_a_fiftieth_once_dice_settled() -> None:
    run = trainer(replace(SMALL, steps=100, settling_at=0.5, learning_rate=1e-3))
    run.flow.learnt.fill_(True)
    rates = []
    for run.step_number in (50, 75, 100):
        run._schedule()
        rates.append(run.optimisers["generator"].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 5.1e-4, 2e-5])


def test_standing_statistics_are_those_of_many_pictures() -> None:
    run = trainer()
    standing_statistics(run.average, seed=3, batch=64, batches=2)
    seen: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        z = torch.randn((512, 4), generator=torch.Generator().manual_seed(9))
        run.average(z, run.average.embedding[torch.arange(512) % 2], seen)
    mean, inverse = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert float(((run.average.means[-1] - mean) * inverse).abs().max()) < 0.3
    assert float((run.average.variances[-1] * inverse**2).log().abs().median()) < 0.1


def test_the_exported_encoder_reads_plain_features_as_it_read_standardised_ones(tmp_path: Path) -> None:
    run = trainer()
    run.step()
    export(run, tmp_path / "model")
    encoder, features = load_encoder(tmp_path / "model")
    images, known = run.pictures.images_at(torch.arange(4)), run.one_hot(run.pictures.label[:4])
    found, _ = encoder(RandomFeatures(16).features(images), known)
    expected, _ = run.encoder(run.features(images), known)
    assert features == "random"
    assert torch.allclose(found, expected, atol=2e-2)


def test_training_on_a_folder_ends_in_a_model_that_loads(tmp_path: Path, folder: Path) -> None:
    config = replace(SMALL, data=str(folder), sheet_steps=3)
    told: list[tuple[int, int]] = []
    model = train_biggan(config, tmp_path / "run", lambda done, whole: told.append((done, whole)))
    generator = steer.load_generator(model, device="cpu")
    assert tuple(generator.conditions["label"].choices) == ("left", "right")
    pictures = generator.decode(generator.sample([0, 1], truncation=0.7))
    assert pictures.shape == (2, 3, 16, 16)
    guess = generator.invert(pictures[0], descent=0, freedom=0.0)
    assert guess.latent["z"].abs().sum() > 0  # without an encoder it would stay where it started, at 0
    assert told[-1] == (1000, 1000)
    assert {path.name for path in model.iterdir()} == {
        "README.md", "config.json", "encoder.safetensors", "weights.safetensors"
    }  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert sorted(path.name for path in (tmp_path / "run").glob("sheet-*.png")) == [
        "sheet-000003.png", "sheet-000006.png"
    ]  # fmt: skip


def test_stopping_keeps_what_was_saved_and_the_next_run_goes_on(tmp_path: Path, folder: Path) -> None:
    config = replace(SMALL, data=str(folder), checkpoint_minutes=0.0)

    def stop(done: int, whole: int) -> None:
        if done >= 500:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        train_biggan(config, tmp_path / "run", stop)
    saved = prepare(config)
    load_checkpoint(saved, tmp_path / "run")
    assert 1 <= saved.step_number < 6
    assert load(train_biggan(config, tmp_path / "run")).config.labels == ("left", "right")


def test_data_that_cannot_be_used_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BadInput, match="no folder"):
        read_folder(tmp_path / "nowhere", 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no sub-folders"):
        read_folder(tmp_path / "empty", 16)
    (folder / "middle").mkdir()
    with pytest.raises(BadInput, match="holds no pictures"):
        read_folder(folder, 16)
    (folder / "middle" / "torn.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"torn\.png"):
        read_folder(folder, 16)


@pytest.mark.parametrize(
    "wrong", [{"resolution": 48}, {"channels": (8, 8)}, {"batch": 1}, {"data": "aviary", "resolution": 32}]
)
def test_options_that_do_not_fit_are_refused(folder: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        prepare(replace(SMALL, **{"data": str(folder), **wrong}))  # type: ignore[arg-type]


def test_pictures_are_tiled_in_reading_order() -> None:
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 2, 2) / 10
    sheet = torch.from_numpy(np.array(tile(images, 3)))
    assert sheet.shape == (4, 6, 3)
    assert sheet[::2, ::2, 0].tolist() == [[0, 26, 51], [76, 102, 255]]

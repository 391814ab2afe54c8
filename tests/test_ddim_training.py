"""The diffusion trainer: it learns, resumes from weights alone, and exports what `load_generator` reads."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import steer
from steer.errors import BadInput
from steer.generators.ddim import load
from steer.generators.diffusion.schedule import Schedule
from steer.generators.diffusion.words import Vocabulary
from steer.generators.training.captioned import Captioned, captioned, part_of
from steer.generators.training.ddim import DDIMTraining, Trainer, prepare, train_ddim
from steer.generators.training.run import load_checkpoint, save_checkpoint

SMALL = DDIMTraining(
    data="discs",
    resolution=16,
    channels=(32, 32),
    levels=100,
    batch=8,
    minutes=None,
    steps=4,
    threads=1,
    device="cpu",
    warm_steps=2,
    sheet_steps=2,
    checkpoint_minutes=0.0,
)


def discs(count: int = 32, *, drawn: int = 8) -> Captioned:
    """Return red and blue discs on grey, with sketches of the first ones."""
    rows = torch.arange(count)
    across = torch.arange(16.0) - 7.5
    inside = (across[None, :] ** 2 + across[:, None] ** 2 < 30).float()
    red = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    colour = torch.where((rows % 2 == 0).view(-1, 1, 1, 1), red, red.flip(0))
    images = ((inside * colour + (1 - inside) * 0.5) * 255).byte()
    sketch = (255 * (1 - inside)).byte().expand(drawn, 3, -1, -1).contiguous()
    names = ("a red disc", "a blue disc")
    drawings = {"sketch": sketch, "layout": sketch}
    return Captioned(images, lambda row, rng: names[row % 2], Vocabulary.of(names), drawings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for row, image in enumerate(discs(8).images):
        place = tmp_path / "pictures" / ("red disc", "blue disc")[row % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / f"{row}.png")
    return tmp_path / "pictures"


def test_it_learns_to_predict() -> None:
    trainer = Trainer(replace(SMALL, learning_rate=3e-3, steps=100), discs())
    losses = [trainer.step()["loss"] for _ in range(25)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_batch_has_the_shares_it_promises_of_captions_and_drawings() -> None:
    trainer = Trainer(replace(SMALL, batch=400, no_caption=0.25, no_drawing=0.5, part_caption=0.0), discs())
    _, captions, drawing = trainer._batch(400)
    assert drawing is not None
    assert abs(captions.count("") / 400 - 0.25) < 0.1
    kinds = drawing[:, 3, 0, 0]
    assert abs(float((kinds == 0).float().mean()) - 0.5) < 0.1
    assert {-1.0, 0.0, 1.0} == set(kinds.tolist())
    assert not drawing[kinds == 0].any()


def test_levels_are_drawn_as_often_as_they_weigh() -> None:
    trainer = Trainer(replace(SMALL, levels=1000, largest_weight=5.0), discs())
    levels = torch.cat([trainer._levels(100) for _ in range(200)])
    alpha_bars = Schedule.cosine(1000).alpha_bars.float()
    # Min-SNR of Hang et al. (2023) for v prediction: min(SNR + 1, 5) / (SNR + 1), and SNR + 1 = 1 / (1 - alpha bar).
    weights = (5 * (1 - alpha_bars)).clamp(max=1)
    shares = torch.bincount(levels // 100, minlength=10) / len(levels)
    torch.testing.assert_close(shares, weights.unflatten(0, (10, 100)).sum(1) / weights.sum(), atol=0.01, rtol=0)


def test_a_part_of_a_caption_is_words_of_it_in_a_row() -> None:
    rng = torch.Generator().manual_seed(0)
    parts = {part_of("a red owl facing left", rng) for _ in range(100)}
    assert "owl" in parts
    assert all(part and part in "a red owl facing left" for part in parts)


def test_a_run_goes_on_from_its_weights_alone(tmp_path: Path) -> None:
    trainer = Trainer(SMALL, discs())
    trainer.step()
    save_checkpoint(trainer, tmp_path)
    again = Trainer(replace(SMALL, seed=5), discs())
    load_checkpoint(again, tmp_path)
    assert again.step_number == 1
    for part, module in trainer.networks.items():
        new = again.networks[part].state_dict()
        assert all(torch.equal(new[name], each) for name, each in module.state_dict().items())
    assert again.step()["loss"] > 0


def test_training_on_a_folder_ends_in_a_model_that_loads(tmp_path: Path, folder: Path) -> None:
    config = replace(SMALL, data=str(folder))
    model = train_ddim(config, tmp_path / "run")
    generator = steer.load_generator(model, device="cpu")
    assert set(generator.conditions) == {"prompt", "guidance"}
    latent = generator.sample([0, 1], condition={"prompt": "red disc"})
    pictures = generator.decode(latent, sampler=steer.Sampler(steps=3))
    assert pictures.shape == (2, 3, 16, 16)
    assert {path.name for path in model.iterdir()} == {"README.md", "config.json", "weights.safetensors"}
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert len(list((tmp_path / "run").glob("sheet-*.png"))) == 2
    again = prepare(config)
    load_checkpoint(again, tmp_path / "run")
    assert again.done >= 1
    assert load(model).fingerprint == generator.fingerprint


def test_the_sheet_shows_drawings_and_what_was_made_of_them() -> None:
    trainer = Trainer(SMALL, discs())
    assert trainer.sheet().size == (8 * 16, 6 * 16)


@pytest.mark.parametrize(
    "wrong",
    [{"resolution": 48}, {"channels": (32,)}, {"channels": (32, 24)}, {"channels": (32,) * 6}, {"batch": 0}],
)
def test_options_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Trainer(replace(SMALL, **wrong), discs())  # type: ignore[arg-type]


def test_more_drawings_than_pictures_are_refused() -> None:
    with pytest.raises(BadInput, match="choose fewer"):
        captioned("aviary", 64, pictures=2, data_seed=0, drawn=3)


def test_every_word_of_the_birds_grammar_is_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from steer.generators.aviary.captions import COLOURS
    from steer.generators.aviary.factors import SPECIES

    monkeypatch.setenv("STEER_CACHE", str(tmp_path))
    data = captioned("aviary", 16, pictures=64, data_seed=0, drawn=2)
    assert data.drawn == 2
    assert not data.vocabulary.unknown(" ".join([*SPECIES, *(word for words in COLOURS for word in words)]))
    assert data.describe(0, torch.Generator().manual_seed(0)).split()[0] in ("a", "an", "on")

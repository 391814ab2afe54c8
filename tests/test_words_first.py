"""Words first: a network knows what captions mean before it sees a picture."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_diffusion import network

from steer.generators.aviary.factors import FACTORS, sample_factors
from steer.generators.aviary.obedience import captions_of
from steer.generators.diffusion.network import DenoisingNetwork, blindfolded
from steer.generators.diffusion.words import Vocabulary
from steer.generators.training.captioned import Captioned, as_meanings
from steer.generators.training.ddim import DDIMTraining, Trainer, train_ddim
from steer.generators.training.run import load_checkpoint, save_checkpoint
from steer.generators.training.words_first import learn_words, misunderstood, new_reading, understood

COLOURS = ("red", "green", "blue", "yellow")
PAIRS = [pair for pair in itertools.product(range(4), range(4)) if pair[0] != pair[1]]


def say(bird: int, ground: int, *, ground_first: bool) -> str:
    parts = [f"a {COLOURS[bird]} owl", f"on a {COLOURS[ground]} ground"]
    return " ".join(reversed(parts) if ground_first else parts)


def two_colours() -> Captioned:
    """Return captions that name two colours, in either order; the pictures are blank."""
    captions = [say(*pair, ground_first=first) for pair in PAIRS for first in (False, True)]
    meanings = torch.stack([torch.eye(4)[list(pair)].flatten() for pair in PAIRS for _ in range(2)])
    blank = torch.zeros(len(captions), 3, 16, 16, dtype=torch.uint8)
    return Captioned(blank, lambda row, rng: captions[row], Vocabulary.of(captions), meanings=4 * meanings - 1)


@pytest.mark.slow
def test_it_is_read_which_noun_a_colour_belongs_to_wherever_it_stands() -> None:
    data, rng = two_colours(), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    shape = DDIMTraining(resolution=16, channels=(32, 32)).network(data.vocabulary.words, drawing=False)
    reader = DenoisingNetwork(shape)
    reading = new_reading(reader, meanings=8)
    learn_words(reader, reading, data, lambda row: data.describe(row, rng), steps=80, batch=24, rng=rng)
    for first in (False, True):
        told = understood(reader, reading, [say(*pair, ground_first=first) for pair in PAIRS]).view(-1, 2, 4)
        assert told.argmax(2).tolist() == [list(pair) for pair in PAIRS]


def test_meanings_are_standardised_over_all_birds_and_angles_close() -> None:
    birds = sample_factors(20_000, generator=torch.Generator().manual_seed(0))
    meanings = as_meanings(birds)
    assert meanings.shape == (20_000, 8 + 2 * 3 + 6)
    assert float(meanings.mean(0).abs().max()) < 0.03
    assert float((meanings.std(0) - 1).abs().max()) < 0.03
    angles = [
        {name: values[:1] * 0 + (degrees if name == "hue" else 1) for name, values in birds.items()}
        for degrees in (0, 360)
    ]
    torch.testing.assert_close(*map(as_meanings, angles), atol=1e-5, rtol=0)


def test_a_class_and_an_angle_become_the_numbers_of_a_hand_calculation() -> None:
    middle = {name: torch.tensor([(factor.low + factor.high) / 2]) for name, factor in FACTORS.items()}
    row = as_meanings(middle | {"species": torch.tensor([2]), "hue": torch.tensor([90.0])})[0]
    # One of eight classes: mean 1/8, deviation sqrt(7)/8. A sine over all angles: mean 0, deviation 1/sqrt(2).
    assert row[:8].tolist() == pytest.approx(
        [7 / math.sqrt(7) if name == 2 else -1 / math.sqrt(7) for name in range(8)]
    )
    assert row[8:10].tolist() == pytest.approx([math.sqrt(2), 0.0], abs=1e-6)


@pytest.mark.slow
def test_captions_of_birds_never_described_are_understood() -> None:
    birds, strangers = (sample_factors(count, generator=torch.Generator().manual_seed(count)) for count in (4_000, 200))
    rng = torch.Generator().manual_seed(0)
    captions = captions_of(birds)
    blank = torch.zeros(len(captions), 3, 1, 1, dtype=torch.uint8)
    data = Captioned(blank, lambda row, rng: captions[row], Vocabulary.of(captions), meanings=as_meanings(birds))
    torch.manual_seed(0)
    reader = DenoisingNetwork(DDIMTraining().network(data.vocabulary.words, drawing=False))
    reading = new_reading(reader, data.meanings.shape[1])
    learn_words(reader, reading, data, lambda row: captions[row], steps=500, rng=rng)
    told = understood(reader, reading, captions_of(strangers, seed=1))
    assert float((told[:, :8].argmax(1) == strangers["species"]).float().mean()) > 0.95
    columns = {"hue": slice(8, 10), "heading": slice(10, 12), "background_hue": slice(16, 18)}
    for name, part in columns.items():
        sine, cosine = told[:, part].T
        off = torch.remainder(torch.rad2deg(torch.atan2(sine, cosine)) - strangers[name] + 180, 360) - 180
        assert float((off.abs() <= 30).float().mean()) > 0.9, name


def test_a_training_learns_words_first_and_a_resumed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(Trainer, "learn_words", lambda self, progress=None: heard.append(self.step_number))
    for row, name in enumerate(("red disc", "blue disc")):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        from PIL import Image

        Image.new("RGB", (16, 16), name.split()[0]).save(folder / f"{row}.png")
    config = DDIMTraining(
        data=str(tmp_path / "pictures"), resolution=16, channels=(32, 32), batch=2, minutes=None, steps=1, threads=1,
        device="cpu", sheet_steps=10,
    )  # fmt: skip
    train_ddim(config, tmp_path / "run")
    assert heard == [0]
    train_ddim(replace(config, steps=2), tmp_path / "run")
    assert heard == [0]


def test_names_alone_are_no_meanings_to_learn() -> None:
    data = replace(two_colours(), meanings=None)
    trainer = Trainer(DDIMTraining(resolution=16, channels=(32, 32), threads=1, device="cpu"), data)
    before = {name: each.clone() for name, each in trainer.network.state_dict().items()}
    trainer.learn_words()
    assert all(torch.equal(before[name], each) for name, each in trainer.network.state_dict().items())


def test_words_learnt_first_are_in_the_average_too_and_their_time_counts() -> None:
    config = DDIMTraining(resolution=16, channels=(32, 32), threads=1, device="cpu", word_steps=2)
    trainer = Trainer(config, two_colours())
    before = trainer.network.text.words.weight.clone()
    trainer.learn_words()
    assert not torch.equal(trainer.network.text.words.weight, before)
    assert torch.equal(trainer.average.text.words.weight, trainer.network.text.words.weight)
    assert trainer.seconds > 0
    assert trainer.step_number == 0


def test_words_are_rehearsed_in_every_step_so_that_none_is_forgotten() -> None:
    missed = {}
    for weight in (0.0, 1.0):
        config = DDIMTraining(
            resolution=16, channels=(32, 32), threads=1, device="cpu", batch=24, no_caption=0.0, part_caption=0.0,
            learning_rate=3e-3, warm_steps=1, word_steps=0, word_weight=weight, minutes=None, steps=1_000,
        )  # fmt: skip
        trainer = Trainer(config, two_colours())
        for _ in range(16):
            trainer.step()
        rows = torch.arange(len(trainer.data))
        prompt = trainer.network.read([trainer.data.describe(row, trainer.rng) for row in rows.tolist()])
        missed[weight] = float(misunderstood(trainer.network, trainer.reading, prompt, trainer.data.meanings).detach())
    # Meanings are 3 for each of the two colours named and -1 for the other six: who knows nothing misses them by 3.
    assert missed[0.0] > 2.5
    assert missed[1.0] < 2


def test_a_checkpoint_from_before_words_were_rehearsed_goes_on(tmp_path: Path) -> None:
    config = DDIMTraining(resolution=16, channels=(32, 32), threads=1, device="cpu")
    trainer, later = (Trainer(replace(config, seed=seed), two_colours()) for seed in (0, 1))
    trainer.reading = None
    save_checkpoint(trainer, tmp_path)
    load_checkpoint(later, tmp_path)
    assert torch.equal(later.network.text.words.weight, trainer.network.text.words.weight)


def test_a_blindfold_hides_the_coarse_half_of_some_rows_alone() -> None:
    blind = network().eval()
    x, rows = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([True, False])
    drawing, seen = torch.zeros(2, 4, 16, 16), []
    prompt = blind.read(["a red owl", "a red owl"])
    hook = blind.unet.up_blocks[0].register_forward_hook(lambda block, given, out: seen.append(out), with_kwargs=False)
    with torch.no_grad():
        plain = blind(x, 500, prompt, drawing)
        with blindfolded(blind, rows):
            hidden = blind(x, 500, prompt, drawing)
        again = blind(x, 500, prompt, drawing)
    hook.remove()
    assert not torch.allclose(seen[0][0], seen[1][0], atol=1e-3)
    torch.testing.assert_close(hidden[1], plain[1], atol=1e-5, rtol=0)
    assert torch.equal(again, plain)

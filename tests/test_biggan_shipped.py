"""The shipped aviary-biggan: small, whole, various, and its encoder finds the dice back."""

from pathlib import Path

import pytest
import torch

import steer
from steer.generators.biggan import BigGAN
from steer.generators.gan.dice_encoder import load_encoder
from steer.generators.shipped_models import SHIPPED
from steer.knob import FlowKnob, is_round
from steer.seeds import draw_normal

FOLDER = SHIPPED / "aviary-biggan"
LARGEST_BYTES = 8_000_000


def test_it_fits_in_eight_megabytes() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= LARGEST_BYTES


def test_its_card_says_how_it_was_made() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "steer train biggan --data aviary" in card
    assert "seed" in card


def test_it_draws_the_species_it_is_asked_for() -> None:
    generator = steer.load_generator("aviary-biggan", device="cpu")
    labels = generator.conditions["label"].choices
    latent = generator.sample(list(range(4 * len(labels))), condition={"label": list(labels) * 4}, truncation=0.6)
    with torch.no_grad():
        species = steer.measure_attributes(generator.decode(latent), of=generator)["species"]
    right = (species == torch.arange(len(labels)).repeat(4)).float().mean()
    assert float(right) >= 0.8


def test_what_goes_round_has_knobs_that_fit_a_dial() -> None:
    knobs = steer.shipped_knobs(steer.load_generator("aviary-biggan", device="cpu"))
    assert {name for name, knob in knobs.items() if is_round(knob)} == {"hue", "heading", "background_hue"}


@pytest.mark.parametrize("name", ["two.jpg", "two.png", "two.webp"])
def test_a_picture_with_two_flows_turned_is_rebuilt_bit_for_bit_from_its_file(tmp_path: Path, name: str) -> None:
    birds = steer.load_generator("aviary-biggan", device="cpu")
    flows = [knob for knob in steer.shipped_knobs(birds).values() if isinstance(knob, FlowKnob)]
    latent = birds.sample([3, 4], condition={"label": ["owl", "duck"]})
    steering = steer.Steering(list(zip(flows[:2], ([0.7, -0.4], 0.5), strict=True)))
    steer.Recipe.of(birds, latent, steering).save(tmp_path / name, birds)
    again = steer.Recipe.load(tmp_path / name).render(steer.load_generator("aviary-biggan", device="cpu"))
    assert torch.equal(again, birds.decode(latent, steering))
    assert not torch.equal(again, birds.decode(latent))


def test_no_two_dice_give_the_same_bird() -> None:
    generator = steer.load_generator("aviary-biggan", device="cpu")
    with torch.no_grad():
        pictures = generator.decode(generator.sample(list(range(16)), condition={"label": "owl"})).flatten(1)
    apart = torch.cdist(pictures, pictures, p=1) / pictures.shape[1]
    assert float(apart[~torch.eye(16, dtype=torch.bool)].min()) > 0.02


def test_its_encoder_finds_back_the_dice_that_show() -> None:
    generator = steer.load_generator("aviary-biggan", device="cpu")
    backend = generator.backend
    assert isinstance(backend, BigGAN)
    encoder, features = load_encoder(FOLDER)
    critic = steer.load_measurer(features)
    label = torch.arange(16) % 8
    names = [backend.config.labels[row] for row in label]
    latent = generator.sample(list(range(16)), condition={"label": names})
    with torch.no_grad():
        pictures = generator.decode(latent)
        found, _ = encoder(critic.network.features(pictures), torch.nn.functional.one_hot(label, 8).float())  # type: ignore[attr-defined]
        again = generator.decode(latent.with_values("z", found))
        strange = generator.decode(latent.with_values("z", draw_normal(list(range(100, 116)), "z", (24,))))
    assert float((again - pictures).abs().mean()) < 0.5 * float((strange - pictures).abs().mean())

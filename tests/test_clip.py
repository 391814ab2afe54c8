"""Scoring words against pictures: the trainer learns to tell captions apart, and scorers become attributes."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from steer.attribute import Measurer
from steer.errors import BadInput, BrokenFile, MissingPart
from steer.generators.aviary.factors import SPECIES, sample_factors
from steer.generators.aviary.obedience import captions_of
from steer.generators.aviary.renderer import render
from steer.generators.bird_scorer import BirdScorer, ScorerConfig
from steer.generators.diffusion.words import PADDING, UnknownWords, Vocabulary
from steer.generators.large_scorers import open_clip_scorer, transformers_scorer
from steer.generators.shipped_models import SHIPPED, aviary_clip
from steer.generators.text_score import Scorer, TextMeasurer, match
from steer.generators.training.captioned import Captioned
from steer.generators.training.clip import CLIPTraining, Trainer, export

SMALL = CLIPTraining(
    channels=(16, 16, 16, 16), batch=6, minutes=None, steps=30, part_caption=0.0, warm_steps=2, learning_rate=3e-3
)
COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}


def colours() -> Captioned:
    """Return pictures of one colour, dark and bright."""
    names = [f"a {shade} {name} owl" for name in COLOURS for shade in ("dark", "bright")]
    shades = torch.tensor([0.4, 1.0]).repeat(3).view(-1, 1, 1, 1)
    plain = torch.tensor([COLOURS[name] for name in COLOURS for _ in range(2)]).view(-1, 3, 1, 1) * shades
    images = (plain * 255).byte().expand(-1, -1, 64, 64).contiguous()
    return Captioned(images, lambda row, rng: names[row], Vocabulary.of(names))


@pytest.fixture(scope="module")
def trained() -> Trainer:
    trainer = Trainer(SMALL, colours(), colours())
    for _ in range(SMALL.steps):
        trainer.step()
    return trainer


def test_it_learns_to_pick_the_caption_out_of_others(trained: Trainer) -> None:
    fresh = Trainer(SMALL, colours(), colours())
    assert fresh.measures()["retrieval"] < 0.7
    assert trained.measures()["retrieval"] == 1.0
    assert trained.sheet().size == (6 * 64, 4 * 64)


def test_what_is_exported_comes_back_and_fits_the_promised_size(trained: Trainer, tmp_path: Path) -> None:
    folder = export(trained, tmp_path / "model")
    scorer = BirdScorer.load(folder)
    images = trained.data.images.float() / 255
    phrases = ["a dark red owl", "a bright blue owl"]
    assert isinstance(scorer, Scorer)
    assert torch.allclose(match(scorer, images, phrases), match(trained.scorer, images, phrases), atol=2e-2)
    assert scorer.spread == pytest.approx(trained.measures()["spread"], abs=1e-3)
    full = BirdScorer(ScorerConfig(tuple(f"w{number}" for number in range(100))))
    assert sum(each.numel() for each in full.parameters()) <= 2_000_000


def test_the_shipped_one_picks_captions_of_fresh_birds_out_of_64(recwarn: pytest.WarningsRecorder) -> None:
    birds = sample_factors(seeds=range(3_000_000, 3_000_128))
    scorer = aviary_clip().scorer
    for start in (0, 64):
        some = {name: values[start : start + 64] for name, values in birds.items()}
        cosines = match(scorer, render(some), captions_of(some, seed=start))
        assert float((cosines.argmax(1) == torch.arange(64)).float().mean()) >= 0.9
    assert not recwarn.list, "all its own examples are of words that it knows"


def test_the_shipped_one_tells_species_by_short_phrases_in_four_of_five_birds() -> None:
    birds = sample_factors(seeds=range(3_000_000, 3_000_128))
    cosines = aviary_clip().about(*(f"a {species}" for species in SPECIES)).measure(render(birds))
    named = torch.stack(list(cosines.values()), 1).argmax(1)
    assert float((named == birds["species"]).float().mean()) >= 0.8


def test_the_shipped_one_fits_into_four_megabytes() -> None:
    assert sum(file.stat().st_size for file in (SHIPPED / "aviary-clip").iterdir()) <= 4_000_000


def test_vectors_lie_on_the_sphere_and_scores_are_differentiable(trained: Trainer) -> None:
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    seen = trained.scorer.see(images)
    assert torch.allclose(seen.norm(dim=1), torch.ones(2), atol=1e-5)
    match(trained.scorer, images, ["a red owl"]).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_scorer_is_a_measurer_of_phrases(trained: Trainer) -> None:
    measurer = TextMeasurer(trained.scorer, ["a red owl", "a blue owl"])
    assert isinstance(measurer, Measurer)
    images = trained.data.images.float() / 255
    measured = measurer.measure(images)
    assert list(measured) == list(measurer.attributes) == ["a red owl", "a blue owl"]
    assert measured["a red owl"].argmax() in (0, 1)
    assert measured["a blue owl"].argmax() in (4, 5)
    other = measurer.about("a green owl")
    assert list(other.attributes) == ["a green owl"]
    assert measurer.in_domain(images).tolist() == [1.0] * 6


def test_unknown_words_are_said_and_refused_where_nothing_is_left(trained: Trainer) -> None:
    with pytest.warns(UnknownWords, match="majestic"):
        TextMeasurer(trained.scorer, ["a majestic owl"])
    with pytest.raises(BadInput, match="majestic"):
        TextMeasurer(trained.scorer, ["majestic"])


def test_a_folder_without_a_scorer_is_named(trained: Trainer, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="steer train clip"):
        BirdScorer.load(tmp_path)
    trained.scorer.save(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BrokenFile):
        BirdScorer.load(tmp_path)


def test_parts_of_captions_are_learnt_from_and_whole_ones_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(replace(SMALL, part_caption=1.0), colours(), colours())
    asked: list[Tensor] = []
    read = trainer.scorer.read_tokens
    monkeypatch.setattr(trainer.scorer, "read_tokens", lambda tokens: asked.append(tokens) or read(tokens))
    for _ in range(4):
        trainer.step()
    lengths = torch.cat([(tokens != PADDING).sum(1) for tokens in asked])
    assert 1 < int(lengths.min()) < 5, "a start and at least a word, of a start and four"
    asked.clear()
    trainer.measures()
    assert all(((tokens != PADDING).sum(1) == 5).all() for tokens in asked)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(BadInput, match="batch"):
        Trainer(replace(SMALL, batch=7), colours(), colours())


@pytest.mark.parametrize("package", ["transformers", "open_clip"])
def test_large_scorers_need_their_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPart, match="text"):
        (transformers_scorer if package == "transformers" else open_clip_scorer)()


def test_open_clip_fits_the_same_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model(torch.nn.Module):
        visual = SimpleNamespace(image_size=(8, 8), image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5))

        def encode_image(self, images: Tensor) -> Tensor:
            return images.mean((2, 3))

        def encode_text(self, tokens: Tensor) -> Tensor:
            return tokens

    package = ModuleType("open_clip")
    package.create_model_and_transforms = lambda name, pretrained: (Model(), None, None)  # type: ignore[attr-defined]
    package.get_tokenizer = lambda name: lambda phrases: torch.eye(3)[: len(phrases)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "open_clip", package)
    scorer = open_clip_scorer("tiny", "none")
    images = torch.tensor([1.0, 0.5, 0.5]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    cosines = TextMeasurer(scorer, ["red", "green"]).measure(images)
    assert cosines["red"].item() == pytest.approx(1.0, abs=1e-5)
    assert cosines["green"].item() == pytest.approx(0.0, abs=1e-5)
    assert torch.equal(F.normalize(torch.eye(3), dim=1), scorer.read(["a", "b", "c"]))

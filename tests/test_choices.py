"""Choices in words: every seed gets its own, the same again, and captions made of them say all there is."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from tiny_diffusion import tiny_ddim

import steer
from steer.attribute import Attribute, FunctionMeasurer, Worded
from steer.choices import choose_words
from steer.directions import readings
from steer.directions.probe import Probe
from steer.directions.readings import worded
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.generators.aviary.captions import COLOURS, caption_choices
from steer.generators.aviary.factors import SPECIES
from steer.knob import RingKnob
from steer.registry import load_generator, load_measurer
from steer.sampler import Sampler


@pytest.fixture(scope="module")
def wordy() -> Generator:
    return tiny_ddim(levels=4, low_levels=0)


def test_each_choice_is_as_likely_and_a_seed_always_says_the_same() -> None:
    said = [choose_words("a {red|blue|} {owl|{big|small} wren}", seed) for seed in range(1_200)]
    counts = Counter(said)
    assert set(counts) == {
        f"a{colour} {bird}" for colour in (" red", " blue", "") for bird in ("owl", "big wren", "small wren")
    }
    assert all(150 < counts[f"a {colour} owl"] < 250 for colour in ("red", "blue"))  # 200 of 1,200, give or take 13
    assert all(65 < counts[f"a {colour} big wren"] < 135 for colour in ("red", "blue"))
    assert said[:10] == [choose_words("a {red|blue|} {owl|{big|small} wren}", seed) for seed in range(10)]


@pytest.mark.parametrize("pattern", ["a {red|blue owl", "a red} owl", "a }{ owl"])
def test_a_brace_without_its_other_is_refused(pattern: str) -> None:
    with pytest.raises(BadInput, match=r"\{this\|that\}"):
        choose_words(pattern, 0)


def test_samples_are_asked_for_the_choice_of_their_seed_in_any_batch(wordy: Generator) -> None:
    latent = wordy.sample(range(8), condition={"prompt": "a {red|blue} owl"})
    assert set(latent.condition["prompt"]) == {"a red owl", "a blue owl"}
    alone = wordy.sample([5], condition={"prompt": "a {red|blue} owl"})
    assert alone.condition["prompt"] == latent.condition["prompt"][5:6]
    plain = wordy.sample([5], condition={"prompt": alone.condition["prompt"][0]})
    assert (plain["prompt"] == alone["prompt"]).all()
    assert (plain["noise"] == alone["noise"]).all()


def test_a_picture_to_invert_takes_one_phrase(wordy: Generator) -> None:
    picture = wordy.decode(wordy.sample([0]))[0]
    with pytest.raises(BadInput, match="one phrase"):
        wordy.invert(picture, condition={"prompt": "a {red|blue} owl"})


def test_what_a_generator_is_asked_once_and_for_all_holds_until_something_else_is_said(wordy: Generator) -> None:
    asking = wordy.with_condition({"prompt": "a red owl"})
    assert asking.sample([0, 1]).condition == {"prompt": ("a red owl", "a red owl")}
    assert asking.sample([0], condition={"prompt": "a wren"}).condition == {"prompt": ("a wren",)}
    assert asking.sample([0], condition={}).condition == wordy.sample([0]).condition == {}
    with pytest.raises(UnknownName):
        wordy.with_condition({"label": "owl"})


def test_captions_as_choices_say_every_species_and_colour_in_words_that_birds_were_described_by() -> None:
    said = [choose_words(caption_choices(), seed) for seed in range(800)]
    assert len(set(said)) > 790
    for word in (*SPECIES, *(colour for colours in COLOURS for colour in colours), "bowing", "lit from the left"):
        assert sum(word in caption for caption in said) > 20, word
    backend = load_generator("aviary-ddim", "cpu").backend
    assert not any(backend.network.vocabulary.unknown(caption) for caption in said)  # type: ignore[attr-defined]
    assert not any(re.search(r"\ba [aeiou]", caption) for caption in said)


def test_finders_and_measures_ask_for_a_caption_where_words_are_known_and_nothing_is_asked(
    wordy: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = Attribute("size", "linear", 0, 1, "fraction", 0.3)
    plain = FunctionMeasurer({"size": lambda images: images.mean((1, 2, 3))}, {"size": size})
    monkeypatch.setattr(readings, "load_measurer", lambda name: plain)
    assert worded(wordy) is wordy, "a measurer that knows no words"
    judge = load_measurer("aviary-judge")
    assert isinstance(judge, Worded)
    monkeypatch.setattr(readings, "load_measurer", lambda name: judge)
    assert worded(wordy).asked == {"prompt": judge.captions}
    unasked = wordy.with_condition({})
    assert worded(unasked) is unasked
    classes = load_generator("aviary-biggan", "cpu")
    assert worded(classes) is classes, "a generator that reads no words"


def test_a_probe_in_the_space_of_words_goes_round_the_colours_in_their_order(tmp_path: Path) -> None:
    birds = steer.load_generator("aviary-ddim", "cpu").with_sampler(Sampler(1))
    owls = f"a {{{'|'.join(colours[0] for colours in COLOURS)}}} owl facing left"
    asked = birds.sample(range(120), condition={"prompt": owls}).condition["prompt"]
    hue_of = {f"a {colours[0]} owl facing left": 30 * sector for sector, colours in enumerate(COLOURS)}
    rows = [f"{seed},{hue_of[words]}" for seed, words in enumerate(asked)]
    labels = tmp_path / "hues.csv"
    labels.write_text("\n".join(["seed,hue", *rows]), encoding="utf-8")
    probe = Probe("hue", space="prompt", source=labels, kind="circular", condition={"prompt": owls})
    knob = probe.find(birds)["hue"]
    assert isinstance(knob, RingKnob)
    assert knob.provenance.options["condition"] == {"prompt": owls}
    words = birds.sample([0] * len(hue_of), condition={"prompt": list(hue_of)})["prompt"]
    off = torch.remainder(knob.coordinate(words) - torch.tensor(list(hue_of.values())) + 180, 360) - 180
    assert float(off.abs().max()) < 15  # half of what lies between neighbours

"""Words: what is known is used, what is not is said, and weights mix phrases."""

import pytest
import torch

from steer.errors import BadInput
from steer.generators.diffusion.words import (
    LONGEST,
    PADDING,
    START,
    TextEncoder,
    UnknownWords,
    Vocabulary,
    pad,
    parse_prompt,
    split,
)

BIRDS = Vocabulary.of(["a red owl facing left", "a blue-green wren, lit from the right"])


def test_a_vocabulary_holds_every_word_of_its_captions_once() -> None:
    assert BIRDS.words == ("a", "blue", "facing", "from", "green", "left", "lit", "owl", "red", "right", "the", "wren")
    assert BIRDS.size == 14
    tokens = BIRDS.tokens("a RED owl!")
    assert tokens[0] == START
    assert [BIRDS.words[token - 2] for token in tokens[1:]] == ["a", "red", "owl"]


def test_punctuation_and_case_do_not_matter() -> None:
    assert split("Blue-green, 'wren'...") == ["blue", "green", "wren"]
    assert split(" 12 %") == []


def test_unknown_words_are_passed_over_and_said() -> None:
    assert BIRDS.tokens("a majestic red owl") == BIRDS.tokens("a red owl")
    with pytest.warns(UnknownWords, match="majestic"):
        BIRDS.check("a majestic red owl")


def test_a_phrase_of_unknown_words_alone_is_refused_with_words_that_are_known() -> None:
    with pytest.raises(BadInput, match="owl"):
        BIRDS.check("majestic")


def test_what_is_too_long_is_cut_and_said() -> None:
    assert len(BIRDS.tokens("red " * 100)) == LONGEST + 1
    with pytest.warns(UnknownWords, match="first"):
        BIRDS.check("red " * 100)


def test_weights_of_a_prompt_add_up_to_one() -> None:
    assert parse_prompt("a red owl") == [("a red owl", 1.0)]
    assert parse_prompt("red:1|blue : 3") == [("red", 0.25), ("blue", 0.75)]


@pytest.mark.parametrize("prompt", ["", "  ", "red |", "|", "red: 0", ": 2", "123"])
def test_a_prompt_without_words_or_weight_is_refused(prompt: str) -> None:
    with pytest.raises(BadInput):
        parse_prompt(prompt)


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(BIRDS.size, width=32, slots=4)
    short, long = BIRDS.tokens("red owl"), BIRDS.tokens("a blue wren facing left")
    together, alone = encoder(pad([short, long])), encoder(pad([short]))
    assert together.shape == (2, 4, 32)
    assert torch.allclose(together[:1], alone, atol=1e-5)
    assert pad([short, long])[0, len(short) :].eq(PADDING).all()


def test_the_order_of_words_matters() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(BIRDS.size, width=32, slots=4)
    values = encoder(torch.tensor([BIRDS.tokens("red owl blue"), BIRDS.tokens("blue owl red")]))
    assert not torch.allclose(values[0], values[1], atol=1e-3)

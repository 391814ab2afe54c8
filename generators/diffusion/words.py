"""Words: prompts of a small vocabulary, and the network that turns them into values a denoiser understands."""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from steer.errors import BadInput, SteerWarning

LONGEST = 40
"""How many words of a phrase are read."""

PADDING, START = 0, 1
"""Tokens that are no words: nothing, and the beginning of every phrase. Words count from 2."""

_WORD = re.compile(r"[a-z]+")
_WEIGHTED = re.compile(r"(.*?)(?::\s*([0-9]*\.?[0-9]+)\s*)?", re.DOTALL)


class UnknownWords(SteerWarning):
    """Some words of a prompt are not in the vocabulary and were passed over."""


@dataclass(frozen=True)
class Vocabulary:
    """The words a text encoder knows.

    Attributes:
        words: in lower case, letters only, each once.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Iterable[str]) -> "Vocabulary":
        """Return the words of captions, in the order of the alphabet."""
        return cls(tuple(sorted({word for caption in captions for word in split(caption)})))

    @cached_property
    def _tokens(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.words, START + 1)}

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self.words) + START + 1

    def tokens(self, phrase: str) -> list[int]:
        """Return the tokens of a phrase, the start first; unknown words are passed over, and so is what is too long.

        >>> Vocabulary(("blue", "owl")).tokens("A blue owl")
        [1, 2, 3]
        """
        return [START, *(self._tokens[word] for word in split(phrase) if word in self._tokens)][: LONGEST + 1]

    def unknown(self, phrase: str) -> list[str]:
        """Return the words of a phrase that are not known."""
        return [word for word in split(phrase) if word not in self._tokens]

    def check(self, phrase: str) -> None:
        """Say which words of a phrase are passed over.

        Warns:
            UnknownWords: some words are unknown, or come after the last that is read.

        Raises:
            BadInput: no word of it is known.
        """
        words, unknown = split(phrase), self.unknown(phrase)
        if len(unknown) == len(words):
            raise BadInput(
                f"no word of the prompt '{phrase:.80}' is known here; leave the prompt out, or use words such as "
                f"{', '.join(self.words[:: max(1, len(self.words) // 12)])}"
            )
        if unknown:
            message = f"words unknown to this generator were passed over in '{phrase:.80}': {', '.join(unknown)}"
            warnings.warn(message, UnknownWords, stacklevel=3)
        if len(words) - len(unknown) > LONGEST:
            warnings.warn(f"only the first {LONGEST} words of '{phrase:.80}' are read", UnknownWords, stacklevel=3)


def split(phrase: str) -> list[str]:
    """Return the words of a phrase.

    >>> split("A yellow-green owl, facing left")
    ['a', 'yellow', 'green', 'owl', 'facing', 'left']
    """
    return _WORD.findall(phrase.lower())


def parse_prompt(prompt: str) -> list[tuple[str, float]]:
    """Read a prompt: phrases parted by ``|``, each with a weight behind a colon or of 1; the weights add up to 1.

    >>> parse_prompt("a red robin | a blue owl: 3")
    [('a red robin', 0.25), ('a blue owl', 0.75)]

    Raises:
        BadInput: it has no words, a weight is not above 0, or there are choices left, which seeds decide.
    """
    if "{" in prompt or "}" in prompt:
        raise BadInput(f"seeds decide choices, and here is none: say one phrase, not '{prompt:.80}'")
    phrases, weights = [], []
    for part in prompt.split("|"):
        match = _WEIGHTED.fullmatch(part)
        assert match is not None, "every text matches"
        phrases.append(match[1].strip())
        weights.append(float(match[2] or 1))
    if not all(map(split, phrases)):
        raise BadInput(f"the prompt '{prompt:.80}' has a phrase without words; write some, or leave the prompt out")
    if min(weights) <= 0:
        raise BadInput(f"the weights in the prompt '{prompt:.80}' must be above 0; leave a phrase out instead")
    return [(phrase, weight / sum(weights)) for phrase, weight in zip(phrases, weights, strict=True)]


def pad(phrases: Sequence[Sequence[int]]) -> Tensor:
    """Return tokens of phrases as one table, (batch, longest), filled up with padding."""
    table = torch.full((len(phrases), max(map(len, phrases))), PADDING)
    for row, tokens in enumerate(phrases):
        table[row, : len(tokens)] = torch.tensor(tokens)
    return table


class TextEncoder(nn.Module):
    """A small transformer over words, read out by a few learned queries into values of a fixed shape.

    The fixed shape makes differences and mixtures of phrases of any length meaningful. Each word first looks at two
    neighbours on either side: which noun a colour belongs to is learnt many times faster than by attention alone.

    Args:
        tokens: size of the vocabulary.
        width: width of the values.
        slots: how many rows of values come out.
        layers: transformer layers.
    """

    def __init__(self, tokens: int, width: int = 128, slots: int = 8, layers: int = 2) -> None:
        super().__init__()
        heads = max(1, width // 32)
        self.words = nn.Embedding(tokens, width)
        self.places = nn.Parameter(torch.randn(LONGEST + 1, width) * 0.02)
        self.neighbours = nn.Conv1d(width, width, 5, padding=2)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.queries = nn.Parameter(torch.randn(slots, width))
        self.read = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the values of phrases, (batch, slots, width), from tokens (batch, length) with padding behind."""
        absent = tokens == PADDING
        mask = absent if bool(absent.any()) else None
        words = self.words(tokens).masked_fill(absent[..., None], 0)  # (batch, length, width)
        h = words + self.neighbours(words.mT).mT + self.places[: tokens.shape[1]]
        h = self.body(h, src_key_padding_mask=mask)
        queries = self.queries.expand(len(tokens), -1, -1)
        read, _ = self.read(queries, h, h, key_padding_mask=mask, need_weights=False)
        values: Tensor = self.norm(queries + read)
        return values

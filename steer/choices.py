"""Choices: words that say something else for every seed, such as ``a {red|blue} owl``."""

import re

import torch

from steer.errors import BadInput
from steer.seeds import stream

_INNERMOST = re.compile(r"\{([^{}]*)\}")


def choose_words(pattern: str, seed: int) -> str:
    """Return the words of one seed: of every ``{this|that}`` one choice, each as likely; choices may hold choices.

    >>> choose_words("a {red|blue} owl", 0) in ("a red owl", "a blue owl")
    True
    >>> choose_words("a red owl | a wren: 2", 0)
    'a red owl | a wren: 2'

    Raises:
        BadInput: a brace is open, or closes nothing.
    """
    rng, words = stream(seed, "words"), pattern
    while (group := _INNERMOST.search(words)) is not None:
        choices = group[1].split("|")
        chosen = choices[int(torch.randint(len(choices), (), generator=rng))]
        words = words[: group.start()] + chosen + words[group.end() :]
    if "{" in words or "}" in words:
        raise BadInput(f"a brace in '{pattern:.80}' has no other; choices are written {{this|that}}")
    return words if words == pattern else " ".join(words.split())

"""How well words match a picture: what a scorer can do, and scorers as measurers.

`steer.generators.bird_scorer` is a small one, `steer.generators.large_scorers` wraps published ones.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from steer.attribute import Attribute


@runtime_checkable
class Scorer(Protocol):
    """Places pictures and phrases on one sphere, those that belong together close to each other.

    Attributes:
        name: what it is called.
        spread: standard deviation of the cosine over pictures for one phrase, where it is known; else 0.1.
        examples: phrases that it can say something about.
    """

    name: str
    spread: float
    examples: Sequence[str]

    def see(self, images: Tensor) -> Tensor:
        """Return unit vectors (batch, width) of pictures (batch, 3, height, width) in [0, 1]."""
        ...

    def read(self, phrases: Sequence[str]) -> Tensor:
        """Return unit vectors (phrases, width)."""
        ...


def match(scorer: Scorer, images: Tensor, phrases: Sequence[str]) -> Tensor:
    """Return the cosine between each picture and each phrase, (batch, phrases) in [-1, 1]."""
    return scorer.see(images) @ scorer.read(phrases).T


class TextMeasurer:
    """A scorer as a set of attributes: for each phrase, how well it matches a picture.

    Args:
        scorer: what places pictures and phrases.
        phrases: the phrases; by default the scorer's own examples.

    Raises:
        BadInput: no word of a phrase is known to the scorer.
    """

    reference = None

    def __init__(self, scorer: Scorer, phrases: Sequence[str] | None = None) -> None:
        self.name, self.scorer = scorer.name, scorer
        self.phrases = tuple(phrases if phrases is not None else scorer.examples)
        self._words = scorer.read(self.phrases)
        self.attributes: Mapping[str, Attribute] = {
            phrase: Attribute(phrase, "linear", -1, 1, "cosine", scorer.spread, summary=f"how well '{phrase}' matches")
            for phrase in self.phrases
        }

    def about(self, *phrases: str) -> "TextMeasurer":
        """Return a measurer of other phrases."""
        return TextMeasurer(self.scorer, phrases)

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Return for each phrase the cosine with pictures (batch, 3, height, width) in [0, 1], (batch,) in [-1, 1]."""
        cosines = self.scorer.see(images) @ self._words.T
        return dict(zip(self.phrases, cosines.unbind(1), strict=True))

    def in_domain(self, images: Tensor) -> Tensor:
        """Return ones, (batch,): whether it knows a picture it cannot say."""
        return images.new_ones(len(images))

"""Say in English what a picture shows: short captions from a small grammar, true to the factors."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor

from steer.generators.aviary.factors import FACTORS

COLOURS = (
    ("red", "scarlet"),
    ("orange",),
    ("yellow", "golden"),
    ("lime green", "yellow-green"),
    ("green",),
    ("sea green", "emerald"),
    ("turquoise", "cyan"),
    ("sky blue", "azure"),
    ("blue",),
    ("violet", "purple"),
    ("magenta",),
    ("pink", "rose"),
)
"""Words for every 30 degrees of hue."""

_HEADINGS = (
    ("facing the viewer", "looking straight at us", "seen from the front"),
    ("facing right and towards us", "seen half from the front, facing right"),
    ("facing right", "looking right", "in profile, facing right"),
    ("facing right and away from us", "seen half from behind, facing right"),
    ("facing away", "seen from behind", "with its back to us"),
    ("facing left and away from us", "seen half from behind, facing left"),
    ("facing left", "looking left", "in profile, facing left"),
    ("facing left and towards us", "seen half from the front, facing left"),
)
_SIZES = (("small ", "little ", "tiny "), ("",), ("big ", "large "))
_TILTS = (("bowing", "with its beak lowered"), ("",), ("stretching up", "with its beak raised"))
_SIDES = (("on the left",), ("",), ("on the right",))
_LIGHTS = (("lit from the left", "in light from the left"), ("",), ("lit from the right", "in light from the right"))
_SHADES = (("dark ", "deep "), ("",), ("pale ", "light ", "bright "))
_GROUNDS = ("background", "backdrop")


def caption(factors: Mapping[str, Tensor | float], rng: torch.Generator | None = None) -> str:
    """Describe one bird, such as "a small red heron facing left on a pale green background".

    Species, colour, heading and background are always named; size, tilt, place and light where they stand out, and
    the last three not every time.

    Args:
        factors: One value per factor, as a number or a tensor of one element.
        rng: Chooses among the phrasings; PyTorch's own by default.
    """
    value = {name: float(factors[name]) for name in FACTORS}

    def pick(words: Sequence[str]) -> str:
        return words[int(torch.randint(len(words), (), generator=rng))]

    def colour(name: str) -> str:
        return pick(COLOURS[_sector(value[name], len(COLOURS))])

    species = FACTORS["species"].classes[int(value["species"])]
    bird = f"{pick(_SIZES[_third('size', value)])}{colour('hue')} {species}"
    details = [pick(_HEADINGS[_sector(value["heading"], len(_HEADINGS))])]
    for name, words in (("tilt", _TILTS), ("x", _SIDES), ("light", _LIGHTS)):
        phrase = pick(words[_third(name, value)])
        if phrase and pick(("say", "leave")) == "say":
            details.append(phrase)
    shade, ground = pick(_SHADES[_third("background_brightness", value)]), pick(_GROUNDS)
    backdrop = _with_article(f"{shade}{colour('background_hue')} {ground}")
    form = pick(
        ("{bird} {details} on {backdrop}", "on {backdrop}, {bird} {details}", "{bird} {details}, {backdrop} behind it")
    )
    return form.format(bird=_with_article(bird), details=", ".join(details), backdrop=backdrop)


def caption_choices() -> str:
    """Return such captions as choices (see `steer.choices`), every factor chosen by itself and said where it can be."""

    def coloured(adjectives: Sequence[Sequence[str]]) -> str:
        bare = _one_of(_one_of(colour) for colour in COLOURS)
        alone = _one_of(_one_of(map(_with_article, colour)) for colour in COLOURS)
        described = (
            f"{_one_of(_with_article(word.strip()) for word in words)} {bare}" if any(words) else alone
            for words in adjectives
        )
        return _one_of(described)

    heading = _one_of(map(_one_of, _HEADINGS))
    details = "".join(
        _one_of(_one_of(f", {phrase}" if phrase else "" for phrase in phrases) for phrases in words)
        for words in (_TILTS, _SIDES, _LIGHTS)
    )
    bird = f"{coloured(_SIZES)} {_one_of(FACTORS['species'].classes)}"
    return f"{bird} {heading}{details} on {coloured(_SHADES)} {_one_of(_GROUNDS)}"


def meaning(words: str) -> dict[str, float]:
    """Return what words ask for, by factor: the middle of what they name, and of the range where they name nothing.

    Not a number where words say nothing of what captions always say: species, colours, heading.

    >>> asked = meaning("a small red heron facing left on a pale green background")
    >>> asked["hue"], asked["heading"], asked["background_hue"]
    (0.0, 270.0, 120.0)
    >>> asked["size"] < meaning("a heron")["size"]
    True
    """
    species = FACTORS["species"].classes
    bird = _named(_one_pattern(species), words)
    plumage = _named(rf"({_pattern(COLOURS)}) {_one_pattern(species)}", words)
    backdrop = _named(rf"(?:({_pattern(_SHADES)}) )?({_pattern(COLOURS)}) {_one_pattern(_GROUNDS)}", words)
    found = {
        "species": species.index(bird[0]) if bird else math.nan,
        "hue": _angle(plumage[1] if plumage else "", COLOURS),
        "heading": _angle((_named(f"({_pattern(_HEADINGS)})", words) or ("", ""))[1], _HEADINGS),
        "background_hue": _angle(backdrop[2] if backdrop else "", COLOURS),
        "size": _middle("size", (_named(f"({_pattern(_SIZES)})", words) or ("", ""))[1], _SIZES),
        "background_brightness": _middle("background_brightness", (backdrop[1] or "") if backdrop else "", _SHADES),
    }
    for name, phrases in (("tilt", _TILTS), ("x", _SIDES), ("light", _LIGHTS)):
        found[name] = _middle(name, (_named(f"({_pattern(phrases)})", words) or ("", ""))[1], phrases)
    return found


def _named(pattern: str, words: str) -> re.Match[str] | None:
    """Return where words match, as whole words."""
    return re.search(rf"(?<![a-z-]){pattern}(?![a-z])", words.lower())


def _one_pattern(options: Iterable[str]) -> str:
    """Return what matches any of some phrases, the longest that fits."""
    phrases = sorted(filter(None, map(str.strip, options)), key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, phrases))})"


def _pattern(groups: Iterable[Sequence[str]]) -> str:
    return _one_pattern(chain.from_iterable(groups))


def _angle(phrase: str, sectors: Sequence[Sequence[str]]) -> float:
    """Return the middle of the sector that a phrase names."""
    return next((360.0 / len(sectors) * place for place, each in enumerate(sectors) if phrase in each), math.nan)


def _middle(name: str, phrase: str, thirds: Sequence[Sequence[str]]) -> float:
    """Return the middle of the third of a factor's range that a phrase names; no phrase names the middle one."""
    factor, third = FACTORS[name], next(place for place, each in enumerate(thirds) if phrase in map(str.strip, each))
    return factor.low + (factor.high - factor.low) * (third + 0.5) / 3


def _one_of(options: Iterable[str]) -> str:
    listed = list(options)
    return f"{{{'|'.join(listed)}}}" if len(listed) > 1 else listed[0]


def _sector(degrees: float, count: int) -> int:
    """Return which of ``count`` equal sectors, centred on multiples of their width, an angle falls in."""
    return round(degrees % 360 / (360 / count)) % count


def _third(name: str, value: Mapping[str, float]) -> int:
    """Return 0, 1 or 2 for the lower, middle or upper third of a factor's range."""
    factor = FACTORS[name]
    return min(max(int(3 * (value[name] - factor.low) / (factor.high - factor.low)), 0), 2)


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

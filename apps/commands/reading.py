"""Turn what was typed into seeds, labels, knobs, turns and options; every mistake is said with its cure."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steer.apps.commands.writing import say_aside
from steer.errors import BadInput, UnknownName, WrongGenerator

if TYPE_CHECKING:
    from PIL import Image

    from steer.generator import Generator
    from steer.knob import Knob, KnobSet
    from steer.latent import Latent
    from steer.prepare import PictureSource
    from steer.sampler import Sampler
    from steer.steering import Turn


LOSSLESS = frozenset({"PNG", "WEBP"})
"""Formats that keep every pixel."""

EDITED = 8
"""From more than how many of 255 levels a pixel counts as changed: a machine that calculates otherwise changes 1."""

FAR = 0.1
"""How much of its width a range is left by before that is said."""


@dataclass(frozen=True)
class Request:
    """What the flags of a verb ask a generator for; None where a flag was not given.

    Attributes:
        label: a class, or classes apart by commas.
        prompt: phrases.
        sketch: the file of an outline.
        layout: the file of a map of parts.
        guidance: how far to follow all that.
        strength: how strongly a drawing is seen.
    """

    label: str | None = None
    prompt: Sequence[str] | None = None
    sketch: Path | None = None
    layout: Path | None = None
    guidance: float | None = None
    strength: float | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The flags that were given, by name."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}

    def condition(self, generator: "Generator", count: int) -> dict[str, Any]:
        """Return the condition for ``count`` pictures.

        Raises:
            BadInput: the generator cannot be asked for that, or there are neither one nor ``count`` labels or prompts.
        """
        asked = self._of(generator)
        for name, each in asked.items():
            if isinstance(each, list) and len(each) not in (1, count):
                raise BadInput(f"--{name} takes one, or one for each of the {count} seeds, not {len(each)}")
        return asked

    def taking_turns(self, generator: "Generator", seeds: Sequence[int]) -> tuple[list[int], dict[str, Any]]:
        """Return seeds and a condition for a way through them; the shorter lists start again."""
        asked = self._of(generator)
        count = max([len(seeds), *(len(each) for each in asked.values() if isinstance(each, list))])
        turns = {
            name: list(islice(cycle(each), count)) if isinstance(each, list) else each for name, each in asked.items()
        }
        return list(islice(cycle(seeds), count)), turns

    def _of(self, generator: "Generator") -> dict[str, Any]:
        given = self.given
        for name in given:
            if name != "label" and name not in generator.conditions:
                raise BadInput(f"'{generator.name}' cannot be asked for a {name}; leave --{name} out")
        if self.strength is not None and self.sketch is None and self.layout is None:
            raise BadInput("--strength is that of a drawing; give a --sketch or --layout with it")
        return given | ({"label": read_labels(self.label, generator)} if self.label is not None else {})


def read_asked(prompt: str | None, unasked: bool, generator: "Generator") -> "Generator":
    """Return the generator, its samples asked for what a verb's flags say; as it is where they say nothing.

    Raises:
        BadInput: both flags were given, or the generator reads no words.
    """
    if prompt is None:
        return generator.with_condition({}) if unasked else generator
    if unasked:
        raise BadInput("--prompt and --unasked say two things to ask for; leave one of them out")
    return generator.with_condition(Request(prompt=[prompt]).condition(generator, 1))


def read_sampler(steps: int | None, generator: "Generator") -> "Sampler | None":
    """Return the sampler of a number of steps; None, for that of the generator, where none was given.

    Raises:
        BadInput: the generator does not take so many.
    """
    from steer.backend import Noisy
    from steer.sampler import Sampler

    if steps is None:
        return None
    if isinstance(generator.backend, Noisy):
        most = len(generator.backend.noise_levels())
        if not 1 <= steps <= most:
            raise BadInput(f"'{generator.name}' takes 1 to {most} steps, not {steps}")
    return Sampler(steps)


def read_latent(
    seeds: str | None,
    picture: Path | None,
    request: Request,
    truncation: float,
    generator: "Generator",
    insist: bool,
) -> "Latent":
    """Return the latent of seeds, or that of a picture made here, without its turns.

    Raises:
        BadInput: neither or both were given, or something was asked for beside a picture.
    """
    from steer.recipe import Recipe
    from steer.seeds import parse_seeds

    if seeds is None and picture is None:
        raise BadInput("say what to draw: --seeds 0-5, or --picture FILE for a picture made here")
    if seeds is not None and picture is not None:
        raise BadInput("--seeds and --picture are two ways to say what to draw; leave one of them out")
    if seeds is not None:
        numbers = parse_seeds(seeds)
        return generator.sample(numbers, condition=request.condition(generator, len(numbers)), truncation=truncation)
    if request.given or truncation != 1:
        flags = [*request.given, *(["truncation"] if truncation != 1 else [])]
        raise BadInput(f"a picture has its own {' and '.join(flags)}; leave --{' and --'.join(flags)} out")
    assert picture is not None
    recipe = Recipe.load(picture)
    latent = recipe.latent(generator, insist=insist)
    if not insist:
        heed_edits(picture, recipe.image(generator))
    turned = dict.fromkeys(record.turn().knob.name for record in (recipe.scene.turns if recipe.scene else ()))
    if turned:
        say_aside(f"the turns in '{picture}' are left out: {', '.join(turned)}; turn them again with --turn")
    return latent


def read_reference(file: Path) -> "PictureSource":
    """Return a picture to go by: of a file made here the picture itself, without the border round it.

    Raises:
        BadInput: there is no such file, or it holds several pictures.
    """
    from steer.pictures import read_recipe_text
    from steer.recipe import Recipe

    if file.suffix.lower() != ".json" and read_recipe_text(file) is None:
        return file
    pictures = Recipe.load(file).render()
    if len(pictures) != 1:
        raise BadInput(f"'{file}' holds {len(pictures)} pictures; give a file with a single one")
    return pictures[0].cpu()


def heed_edits(file: Path, drawn: "Image.Image") -> None:
    """Say so where the pixels of a file that carries a recipe are not those that the recipe draws."""
    import numpy as np
    from PIL import Image

    with Image.open(file) as image:
        if image.format not in LOSSLESS:
            return
        kept = np.asarray(image.convert("RGB"), dtype=np.int16)
    if kept.shape != (made := np.asarray(drawn.convert("RGB"))).shape or int(abs(kept - made).max()) > EDITED:
        say_aside(
            f"the pixels in '{file}' are not those of its recipe, one of them was changed; the recipe is followed "
            "(for the pixels: steer invert)"
        )


def read_labels(text: str, generator: "Generator") -> list[str]:
    """Split labels at commas, unless the whole text is one label (published class names have commas)."""
    condition = generator.conditions.get("label")
    if condition is None:
        raise BadInput(f"'{generator.name}' has no classes to ask for; leave the label out")
    labels = [text] if text in condition.choices else [label.strip() for label in text.split(",")]
    for each in labels:
        if each not in condition.choices:
            raise UnknownName("label", each, condition.choices)
    return labels


def read_knobs(file: Path | None, generator: "Generator") -> "KnobSet":
    """Return the knobs in a file, or those shipped with the generator.

    Raises:
        BadInput: no file was given and the generator comes with no knobs.
    """
    from steer.knob import load_knobs
    from steer.registry import shipped_knobs

    knobs = load_knobs(file) if file else shipped_knobs(generator)
    if not knobs:
        raise BadInput(
            f"'{file or generator.name}' has no knobs; find some, then give them with --knobs: "
            f"steer find probe {generator.name} --attribute NAME --out FILE.safetensors"
        )
    return knobs


def read_knob(name: str, knobs: "Mapping[str, Knob]", generator: "Generator", insist: bool) -> "Knob":
    """Return a knob that fits the generator's weights.

    Raises:
        UnknownName: there is no such knob.
        WrongGenerator: it was made for other weights, and nobody insists.
    """
    from steer.knob import adopt

    knob = knobs[name]
    made_for = knob.provenance.fingerprint
    if made_for in (None, generator.fingerprint):
        return knob
    assert made_for is not None
    if not insist:
        raise WrongGenerator(f"the knob '{name}'", made_for, generator.fingerprint, "--insist")
    return adopt(knob, generator.fingerprint)


def read_turns(
    texts: Sequence[str] | None, file: Path | None, generator: "Generator", insist: bool, beside: Collection[str] = ()
) -> list["Turn"]:
    """Read turns written as NAME=AMOUNT.

    Args:
        texts: what was typed.
        file: where the knobs are; None for those that are shipped.
        generator: what is turned.
        insist: whether knobs may be of other weights.
        beside: knobs that the verb itself moves.

    Raises:
        BadInput: one is not written so, or turns a knob that is turned already.
    """
    from steer.steering import Turn

    how = "a turn is written NAME=AMOUNT, such as hue=90"
    pairs = read_pairs([text.rpartition("=") for text in texts or ()], how)
    amounts = {name: _read_amount(amount, f"{how}, not '{name}={amount}'") for name, amount in pairs.items()}
    for name in amounts:
        if name in beside:
            raise BadInput(f"'{name}' is moved here, and cannot be held as well; leave --turn {name}={pairs[name]} out")
    knobs = read_knobs(file, generator) if amounts else {}
    turns = []
    for name, amount in amounts.items():
        turns.append(Turn(read_knob(name, knobs, generator, insist), amount))
        heed_range(turns[-1].knob, amount)
    return turns


def read_pairs(parts: Iterable[tuple[str, str, str]], how: str) -> dict[str, str]:
    """Return values by name.

    Args:
        parts: what was typed, split into name, equals sign and value.
        how: how it is written, with an example.

    Raises:
        BadInput: one is not written so, or one name has two values.
    """
    pairs: dict[str, str] = {}
    for name, equals, value in parts:
        if not (name and value):
            raise BadInput(f"{how}, not '{name}{equals}{value}'")
        if name in pairs:
            raise BadInput(f"'{name}' cannot be both {pairs[name]} and {value}; give it once")
        pairs[name] = value
    return pairs


def _read_amount(text: str, complaint: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(complaint) from None


def read_ends(knob: "Knob", start: float | None, end: float | None, *, absolute: bool = False) -> tuple[float, float]:
    """Return the amounts between which a knob is turned, by default the ends of its range.

    Raises:
        BadInput: one is not a finite number, or they are the same.
    """
    from steer.errors import BadInput
    from steer.steering import Turn

    low, high = knob.range
    ends = (low if start is None else start, high if end is None else end)
    if ends[0] == ends[1]:
        raise BadInput(
            f"from {ends[0]:g} to {ends[1]:g} nothing turns; give two amounts, such as {low:.3g} and {high:.3g}"
        )
    for amount in ends:
        Turn(knob, amount)  # refuses what is no number
        if not absolute:
            heed_range(knob, amount)
    return ends


def heed_range(knob: "Knob", amount: float) -> None:
    """Say so where a knob is turned far beyond where pictures were measured to stay plausible; a ring has no beyond."""
    low, high = knob.range
    slack = FAR * (high - low)
    if knob.unit != "degree" and not low - slack <= amount <= high + slack:
        say_aside(
            f"{knob.name}={amount:g} is far beyond {low:.3g} to {high:.3g} {knob.unit}, where pictures were measured "
            "to stay plausible"
        )


def read_options(
    texts: Sequence[str] | None, types: Mapping[str, Any], named: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """Read options written as name=value, each by the type that it has.

    Args:
        texts: what was typed.
        types: name and type of every option there is.
        named: options that have a flag of their own; None where it was not given.
        what: whose options these are.

    Raises:
        BadInput: a text is not name=value, or the value is not of the option's type.
        UnknownName: there is no such option.
    """
    given = {name: value for name, value in named.items() if value is not None}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"an option is written name=value, not '{text}'; {what} has {', '.join(types)}")
        option = name.strip().replace("-", "_")
        if option in given:
            raise BadInput(f"the option '{option}' cannot be both {given[option]} and {value}; give it once")
        given[option] = value
    unknown = next((name for name in given if name not in types), None)
    if unknown is not None:
        raise UnknownName(f"option of {what}", unknown, types)
    return {name: _read_value(name, value, types[name]) for name, value in given.items()}


def _read_value(name: str, value: object, kind: Any) -> Any:
    from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

    if not isinstance(value, str):
        return value
    try:
        adapter = TypeAdapter(kind)
    except PydanticSchemaGenerationError:
        return value  # only the plugin knows what it can make of a text
    for reading in _readings(value):
        try:
            return adapter.validate_python(reading)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
    raise BadInput(f"'{value}' does not fit the option '{name}': {problem}")


def _readings(value: str) -> list[Any]:
    """Return what a text may mean, the text itself first."""
    readings: list[Any] = [value]
    try:
        readings.append(json.loads(value))
    except json.JSONDecodeError:
        readings.append([part.strip() for part in value.split(",")])
    if value.lower() == "none":
        readings.insert(0, None)
    return readings

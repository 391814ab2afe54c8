"""Discovery: a finder's options as fields that a person can fill in, and what is found made ready to turn."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor

from steer.amounts import evenly
from steer.apps.setting import Model, Setting
from steer.directions.contrast import Words
from steer.directions.flip import flip
from steer.errors import BadInput, UnknownName
from steer.knob import Knob, KnobSet, Window
from steer.progress import Progress
from steer.registry import load_finder, registered
from steer.seeds import parse_seeds
from steer.steering import Steering, Turn

Kind = Literal["flag", "whole", "number", "choice", "choices", "pair", "examples", "text"]

ANY = "any"
"""The choice that asks for nothing."""

STRIP_STEPS = 7
STRIP_SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Field:
    """One option of a finder, as it stands on a form.

    Attributes:
        name: the option.
        kind: how it is filled in.
        value: what stands there to begin with.
        help: one line on it.
        choices: what can be chosen.
    """

    name: str
    kind: Kind
    value: Any = None
    help: str = ""
    choices: tuple[str, ...] = ()


def fields_of(finder: str, model: Model) -> list[Field]:
    """Return the options of a finder that can be filled in on a page.

    Options that may be a path are given as seeds or names only, or not at all: no path that somebody typed is opened.

    Raises:
        UnknownName: there is no such finder.
    """
    entries = registered("finders")
    if finder not in entries:
        raise UnknownName("finder", finder, entries)
    kind = entries[finder].load()
    help_lines = _help_of(kind)
    found = []
    for option in fields(kind):
        value = None if option.default is MISSING else option.default
        field = _field(option.name, option.type, value, help_lines.get(option.name, ""), model)
        if field is not None:
            found.append(field)
    return found


def _field(name: str, annotation: Any, value: Any, help_line: str, model: Model) -> Field | None:
    if (make := _KNOWN.get(name)) is not None:
        return make(name, value, help_line, model)
    types = _types_in(annotation)
    if get_origin(annotation) is tuple and types == {float}:
        return Field(name, "pair", ", ".join(f"{each:g}" for each in value or ()), help_line)
    for plain, kind in ((bool, "flag"), (int, "whole"), (float, "number")):
        if types - {NoneType} == {plain}:
            return Field(name, kind, value, help_line)  # type: ignore[arg-type]
    if get_origin(annotation) is Literal:
        return Field(name, "choice", value, help_line, get_args(annotation))
    if Path in types and int in types:
        return Field(name, "examples", "", f"Seeds such as 1,2,5-10{_or_words(model)}.")
    return None


def _types_in(annotation: Any) -> set[Any]:
    """Return every plain type within an annotation."""
    parts = annotation if isinstance(annotation, list) else get_args(annotation)  # a list: a callable's arguments
    return set().union(*map(_types_in, parts)) - {Ellipsis} if parts else {annotation}


def _help_of(kind: type) -> dict[str, str]:
    """Return the first clause of each attribute's line in a class's docstring."""
    text = inspect.getdoc(kind) or ""
    _, _, listed = text.partition("Attributes:\n")
    lines = re.findall(r"^    (\w+): ((?:.|\n(?=        ))*)", listed, re.MULTILINE)
    return {name: _sentence(re.sub(r"\s+", " ", line)) for name, line in lines}


def _sentence(line: str) -> str:
    first = re.split(r"(?<=[^.])\. |; |: ", line.replace("``", ""))[0].rstrip(".")
    return f"{first[:1].upper()}{first[1:]}."


def _spaces(name: str, value: Any, help_line: str, model: Model) -> Field:
    spaces = model.generator.spaces
    if value is None:
        return Field(name, "choice", ANY, help_line, (ANY, *spaces))
    first = value if value in spaces else next(each for each in (*_inner(model), *spaces))
    return Field(name, "choice", first, help_line, tuple(spaces))


def _inner(model: Model) -> list[str]:
    return [name for name, space in model.generator.spaces.items() if space.kind == "inner"]


def _attributes(name: str, value: Any, help_line: str, model: Model) -> Field:
    known = tuple(model.measurer.attributes) if model.measurer else ()
    if value is None:
        return Field(name, "choice", ANY, help_line, (ANY, *known))
    return Field(name, "choices", [value] if value else [], help_line, ("all", *known))


def _edits(name: str, value: Any, help_line: str, model: Model) -> Field:
    from steer.directions.edits import EDITS

    return Field(name, "choices", [value], help_line, ("all", *EDITS))


def _label(name: str, value: Any, help_line: str, model: Model) -> Field | None:
    help_line = "The class to look at; any mixes them all."
    return Field(name, "choice", ANY, help_line, (ANY, *model.label.choices)) if model.label else None


def _truncation(name: str, value: Any, help_line: str, model: Model) -> Field:
    return Field(name, "number", value, "How far the dice are drawn in, above 0 to 1; smaller is more typical.")


def _text(name: str, value: Any, help_line: str, model: Model) -> Field:
    return Field(name, "text", value or "", help_line)


_KNOWN: Mapping[str, Callable[[str, Any, str, Model], Field | None]] = {
    "space": _spaces,
    "observe": _spaces,
    "attribute": _attributes,
    "edit": _edits,
    "condition": _label,
    "truncation": _truncation,
    "name": _text,
}
"""Options that mean the same for every finder."""


def discover(finder: str, model: Model, filled: Mapping[str, Any], progress: Progress | None = None) -> KnobSet:
    """Find knobs with a form filled in.

    Args:
        finder: a name from `steer.list_finders`.
        model: where to look.
        filled: by option, what the form holds.
        progress: called as the work goes on.

    Raises:
        SteerError: an option cannot be used, or nothing is found; the message names the cure.
    """
    return load_finder(finder, **options_of_form(finder, model, filled)).find(model.generator, progress=progress)


def options_of_form(finder: str, model: Model, filled: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a form says, as the finder takes them; what is left open is left out.

    Raises:
        SteerError: one cannot be read; the message names the cure.
    """
    known = {field.name: field for field in fields_of(finder, model)}
    options = {name: _read(known[name], value, model) for name, value in filled.items() if name in known}
    return {name: value for name, value in options.items() if value is not None}


def _read(field: Field, value: Any, model: Model) -> Any:
    """Return the option that a field says; None for the finder's own choice."""
    if value is None or value in (ANY, "") or value == []:
        return None
    if field.name == "condition":
        return {model.label.name: value} if model.label else None
    match field.kind:
        case "whole":
            return int(value)
        case "choices":
            return value[0] if len(value) == 1 else tuple(value)
        case "pair":
            return _pair(field.name, value)
        case "examples":
            return _examples(field.name, value, model)
    return value


def _pair(name: str, text: str) -> tuple[float, float]:
    try:
        first, second = map(float, text.split(","))
    except ValueError as error:
        raise BadInput(f"{name} is two numbers apart by a comma, such as 0, 1; not '{text:.40}'") from error
    return first, second


def _examples(name: str, text: str, model: Model) -> Words | list[int]:
    if model.label and text.strip() in model.label.choices:
        return Words(text.strip())
    try:
        return parse_seeds(text)
    except BadInput as error:
        if model.caption:
            return Words(text.strip())
        choices = f" ({', '.join(model.label.choices)})" if model.label else ""
        raise BadInput(f"{name} is seeds such as 1,2,5-10{_or_words(model)}{choices}; not '{text:.40}'") from error


def _or_words(model: Model) -> str:
    """Say which words may stand in place of seeds."""
    return ", or a phrase" if model.caption else ", or the name of a class" if model.label else ""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A knob that was found, with what a person says of it.

    Attributes:
        knob: the knob as it was named, flipped, trimmed and windowed.
        note: a line to remember it by.
    """

    knob: Knob
    note: str = ""

    def named(self, name: str) -> "Candidate":
        """Return it under another name."""
        if not name.strip() or "/" in name:
            raise BadInput("a knob's name is a word or two, without a slash")
        return self._with(name=name.strip())

    def flipped(self) -> "Candidate":
        """Return it turning the other way.

        Raises:
            BadInput: nobody knows how a knob of its kind is turned round.
        """
        return replace(self, knob=flip(self.knob))

    def trimmed(self, low: float, high: float) -> "Candidate":
        """Return it with another range.

        Raises:
            BadInput: the range does not go up.
        """
        if not low < high:
            raise BadInput(f"a range goes up, not from {low:g} to {high:g}")
        return self._with(range=(float(low), float(high)))

    def windowed(self, start: float, end: float) -> "Candidate":
        """Return it acting in another part of the way to the picture."""
        return self._with(window=Window(float(start), float(end)))

    def noted(self, note: str) -> "Candidate":
        """Return it with another note."""
        return replace(self, note=note.strip())

    def _with(self, **changes: Any) -> "Candidate":
        return replace(self, knob=replace(self.knob, **changes))

    def strip(self, model: Model) -> Tensor:
        """Return the knob over its range on a few seeds, as drafts: (seeds * steps, 3, height, width) in [0, 1]."""
        latent = model.generator.sample(list(STRIP_SEEDS))
        amounts = evenly(*self.knob.range, STRIP_STEPS)
        rows = [
            model.decode(latent.rows([row] * STRIP_STEPS), Steering([Turn(self.knob, amounts)]), draft=True)
            for row in range(len(latent))
        ]
        return torch.cat(rows).cpu()


def knob_set(candidates: list[Candidate], report: Mapping[str, Any]) -> KnobSet:
    """Return candidates as a set to save; their notes stand in its report.

    Raises:
        BadInput: there are none, or two have the same name.
    """
    names = [each.knob.name for each in candidates]
    if not names:
        raise BadInput("there are no knobs to save yet; find some first")
    if len(set(names)) < len(names):
        raise BadInput("two of the knobs have the same name; name one differently")
    notes = {each.knob.name: each.note for each in candidates if each.note}
    return KnobSet(
        {each.knob.name: each.knob for each in candidates}, {**report, **({"notes": notes} if notes else {})}
    )


def with_knobs(setting: Setting, candidates: list[Candidate]) -> Setting:
    """Return a setting with candidates among its knobs; a shipped knob of the same name stays, beside the found one."""
    knobs = dict(setting.knobs)
    shipped = setting.dice.model.knobs
    for candidate in candidates:
        name = candidate.knob.name
        name = f"{name} (found)" if name in shipped else name
        knobs[name] = candidate.named(name).knob
    return replace(setting, knobs=knobs)

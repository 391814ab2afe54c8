"""`steer list` and `steer knobs`: what there is to work with."""

import inspect
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from steer.apps.commands.reading import read_knobs
from steer.apps.commands.typed import Device, Json
from steer.apps.commands.writing import say_json, say_table, say_written
from steer.errors import UnknownName

if TYPE_CHECKING:
    from steer.knob import Knob, KnobSet


KINDS = ("generators", "finders", "attributes")


def list_(
    what: Annotated[str, typer.Argument(metavar="generators|finders|attributes", help="What to list.")],
    as_json: Json = False,
) -> None:
    """List what is installed: generators, finders or attributes.

    Example: steer list generators
    """
    if what not in KINDS:
        raise UnknownName("list", what, KINDS)
    if what == "attributes":
        _list_attributes(as_json)
    else:
        _list_plugins("generators" if what == "generators" else "finders", as_json)


def _list_plugins(group: Literal["generators", "finders"], as_json: bool) -> None:
    from steer.registry import list_finders, list_generators, registered

    plugins = list_generators() if group == "generators" else list_finders()
    entries = registered(group)
    listed: list[dict[str, Any]] = []
    for plugin in plugins:
        record = {"name": plugin.name, "target": plugin.target, "distribution": plugin.distribution}
        try:
            loaded = entries[plugin.name].load()
        except (ImportError, AttributeError) as error:  # one broken plugin must not hide the others
            listed.append({**record, "summary": f"cannot be loaded: {error}"})
            continue
        described = {**record, "summary": (inspect.getdoc(loaded) or "").partition("\n")[0]}
        listed.append({**described, "options": _defaults(loaded)} if group == "finders" else described)
    if as_json:
        say_json(listed)
    elif group == "generators":
        say_table(("generator", "what it is"), [(each["name"], each["summary"]) for each in listed])
    else:
        rows = [(each["name"], _options_lines(each.get("options", {})), each["summary"]) for each in listed]
        say_table(("finder", "options", "what it does"), rows)


def _defaults(finder: Any) -> dict[str, str]:
    """Return every option of a finder with its default, as it would be typed; empty where it must be given."""
    return {
        each.name: str(each.default) if isinstance(each.default, str | int | float | None) else ""
        for each in fields(finder)
    }


def _options_lines(options: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={default}" for name, default in options.items())


def _list_attributes(as_json: bool) -> None:
    from steer.registry import list_attributes

    listed = list_attributes()
    if as_json:
        say_json(listed)
        return
    rows = [
        (
            each["name"],
            each["measurer"],
            each["kind"],
            ", ".join(each["classes"]) or f"{each['low']:g} to {each['high']:g} {each['unit']}",
            each["summary"],
        )
        for each in listed
    ]
    say_table(("attribute", "measured by", "kind", "range", "what it is"), rows)


def knobs(
    source: Annotated[
        str, typer.Argument(metavar="FILE|GENERATOR", help="A knob file, or a generator with shipped knobs.")
    ],
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show the knobs in a file, or those shipped with a generator.

    Example: steer knobs aviary-biggan
    """
    from steer.knob import load_knobs
    from steer.registry import load_generator

    file = Path(source)
    is_file = file.is_file() or file.suffix == ".safetensors"
    found = load_knobs(file) if is_file else read_knobs(None, load_generator(source, device))
    if as_json:
        say_json([describe(knob) for knob in found.values()])
    else:
        say_knobs(found)


def describe(knob: "Knob") -> dict[str, Any]:
    """Return everything about a knob but its tensors, JSON-able."""
    origin = knob.provenance
    return {
        "name": knob.name,
        "kind": knob.kind,
        "space": knob.space,
        "unit": knob.unit,
        "range": list(knob.range),
        "window": [knob.window.start, knob.window.end],
        "attribute": knob.attribute,
        "finder": origin.finder,
        "generator": origin.generator,
        "fingerprint": origin.fingerprint,
        "options": dict(origin.options),
        "scores": dict(origin.scores),
    }


def say_knobs(found: "KnobSet") -> None:
    """Print a table of knobs."""
    from steer.strips import UNIT_MARKS

    rows = []
    for knob in found.values():
        low, high = knob.range
        mark = UNIT_MARKS.get(knob.unit, f" {knob.unit}")
        numbers = {name: value for name, value in knob.provenance.scores.items() if isinstance(value, int | float)}
        scores = ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        turned = f"{low:+.3g}{mark} to {high:+.3g}{mark}"
        rows.append((knob.name, turned, knob.space, knob.attribute or "", knob.provenance.finder, scores))
    say_table(("knob", "range", "space", "attribute", "found by", "scores"), rows)


def say_found(found: "KnobSet", out: Path, generator: str, as_json: bool) -> None:
    """Print what was found and which file it was written to."""
    if as_json:
        knobs = [describe(knob) for knob in found.values()]
        say_json({"out": str(out), "generator": generator, "knobs": knobs, "report": dict(found.report)})
    else:
        say_knobs(found)
        say_written(out, f"{len(found)} knob{'s' if len(found) != 1 else ''} of {generator}")

"""`steer tune`: knobs made better, as measured: disentangled, localised, calibrated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from steer.apps.commands import typed
from steer.apps.commands.list import describe, say_knobs
from steer.apps.commands.reading import read_asked, read_knob, read_knobs, read_sampler
from steer.apps.commands.writing import TENSORS, check_out, progress, say_json, say_table, say_written

TUNABLE = frozenset({"linear", "ring"})
"""The kinds of knobs that can be tuned; flows hold what they hold, and count in their attribute, from the start."""


def tune(
    generator: typed.GeneratorName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Knob file: .safetensors")],
    knob: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A knob to tune; may be repeated; by default every line and ring."),
    ] = None,
    knobs: typed.KnobFile = None,
    disentangle: Annotated[
        bool, typer.Option("--disentangle", help="Correct knobs against what else they change.")
    ] = False,
    lock: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Keep this from changing: an attribute, or background; may be repeated."),
    ] = None,
    localise: Annotated[
        bool, typer.Option("--localise", help="Confine knobs to the part of the way where they do their work.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Count in spreads of the attribute, wherever a picture starts.")
    ] = False,
    add: Annotated[bool, typer.Option("--add", help="Keep the other knobs that the file already holds.")] = False,
    count: Annotated[int, typer.Option(metavar="N", help="On how many samples to measure what is corrected.")] = 48,
    steps: typed.Steps = None,
    prompt: typed.AskedFor = None,
    unasked: typed.Unasked = False,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Make knobs better, as measured, and show what they did before and after.

    Example: steer tune aviary-biggan --knob x --knob size --lock heading --lock background --out tuned.safetensors

    Example: steer tune aviary-biggan --knob y --localise --calibrate --out tuned.safetensors
    """
    from steer.directions.calibrate import calibrate as lay_out
    from steer.directions.disentangle import disentangle as correct
    from steer.directions.localise import localise as confine
    from steer.errors import BadInput
    from steer.knob import Knob, KnobSet, load_knobs
    from steer.registry import load_generator

    check_out(out, TENSORS)
    locked = tuple(lock or ())
    if not (disentangle or locked or localise or calibrate):
        raise BadInput("say how to tune: --disentangle, --lock NAME, --localise, --calibrate, or several of them")
    kept = load_knobs(out) if add and out.is_file() else KnobSet({})
    model = load_generator(generator, device)
    model = read_asked(prompt, unasked, model.with_sampler(read_sampler(steps, model)))
    there = read_knobs(knobs, model)
    asked = knob or [name for name, each in there.items() if each.attribute is not None and each.kind in TUNABLE]
    if not asked:
        raise BadInput(f"none of the knobs {', '.join(there) or 'that are there'} is a line or ring for an attribute")
    tuned: Mapping[str, Knob] = {name: read_knob(name, there, model, insist) for name in asked}
    report: dict[str, Any] = {}
    if disentangle or locked:
        with progress("disentangling") as said:
            tuned = correct(model, tuned, lock=locked, samples=count, progress=said)
        report["disentangled"] = tuned.report
    if localise:
        with progress("localising") as said:
            tuned = confine(model, tuned, lock=locked, progress=said)
        report["localised"] = tuned.report
    if calibrate:
        with progress("calibrating") as said:
            scaled: dict[str, Knob] = {}
            for name, each in tuned.items():
                scaled[name] = lay_out(model, each, samples=count)
                said(len(scaled), len(tuned))
            tuned = scaled
    found = KnobSet(tuned, report)
    (kept | found).save(out)
    if as_json:
        described = [describe(each) for each in found.values()]
        say_json({"out": str(out), "generator": model.name, "knobs": described, "report": report})
        return
    _say(report)
    say_knobs(found)
    say_written(out, f"{len(found)} tuned knob{'s' if len(found) != 1 else ''} of {model.name}")


def _say(report: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what every step changed, by the judge on unseen samples."""
    rows = []
    for step, knobs in report.items():
        for knob, told in knobs.items():
            before, after = told["before"], told["after"]
            most, worst = max(((value, name) for name, value in after["leakage"].items()), default=(0.0, "nothing"))
            rows.append(
                (
                    knob,
                    step if step != "localised" else f"to {told['window'][0]:.2g} … {told['window'][1]:.2g}",
                    f"{before['gain']:.2g} → {after['gain']:.2g}",
                    f"{before['leakage_rms']:.2f} → {after['leakage_rms']:.2f}",
                    f"{most:.2f} {worst}",
                )
            )
    if rows:
        say_table(("knob", "tuned", "gain", "leakage of all that is locked", "worst left"), rows)

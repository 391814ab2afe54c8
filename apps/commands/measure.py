"""`steer measure`: what knobs really do, and how good and various the pictures are."""

from pathlib import Path
from typing import Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import read_knob, read_knobs
from steer.apps.commands.writing import FIGURES, PICTURES, check_out, progress, say_json, say_table, say_written

measure = typer.Typer(help="Measure what knobs do, or how good and various the pictures are.")


@measure.command("knobs")
def knobs_(
    generator: typed.GeneratorName,
    knobs: typed.KnobFile = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", help="How many samples to judge on; no finder ever saw them.")
    ] = 64,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it: .png, .pdf or .svg")] = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Score every knob: how well it turns its attribute, what leaks into others, how far it reaches.

    Example: steer measure knobs aviary-biggan
    """
    from steer.directions.scorecard import score_knobs
    from steer.knob import KnobSet
    from steer.registry import load_generator

    check_out(figure, FIGURES)
    model = load_generator(generator, device)
    given = read_knobs(knobs, model)
    fitting = KnobSet({name: read_knob(name, given, model, insist) for name in given}, given.report)
    with progress("judging") as report:
        card = score_knobs(model, fitting, seeds=seeds, progress=report)
    if as_json:
        say_json(card.to_json())
    else:
        heading, *rows = card.table()
        say_table(heading, rows)
    if figure is not None:
        card.figure(figure)
        if not as_json:
            say_written(figure, "the same as a figure")


@measure.command("quality")
def quality(
    generator: typed.GeneratorName,
    count: Annotated[int, typer.Option(metavar="N", help="Pictures to measure.")] = 512,
    seed: Annotated[int, typer.Option(metavar="N", help="First seed of the pictures.")] = 0,
    truncation: typed.Truncation = 1.0,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw pictures beside what came back: .png, .jpg or .webp")
    ] = None,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Measure pictures of birds: do they come back when their factors are drawn again, and is every factor there.

    Example: steer measure quality aviary-biggan --figure quality.png
    """
    from steer.generators.aviary.quality import measure_quality
    from steer.registry import load_generator

    check_out(figure, PICTURES)
    model = load_generator(generator, device)
    with progress("drawing back") as report:
        measured = measure_quality(model, count=count, seed=seed, truncation=truncation, progress=report)
    if as_json:
        say_json(measured.to_json())
    else:
        say_table(("measure", "value", "beside it"), measured.rows())
    if figure is not None:
        measured.figure(figure)
        if not as_json:
            say_written(figure, "pictures, each beside what its measured factors draw")

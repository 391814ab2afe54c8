"""`steer measure`: what knobs really do, how good and various pictures are, and how well they are inverted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import read_asked, read_knob, read_knobs, read_sampler
from steer.apps.commands.writing import (
    FIGURES,
    PICTURES,
    TABLES,
    check_out,
    progress,
    say,
    say_json,
    say_table,
    say_written,
)
from steer.errors import BadInput

if TYPE_CHECKING:
    from steer.generators.aviary.quality import Quality
    from steer.generators.photographs import PhotographQuality

measure = typer.Typer(help="Measure what knobs do, how good and various pictures are, how well they are inverted.")


@measure.command("knobs")
def knobs_(
    generator: typed.GeneratorName,
    knob: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A knob to score; may be repeated; by default all.")
    ] = None,
    knobs: typed.KnobFile = None,
    count: Annotated[
        int, typer.Option(metavar="N", help="How many samples to judge on; no finder ever saw them.")
    ] = 64,
    seeds: Annotated[str | None, typer.Option(hidden=True)] = None,
    steps: typed.Steps = None,
    prompt: typed.AskedFor = None,
    unasked: typed.Unasked = False,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it: .png, .pdf or .svg")] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write every number with its interval: .csv")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER", help="What judges: a measurer of 'steer list attributes', or a trained classifier."
        ),
    ] = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Score knobs: how well it turns its attribute, what leaks into others, how far it reaches.

    Example: steer measure knobs aviary-biggan
    """
    from steer.directions.scorecard import scorecard
    from steer.knob import KnobSet
    from steer.registry import load_generator, load_measurer

    if seeds is not None:
        raise BadInput(f"--seeds lists seeds everywhere else; how many to judge on is said by --count {seeds}")
    check_out(figure, FIGURES)
    check_out(table, TABLES)
    judge = load_measurer(by) if by is not None else None
    model = load_generator(generator, device)
    model = read_asked(prompt, unasked, model.with_sampler(read_sampler(steps, model)))
    given = read_knobs(knobs, model)
    fitting = KnobSet({name: read_knob(name, given, model, insist) for name in knob or given}, given.report)
    with progress("judging") as report:
        card = scorecard(model, fitting, seeds=count, measurer=judge, progress=report)
    if as_json:
        say_json(card.to_json())
    else:
        heading, *rows = card.table()
        say_table(heading, rows)
    for path, write, what in (
        (figure, card.figure, "the same as a figure"),
        (table, card.save_csv, "every number, with its 90 % interval"),
    ):
        if path is not None:
            write(path)
            if not as_json:
                say_written(path, what)


@measure.command("compare")
def compare_(
    cards: Annotated[
        list[Path],
        typer.Argument(
            metavar="CARD.json…",
            parser=typed.file_to_read,
            help="What 'steer measure knobs --json' printed, two or more.",
        ),
    ],
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it: .png, .pdf or .svg")] = None,
    as_json: typed.Json = False,
) -> None:
    """Lay the scorecards of several generators side by side: for each attribute the best knob of each.

    Example: steer measure compare biggan.json ddim.json --figure both.png
    """
    from steer.directions.comparison import compare, load_card

    check_out(figure, FIGURES)
    comparison = compare([load_card(card) for card in cards])
    if as_json:
        say_json(comparison.to_json())
    else:
        heading, *rows = comparison.table()
        say_table(heading, rows)
    if figure is not None:
        comparison.figure(figure)
        if not as_json:
            say_written(figure, "the same as a figure")


@measure.command("finders")
def finders(
    generator: typed.GeneratorName,
    files: Annotated[list[Path], typer.Argument(metavar="KNOBS.safetensors…", help="What each finder found.")],
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Judge by this; may be repeated; by default all that knobs are meant for."),
    ] = None,
    count: Annotated[
        int, typer.Option(metavar="N", help="How many samples to judge on; no finder ever saw them.")
    ] = 64,
    steps: typed.Steps = None,
    prompt: typed.AskedFor = None,
    unasked: typed.Unasked = False,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it: .png, .pdf or .svg")] = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Lay what several finders found side by side: for each attribute the best knob of each file, and random ones.

    Example: steer measure finders aviary-biggan probe.safetensors flow.safetensors pca.safetensors --attribute hue
    """
    from steer.directions.contest import contest
    from steer.registry import load_generator

    check_out(figure, FIGURES)
    model = load_generator(generator, device)
    model = read_asked(prompt, unasked, model.with_sampler(read_sampler(steps, model)))
    given = {file.stem: read_knobs(file, model) for file in files}
    sets = {who: {name: read_knob(name, knobs, model, insist) for name in knobs} for who, knobs in given.items()}
    with progress("judging") as report:
        told = contest(model, sets, attribute or (), seeds=count, progress=report)
    if as_json:
        say_json(told.to_json())
    else:
        heading, *rows = told.table()
        say_table(heading, rows)
    if figure is not None:
        told.figure(figure)
        if not as_json:
            say_written(figure, "the same as a figure")


@measure.command("dial")
def dial_(
    generator: typed.GeneratorName,
    knob: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A knob to dial; may be repeated; by default all that are for an attribute."),
    ] = None,
    knobs: typed.KnobFile = None,
    count: Annotated[
        int, typer.Option(metavar="N", help="How many samples a knob is dialled on; no finder ever saw them.")
    ] = 100,
    steps: typed.Steps = None,
    prompt: typed.AskedFor = None,
    unasked: typed.Unasked = False,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Measure how nearly knobs are dialled to targets, and what else changes on the way.

    Example: steer measure dial aviary-biggan --knob hue --knob heading
    """
    from steer.directions.accuracy import measure_dial
    from steer.registry import load_generator

    model = load_generator(generator, device)
    model = read_asked(prompt, unasked, model.with_sampler(read_sampler(steps, model)))
    given = read_knobs(knobs, model)
    asked = knob or [name for name, each in given.items() if each.attribute is not None]
    fitting = {name: read_knob(name, given, model, insist) for name in asked}
    with progress("dialling") as report:
        measured = measure_dial(model, fitting, samples=count, progress=report)
    if as_json:
        say_json(measured.to_json())
    else:
        say_table(*measured.table())


@measure.command("quality")
def quality(
    generator: typed.GeneratorName,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of photographs: those it was trained on, a sub-folder per class."),
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Such photographs that nothing was trained on.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="A classifier of them, by 'steer train classifier'.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="Pictures to measure.")] = 512,
    seed: Annotated[int, typer.Option(metavar="N", help="First seed of the pictures.")] = 0,
    truncation: typed.Truncation = 1.0,
    asked: Annotated[bool, typer.Option("--asked", help="Ask for each bird by a caption of its own.")] = False,
    guidance: typed.Guidance = None,
    steps: typed.Steps = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw pictures beside what they are compared with: .png, .jpg or .webp"),
    ] = None,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Measure how good and various pictures are: birds by drawing them again, photographs beside others (--data).

    Example: steer measure quality aviary-biggan --figure quality.png
    """
    from steer.registry import load_generator

    check_out(figure, PICTURES)
    if (data is None) != (features is None):
        raise BadInput("photographs are measured with both --data and --features; birds of the aviary with neither")
    model = load_generator(generator, device)
    model = model.with_sampler(read_sampler(steps, model))
    measured: Quality | PhotographQuality
    if data is None or features is None:
        if held_out is not None or guidance is not None:
            raise BadInput("--held-out and --guidance go with photographs; give --data and --features too")
        from steer.generators.aviary.quality import measure_quality

        with progress("drawing back") as report:
            measured = measure_quality(
                model, count=count, seed=seed, truncation=truncation, asked=asked, progress=report
            )
    else:
        if asked:
            raise BadInput("--asked goes with birds of the aviary; photographs are asked for by their classes anyway")
        from steer.generators.classifier import Classifier
        from steer.generators.photographs import measure_photographs

        with progress("drawing") as report:
            measured = measure_photographs(
                model,
                data,
                Classifier.load(features),
                held_out=held_out,
                count=count,
                seed=seed,
                truncation=truncation,
                condition={} if guidance is None else {"guidance": guidance},
                progress=report,
            )
    if as_json:
        say_json(measured.to_json())
    else:
        say_table(("measure", "value", "beside it"), measured.rows())
    if figure is not None:
        measured.figure(figure)
        if not as_json:
            say_written(figure, "pictures, each beside what it is compared with")


@measure.command("inversion")
def inversion(
    generator: typed.GeneratorName,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Photographs to invert instead, a sub-folder per class.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="How many of these, evenly from all.")] = 100,
    full: Annotated[bool, typer.Option("--full", help="24 pictures, up to 1000 steps; takes long.")] = False,
    steps: Annotated[
        list[int] | None, typer.Option(metavar="N", help="A number of steps to measure at; may be repeated.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A method to measure; may be repeated; by default all.")
    ] = None,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Measure how well pictures come back from their latents, against the number of steps, by every method there is.

    Example: steer measure inversion aviary-biggan
    """
    from steer.generators.reconstruction import measure_reconstruction, read_photographs
    from steer.registry import load_generator

    model = load_generator(generator, device)
    pictures = None if data is None else read_photographs(data, count, model)
    with progress("inverting") as report:
        measured = measure_reconstruction(
            model, pictures=pictures, full=full, steps=steps, methods=method, progress=report
        )
    if as_json:
        say_json(measured.to_json())
        return
    say_table(*measured.table())
    unturned = "comes back bit for bit" if measured.zero_turn_bit_exact else "comes back as the latent draws it"
    say(f"Where nothing is turned, an inverted picture {unturned}.")
    say(f"Turned by a thousandth of a sigma, no pixel of one changes by more than {measured.small_turn_change:.1e}.")


@measure.command("obedience")
def obedience(
    generator: typed.GeneratorName,
    captions: Annotated[int, typer.Option(metavar="N", help="How many captions to ask for.")] = 500,
    drawings: Annotated[int, typer.Option(metavar="N", help="How many sketches, and how many layouts.")] = 200,
    steps: typed.Steps = None,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Measure whether birds come as they were asked for: by captions, and by sketches and layouts to follow.

    Example: steer measure obedience runs/ddim/model --captions 100 --drawings 40 --steps 20
    """
    from steer.generators.aviary.obedience import measure_obedience
    from steer.registry import load_generator

    model = load_generator(generator, device)
    model = model.with_sampler(read_sampler(steps, model))
    with progress("asking") as report:
        measured = measure_obedience(model, captions=captions, drawings=drawings, progress=report)
    if as_json:
        say_json(measured.to_json())
    else:
        say_table(("asked for", "obeyed", "measured"), measured.rows())


@measure.command("drafts")
def drafts(
    generator: typed.GeneratorName,
    knobs: typed.KnobFile = None,
    count: Annotated[int, typer.Option(metavar="N", help="How many samples to compare.")] = 16,
    steps: typed.Steps = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Measure how nearly a draft of few steps shows the final picture, and whether knobs do the same in both.

    Example: steer measure drafts runs/ddim/model --knobs hue.safetensors
    """
    from steer.directions.drafts import measure_drafts
    from steer.registry import load_generator, shipped_knobs

    model = load_generator(generator, device)
    given = read_knobs(knobs, model) if knobs is not None else shipped_knobs(model)
    fitting = {name: read_knob(name, given, model, insist) for name in given}
    with progress("comparing") as report:
        measured = measure_drafts(model, fitting, samples=count, draft=read_sampler(steps, model), progress=report)
    if as_json:
        say_json(measured.to_json())
    else:
        say_table(*measured.table())

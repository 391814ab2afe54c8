"""`steer invert`: any picture as a latent, to be turned like the generator's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import Request, read_options, read_sampler
from steer.apps.commands.writing import PICTURES, RECIPES, check_out, progress, say, say_json, say_written

if TYPE_CHECKING:
    from steer.inversion import Report


def invert(
    generator: typed.GeneratorName,
    picture: Annotated[
        Path, typer.Argument(metavar="PICTURE", parser=typed.file_to_read, help="Any picture, of any size.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The picture as found: .png, .jpg, .webp; or .json")
    ],
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="The class that it shows.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What it shows, in words; by default what the generator's measurer sees."),
    ] = None,
    unasked: Annotated[bool, typer.Option("--unasked", help="Say nothing of what it shows.")] = False,
    sketch: typed.Sketch = None,
    layout: typed.Map = None,
    guidance: typed.Guidance = None,
    strength: typed.Strength = None,
    steps: typed.Steps = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the method, such as freedom=0.5."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also lay it beside what the latent alone gives: .png, .jpg or .webp"),
    ] = None,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Find the latent behind a picture; the file written carries it, for strip, walk, render and the studio.

    Example: steer invert aviary-biggan photo.jpg --out inverted.png
    """
    import torch

    from steer.apps.inverting import described
    from steer.errors import BadInput
    from steer.inversion import Invertible, options_of
    from steer.layout import Layout
    from steer.pictures import save_picture, sheet
    from steer.prepare import prepare
    from steer.recipe import Recipe
    from steer.registry import load_generator

    request = Request(label, [prompt] if prompt is not None else None, sketch, layout, guidance, strength)
    check_out(out, PICTURES + RECIPES)
    check_out(compare, PICTURES)
    files = [each.absolute() for each in (picture, out, compare) if each is not None]
    if len(set(files)) < len(files):
        raise BadInput("PICTURE, --out and --compare are different files; choose other names")
    model = load_generator(generator, device)
    sampler = read_sampler(steps, model)
    types = options_of(model.backend) if isinstance(model.backend, Invertible) else {}
    options = read_options(option, types, {}, f"inversion by '{model.name}'")
    condition = dict(request.condition(model, 1) or {})
    silent = unasked or prompt is not None
    seen = {} if silent else described(model, prepare(picture, model.backend.picture_size).picture)
    condition |= seen
    with progress("inverting") as report:
        found = model.invert(picture, condition=condition, sampler=sampler, progress=report, **options)
    Recipe.of(model, found.latent, layout=Layout(bare=True)).save(out, model)
    if compare is not None:
        with torch.no_grad():
            alone = model.decode(found.latent.without_anchor(), sampler=found.sampler)
        both = torch.cat([found.report.prepared.picture, alone.cpu()])
        save_picture(sheet(both, columns=2, captions=["the picture", "its latent alone"]), compare)
    if as_json:
        say_json({"out": str(out), "generator": model.name, "seen": seen, **found.report.record()})
        return
    if model.words and not seen and prompt is None:
        say(f"nothing is said of what it shows, so knobs in words have little to turn; say it with --{model.words}")
    for name, words in seen.items():
        say(f"asked for by what is seen: --{name} '{words}'; say it better, or leave it out with --unasked")
    for line in _lines(found.report):
        say(line)
    say_written(out, f"the picture by {model.name}; turn it with: steer strip {generator} --knob NAME --picture {out}")
    if compare is not None:
        say_written(compare, "the picture beside what its latent alone gives")


def _lines(report: "Report") -> list[str]:
    """Return the report in a few lines."""
    known = "" if report.in_domain is None else f"; {report.in_domain:.2f} of 1 known to the generator's measurer"
    return [
        *report.prepared.notes,
        f"the latent alone misses it by {report.error:.2g} on average and {report.largest_error:.2g} at most, "
        f"{report.psnr:.1f} dB{known}",
        f"{report.calls} network calls in {report.seconds:.1f} s",
        *report.complaints,
    ]

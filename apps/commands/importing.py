"""`steer import`: directions that others have published, as knobs."""

from pathlib import Path
from typing import Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.list import say_found
from steer.apps.commands.writing import TENSORS, check_out, progress


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            parser=typed.file_to_read,
            help="GANSpace's .npz, InterFaceGAN's .npy, or one direction a row.",
        ),
    ],
    generator: typed.GeneratorName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Knob file: .safetensors")],
    space: Annotated[str, typer.Option(metavar="SPACE", help="Where the directions turn.")] = "z",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the knobs; several are numbered.")
    ] = None,
    measure_ranges: Annotated[
        bool, typer.Option("--measure-ranges", help="Look at pictures for the plausible range of every knob.")
    ] = False,
    add: Annotated[bool, typer.Option("--add", help="Keep the other knobs that the file already holds.")] = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Make knobs of directions that other toolkits have saved as arrays; pickles are refused.

    Example: steer import biggan-512_gen_z.npz my-biggan --space z --out ganspace.safetensors
    """
    from steer.directions.plausible import with_ranges
    from steer.directions.published import import_knobs
    from steer.knob import KnobSet, load_knobs
    from steer.registry import load_generator

    check_out(out, TENSORS)
    kept = load_knobs(out) if add and out.is_file() else KnobSet({})
    model = load_generator(generator, device)
    with progress("measuring") as report:
        found = with_ranges(model, import_knobs(file, model, space=space, name=name), measure_ranges, 1.0, report)
    (kept | found).save(out)
    say_found(found, out, model.name, as_json)

"""`steer find`: knobs of a generator, into a knob file."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.asking import asking
from steer.apps.commands.list import say_found
from steer.apps.commands.reading import Request, read_options, read_sampler
from steer.apps.commands.writing import TENSORS, check_out, progress


def find(
    finder: Annotated[
        str,
        typer.Argument(
            metavar="FINDER", help="A name from 'steer list finders'.", autocompletion=typed.complete_finder
        ),
    ],
    generator: typed.GeneratorName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Knob file: .safetensors")],
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="What a knob should turn; may be repeated.")
    ] = None,
    observe: Annotated[str | None, typer.Option(metavar="SPACE", help="Where to look, for finders that ask.")] = None,
    space: Annotated[str | None, typer.Option(metavar="SPACE", help="Where to turn, for finders that ask.")] = None,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="Look at this class only.")] = None,
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="Look at what these words draw only.")] = None,
    sketch: typed.Sketch = None,
    layout: typed.Map = None,
    guidance: typed.Guidance = None,
    strength: typed.Strength = None,
    steps: typed.Steps = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Any other option of the finder; may be repeated."),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Keep the other knobs that the file already holds.")] = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Find knobs of a generator and save them.

    Example: steer find pca aviary-biggan --observe layer:0 --space z --option components=8 --out pca.safetensors

    Example: steer find imitate aviary-biggan --option edit=zoom --out zoom.safetensors

    Example: steer find clicks aviary-biggan --option name=plump --out plump.safetensors
    """
    from steer.knob import KnobSet, load_knobs
    from steer.registry import load_finder, load_generator, options_of

    types = options_of(finder)
    request = Request(label, [prompt] if prompt is not None else None, sketch, layout, guidance, strength)
    named = {
        "attribute": tuple(attribute) if attribute and len(attribute) > 1 else attribute and attribute[0],
        "observe": observe,
        "space": space,
        "condition": request.given or None,
    }
    options = read_options(option, types, named, f"the finder '{finder}'")
    check_out(out, TENSORS)
    asks = "ask" in types
    if asks:
        options["ask"] = asking(options.get("name"), out.with_name(f"{out.stem}-asked.png"))
    kept = load_knobs(out) if add and out.is_file() else KnobSet({})
    model = load_generator(generator, device)
    model = model.with_sampler(read_sampler(steps, model))
    if request.given:
        asked = model.entries(request.condition(model, 1), 1)
        options["condition"] = {name: entry for name, (entry,) in asked.items()}
    chosen = load_finder(finder, **options)
    with nullcontext() if asks else progress("finding") as report:  # a bar would run over the questions
        found = chosen.find(model, progress=report)
    (kept | found).save(out)
    say_found(found, out, model.name, as_json)

"""`steer strip`: one knob over its range, on several pictures."""

from pathlib import Path
from typing import Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import Request, read_ends, read_knob, read_knobs, read_latent, read_sampler, read_turns
from steer.apps.commands.writing import PICTURES, RECIPES, check_out, progress, say_written

LARGEST_STRIP = 200
"""The most pictures in a row: more cannot be told apart."""


def strip(
    generator: typed.GeneratorName,
    knob: typed.KnobName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Strip: .png, .jpg, .webp; or .json")],
    seeds: typed.SomeSeeds = None,
    picture: typed.MadePicture = None,
    knobs: typed.KnobFile = None,
    start: typed.Start = None,
    end: typed.End = None,
    turn: typed.OtherTurns = None,
    columns: Annotated[int, typer.Option(metavar="N", help="Pictures in a row.")] = 7,
    label: typed.Label = None,
    prompt: typed.Prompt = None,
    sketch: typed.Sketch = None,
    layout: typed.Map = None,
    guidance: typed.Guidance = None,
    strength: typed.Strength = None,
    steps: typed.Steps = None,
    truncation: typed.Truncation = 1.0,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Amounts are where to arrive, not how far to go.")
    ] = False,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
) -> None:
    """Draw one knob over its range, a row for each seed, or for an inverted picture.

    Example: steer strip aviary-biggan --knob heading --seeds 0-5 --out strip.png

    Example: steer strip aviary-biggan --knob heading --turn hue=120 --seeds 0-5 --out green.png

    Example: steer strip aviary-biggan --knob heading --picture inverted.png --out strip.png
    """
    from steer.amounts import evenly
    from steer.errors import BadInput
    from steer.registry import load_generator
    from steer.steering import Steering
    from steer.strips import strip as lay_out

    check_out(out, PICTURES + RECIPES)
    if not 2 <= columns <= LARGEST_STRIP:
        raise BadInput(f"a strip has 2 to {LARGEST_STRIP} columns, not {columns}")
    request = Request(label, prompt, sketch, layout, guidance, strength)
    model = load_generator(generator, device)
    if steps is not None and not model.backend.samplers:
        raise BadInput(f"'{model.name}' has no choice of steps; how many pictures stand in a row is said by --columns")
    sampler = read_sampler(steps, model)
    chosen = read_knob(knob, read_knobs(knobs, model), model, insist)
    ends = read_ends(chosen, start, end, absolute=absolute)
    latent = read_latent(seeds, picture, request, truncation, model, insist)
    amounts = evenly(*ends, columns)
    kept = Steering(read_turns(turn, knobs, model, insist, beside=[knob]))
    recipe = lay_out(model, chosen, latent, amounts=amounts, absolute=absolute, sampler=sampler, steering=kept)
    with progress("drawing") as report:
        recipe.save(out, model, progress=report)
    say_written(out, f"{model.name}, {knob} at {columns} amounts; rows: {len(latent)}")

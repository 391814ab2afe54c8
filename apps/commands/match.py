"""`steer match`: the fewest knobs that turn one picture into another."""

from pathlib import Path
from typing import Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import read_knob, read_knobs, read_reference
from steer.apps.commands.writing import PICTURES, RECIPES, check_out, progress, say, say_json, say_table, say_written


def match(
    generator: typed.GeneratorName,
    before: Annotated[
        Path,
        typer.Argument(
            metavar="BEFORE", parser=typed.file_to_read, help="A picture made here, or any other to be inverted."
        ),
    ],
    after: Annotated[
        Path, typer.Argument(metavar="AFTER", parser=typed.file_to_read, help="The picture that it is to become.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="BEFORE with its knobs turned: .png, .jpg, .webp; .json")
    ],
    knobs: typed.KnobFile = None,
    most: Annotated[int, typer.Option(metavar="N", help="The largest number of knobs.")] = 4,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Find the fewest knobs, and their amounts, that turn one picture into another.

    Example: steer match aviary-biggan robin.png owl.png --out found.png
    """
    from steer.directions.match import match as find_turns
    from steer.errors import BadInput
    from steer.pictures import read_recipe_text
    from steer.recipe import Recipe
    from steer.registry import load_generator
    from steer.strips import UNIT_MARKS

    check_out(out, PICTURES + RECIPES)
    model = load_generator(generator, device)
    there = read_knobs(knobs, model)
    chosen = {name: read_knob(name, there, model, insist) for name in there}
    made = before.suffix.lower() == ".json" or read_recipe_text(before) is not None
    latent = Recipe.load(before).latent(model, insist=insist) if made else model.invert(before).latent
    if len(latent) != 1:
        raise BadInput(f"'{before}' holds {len(latent)} pictures; give one with a single picture")
    goal = read_reference(after)
    with progress("matching") as report:
        found = find_turns(model, chosen, latent, goal, most=most, progress=report)
    Recipe.of(model, latent, found.steering).save(out, model)
    if as_json:
        say_json({"out": str(out), "generator": model.name, **found.to_json()})
        return
    marks = {name: UNIT_MARKS.get(chosen[name].unit, f" {chosen[name].unit}") for name in found.amounts}
    say_table(("knob", "amount"), [(name, f"{amount:+.3g}{marks[name]}") for name, amount in found.amounts.items()])
    say(f"The pictures are {found.before:.3g} apart, and {found.after:.3g} with these knobs turned.")
    say_written(out, f"{before.name} with {len(found.amounts)} of {len(chosen)} knobs turned")

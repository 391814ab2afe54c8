"""`steer dial`: knobs turned until pictures show what was asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import (
    Request,
    read_knob,
    read_knobs,
    read_latent,
    read_pairs,
    read_reference,
    read_sampler,
    read_turns,
)
from steer.apps.commands.writing import PICTURES, RECIPES, check_out, progress, say, say_json, say_table, say_written

if TYPE_CHECKING:
    from steer.directions.dial import Dialled
    from steer.latent import Latent


def dial(
    generator: typed.GeneratorName,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="NAME=TARGET", help="A knob, and a number, a colour or a picture to dial it to."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Pictures: .png, .jpg, .webp; or .json")],
    seeds: typed.SomeSeeds = None,
    picture: typed.MadePicture = None,
    turn: typed.OtherTurns = None,
    knobs: typed.KnobFile = None,
    label: typed.Label = None,
    prompt: typed.Prompt = None,
    sketch: typed.Sketch = None,
    layout: typed.Map = None,
    guidance: typed.Guidance = None,
    strength: typed.Strength = None,
    steps: typed.Steps = None,
    truncation: typed.Truncation = 1.0,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Turn knobs until every picture shows what was asked for, and say how nearly and what else changed.

    What is out of a knob's reach is turned as near to it as it goes, and said; with --json, "reached" is false.

    Example: steer dial aviary-biggan hue=orange heading=90 --seeds 0-5 --out orange.png

    Example: steer dial aviary-biggan hue=photo.jpg --seeds 0-5 --out alike.png
    """
    from steer.directions.dial import dial as turn_to
    from steer.files import check_file
    from steer.recipe import Recipe
    from steer.registry import load_generator
    from steer.steering import Steering

    request = Request(label, prompt, sketch, layout, guidance, strength)
    check_out(out, PICTURES + RECIPES)
    asked = read_pairs(
        [text.partition("=") for text in targets], "a target is written NAME=TARGET, such as hue=orange or size=0.8"
    )
    for aim in asked.values():
        if Path(aim).suffix.lower() in PICTURES + RECIPES:
            check_file(Path(aim))
    model = load_generator(generator, device)
    model = model.with_sampler(read_sampler(steps, model))
    there = read_knobs(knobs, model)
    chosen = {name: read_knob(name, there, model, insist) for name in asked}
    latent = read_latent(seeds, picture, request, truncation, model, insist)
    kept = Steering(read_turns(turn, knobs, model, insist, beside=asked))
    aims = {name: read_reference(Path(aim)) if Path(aim).is_file() else aim for name, aim in asked.items()}
    with progress("dialling") as report:
        found = turn_to(model, chosen, latent, aims, steering=kept, progress=report)
    Recipe.of(model, latent, found.steering).save(out, model)
    if as_json:
        say_json({"out": str(out), "generator": model.name, **found.to_json()})
        return
    _say(found, latent)
    say_written(out, f"{model.name}, {', '.join(targets)}; pictures: {len(latent)}")


def _say(found: "Dialled", latent: "Latent") -> None:
    """Print what each picture was turned by and what it shows, and what else changed."""
    from steer.strips import UNIT_MARKS

    seeds = ["" if seed is None else f"{seed}" for seed in latent.seeds]
    for reached in found.reached:
        mark = UNIT_MARKS.get(reached.knob.unit, "")
        rows = [
            (seed, f"{amount:+.3g}{mark}", f"{reading:.4g}", f"{missed:+.3g}")
            for seed, amount, reading, missed in zip(
                seeds, reached.amounts, reached.readings, reached.residuals, strict=True
            )
        ]
        say_table(("seed", f"{reached.knob.name} turned by", f"{reached.attribute.name} reached", "off by"), rows)
        unit, aim = reached.attribute.unit, f"{reached.attribute.name} {reached.target:.4g}"
        say(f"{aim} {unit}: half of the pictures are off by {reached.error:.3g} or less")
        if not reached.everywhere:
            low, high = reached.reach or (None, None)
            ends = "" if low is None else f"; it goes from {low:.3g} to {high:.3g} {unit}"
            say(
                f"Out of the reach of this knob in {reached.out_of_reach} of {len(latent)} pictures, which show the "
                f"nearest it comes{ends}"
            )
    most = sorted(found.leakage, key=lambda name: -found.leakage[name])[:3]
    say("Changed most beside it, in spreads: " + ", ".join(f"{name} {found.leakage[name]:.2f}" for name in most))

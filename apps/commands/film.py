"""`steer film`: noise condensing into a picture with the current guess beside it, or a picture dissolving."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import Request, read_latent, read_sampler, read_turns
from steer.apps.commands.writing import FILMS, PICTURES, RECIPES, check_out, film_layout, progress, say, say_written

if TYPE_CHECKING:
    from steer.film import Film
    from steer.generator import Generator


def film(
    generator: typed.GeneratorName,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Film: .mp4, .gif, .webp; a strip of stills: .png, .jpg; or .json"
        ),
    ],
    seeds: typed.SomeSeeds = None,
    picture: typed.MadePicture = None,
    forward: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURE", parser=typed.file_to_read, help="Film any picture dissolving, once for each seed."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Steps from noise to picture, or back.")] = None,
    seconds: Annotated[float, typer.Option(metavar="N", help="Length, from the first moment to the last.")] = 4.0,
    stills: Annotated[int, typer.Option(metavar="N", help="Moments on a strip.")] = 8,
    label: typed.Label = None,
    prompt: typed.Prompt = None,
    sketch: typed.Sketch = None,
    layout: typed.Map = None,
    guidance: typed.Guidance = None,
    strength: typed.Strength = None,
    truncation: typed.Truncation = 1.0,
    turn: typed.Turns = None,
    knobs: typed.KnobFile = None,
    scale: typed.Scale = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
) -> None:
    """Film pictures as they come about: noise condensing into them, the current guess beside it.

    A GAN shows what its picture would be if the blocks that are left got dice of 0.

    Example: steer film aviary-biggan --seeds 0-3 --out stages.png

    Example: steer film FOLDER --forward photo.jpg --out dissolving.mp4
    """
    from steer.errors import BadInput
    from steer.film import Film
    from steer.layout import Layout
    from steer.registry import load_generator
    from steer.steering import Steering

    check_out(out, FILMS + PICTURES + RECIPES)
    request = Request(label, prompt, sketch, layout, guidance, strength)
    model = load_generator(generator, device)
    if forward is not None:
        if picture is not None or request.given or turn or truncation != 1:
            raise BadInput("a picture dissolves as it is; leave --picture, --label, --prompt, --turn and the like out")
        reel = _dissolving(model, forward, seeds, steps, seconds, stills)
    else:
        latent = read_latent(seeds, picture, request, truncation, model, insist)
        steering, sampler = Steering(read_turns(turn, knobs, model, insist)), read_sampler(steps, model)
        reel = Film.reverse(model, latent, steering, sampler=sampler, seconds=seconds, stills=stills)
    moving = out.suffix.lower() in FILMS
    enlarged = film_layout(scale, model) if moving else Layout(scale=scale)
    with progress("filming") as report:
        reel.recipe(enlarged).save(out, model, progress=report)
    say_written(out, f"{len(reel)} moments by {model.name}" + (f", {reel.duration:.3g} s" if moving else ""))


def _dissolving(
    model: "Generator", path: Path, seeds: str | None, steps: int | None, seconds: float, stills: int
) -> "Film":
    """Film any picture dissolving, and say what was done to it before."""
    from steer.film import Film
    from steer.prepare import prepare
    from steer.seeds import parse_seeds

    prepared = prepare(path, model.backend.picture_size)
    walks = tuple(parse_seeds(seeds)) if seeds else (0,)
    reel = Film.forward(
        model, prepared.picture, seeds=walks, steps=50 if steps is None else steps, seconds=seconds, stills=stills
    )
    for note in prepared.notes:
        say(note)
    return reel

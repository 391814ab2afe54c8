"""`steer walk`: a film of one knob turning, or of a way through seeds and classes."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import (
    Request,
    read_ends,
    read_knob,
    read_knobs,
    read_latent,
    read_sampler,
    read_turns,
)
from steer.apps.commands.writing import FILMS, RECIPES, check_out, film_layout, progress, say_written
from steer.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from steer.generator import Generator
    from steer.latent import Latent
    from steer.walk import Easing, Walk


def walk(
    generator: typed.GeneratorName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Film: .mp4, .gif, .webp; or .json")],
    seeds: typed.SomeSeeds = None,
    picture: typed.MadePicture = None,
    knob: Annotated[
        str | None, typer.Option("--knob", metavar="NAME", help="Turn this knob; left out, go from seed to seed.")
    ] = None,
    start: typed.Start = None,
    end: typed.End = None,
    seconds: Annotated[
        float, typer.Option(metavar="N", help="Length of a knob's turn, or of the way to the next seed.")
    ] = 4.0,
    loop: Annotated[bool, typer.Option("--loop", help="Come back to the first picture, without a seam.")] = False,
    fps: Annotated[int, typer.Option(metavar="N", help="Frames a second.")] = 30,
    easing: Annotated[str, typer.Option(metavar="NAME", help="linear, smooth, in or out.")] = "smooth",
    labels: Annotated[
        str | None, typer.Option("--labels", "--label", metavar="A,B,C", help="Classes to pass, taking turns.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What to draw, in words; repeated, to pass taking turns.")
    ] = None,
    sketch: typed.Sketch = None,
    layout: typed.Map = None,
    guidance: typed.Guidance = None,
    strength: typed.Strength = None,
    steps: typed.Steps = None,
    truncation: typed.Truncation = 1.0,
    turn: typed.OtherTurns = None,
    knobs: typed.KnobFile = None,
    scale: typed.Scale = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
) -> None:
    """Film one knob turning, or a way through seeds, classes and prompts.

    Example: steer walk aviary-biggan --knob heading --seeds 0-2 --from -90 --to 90 --loop --out turn.mp4

    Example: steer walk aviary-biggan --seeds 1,2,3 --labels robin,owl --seconds 2 --loop --out walk.gif
    """
    from steer.recipe import Recipe
    from steer.registry import load_generator
    from steer.seeds import parse_seeds
    from steer.walk import EASINGS, Keyframe, Walk

    check_out(out, FILMS + RECIPES)
    if easing not in EASINGS:
        raise UnknownName("easing", easing, EASINGS)
    pace = cast("Easing", easing)
    request = Request(labels, prompt, sketch, layout, guidance, strength)
    if knob is None and not (start is end is None):
        raise BadInput("--from and --to are amounts of a knob; say which with --knob NAME")
    model = load_generator(generator, device)
    sampler = read_sampler(steps, model)
    turns = tuple(read_turns(turn, knobs, model, insist, beside=[knob] if knob is not None else []))
    if knob is None:
        if seeds is None or picture is not None:
            raise BadInput("a way goes from seed to seed: give --seeds; or turn a --knob on a --picture")
        latent = _stops(model, parse_seeds(seeds), request, truncation)
        places = [Keyframe(latent.rows([row]), turns, seconds) for row in range(len(latent))]
        film = Walk(model, places, fps, loop, pace, sampler)
    else:
        latent = read_latent(seeds, picture, request, truncation, model, insist)
        chosen = read_knob(knob, read_knobs(knobs, model), model, insist)
        first, last = read_ends(chosen, start, end)
        sweep = Walk.sweep(model, chosen, latent, start=first, end=last, seconds=seconds, fps=fps, sampler=sampler)
        film = _sweep(sweep, loop, pace)
        film = replace(film, keyframes=[replace(each, turns=turns + each.turns) for each in film.keyframes])
    enlarged = film_layout(scale, model)
    with progress("filming") as report:
        Recipe.of_walk(film, enlarged).save(out, model, progress=report)
    say_written(out, f"{len(film)} frames by {model.name}, {len(film) / fps:.3g} s")


def _stops(model: "Generator", numbers: list[int], request: Request, truncation: float) -> "Latent":
    """Draw the places of a way through seeds, classes and prompts."""
    seeds, condition = request.taking_turns(model, numbers)
    if len(seeds) < 2:
        raise BadInput(
            "a way goes through at least two places; give more --seeds, --labels or --prompt, or a --knob to turn"
        )
    return model.sample(seeds, condition=condition, truncation=truncation)


def _sweep(sweep: "Walk", loop: bool, easing: "Easing") -> "Walk":
    """Let a sweep come back: by a full circle where the knob is a ring and makes whole turns, else by turning round."""
    first, last = sweep.keyframes
    if not loop:
        return replace(sweep, easing=easing)
    (there,) = last.turns
    begin, end = float(first.turns[0].amounts(1)), float(there.amounts(1))
    if there.knob.unit == "degree" and end != begin and (end - begin) % 360 == 0:
        # The last frame would show the first again, so the way stops one step short of it.
        steps = max(1, round(first.seconds * sweep.fps))
        short = replace(there, amount=end - (end - begin) / (steps + 1))
        return replace(sweep, keyframes=[first, replace(last, turns=(short,))], easing="linear")
    halves = [replace(each, seconds=each.seconds / 2) for each in sweep.keyframes]
    return replace(sweep, keyframes=halves, loop=True, easing=easing)

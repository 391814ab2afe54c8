"""`steer sample`: pictures of seeds on a sheet; latents and attributes as files for research."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import Request, read_sampler, read_turns
from steer.apps.commands.writing import PICTURES, RECIPES, TENSORS, check_out, progress, say_written
from steer.errors import BadInput

if TYPE_CHECKING:
    from steer.generator import Generator
    from steer.latent import Latent
    from steer.sampler import Sampler
    from steer.steering import Steering

LARGEST_SHEET = 4096
"""Pictures on one sheet."""

MEASURED_AT_ONCE = 64
LATENTS_SCHEMA = 1


def sample(
    generator: typed.GeneratorName,
    seeds: typed.Seeds,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Sheet: .png, .jpg, .webp; or .json")
    ] = None,
    label: typed.Label = None,
    prompt: typed.Prompt = None,
    sketch: typed.Sketch = None,
    layout: typed.Map = None,
    guidance: typed.Guidance = None,
    strength: typed.Strength = None,
    steps: typed.Steps = None,
    truncation: typed.Truncation = 1.0,
    turn: typed.Turns = None,
    knobs: typed.KnobFile = None,
    columns: Annotated[int | None, typer.Option(metavar="N", help="Pictures in a row of the sheet.")] = None,
    scale: typed.Scale = None,
    bare: Annotated[bool, typer.Option("--bare", help="A single picture at its own size, without a border.")] = False,
    numbers: Annotated[
        bool, typer.Option("--numbers/--no-numbers", help="Each picture's seed below it, where there are several.")
    ] = True,
    latents: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the dice, as .safetensors.")] = None,
    attributes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write what the pictures measure, as .csv.")
    ] = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
) -> None:
    """Draw seeds onto one sheet, which carries its recipe.

    Example: steer sample aviary-biggan --seeds 0-47 --label robin --turn heading=90 --out sheet.png

    Example: steer sample runs/ddim/model --seeds 0-7 --prompt "a red owl" --guidance 3 --steps 20 --out owls.png
    """
    from steer.layout import Layout
    from steer.recipe import Recipe
    from steer.registry import load_generator
    from steer.seeds import parse_seeds
    from steer.steering import Steering

    chosen = parse_seeds(seeds)
    request = Request(label, prompt, sketch, layout, guidance, strength)
    if out is latents is attributes is None:
        raise BadInput("say where to write the sheet: --out FILE.png (or --latents, --attributes)")
    if out is not None and len(chosen) > LARGEST_SHEET:
        raise BadInput(
            f"a sheet holds {LARGEST_SHEET} pictures, not {len(chosen)}; take fewer seeds, or leave out --out"
        )
    if bare and len(chosen) > 1:
        raise BadInput(f"--bare is for one picture, not {len(chosen)}; take one seed, or leave it out")
    check_out(out, PICTURES + RECIPES)
    check_out(latents, TENSORS)
    check_out(attributes, (".csv",))
    model = load_generator(generator, device)
    sampler = read_sampler(steps, model)
    steering = Steering(read_turns(turn, knobs, model, insist))
    latent = model.sample(chosen, condition=request.condition(model, len(chosen)), truncation=truncation)
    count = f"{len(chosen)} picture{'s' if len(chosen) > 1 else ''}"
    if out is not None:
        below = tuple(map(str, chosen)) if numbers and len(chosen) > 1 else ()
        sheet = Layout(columns=columns, scale=scale, bare=bare, captions=below)
        with progress("drawing") as report:
            Recipe.of(model, latent, steering, sampler=sampler, layout=sheet).save(out, model, progress=report)
        say_written(out, f"{count} by {model.name}")
    if latents is not None:
        _write_latents(latents, latent, model)
        say_written(latents, f"the dice of {count}")
    if attributes is not None:
        _write_attributes(attributes, latent, steering, sampler, model)
        say_written(attributes, f"what {count} measure{'' if len(chosen) > 1 else 's'}")


def _write_latents(path: Path, latent: "Latent", model: "Generator") -> None:
    """Write the values of every input space, and in the header what they are."""
    from steer.files import write_tensors

    header = {
        "schema": LATENTS_SCHEMA,
        "kind": "latents",
        "generator": model.name,
        "fingerprint": model.fingerprint,
        "seeds": list(latent.seeds),
        "condition": {name: list(entries) for name, entries in latent.condition.items()},
        "truncation": latent.truncation,
    }
    write_tensors(path, latent.values, header)


def _write_attributes(
    path: Path, latent: "Latent", steering: "Steering", sampler: "Sampler | None", model: "Generator"
) -> None:
    """Write a row for each picture: seed, what was asked for, and every attribute; classes by their names."""
    import torch

    from steer.files import atomic_path
    from steer.registry import load_measurer, measure_attributes

    kinds = load_measurer(model.backend.measurer).attributes
    count = len(latent)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["seed", *latent.condition, *kinds])
        with progress("measuring") as report:
            for start in range(0, count, MEASURED_AT_ONCE):
                rows = range(start, min(start + MEASURED_AT_ONCE, count))
                with torch.no_grad():
                    pictures = model.decode(latent.rows(rows), steering.rows(rows, count), sampler=sampler)
                measured = measure_attributes(pictures, model)
                for row, place in enumerate(rows):
                    values = [
                        kind.classes[int(measured[name][row])] if kind.classes else f"{float(measured[name][row]):.6g}"
                        for name, kind in kinds.items()
                    ]
                    table.writerow([latent.seeds[place], *(each[place] for each in latent.condition.values()), *values])
                if report is not None:
                    report(rows.stop, count)

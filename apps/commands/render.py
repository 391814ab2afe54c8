"""`steer render`: a recipe, or a picture or film that carries one, made again bit for bit."""

from pathlib import Path
from typing import Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import heed_edits
from steer.apps.commands.writing import FILMS, PICTURES, RECIPES, check_out, progress, say_written


def render(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", parser=typed.file_to_read, help="A recipe (.json), or a picture or film made here."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Picture, film or .json to write.")],
    generator: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER", help="Where the generator is, if it was loaded from a folder."),
    ] = None,
    insist: typed.Insist = False,
    device: typed.Device = "auto",
) -> None:
    """Make pictures or a film again from a recipe, bit for bit.

    Example: steer render sheet.png --out again.png

    Example: steer render owls.png --generator runs/ddim/model --out again.png
    """
    from PIL import Image

    from steer.recipe import Recipe
    from steer.registry import load_generator

    recipe = Recipe.load(file)
    moving = FILMS if recipe.walk or recipe.film else ()
    still = () if recipe.walk else PICTURES
    check_out(out, (*moving, *still, *RECIPES))
    model = recipe.load_generator(device) if generator is None else load_generator(generator, device)
    with progress("drawing") as report:
        recipe.save(out, model, insist=insist, progress=report)
    keeps_pixels = recipe.walk is None and recipe.film is None and out.suffix.lower() in (".png", ".webp")
    if keeps_pixels and file.suffix.lower() != ".json" and not insist:
        with Image.open(out) as drawn:
            heed_edits(file, drawn)
    say_written(out, f"made again by {model.name}")

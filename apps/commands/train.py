"""`steer train`: trainings of the generators and measurers that come with the toolkit."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from steer.apps.commands.reading import read_options
from steer.apps.commands.writing import check_folder, progress, say_written

train = typer.Typer(help="Train a generator or a measurer from scratch.")

Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FOLDER", help="Made where it is missing; a run that stopped there goes on."),
]
Data = Annotated[
    str | None, typer.Option(metavar="aviary|FOLDER", help="Rendered birds, or a folder with a sub-folder per class.")
]
Minutes = Annotated[float | None, typer.Option(metavar="N", help="How long to train.")]
Steps = Annotated[int | None, typer.Option(metavar="N", help="How many steps to train, instead of minutes.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seeds everything.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="Any other option of the training; '--option list' names them."
    ),
]


@train.command("biggan")
def biggan(
    out: Out,
    data: Data = None,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Train a class-conditional BigGAN; sheets of samples appear in the folder as it learns.

    Example: steer train biggan --data aviary --minutes 110 --out runs/aviary --option z_dim=24
    """
    from steer.generators.training.biggan import BigGANTraining, train_biggan

    named = {"data": data, "minutes": minutes, "steps": steps, "seed": seed}
    given = _read(option, BigGANTraining, named)
    check_folder(out)
    with progress("training") as report:
        model = train_biggan(BigGANTraining(**given), out, report)
    say_written(model, f"the generator; try: steer sample {model} --seeds 0-15 --out sheet.png")


@train.command("ddim")
def ddim(
    out: Out,
    data: Data = None,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Train a diffusion model that is told words and shown sketches; sheets appear in the folder as it learns.

    Example: steer train ddim --data aviary --minutes 110 --out runs/ddim --option drawn=4000
    """
    from steer.generators.training.ddim import DDIMTraining, train_ddim

    named = {"data": data, "minutes": minutes, "steps": steps, "seed": seed}
    given = _read(option, DDIMTraining, named)
    check_folder(out)
    with progress("training") as report:
        model = train_ddim(DDIMTraining(**given), out, report)
    say_written(model, f"the generator; try: steer sample {model} --seeds 0-15 --out sheet.png")


@train.command("clip")
def clip(
    out: Out,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Train a scorer that says how well words match a picture of a bird.

    Example: steer train clip --minutes 20 --out runs/clip
    """
    from steer.generators.training.clip import CLIPTraining, train_clip

    given = _read(option, CLIPTraining, {"minutes": minutes, "steps": steps, "seed": seed})
    check_folder(out)
    with progress("training") as report:
        model = train_clip(CLIPTraining(**given), out, report)
    say_written(model, "the scorer; its figures stand in its README.md")


@train.command("measurer")
def measurer(
    out: Out,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What to call it.")] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the pictures.")] = None,
    count: Annotated[int | None, typer.Option(metavar="N", help="Training pictures.")] = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Train a network that reads a bird's factors off a picture.

    Example: steer train measurer --name aviary-critic --epochs 6 --out runs/critic
    """
    from steer.generators.training.measurer import MeasurerTraining, train_measurer

    given = _read(option, MeasurerTraining, {"name": name, "epochs": epochs, "count": count, "seed": seed})
    check_folder(out)
    with progress("training") as report:
        trained = train_measurer(MeasurerTraining(**given), out, progress=report)
    scores = ", ".join(f"{each} {score:.3f}" for each, score in trained.scores.items())
    say_written(out, f"the measurer; on fresh renders: {scores}")


def _read(texts: list[str] | None, training: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Read the options of a training; steps that are given, and no minutes, take their place."""
    types = {field.name: field.type for field in fields(training)}
    given = read_options(texts, types, named, "this training")
    if named.get("steps") is not None and named["minutes"] is None:
        given["minutes"] = None
    return given

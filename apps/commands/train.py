"""`steer train`: trainings of the generators and measurers that come with the toolkit."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from steer.apps.commands import typed
from steer.apps.commands.reading import read_options
from steer.apps.commands.writing import Report, check_folder, progress, say_table, say_written
from steer.errors import BadInput

Trained = TypeVar("Trained")

train = typer.Typer(help="Train a generator or a measurer from scratch.")

Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="FOLDER",
        parser=typed.folder_to_fill,
        help="Made where it is missing; a run that stopped there goes on.",
    ),
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
    model = _trained(BigGANTraining, train_biggan, option, named, out)
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
    model = _trained(DDIMTraining, train_ddim, option, named, out)
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

    model = _trained(CLIPTraining, train_clip, option, {"minutes": minutes, "steps": steps, "seed": seed}, out)
    say_written(model, "the scorer; its figures stand in its README.md")


@train.command("classifier")
def classifier(
    out: Out,
    data: Annotated[str, typer.Option(metavar="FOLDER", help="Pictures, a sub-folder per class.")],
    held_out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Other such pictures to score on; without, every tenth is kept aside."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What to call it.")] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the pictures.")] = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Train a network that tells the classes of pictures apart, to measure generators of such pictures by.

    Example: steer train classifier --data cifar10/train --held-out cifar10/test --out runs/judge
    """
    from steer.generators.training.classifier import ClassifierTraining, train_classifier

    named = {"data": data, "held_out": held_out, "name": name, "epochs": epochs, "seed": seed}
    trained = _trained(ClassifierTraining, train_classifier, option, named, out)
    say_written(out, f"the classifier; it names {trained.accuracy:.1%} of held-out pictures")


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

    named = {"name": name, "epochs": epochs, "count": count, "seed": seed}
    trained = _trained(MeasurerTraining, train_measurer, option, named, out)
    scores = ", ".join(f"{each} {score:.3f}" for each, score in trained.scores.items())
    say_written(out, f"the measurer; on fresh renders: {scores}")


def _trained(
    training: Any,
    train_it: Callable[[Any, Path, Report | None], Trained],
    texts: list[str] | None,
    named: dict[str, Any],
    out: Path,
) -> Trained:
    """Read the options of a training, run it, and return what it makes; steps without minutes take their place."""
    if texts == ["list"]:
        say_table(("option", "usually"), [(field.name, f"{field.default}") for field in fields(training)])
        raise typer.Exit
    given = read_options(texts, {field.name: field.type for field in fields(training)}, named, "this training")
    if given.get("steps", 1) < 1:
        raise BadInput(f"a training takes at least 1 step, not {given['steps']}")
    if "steps" in given and "minutes" not in given:
        given["minutes"] = None
    check_folder(out)
    with progress("training") as report:
        return train_it(training(**given), out, report)

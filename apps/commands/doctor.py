"""`steer doctor`: what in a model's configuration breaks sampling or inversion, and one round trip."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steer.apps.commands import typed
from steer.apps.commands.writing import say, say_json, say_table

if TYPE_CHECKING:
    from steer.generator import Generator
    from steer.generators.diffusion.doctor import Chart


def doctor(
    generator: Annotated[
        str, typer.Argument(metavar="GENERATOR", help="A name, a folder of weights, or a folder as diffusers saves it.")
    ],
    steps: Annotated[int, typer.Option(metavar="N", help="Steps to sample with.")] = 50,
    device: typed.Device = "auto",
    as_json: typed.Json = False,
) -> None:
    """Find what breaks sampling or inversion in a model's configuration, and take one picture there and back.

    Example: steer doctor ~/models/ddpm-celebahq-256
    """
    from steer.generators.diffusion.doctor import as_records, examine, round_trip

    chart, model, reason = _patient(generator, device)
    findings = examine(chart, steps) if chart else ()
    trip = round_trip(model, steps) if model else None
    if as_json:
        say_json({"findings": as_records(findings), "round_trip": trip.record() if trip else None, "reason": reason})
        return
    if findings:
        say_table(
            ("finding", "matters", "what it does", "cure"),
            [(each.name, each.matters, each.problem, each.cure) for each in findings],
        )
    else:
        say("Nothing in its configuration breaks sampling or inversion." if chart else "It has no noise levels.")
    if trip is None:
        say(f"No picture was taken there and back: {reason}.")
        return
    say(
        f"There and back, from the latent alone, a picture misses by {trip.error:.2g} on average and "
        f"{trip.largest_error:.2g} at most, in {trip.calls} network calls and {trip.seconds:.1f} s."
    )
    for complaint in trip.complaints:
        say(complaint)


def _patient(generator: str, device: str) -> "tuple[Chart | None, Generator | None, str | None]":
    """Return what can be examined, what can be run, and why nothing can where that is so."""
    from steer.errors import BadInput
    from steer.generators.diffusion.doctor import Charted, read_chart
    from steer.hub import foreign_kind
    from steer.registry import load_generator

    folder = Path(generator)
    if foreign_kind(folder) != "ddim":
        model = load_generator(generator, device)
        return model.backend.chart() if isinstance(model.backend, Charted) else None, model, None
    chart = read_chart(folder)
    try:
        model = load_generator(folder, device)
    except BadInput as error:
        return chart, None, f"{error}"
    return chart, model, None

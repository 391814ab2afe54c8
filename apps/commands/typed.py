"""What is typed after a verb: arguments and options that several verbs share."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from steer.errors import BadInput


def _names(group: str) -> list[str]:
    return sorted(entry.name for entry in entry_points(group=f"steer.{group}"))


def complete_generator(incomplete: str) -> list[str]:
    """Complete the name of a generator in a shell."""
    return [name for name in _names("generators") if name.startswith(incomplete)]


def complete_finder(incomplete: str) -> list[str]:
    """Complete the name of a finder in a shell."""
    return [name for name in _names("finders") if name.startswith(incomplete)]


def file_to_read(text: str) -> Path:
    """Return a file that is there, before any long work is done for it.

    Raises:
        BadInput: its name is empty, or there is no such file.
    """
    from steer.files import check_file

    if not text:
        raise BadInput("the name of a file to read is empty; give a file that is there")
    check_file(Path(text))
    return Path(text)


def folder_to_fill(text: str) -> Path:
    """Return a folder that has a name, be it there or not.

    Raises:
        BadInput: its name is empty.
    """
    if not text:
        raise BadInput("the name of the folder is empty; give one, or . for the one that you stand in")
    return Path(text)


GeneratorName = Annotated[
    str,
    typer.Argument(
        metavar="GENERATOR",
        help="A name from 'steer list generators', a folder of weights, or a name on the Hugging Face hub.",
        autocompletion=complete_generator,
    ),
]
Seeds = Annotated[str, typer.Option(metavar="SEEDS", help="Whole numbers and ranges: 1,2,5-10.")]
SomeSeeds = Annotated[str | None, typer.Option("--seeds", metavar="SEEDS", help="Whole numbers and ranges: 1,2,5-10.")]
MadePicture = Annotated[
    Path | None,
    typer.Option(
        "--picture",
        metavar="FILE",
        parser=file_to_read,
        help="A picture made here, such as by 'steer invert', instead of seeds.",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(metavar="LABEL", help="Class to draw: one for all, or one per seed as A,B,C."),
]
Prompt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="What to draw, in words; once for all, or repeated, one for each seed; {red|blue} is either, by seed.",
    ),
]
AskedFor = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="TEXT",
        help="Ask all samples for this; {red|blue} is either. By default each for a caption of its own, where words "
        "are known.",
    ),
]
Unasked = Annotated[bool, typer.Option("--unasked", help="Ask the samples for nothing.")]
Sketch = Annotated[
    Path | None, typer.Option(metavar="FILE", parser=file_to_read, help="An outline, black on white, to follow.")
]
Map = Annotated[
    Path | None,
    typer.Option(
        "--layout", metavar="FILE", parser=file_to_read, help="A map of the parts, each in its colour, to follow."
    ),
]
Guidance = Annotated[
    float | None, typer.Option(metavar="NUMBER", help="How far to follow what was asked; 1 is without stress.")
]
Strength = Annotated[
    float | None, typer.Option(metavar="NUMBER", help="How strongly the sketch or layout is seen; 1 is as it is.")
]
Steps = Annotated[
    int | None, typer.Option(metavar="N", help="Steps to the picture, for generators that have a choice of them.")
]
Truncation = Annotated[
    float,
    typer.Option(metavar="NUMBER", help="How far dice are drawn in, above 0 to 1; smaller is more typical."),
]
Turns = Annotated[
    list[str] | None,
    typer.Option("--turn", metavar="NAME=AMOUNT", help="Turn a knob, in its unit; repeated, for other knobs."),
]
OtherTurns = Annotated[
    list[str] | None,
    typer.Option("--turn", metavar="NAME=AMOUNT", help="Turn another knob all the while; repeated, for more of them."),
]
Start = Annotated[
    float | None, typer.Option("--from", metavar="AMOUNT", help="First amount; by default the range's end.")
]
End = Annotated[float | None, typer.Option("--to", metavar="AMOUNT", help="Last amount; by default the range's end.")]
Scale = Annotated[int | None, typer.Option(metavar="N", help="Enlarge pictures by this whole factor.")]
KnobName = Annotated[str, typer.Option("--knob", metavar="NAME", help="A knob; 'steer knobs GENERATOR' shows them.")]
KnobFile = Annotated[
    Path | None,
    typer.Option(
        "--knobs",
        metavar="FILE",
        parser=file_to_read,
        help="Knob file; by default the knobs shipped with the weights.",
    ),
]
Insist = Annotated[bool, typer.Option("--insist", help="Use what was made for other weights all the same.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1, mps, ...")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

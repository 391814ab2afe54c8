"""What is installed: generators, finders and measurers, found by entry point."""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from steer.attribute import Measurer, Worded
from steer.backend import Backend
from steer.door import A_GENERATOR, expect
from steer.errors import BadInput, BrokenFile, UnknownName
from steer.finder import Finder
from steer.generator import Generator, Progress
from steer.hub import fetch, foreign_kind, is_hub_name
from steer.knob import KnobSet
from steer.shapes import Pictures

ROUNDING = 1e-3
"""How far pictures may leave [0, 1] and still be measured."""

Group = Literal["generators", "finders", "attributes"]
GeneratorLoader = Callable[[Path | None], Backend] | Callable[[Path], Backend]
"""What an entry point in ``steer.generators`` names: from a folder of weights to a backend; from None too, unless the
loader's type says `Path` alone."""


@dataclass(frozen=True)
class Registered:
    """An installed plugin: its name, the object it names and the distribution that brings it."""

    name: str
    target: str
    distribution: str


def registered(group: Group) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, sorted."""
    return {entry.name: entry for entry in sorted(entry_points(group=f"steer.{group}"), key=lambda entry: entry.name)}


def _listed(group: Group) -> list[Registered]:
    return [
        Registered(entry.name, entry.value, entry.dist.name if entry.dist else "")
        for entry in registered(group).values()
    ]


def list_generators() -> list[Registered]:
    """List the generators that `load_generator` knows by name."""
    return _listed("generators")


def list_finders() -> list[Registered]:
    """List the finders that `find` knows by name."""
    return _listed("finders")


def list_attributes() -> list[dict[str, Any]]:
    """List every attribute of every installed measurer that comes with its weights, as JSON-able objects."""
    return [
        {"measurer": entry, **asdict(attribute)}
        for entry in registered("attributes")
        if not needs_folder(entry, "attributes")
        for attribute in load_measurer(entry).attributes.values()
    ]


def _load(group: Group, what: str, name: str) -> Any:
    entries = registered(group)
    if name not in entries:
        raise UnknownName(what, name, entries)
    entry = entries[name]
    try:
        return entry.load()
    except (ModuleNotFoundError, AttributeError) as error:
        if error.name not in (*accumulate(entry.module.split("."), "{}.{}".format), *(entry.attr or "").split(".")):
            raise  # what the plugin itself lacks
        raise BadInput(
            f"the {what} '{name}' is announced as {entry.value}, which is not there: what is installed is older than "
            f"the code; install it again, with pip install -e . in its folder"
        ) from error


def load_generator(name_or_folder: str | Path, device: str = "auto") -> Generator:
    """Load a generator by its registered name, from a folder of weights, or from the Hugging Face hub.

    Args:
        name_or_folder: a name from `list_generators`; a folder with ``config.json`` and ``weights.safetensors``, as
            diffusers saves it, or of published BigGAN-deep weights; or the name of such a model on the hub,
            "owner/model", which is fetched once.
        device: "auto" (a GPU where there is one), "cpu", "cuda", ...

    Raises:
        UnknownName: there is neither such a name nor such a folder.
        BadInput: the folder holds no generator, or the hub has no such model or cannot be reached.
        BrokenFile: the folder's files are not usable.
    """
    expect(name_or_folder, str | Path, "a generator is loaded by its name or from a folder")
    folder = Path(name_or_folder)
    if not str(name_or_folder):
        raise UnknownName("generator", "", registered("generators"), "or give a folder of weights")
    if str(name_or_folder) in registered("generators"):
        name, where = str(name_or_folder), None
    elif folder.is_dir():
        name, where = _kind_of(folder), folder
    elif is_hub_name(str(name_or_folder)):
        where = fetch(str(name_or_folder))
        name = _kind_of(where)
    else:
        raise UnknownName("generator", str(name_or_folder), registered("generators"), "or give a folder of weights")
    if where is None and needs_folder(name):
        raise BadInput(f"'{name}' comes without weights; give a folder of a trained model")
    loader: Any = _load("generators", "generator", name)
    called = folder.name if where == folder else str(name_or_folder)
    return Generator(loader(where), name=called, device=_device(device))


def needs_folder(name: str, group: Literal["generators", "attributes"] = "generators") -> bool:
    """Return whether a generator or a measurer comes without weights, so that its loader takes a folder, never None.

    Raises:
        UnknownName: there is no such generator or measurer.
    """
    loader = _load(group, "generator" if group == "generators" else "measurer", name)
    return any(each.annotation is Path for each in signature(loader).parameters.values())


def _kind_of(folder: Path) -> str:
    neither = "it has neither config.json, as 'steer train' writes it, nor model_index.json, as diffusers does"
    return foreign_kind(folder) or _said_in(folder, "generator", neither)


def _said_in(folder: Path, what: Literal["generator", "measurer"], lacking: str) -> str:
    """Return which generator or measurer a folder's config.json names."""
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))[what])
    except FileNotFoundError as error:
        raise BadInput(f"the folder '{folder}' is no {what}: {lacking}") from error
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise BrokenFile(
            f"'{folder / 'config.json'}' does not say which {what} it is for ({error}); fetch or make it again"
        ) from error


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"the device '{name}' cannot be used here; 'cpu' always can") from error


def load_finder(name: str, /, **options: Any) -> Finder:
    """Return a finder by its registered name, with options.

    Raises:
        UnknownName: there is no such finder.
        BadInput: it does not have such options, or cannot do without others.
    """
    kind = _load("finders", "finder", name)
    unknown = next((option for option in options if option not in kind.__dataclass_fields__), None)
    if unknown is not None:
        raise UnknownName(f"option of the finder '{name}'", unknown, kind.__dataclass_fields__)
    needed = (each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING)
    missing = [option for option in needed if option not in options]
    if missing:
        raise BadInput(f"the finder '{name}' has to be told more: {' and '.join(missing)}; see 'steer list finders'")
    for option, value in options.items():
        default = kind.__dataclass_fields__[option].default
        if isinstance(default, int | float) and not isinstance(value, int | float | None):
            raise BadInput(
                f"the option {option} of the finder '{name}' is a number such as {default}, not {value!r:.40}"
            )
    try:
        finder: Finder = kind(**options)
    except TypeError as error:
        raise BadInput(f"the finder '{name}' cannot take these options: {error}") from error
    return finder


def find(finder: str | Finder, generator: Generator, *, progress: Progress | None = None, **options: Any) -> KnobSet:
    """Find knobs of a generator.

    Args:
        finder: a name from `list_finders`, or a finder object.
        generator: where to look.
        progress: called as the work goes on.
        **options: the finder's options, where it is given by name.
    """
    if isinstance(finder, str):
        finder = load_finder(finder, **options)
    elif options:
        raise BadInput(f"options {', '.join(options)} go with a finder given by name; put them into the finder object")
    expect(finder, Finder, "a finder is a name from steer.list_finders(), or an object with find")
    expect(generator, Generator, A_GENERATOR)
    return finder.find(generator, progress=progress)


@cache
def load_measurer(name_or_folder: str) -> Measurer:
    """Return a measurer by its registered name, or from a folder that 'steer train classifier' filled; loaded once.

    Raises:
        UnknownName: there is neither such a name nor such a folder.
        BadInput: the folder holds no measurer, or there is none without a folder.
        BrokenFile: the folder's files are not usable.
    """
    folder, measurer = Path(name_or_folder), name_or_folder
    if measurer not in registered("attributes"):
        if not measurer or not folder.is_dir():
            raise UnknownName("measurer", measurer, registered("attributes"), "or give the folder of a classifier")
        measurer = _said_in(folder, "measurer", "it has no config.json, as 'steer train classifier' writes it")
    elif needs_folder(measurer, "attributes"):
        raise BadInput(f"'{measurer}' comes without weights; give the folder of one that was trained")
    loader: Any = _load("attributes", "measurer", measurer)
    found: Measurer = loader(folder) if needs_folder(measurer, "attributes") else loader()
    return found


def _check_pictures(images: Pictures, of: Generator) -> None:
    expect(of, Generator, A_GENERATOR)
    height, width = of.backend.picture_size
    wanted = f"pictures are measured as a float tensor (batch, 3, {height}, {width}) in [0, 1]"
    expect(images, Tensor, wanted)
    if not images.is_floating_point() or images.shape[1:] != (3, height, width):
        raise BadInput(f"{wanted}, not {tuple(images.shape)} of {images.dtype}")
    if len(images) and not (images.min() > -ROUNDING and images.max() < 1 + ROUNDING):
        raise BadInput(f"{wanted}; these go from {float(images.min()):.3g} to {float(images.max()):.3g}")


def measure_attributes(images: Pictures, of: Generator) -> dict[str, Tensor]:
    """Measure pictures by the measurer that judges a generator's pictures.

    Args:
        images: (batch, 3, height, width) in [0, 1].
        of: the generator that they come from.

    Returns:
        (batch,) per attribute, in its unit.

    Raises:
        BadInput: these are no such pictures, or not of the generator's size.
    """
    _check_pictures(images, of)
    with torch.no_grad():
        return load_measurer(of.backend.measurer).measure(images.cpu())


def describe_pictures(images: Pictures, of: Generator) -> list[str]:
    """Say in words what pictures show, as the measurer sees it that judges a generator's pictures.

    Args:
        images: (batch, 3, height, width) in [0, 1].
        of: the generator that they come from, or shall be inverted by.

    Returns:
        A caption for each, to ask the generator by.

    Raises:
        BadInput: these are no such pictures, not of the generator's size, or the measurer knows no words.
    """
    _check_pictures(images, of)
    measurer = load_measurer(of.backend.measurer)
    if not isinstance(measurer, Worded):
        raise BadInput(f"'{measurer.name}', which measures pictures of '{of.name}', knows no words; write your own")
    with torch.no_grad():
        return measurer.describe(images.cpu())


def shipped_knobs(generator: Generator) -> KnobSet:
    """Return the knobs that come with a generator's weights; an empty set where none do."""
    expect(generator, Generator, A_GENERATOR)
    return generator.backend.shipped_knobs()


def options_of(finder: str) -> Mapping[str, Any]:
    """Return the names and types of a finder's options."""
    kind = _load("finders", "finder", finder)
    return {name: field.type for name, field in kind.__dataclass_fields__.items()}

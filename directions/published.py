"""Published directions: arrays that other toolkits have saved become knobs.

GANSpace's components (.npz), InterFaceGAN's boundaries (.npy) and matrices of directions, one a row, as SeFa's code has
them. Amounts keep the meaning they have there, so that a published edit is made by the amount that was published.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steer.directions.readings import deviations
from steer.errors import BadInput, BrokenFile
from steer.files import PICKLE_SUFFIXES
from steer.generator import Generator
from steer.knob import KnobSet, LinearKnob, Provenance

Array = NDArray[Any]

GANSPACE = {"act_comp", "act_stdev", "lat_comp", "lat_stdev", "var_ratio"}
"""Arrays by which a file of GANSpace's components is known."""

BOUNDARY = "_boundary"
"""How the names of InterFaceGAN's files end; the knob's name goes without it."""


@dataclass(frozen=True, eq=False)
class Published:
    """Directions out of a file.

    Attributes:
        kind: whose file it is: "GANSpace", or "directions".
        array: the name of the array in it.
        rows: one direction a row, (directions, values), as long as one unit of the amount.
        shares: of each, the part of the variance, where the file says so.
        deviation: whether the file says that the length of each is one standard deviation.
    """

    kind: str
    array: str
    rows: Array
    shares: tuple[float, ...] = ()
    deviation: bool = False


def import_knobs(path: str | Path, generator: Generator, *, space: str = "z", name: str | None = None) -> KnobSet:
    """Make knobs of published directions.

    In unit "sigma" where one unit is one standard deviation of the space, else "absolute".

    Args:
        path: a .npz of GANSpace, a .npy of one direction or of several, one a row, or a .npz with one such array.
        generator: what they turn; the knobs are bound to its weights.
        space: where they turn.
        name: of the knobs; several are numbered. Left out, ``pc`` for GANSpace's, else as the file is called.

    Raises:
        BadInput: there is no such file, it is a pickle, or its arrays do not fit the space.
        BrokenFile: it is cut short, or holds what is no direction.
    """
    path, turned = Path(path), generator.space(space)
    size = int(np.prod(turned.shape))
    arrays = read_arrays(path)
    found = _ganspace(arrays, size) if GANSPACE <= arrays.keys() else _directions(arrays, size)
    if found is None:
        raise BadInput(_misfit(path, arrays, generator, space))
    rows = found.rows.astype(np.float64)
    if not np.isfinite(rows).all() or not np.linalg.norm(rows, axis=1).all():
        raise BrokenFile(f"'{path}' has directions that are 0 or not finite in '{found.array}'; fetch it again")
    name = name or ("pc" if found.kind == "GANSpace" else path.stem.removesuffix(BOUNDARY))
    unit = "sigma" if found.deviation or _is_sigma(rows, generator, space) else "absolute"
    knobs = {}
    for index, row in enumerate(rows):
        each = name if len(rows) == 1 else f"{name}{index}"
        scores = {"explained_variance_ratio": found.shares[index]} if found.shares else {}
        options = {"file": path.name, "array": found.array, "row": index}
        origin = Provenance(generator.name, generator.fingerprint, f"import of {found.kind}", options, scores)
        direction = torch.from_numpy(row).float().reshape(turned.shape)
        knobs[each] = LinearKnob(each, space, direction, unit, provenance=origin)
    return KnobSet(knobs, {"file": path.name, "kind": found.kind, "array": found.array, "space": space})


def read_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays of a .npy or .npz; that of a .npy is called ``array``. Pickles are not read.

    Raises:
        BadInput: there is no such file, or it is a pickle or of another format.
        BrokenFile: it is cut short.
    """
    reason = "which can run code when it is read; save the array itself, with numpy.save, where you trust the file"
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise BadInput(f"'{path}' is a pickle, {reason}")
    if path.suffix.lower() not in (".npy", ".npz"):
        raise BadInput(f"'{path}' is no .npy or .npz; save the array with numpy.save")
    if not path.is_file():
        raise BadInput(f"there is no file '{path}'")
    if zipfile.is_zipfile(path) != (path.suffix.lower() == ".npz"):
        raise BrokenFile(f"'{path}' is not a whole {path.suffix} file; fetch or make it again")
    try:
        read = np.load(path, allow_pickle=False)
        return {"array": read} if isinstance(read, np.ndarray) else {key: read[key] for key in read.files}
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise BadInput(f"'{path}' holds a pickle, {reason}") from error
        raise BrokenFile(f"'{path}' is not a whole {path.suffix} file ({error}); fetch or make it again") from error
    except (EOFError, OSError, zipfile.BadZipFile) as error:
        raise BrokenFile(f"'{path}' is not a whole {path.suffix} file ({error}); fetch or make it again") from error


def _ganspace(arrays: Mapping[str, Array], size: int) -> Published | None:
    """Return GANSpace's components of the latent, or else of the layer, whichever has so many values.

    There, an amount is in units of ``lat_stdev`` of the latent, which is 1 for dice, or ``act_stdev`` of the layer.
    """
    for part in ("lat", "act"):
        components, spread = _rows(arrays[f"{part}_comp"], size), arrays[f"{part}_stdev"].reshape(-1, 1)
        if components is not None and len(spread) == len(components):
            shares = tuple(float(share) for share in arrays["var_ratio"].ravel())
            told = shares if len(shares) == len(components) else ()
            return Published("GANSpace", f"{part}_comp", components * spread, told, deviation=part == "act")
    return None


def _directions(arrays: Mapping[str, Array], size: int) -> Published | None:
    """Return the only array that holds directions of so many values."""
    fitting = {name: rows for name, array in arrays.items() if (rows := _rows(array, size)) is not None}
    if len(fitting) != 1:
        return None
    ((name, rows),) = fitting.items()
    return Published("directions", name, rows)


def _rows(array: Array, size: int) -> Array | None:
    """Return an array as (directions, values), or None where it is none of so many values."""
    if array.dtype.kind not in "fiu" or array.size == 0:
        return None
    if array.size == size:
        return array.reshape(1, size)
    return array.reshape(len(array), size) if array.ndim > 1 and array[0].size == size else None


def _is_sigma(rows: Array, generator: Generator, space: str) -> bool:
    """Whether each direction is as long as one standard deviation of the dice."""
    if not generator.space(space).isotropic:
        return False
    lengths = np.linalg.norm(rows, axis=1)
    units = torch.from_numpy(rows / lengths[:, None])
    return bool(np.allclose(lengths, deviations(generator, space, units).numpy(), rtol=1e-3))


def _misfit(path: Path, arrays: Mapping[str, Array], generator: Generator, space: str) -> str:
    shapes = ", ".join(f"'{name}' {tuple(array.shape)}" for name, array in arrays.items())
    fits = [
        name
        for name, each in generator.spaces.items()
        if name != space and any(_rows(array, int(np.prod(each.shape))) is not None for array in arrays.values())
    ]
    instead = f"; it fits {', '.join(fits)}" if fits else "; it is of another generator"
    wanted = generator.space(space).shape
    return f"'{path}' has {shapes}, and not one array of directions of shape {wanted} for '{space}'{instead}"

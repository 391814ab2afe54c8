"""Scenes: pictures, walks and films as the records of which recipes are made."""

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from steer.anchor import Anchor, Source
from steer.backend import Sampler
from steer.errors import BrokenFile
from steer.files import atomic_path
from steer.film import STILLS
from steer.generator import Generator
from steer.knob import Knob, Window, adopt, knob_from_parts, knob_to_parts
from steer.latent import Latent, concatenate
from steer.steering import Turn
from steer.walk import Easing

LONG_ENTRY = 1_000
"""An entry of a condition, such as a sketch, with more characters than this is recorded once where all rows have it."""

LARGEST_EMBEDDED = 2**20
"""The largest source picture that a recipe holds itself, in bytes; larger ones stand in a file beside it."""


class Record(BaseModel):
    """A part of a recipe's JSON: frozen, with no field but its own.

    A recipe of a later schema is refused as such before its fields are looked at, so one that is not known here is a
    slip, which must not be passed over: the picture would be another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorRecord(Record):
    """A tensor as base64 text."""

    shape: tuple[int, ...]
    data: str
    dtype: Literal["float32", "float16"] = "float32"

    @classmethod
    def of(cls, tensor: Tensor) -> "TensorRecord":
        """Record a tensor; what is not float16 becomes float32."""
        dtype: Literal["float32", "float16"] = "float16" if tensor.dtype == torch.float16 else "float32"
        array = np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=dtype)
        data = base64.b64encode(array.tobytes()).decode("ascii")
        return cls(shape=tuple(tensor.shape), data=data, dtype=dtype)

    def tensor(self) -> Tensor:
        """Return the tensor."""
        try:
            numbers = np.frombuffer(base64.b64decode(self.data, validate=True), dtype=self.dtype)
            array = numbers.reshape(self.shape)
        except ValueError as error:
            raise BrokenFile(f"the recipe's numbers are damaged ({error}); use another copy of it") from error
        return torch.from_numpy(array.copy())


class TurnRecord(Record):
    """A knob, whole, with its amount."""

    knob: dict[str, Any]
    tensors: dict[str, TensorRecord]
    amount: float | list[float]
    window: tuple[float, float] | None = None
    absolute: bool = False

    @classmethod
    def of(cls, turn: Turn) -> "TurnRecord":
        """Record a turn."""
        knob, tensors = knob_to_parts(turn.knob)
        amount = torch.as_tensor(turn.amount, dtype=torch.float32).tolist()
        window = (turn.window.start, turn.window.end) if turn.window else None
        records = {name: TensorRecord.of(tensor) for name, tensor in tensors.items()}
        return cls(knob=knob, tensors=records, amount=amount, window=window, absolute=turn.absolute)

    def turn(self, insist_on: str | None = None) -> Turn:
        """Return the turn; ``insist_on`` is a fingerprint to take the knob over to."""
        knob: Knob = knob_from_parts(self.knob, {name: record.tensor() for name, record in self.tensors.items()})
        if insist_on is not None:
            knob = adopt(knob, insist_on)
        return Turn(knob, self.amount, Window(*self.window) if self.window else None, self.absolute)


class SourceRecord(Record):
    """A picture that was inverted.

    Attributes:
        sha256: hash of its PNG, and the name of the file beside the recipe where it is too large to be in it.
        settings: the keywords of `Generator.invert`.
        png: its PNG as base64 text; None where it stands in the file.
    """

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    settings: dict[str, Any]
    png: str | None = None

    @classmethod
    def of(cls, source: Source) -> "SourceRecord":
        """Record a source, picture and all."""
        text = base64.b64encode(source.png).decode("ascii")
        return cls(sha256=hashlib.sha256(source.png).hexdigest(), settings=dict(source.settings), png=text)

    def source(self) -> Source:
        """Return the source.

        Raises:
            BrokenFile: its picture is not there, or damaged.
        """
        try:
            png = base64.b64decode(self.png or "", validate=True)
        except binascii.Error as error:
            raise BrokenFile(f"the picture in the recipe is damaged ({error}); use another copy of it") from error
        if hashlib.sha256(png).hexdigest() != self.sha256:
            raise BrokenFile(
                f"the recipe's picture is not there or not the right one; put {self.file_name} beside the recipe, or "
                "use another copy of it"
            )
        return Source(png, self.settings)

    @property
    def file_name(self) -> str:
        """The name of its file, where it has one."""
        return f"{self.sha256}.png"

    def set_apart(self, folder: Path) -> "SourceRecord":
        """Return the record as a file holds it: a large picture is written into ``folder`` and left out here."""
        png = self.source().png
        if len(png) <= LARGEST_EMBEDDED:
            return self
        with atomic_path(folder / self.file_name) as temporary:
            temporary.write_bytes(png)
        return self.model_copy(update={"png": None})

    def fetched(self, folder: Path) -> "SourceRecord":
        """Return the record with its picture, read out of ``folder`` where it stands there."""
        path = folder / self.file_name
        if self.png is not None or not path.is_file():
            return self
        return self.model_copy(update={"png": base64.b64encode(path.read_bytes()).decode("ascii")})


class Scene(Record):
    """A batch of pictures: their latent and their turns.

    A condition has one entry a row, or one for all. Values are recorded for rows that are not simply those of their
    seeds. Of inverted pictures the sources are
    recorded, and which row is which; without values they are inverted again.
    """

    seeds: list[int | None]
    condition: dict[str, list[str]] = Field(default_factory=dict)
    truncation: float = 1.0
    values: dict[str, TensorRecord] | None = None
    turns: list[TurnRecord] = Field(default_factory=list)
    sources: list[SourceRecord] = Field(default_factory=list)
    rows: list[int] = Field(default_factory=list)

    @classmethod
    def of(cls, latent: Latent, turns: Sequence[Turn] = ()) -> "Scene":
        """Record a latent and turns."""
        anchor = latent.anchor or Anchor(())
        again = bool(anchor.states) or all(seed is not None for seed in latent.seeds)
        values = None if again else {name: TensorRecord.of(values) for name, values in latent.values.items()}
        unlike = {source.digest: source for source in anchor.sources}
        return cls(
            seeds=list(latent.seeds),
            condition={name: _once(entries) for name, entries in latent.condition.items()},
            truncation=latent.truncation,
            values=values,
            turns=[TurnRecord.of(turn) for turn in turns if not turn.idle],
            sources=[SourceRecord.of(source) for source in unlike.values()],
            rows=[list(unlike).index(source.digest) for source in anchor.sources],
        )

    def latent(self, generator: Generator) -> Latent:
        """Return the latent: drawn again from its seeds, found again from its pictures, or read."""
        sources = [record.source() for record in self.sources]
        if not (all(0 <= row < len(sources) for row in self.rows) and len(self.rows) in (0, len(self.seeds))):
            raise BrokenFile("the recipe names pictures that it does not have; use another copy of it")
        if self.values is None and self.rows:
            return concatenate([_inverted(source, generator) for source in sources]).rows(self.rows)
        if self.values is None:
            seeds = [seed for seed in self.seeds if seed is not None]
            return generator.sample(seeds, condition=self.condition, truncation=self.truncation)
        return Latent(
            values={name: record.tensor().to(generator.device) for name, record in self.values.items()},
            condition={
                name: tuple(entries * len(self.seeds) if len(entries) == 1 else entries)
                for name, entries in self.condition.items()
            },
            seeds=tuple(self.seeds),
            truncation=self.truncation,
            anchor=Anchor(tuple(sources[row] for row in self.rows)) if self.rows else None,
        )

    def with_sources(self, change: Callable[[SourceRecord], SourceRecord]) -> "Scene":
        """Return the scene with every source changed."""
        return self.model_copy(update={"sources": [change(source) for source in self.sources]})


def _once(entries: Sequence[str]) -> list[str]:
    return [entries[0]] if len(entries[0]) > LONG_ENTRY and len(set(entries)) == 1 else list(entries)


def _inverted(source: Source, generator: Generator) -> Latent:
    settings = dict(source.settings)
    sampler = settings.pop("sampler", None)
    try:
        with Image.open(io.BytesIO(source.png), formats=["PNG"]) as picture:
            return generator.invert(picture, sampler=Sampler(**sampler) if sampler else None, **settings).latent
    except (TypeError, ValueError, OSError) as error:
        raise BrokenFile(f"the recipe's inversion cannot be done again ({error}); use another copy of it") from error


class PartRecord(Record):
    """Those pictures of a sheet that one scene can hold.

    Attributes:
        scene: the pictures.
        sampler: their steps, for generators that have a choice of them.
        places: where each of them lies on the sheet, counted from 0.
    """

    scene: Scene
    sampler: dict[str, Any] | None = None
    places: list[int]


class WalkRecord(Record):
    """The keyframes of a walk."""

    scenes: list[Scene]
    seconds: list[float]
    fps: int = 30
    loop: bool = False
    easing: Easing = "smooth"


class FilmRecord(Record):
    """How a scene is filmed: its pictures coming about ("reverse"), or its source dissolving ("forward").

    Attributes:
        direction: which of them.
        seconds: see `steer.film.Film`.
        stills: see `steer.film.Film`.
        seeds: of a forward film, its random walks.
        steps: of a forward film, moments after the clean picture; a reverse one has those of the recipe's sampler.
    """

    direction: Literal["forward", "reverse"]
    seconds: float = 4.0
    stills: int = STILLS
    seeds: tuple[int, ...] = (0,)
    steps: int = 50

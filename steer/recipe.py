"""Recipes: everything a picture, a walk or a film depends on, as one JSON."""

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
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from steer.anchor import Anchor, Source
from steer.backend import Sampler
from steer.errors import BadInput, BrokenFile, WrongGenerator
from steer.files import atomic_path, write_text
from steer.film import STILLS, Film, Forward, Reverse
from steer.generator import Generator, Progress
from steer.knob import Knob, Window, adopt, knob_from_parts, knob_to_parts
from steer.latent import Latent, concatenate
from steer.layout import Layout
from steer.pictures import read_recipe_text, save_picture
from steer.registry import load_generator
from steer.shapes import Pictures
from steer.steering import Steering, Turn
from steer.video import VIDEO_SUFFIXES, write_video
from steer.walk import Easing, Keyframe, Walk

RECIPE_SCHEMA = 3
"""2 came with inverted pictures, 3 with films of how a picture comes about."""

LONG_ENTRY = 1_000
"""An entry of a condition, such as a sketch, with more characters than this is recorded once where all rows have it."""

LARGEST_EMBEDDED = 2**20
"""The largest source picture that a recipe holds itself, in bytes; larger ones stand in a file beside it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TensorRecord(_Record):
    """A float32 tensor as base64 text."""

    shape: tuple[int, ...]
    data: str

    @classmethod
    def of(cls, tensor: Tensor) -> "TensorRecord":
        """Record a tensor."""
        array = np.ascontiguousarray(tensor.detach().cpu().float().numpy())
        return cls(shape=tuple(tensor.shape), data=base64.b64encode(array.tobytes()).decode("ascii"))

    def tensor(self) -> Tensor:
        """Return the tensor."""
        try:
            array = np.frombuffer(base64.b64decode(self.data, validate=True), dtype="<f4").reshape(self.shape)
        except ValueError as error:
            raise BrokenFile(f"the recipe's numbers are damaged ({error}); use another copy of it") from error
        return torch.from_numpy(array.copy())


class TurnRecord(_Record):
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


class SourceRecord(_Record):
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


class Scene(_Record):
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


class WalkRecord(_Record):
    """The keyframes of a walk."""

    scenes: list[Scene]
    seconds: list[float]
    fps: int = 30
    loop: bool = False
    easing: Easing = "smooth"


class FilmRecord(_Record):
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


class Recipe(_Record):
    """Everything that pictures, or the frames of a walk, depend on; JSON in a file or inside a picture or video.

    Attributes:
        generator: name of the generator.
        fingerprint: hash of its weights.
        scene: the pictures, or None for a walk.
        walk: the walk, or None for pictures.
        film: how the scene is filmed, or None for pictures and walks.
        sampler: steps, for generators that have a choice of them.
        chunk: how many rows were run at a time; the same number gives the same bits.
        layout: how the pictures lie on the sheet.
    """

    schema_version: int = RECIPE_SCHEMA
    kind: Literal["latent-steer recipe"] = "latent-steer recipe"
    generator: str
    fingerprint: str
    scene: Scene | None = None
    walk: WalkRecord | None = None
    film: FilmRecord | None = None
    sampler: dict[str, Any] | None = None
    chunk: int | None = None
    layout: Layout = Layout()

    @classmethod
    def of(
        cls,
        generator: Generator,
        latent: Latent,
        steering: Steering | None = None,
        *,
        sampler: Sampler | None = None,
        chunk: int | None = None,
        layout: Layout | None = None,
    ) -> "Recipe":
        """Record what `Generator.decode` would be given."""
        return cls(
            generator=generator.name,
            fingerprint=generator.fingerprint,
            scene=Scene.of(latent, steering.turns if steering else ()),
            sampler=vars(walked) if (walked := generator.sampler_of(latent, sampler)) else None,
            chunk=chunk,
            layout=layout or Layout(),
        )

    @classmethod
    def of_walk(cls, walk: Walk, layout: Layout | None = None) -> "Recipe":
        """Record a walk."""
        record = WalkRecord(
            scenes=[Scene.of(keyframe.latent, keyframe.turns) for keyframe in walk.keyframes],
            seconds=[keyframe.seconds for keyframe in walk.keyframes],
            fps=walk.fps,
            loop=walk.loop,
            easing=walk.easing,
        )
        return cls(
            generator=walk.generator.name,
            fingerprint=walk.generator.fingerprint,
            walk=record,
            sampler=vars(walked) if (walked := walk.sampler or walk.generator.sampler) else None,
            layout=layout or Layout(),
        )

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """Read a recipe's JSON.

        Raises:
            BrokenFile: it is no recipe, or one of a newer schema.
        """
        try:
            recipe = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "its beginning"
            raise BrokenFile(f"this is no usable recipe: at {where}: {first['msg']}; use another copy of it") from error
        if recipe.schema_version > RECIPE_SCHEMA:
            raise BrokenFile(
                f"the recipe has schema {recipe.schema_version}, newer than {RECIPE_SCHEMA}; update latent-steer"
            )
        if (recipe.scene is None) == (recipe.walk is None):
            raise BrokenFile("a recipe holds either a scene, which may be filmed, or a walk")
        return recipe

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Read a recipe from its JSON file, or from a picture or video made by the toolkit.

        Raises:
            BadInput: there is no such file, or it carries no recipe.
            BrokenFile: what it carries is no usable recipe.
        """
        path = Path(path)
        if path.suffix.lower() == ".json" and path.is_file():
            text: str | None = path.read_text(encoding="utf-8", errors="replace")
        else:
            text = read_recipe_text(path)
        if text is None:
            raise BadInput(f"'{path}' carries no recipe; only files made by this toolkit do, and lose it when edited")
        return cls.parse(text)._with_sources(lambda source: source.fetched(path.parent))

    def _with_sources(self, change: Callable[[SourceRecord], SourceRecord]) -> "Recipe":
        if self.scene is not None:
            return self.model_copy(update={"scene": self.scene.with_sources(change)})
        assert self.walk is not None
        scenes = [scene.with_sources(change) for scene in self.walk.scenes]
        return self.model_copy(update={"walk": self.walk.model_copy(update={"scenes": scenes})})

    def json_text(self) -> str:
        """Return the recipe as JSON."""
        return self.model_dump_json(exclude_none=True)

    def load_generator(self, device: str = "auto") -> Generator:
        """Load the generator that the recipe names."""
        return load_generator(self.generator, device)

    def _accept(self, generator: Generator | None, insist: bool) -> tuple[Generator, str | None]:
        generator = generator or self.load_generator()
        if generator.fingerprint == self.fingerprint:
            return generator, None
        if not insist:
            raise WrongGenerator("the recipe", self.fingerprint, generator.fingerprint, "insist=True (--insist)")
        return generator, generator.fingerprint

    def _scene_of(self, scene: Scene, generator: Generator, insist_on: str | None) -> tuple[Latent, tuple[Turn, ...]]:
        return scene.latent(generator), tuple(record.turn(insist_on) for record in scene.turns)

    def latent(self, generator: Generator | None = None, *, insist: bool = False) -> Latent:
        """Return the latent of its pictures, without their turns.

        Raises:
            WrongGenerator: the generator has other weights.
            BadInput: it is the recipe of a walk.
        """
        if self.scene is None:
            raise BadInput("this is the recipe of a walk; give that of a picture")
        generator, _ = self._accept(generator, insist)
        return self.scene.latent(generator)

    def render(
        self, generator: Generator | None = None, *, insist: bool = False, progress: Progress | None = None
    ) -> Pictures:
        """Make the pictures again, bit for bit; (batch, 3, height, width) in [0, 1].

        Args:
            generator: the generator, if it is loaded already.
            insist: use it though it has other weights than the recipe was made for.
            progress: called after every stage.

        Raises:
            WrongGenerator: the generator has other weights.
            BadInput: it is the recipe of a walk or film; save it to a video.
        """
        if self.scene is None:
            raise BadInput("this is the recipe of a walk: save it as .mp4, .gif or .webp, or use .to_walk().frames()")
        if self.film is not None:
            raise BadInput("this is the recipe of a film: save it as .mp4, .gif, .webp or .png, or use .to_film()")
        generator, insist_on = self._accept(generator, insist)
        latent, turns = self._scene_of(self.scene, generator, insist_on)
        with torch.no_grad():
            return generator.decode(
                latent, Steering(turns), sampler=self._sampler(), progress=progress, chunk=self.chunk
            )

    def to_walk(self, generator: Generator | None = None, *, insist: bool = False) -> Walk:
        """Return the walk.

        Raises:
            BadInput: it is a recipe of pictures.
        """
        if self.walk is None:
            raise BadInput("this is the recipe of pictures, not of a walk: save it as .png, .jpg or .webp")
        generator, insist_on = self._accept(generator, insist)
        parts = [self._scene_of(scene, generator, insist_on) for scene in self.walk.scenes]
        keyframes = [Keyframe(*part, seconds) for part, seconds in zip(parts, self.walk.seconds, strict=True)]
        return Walk(generator, keyframes, self.walk.fps, self.walk.loop, self.walk.easing, self._sampler())

    def to_film(self, generator: Generator | None = None, *, insist: bool = False) -> Film:
        """Return the film of how its pictures come about, or of one dissolving.

        Raises:
            WrongGenerator: the generator has other weights.
            BadInput: it is a recipe of pictures or of a walk.
            BrokenFile: it is to dissolve a picture that it does not have.
        """
        if self.film is None or self.scene is None:
            raise BadInput("this is no recipe of a film; film what it makes: steer.Film.reverse(generator, latent)")
        generator, insist_on = self._accept(generator, insist)
        record = self.film
        if record.direction == "reverse":
            latent, turns = self._scene_of(self.scene, generator, insist_on)
            process = Reverse(generator, latent, Steering(turns), self._sampler())
            return Film(process, record.seconds, record.stills)
        if not self.scene.sources:
            raise BrokenFile("the recipe dissolves a picture that it does not have; use another copy of it")
        source = self.scene.sources[0].source()
        return Film(Forward(generator, source, record.seeds, record.steps), record.seconds, record.stills)

    def _sampler(self) -> Sampler | None:
        return Sampler(**self.sampler) if self.sampler else None

    def image(self, generator: Generator | None = None, *, insist: bool = False) -> Image.Image:
        """Make the sheet of pictures, or the strip of a film's stills."""
        if self.film is not None:
            return self.to_film(generator, insist=insist).strip(self.layout)
        return self.layout.sheet(self.render(generator, insist=insist))

    def save(
        self,
        path: str | Path,
        generator: Generator | None = None,
        *,
        insist: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Write the recipe (.json), its pictures (.png, .jpg, .webp) or its video (.mp4, .gif, .webp).

        A film is written as a video, or as a strip of stills (.png, .jpg). Pictures and videos carry the recipe. The
        file is written whole or not at all. A source picture of more than 1 MiB is written beside it, named after its
        hash.
        """
        suffix = Path(path).suffix.lower()
        kept = self._with_sources(lambda source: source.set_apart(Path(path).parent))
        if suffix == ".json":
            write_text(path, kept.model_dump_json(indent=1, exclude_none=True))
        elif self.walk is not None:
            if suffix not in VIDEO_SUFFIXES:
                raise BadInput(f"a walk is saved as {', '.join(sorted(VIDEO_SUFFIXES))} or .json, not '{suffix}'")
            walk = self.to_walk(generator, insist=insist)
            sheets = (self.layout.sheet(frame) for frame in walk.frames(progress))
            write_video(sheets, path, fps=walk.fps, recipe_json=kept.json_text())
        elif self.film is not None:
            film = self.to_film(generator, insist=insist)
            if suffix in VIDEO_SUFFIXES:
                frames = film.frames(self.layout, progress)
                write_video(frames, path, fps=film.fps, recipe_json=kept.json_text())
            else:
                save_picture(film.strip(self.layout, progress), path, kept.json_text())
        else:
            pictures = self.render(generator, insist=insist, progress=progress)
            save_picture(self.layout.sheet(pictures), path, kept.json_text())

"""Recipes: everything a picture or a walk depends on, as one JSON."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from steer.backend import Sampler
from steer.errors import BadInput, BrokenFile, WrongGenerator
from steer.files import write_text
from steer.generator import Generator, Progress
from steer.knob import Knob, Window, adopt, knob_from_parts, knob_to_parts
from steer.latent import Latent
from steer.layout import Layout
from steer.pictures import read_recipe_text, save_picture
from steer.registry import load_generator
from steer.shapes import Pictures
from steer.steering import Steering, Turn
from steer.video import VIDEO_SUFFIXES, write_video
from steer.walk import Easing, Keyframe, Walk

RECIPE_SCHEMA = 1


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


class Scene(_Record):
    """A batch of pictures: their latent and their turns.

    Values are recorded for rows that are not simply those of their seeds.
    """

    seeds: list[int | None]
    condition: dict[str, list[str]] = Field(default_factory=dict)
    truncation: float = 1.0
    values: dict[str, TensorRecord] | None = None
    turns: list[TurnRecord] = Field(default_factory=list)

    @classmethod
    def of(cls, latent: Latent, turns: Sequence[Turn] = ()) -> "Scene":
        """Record a latent and turns."""
        from_seeds = all(seed is not None for seed in latent.seeds)
        values = None if from_seeds else {name: TensorRecord.of(values) for name, values in latent.values.items()}
        return cls(
            seeds=list(latent.seeds),
            condition={name: list(entries) for name, entries in latent.condition.items()},
            truncation=latent.truncation,
            values=values,
            turns=[TurnRecord.of(turn) for turn in turns if not turn.idle],
        )

    def latent(self, generator: Generator) -> Latent:
        """Return the latent, drawn again from its seeds or read."""
        if self.values is None:
            seeds = [seed for seed in self.seeds if seed is not None]
            return generator.sample(seeds, condition=self.condition, truncation=self.truncation)
        return Latent(
            values={name: record.tensor().to(generator.device) for name, record in self.values.items()},
            condition={name: tuple(entries) for name, entries in self.condition.items()},
            seeds=tuple(self.seeds),
            truncation=self.truncation,
        )


class WalkRecord(_Record):
    """The keyframes of a walk."""

    scenes: list[Scene]
    seconds: list[float]
    fps: int = 30
    loop: bool = False
    easing: Easing = "smooth"


class Recipe(_Record):
    """Everything that pictures, or the frames of a walk, depend on; JSON in a file or inside a picture or video.

    Attributes:
        generator: name of the generator.
        fingerprint: hash of its weights.
        scene: the pictures, or None for a walk.
        walk: the walk, or None for pictures.
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
            sampler=vars(sampler) if sampler else None,
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
            sampler=vars(walk.sampler) if walk.sampler else None,
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
            raise BrokenFile(f"this is no usable recipe: at {where}: {first['msg']}") from error
        if recipe.schema_version > RECIPE_SCHEMA:
            raise BrokenFile(
                f"the recipe has schema {recipe.schema_version}, newer than {RECIPE_SCHEMA}; update latent-steer"
            )
        if (recipe.scene is None) == (recipe.walk is None):
            raise BrokenFile("a recipe holds either a scene or a walk")
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
            return cls.parse(path.read_text(encoding="utf-8", errors="replace"))
        text = read_recipe_text(path)
        if text is None:
            raise BadInput(f"'{path}' carries no recipe; only files made by this toolkit do, and lose it when edited")
        return cls.parse(text)

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
            BadInput: it is the recipe of a walk; save it to a video.
        """
        if self.scene is None:
            raise BadInput("this is the recipe of a walk: save it as .mp4, .gif or .webp, or use .to_walk().frames()")
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

    def _sampler(self) -> Sampler | None:
        return Sampler(**self.sampler) if self.sampler else None

    def image(self, generator: Generator | None = None, *, insist: bool = False) -> Image.Image:
        """Make the sheet of pictures."""
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

        Pictures and videos carry the recipe. The file is written whole or not at all.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            write_text(path, self.model_dump_json(indent=1, exclude_none=True))
        elif self.walk is not None:
            if suffix not in VIDEO_SUFFIXES:
                raise BadInput(f"a walk is saved as {', '.join(sorted(VIDEO_SUFFIXES))} or .json, not '{suffix}'")
            walk = self.to_walk(generator, insist=insist)
            frames = (np.asarray(self.layout.sheet(frame)) for frame in walk.frames(progress))
            write_video(frames, path, fps=walk.fps, recipe_json=self.json_text())
        else:
            pictures = self.render(generator, insist=insist, progress=progress)
            save_picture(self.layout.sheet(pictures), path, self.json_text())

"""Recipes: everything a picture, a walk or a film depends on, as one JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from pydantic import BaseModel, ValidationError

from steer.backend import Sampler
from steer.door import expect
from steer.errors import BadInput, BrokenFile, UnknownName, WrongGenerator
from steer.files import write_text
from steer.film import Film, Forward, Reverse
from steer.generator import Generator, Progress
from steer.latent import Latent
from steer.layout import Layout
from steer.pictures import read_recipe_text, save_picture
from steer.registry import load_generator
from steer.scene import FilmRecord, PartRecord, Record, Scene, SourceRecord, WalkRecord
from steer.shapes import Pictures
from steer.steering import Steering, Turn
from steer.video import VIDEO_SUFFIXES, write_video
from steer.walk import Keyframe, Walk

RECIPE_SCHEMA = 4
"""2 came with inverted pictures, 3 with films of how a picture comes about, 4 with sheets of several scenes."""


class _Schema(BaseModel):
    """What a recipe of any schema says of itself."""

    schema_version: int = RECIPE_SCHEMA


def _mistake(error: ValidationError) -> str:
    """Say what is wrong with a recipe, and the cure; a field that is not known comes first, as the likely cause."""
    unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    first = (unknown or error.errors())[0]
    where = ".".join(map(str, first["loc"])) or "its beginning"
    if unknown:
        return f"it has a field '{where}', which recipes do not have; put its name right, or take the field out"
    return f"at {where}: {first['msg']}; use another copy of it"


class Recipe(Record):
    """Everything that pictures, or the frames of a walk, depend on; JSON in a file or inside a picture or video.

    Attributes:
        generator: name of the generator.
        fingerprint: hash of its weights.
        scene: the pictures, or None for a walk or a sheet of several scenes.
        parts: of a sheet whose pictures differ in what a scene says once, such as truncation, steps and windows, the
            scenes; else None.
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
    parts: list[PartRecord] | None = None
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
            sampler=walked.to_json() if (walked := generator.sampler_of(latent, sampler)) else None,
            chunk=chunk,
            layout=layout or Layout(),
        )

    @classmethod
    def of_sheet(cls, parts: Sequence[tuple["Recipe", Sequence[int]]], layout: Layout | None = None) -> "Recipe":
        """Put pictures together on one sheet that differ in what one scene says once, such as truncation or steps.

        Args:
            parts: recipes of pictures of one generator, made in chunks of the same size, each with the places where
                its pictures lie on the sheet, counted from 0.
            layout: how the pictures lie on the sheet.
        """
        first = parts[0][0]
        records = [
            PartRecord(scene=part.scene, sampler=part.sampler, places=list(places))
            for part, places in parts
            if part.scene is not None
        ]
        layout = layout or Layout()
        if len(records) == 1 and records[0].places == sorted(records[0].places):
            return first.model_copy(update={"layout": layout})
        return cls(
            generator=first.generator, fingerprint=first.fingerprint, parts=records, chunk=first.chunk, layout=layout
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
            sampler=walked.to_json() if (walked := walk.sampler or walk.generator.sampler) else None,
            layout=layout or Layout(),
        )

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """Read a recipe's JSON.

        Raises:
            BrokenFile: it is no recipe, one of a newer schema, or has a field that recipes do not have.
        """
        try:
            schema = _Schema.model_validate_json(text).schema_version
            if schema > RECIPE_SCHEMA:
                raise BrokenFile(f"the recipe has schema {schema}, newer than {RECIPE_SCHEMA}; update latent-steer")
            recipe = cls.model_validate_json(text)
        except ValidationError as error:
            raise BrokenFile(f"this is no usable recipe: {_mistake(error)}") from error
        if sum(each is not None for each in (recipe.scene, recipe.parts, recipe.walk)) != 1:
            raise BrokenFile("a recipe holds either a scene, which may be filmed, or parts of a sheet, or a walk")
        places = [place for part in recipe.parts or () for place in part.places]
        each_placed = all(len(part.places) == len(part.scene.seeds) for part in recipe.parts or ())
        if recipe.parts == [] or not each_placed or sorted(places) != list(range(len(places))):
            raise BrokenFile("the parts of the recipe's sheet do not fit together; use another copy of it")
        return recipe

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Read a recipe from its JSON file, or from a picture or video made by the toolkit.

        Raises:
            BadInput: there is no such file, or it carries no recipe.
            BrokenFile: what it carries is no usable recipe.
        """
        expect(path, str | Path, "a recipe is loaded from the path of a picture, a video or a .json")
        path = Path(path)
        if path.suffix.lower() == ".json" and path.is_file():
            text: str | None = path.read_text(encoding="utf-8", errors="replace")
        else:
            text = read_recipe_text(path)
        if text is None:
            raise BadInput(
                f"'{path}' carries no recipe, as files made here do; take other pictures in with: steer invert"
            )
        return cls.parse(text)._with_sources(lambda source: source.fetched(path.parent))

    def _with_sources(self, change: Callable[[SourceRecord], SourceRecord]) -> "Recipe":
        if self.scene is not None:
            return self.model_copy(update={"scene": self.scene.with_sources(change)})
        if self.parts is not None:
            changed = [part.model_copy(update={"scene": part.scene.with_sources(change)}) for part in self.parts]
            return self.model_copy(update={"parts": changed})
        assert self.walk is not None
        scenes = [scene.with_sources(change) for scene in self.walk.scenes]
        return self.model_copy(update={"walk": self.walk.model_copy(update={"scenes": scenes})})

    def json_text(self) -> str:
        """Return the recipe as JSON."""
        return self.model_dump_json(exclude_none=True)

    def load_generator(self, device: str = "auto") -> Generator:
        """Load the generator that the recipe names.

        Raises:
            BadInput: it was loaded from a folder, of which the recipe knows the last name only.
        """
        try:
            return load_generator(self.generator, device)
        except UnknownName as error:
            raise BadInput(
                f"the recipe was made by '{self.generator}', loaded from a folder of weights that is not here; say "
                "where it is: steer render FILE --generator FOLDER, or recipe.render(steer.load_generator(FOLDER))"
            ) from error

    def of_part(self, place: int) -> "Recipe":
        """Return the recipe of those pictures that stand in one scene with a picture of the sheet, counted from 0."""
        if self.parts is None:
            return self
        part = next(each for each in self.parts if place in each.places)
        return self.model_copy(update={"parts": None, "scene": part.scene, "sampler": part.sampler, "layout": Layout()})

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
            BadInput: it is the recipe of a walk, or its pictures differ in what one latent says once.
        """
        if self.parts is not None:
            raise BadInput("the pictures of this sheet differ in truncation, steps or windows; give a single picture")
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
        if self.parts is not None:
            return self._render_parts(self.parts, generator, insist, progress)
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

    def _render_parts(
        self, parts: Sequence[PartRecord], generator: Generator | None, insist: bool, progress: Progress | None
    ) -> Pictures:
        generator, _ = self._accept(generator, insist)
        drawn: list[Pictures] = []
        for part in parts:
            drawn.append(self.of_part(part.places[0]).render(generator, insist=insist))
            if progress is not None:
                progress(len(drawn), len(parts))
        places = torch.tensor([place for part in parts for place in part.places])
        return torch.cat(drawn)[places.argsort()]

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

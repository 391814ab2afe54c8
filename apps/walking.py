"""Walks from setting to setting: what was pinned on the way becomes keyframes."""

from collections.abc import Sequence
from dataclasses import dataclass

from steer.apps.restoring import restored
from steer.apps.setting import Model, Setting
from steer.errors import BadInput
from steer.layout import Layout
from steer.recipe import Recipe
from steer.walk import Easing, Keyframe, Walk

SMALLEST_FILM = 256
"""Height, in pixels, that small pictures are enlarged to."""

MOST_PINS = 60

PREVIEW_FPS = 8


@dataclass(frozen=True)
class Pace:
    """How a walk goes.

    Attributes:
        seconds: from each pin to the next.
        fps: frames a second.
        loop: come back to the first pin.
        easing: how the speed changes between two pins.
    """

    seconds: float = 2.0
    fps: int = 30
    loop: bool = True
    easing: Easing = "smooth"


def walk_through(pins: Sequence[Setting], pace: Pace) -> Walk:
    """Return the walk from pin to pin.

    Raises:
        BadInput: there are fewer than two pins, or they differ in what a walk cannot change.
    """
    if len(pins) < 2:
        raise BadInput("a walk goes from pin to pin, so it takes two; turn something, then pin again")
    generators = {pin.generator.name: pin.generator for pin in pins}
    truncations = sorted({pin.dice.latent.truncation for pin in pins})
    if len(generators) > 1:
        raise BadInput(f"a walk stays with one generator, and these pins show {' and '.join(generators)}; remove some")
    if len(truncations) > 1:
        said = " and ".join(f"{each:g}" for each in truncations)
        raise BadInput(f"a walk keeps one truncation, and these pins have {said}; pin them with the same one")
    samplers = {pin.dice.sampler for pin in pins}
    if len(samplers) > 1:
        raise BadInput("a walk keeps one number of steps, and these pins have several; pin them with the same one")
    if len({pin.dice.birds for pin in pins}) > 1:
        raise BadInput("every pin of a walk shows the same number of pictures; pin them with the same one")
    keyframes = [Keyframe(pin.dice.latent, pin.steering.turns, pace.seconds) for pin in pins]
    (sampler,) = samplers
    return Walk(pins[0].generator, keyframes, pace.fps, pace.loop, pace.easing, sampler)


def film_of(walk: Walk, pin: Setting) -> Recipe:
    """Return the recipe of a walk as a film: its pictures as they lie in ``pin``, small ones enlarged."""
    height = walk.generator.backend.picture_size[0]
    scale = max(1, -(-SMALLEST_FILM // height))
    layout = pin.layout if pin.dice.birds > 1 else Layout()
    return Recipe.of_walk(walk, layout.model_copy(update={"scale": scale}))


def pins_of(recipe: Recipe, model: Model) -> tuple[list[Setting], Pace]:
    """Return the pins and the pace of a recipe of a walk.

    Raises:
        BadInput: it is no recipe of a walk.
        WrongGenerator: it was made with other weights.
    """
    walk = recipe.walk
    if walk is None:
        raise BadInput("this file holds no walk; open pictures with the button above")
    pins = [restored(recipe.model_copy(update={"walk": None, "scene": scene}), model)[0] for scene in walk.scenes]
    return pins, Pace(walk.seconds[0], walk.fps, walk.loop, walk.easing)

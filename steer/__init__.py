"""latent-steer: find the knobs in any image generator, measure what each really does, and turn them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steer.attribute import Attribute, FunctionMeasurer, Masking, Measurer, Perceptive
    from steer.backend import Backend, Condition, Noisy, Sampler, Stage, State
    from steer.directions.calibrate import calibrate
    from steer.directions.dial import Dialled, dial
    from steer.directions.disentangle import disentangle
    from steer.directions.hold import Held, hold
    from steer.directions.localise import localise
    from steer.directions.match import Matched, match
    from steer.directions.perceptual import perceptual_distance
    from steer.directions.scorecard import Scorecard, scorecard
    from steer.errors import SteerError, SteerWarning
    from steer.film import Film
    from steer.finder import Finder
    from steer.generator import Generator
    from steer.inversion import Inversion, Invertible
    from steer.knob import (
        ArcKnob,
        CalibratedKnob,
        CurveKnob,
        FlowKnob,
        Knob,
        KnobSet,
        LinearKnob,
        RingKnob,
        Window,
        adopt,
        load_knobs,
    )
    from steer.latent import Latent, concatenate
    from steer.layout import Layout
    from steer.pictures import sheet
    from steer.recipe import Recipe
    from steer.registry import (
        describe_pictures,
        find,
        list_attributes,
        list_finders,
        list_generators,
        load_finder,
        load_generator,
        load_measurer,
        measure_attributes,
        shipped_knobs,
    )
    from steer.seeds import parse_seeds
    from steer.space import Space
    from steer.steering import Steering, Turn
    from steer.strips import strip
    from steer.walk import Keyframe, Walk

_MODULES = {
    "attribute": "Attribute FunctionMeasurer Masking Measurer Perceptive",
    "backend": "Backend Condition Noisy Sampler Stage State",
    "directions.calibrate": "calibrate",
    "directions.dial": "Dialled dial",
    "directions.disentangle": "disentangle",
    "directions.hold": "Held hold",
    "directions.localise": "localise",
    "directions.match": "Matched match",
    "directions.perceptual": "perceptual_distance",
    "directions.scorecard": "Scorecard scorecard",
    "errors": "SteerError SteerWarning",
    "film": "Film",
    "finder": "Finder",
    "generator": "Generator",
    "inversion": "Inversion Invertible",
    "knob": "ArcKnob CalibratedKnob CurveKnob FlowKnob Knob KnobSet LinearKnob RingKnob Window adopt load_knobs",
    "latent": "Latent concatenate",
    "layout": "Layout",
    "pictures": "sheet",
    "recipe": "Recipe",
    "registry": (
        "find list_attributes list_finders list_generators "
        "describe_pictures load_finder load_generator load_measurer measure_attributes shipped_knobs"
    ),
    "seeds": "parse_seeds",
    "space": "Space",
    "steering": "Steering Turn",
    "strips": "strip",
    "walk": "Keyframe Walk",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "ArcKnob",
    "Attribute",
    "Backend",
    "CalibratedKnob",
    "Condition",
    "CurveKnob",
    "Dialled",
    "Film",
    "Finder",
    "FlowKnob",
    "FunctionMeasurer",
    "Generator",
    "Held",
    "Inversion",
    "Invertible",
    "Keyframe",
    "Knob",
    "KnobSet",
    "Latent",
    "Layout",
    "LinearKnob",
    "Masking",
    "Matched",
    "Measurer",
    "Noisy",
    "Perceptive",
    "Recipe",
    "RingKnob",
    "Sampler",
    "Scorecard",
    "Space",
    "Stage",
    "State",
    "SteerError",
    "SteerWarning",
    "Steering",
    "Turn",
    "Walk",
    "Window",
    "adopt",
    "calibrate",
    "concatenate",
    "describe_pictures",
    "dial",
    "disentangle",
    "find",
    "hold",
    "list_attributes",
    "list_finders",
    "list_generators",
    "load_finder",
    "load_generator",
    "load_knobs",
    "load_measurer",
    "localise",
    "match",
    "measure_attributes",
    "parse_seeds",
    "perceptual_distance",
    "scorecard",
    "sheet",
    "shipped_knobs",
    "strip",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import steer`` and ``steer --help`` stay quick."""
    if name == "__version__":
        from importlib.metadata import version

        value = version("latent-steer")
    elif name in _HOMES:
        value = getattr(import_module(f"steer.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'steer' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

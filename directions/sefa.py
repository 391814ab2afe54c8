"""Closed-form factorisation: turn a space along what the layers that it is fed into amplify most.

After Shen & Zhou (2021), SeFa, arXiv 2007.06600, section 3.2, with the directions sorted by their strength.
"""

import time
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from steer.directions.components import principal, signed
from steer.directions.plausible import with_ranges
from steer.directions.readings import deviations
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import WHOLE, KnobSet, LinearKnob, Provenance, Window


@dataclass(frozen=True)
class Layer:
    """An affine layer that a space is fed into.

    Attributes:
        name: the space of what comes out of it.
        matrix: (values that come out, values that go in), in float64.
        interval: the part of the way, 0 to 1, in which it is fed.
        weight: how much of that a window covers, 0 to 1.
    """

    name: str
    matrix: Tensor
    interval: tuple[float, float]
    weight: float


@dataclass(frozen=True)
class SeFa:
    """Finds the directions that the layers a space is fed into amplify most, from their weights alone.

    Attributes:
        space: where to turn.
        components: how many knobs.
        window: the part of the way, 0 to 1, in which the knobs act; only layers in it are looked at. In a BigGAN the
            first layer stands at the beginning, and the batch norms of the blocks follow.
        normalise: whether every value that comes out counts alike, as in the paper; else strong ones count more, and
            for dice the result is that of ``pca`` over all of these layers at once.
        measure_ranges: whether to look at pictures for the plausible range of every knob; left out, -3 to 3 sigmas.
        truncation: of the pictures that ranges are measured on.
    """

    space: str = "z"
    components: int = 10
    window: tuple[float, float] = (0.0, 1.0)
    normalise: bool = True
    measure_ranges: bool = False
    truncation: float = 1.0

    def find(self, generator: Generator, *, progress: Progress | None = None) -> KnobSet:
        """Find the knobs ``sefa0``, ``sefa1``, ..., the strongest first; the largest entry of each is positive.

        The report holds the layers with the weight that the window gives each, and for every knob its ``strength``:
        the share of all amplification (sum of squares) that is along it.

        Raises:
            BadInput: nothing in the window is an affine function of the space; the message names spaces that do.
        """
        space, window = generator.space(self.space), Window(*self.window)
        if self.components < 1:
            raise BadInput(f"sefa takes 1 component or more, not {self.components}")
        started = time.perf_counter()
        layers = affine_layers(generator, self.space, window)
        if not layers:
            raise BadInput(_refusal(generator, self.space))
        rows = [normalize(layer.matrix, dim=1) if self.normalise else layer.matrix for layer in layers]
        stacked = torch.cat([layer.weight * matrix for layer, matrix in zip(layers, rows, strict=True)])
        found = principal(stacked, torch.eye(stacked.shape[1], dtype=torch.float64), self.components)
        directions = deviations(generator, self.space, found.directions)[:, None] * found.directions
        strengths = (found.variances / found.total)[: len(directions)].tolist()

        knobs = {}
        for index, (direction, strength) in enumerate(zip(directions, strengths, strict=True)):
            scores = {"strength": strength}
            origin = Provenance(generator.name, generator.fingerprint, "sefa", asdict(self), scores)
            shaped = signed(direction).float().reshape(space.shape)
            knobs[f"sefa{index}"] = LinearKnob(f"sefa{index}", self.space, shaped, window=window, provenance=origin)
        report = {
            "space": self.space,
            "layers": {layer.name: round(layer.weight, 4) for layer in layers},
            "strength": strengths,
            "seconds": round(time.perf_counter() - started, 4),
        }
        return with_ranges(generator, KnobSet(knobs, report), self.measure_ranges, self.truncation, progress)


def affine_layers(generator: Generator, space: str, window: Window = WHOLE) -> list[Layer]:
    """Return the layers within a window that are affine functions of a space, in the order in which they are met."""
    layers: list[Layer] = []
    fed, weight = (0.0, 1.0), 0.0
    for stage in generator.backend.stages(generator.sample([0]), None):
        if space in stage.spaces:
            fed, weight = stage.interval, window.weight(stage.interval)  # what is met later is fed from here
        for name in sorted(stage.spaces - {space}) if weight > 0 else ():
            matrix = generator.backend.linear_map(name, space)
            if matrix is not None:
                layers.append(Layer(name, matrix.detach().cpu().double().flatten(1), fed, weight))
    return layers


def _refusal(generator: Generator, space: str) -> str:
    """Return why there is nothing to find, and what can be done."""
    if anywhere := [layer.name for layer in affine_layers(generator, space)]:
        return f"the window holds none of the layers that are affine in '{space}', {', '.join(anywhere)}; widen it"
    others = ", ".join(name for name in generator.spaces if affine_layers(generator, name))
    instead = f"turn one of: {others}" if others else "there is none in this generator; find directions by pca or probe"
    return f"no layer of '{generator.name}' is an affine function of '{space}'; {instead}"

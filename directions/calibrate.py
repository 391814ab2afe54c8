"""Calibration: a knob's scale laid out so that a turn of 1 is one spread of the attribute, as it really answers."""

from dataclasses import replace

import numpy as np
import torch

from steer.attribute import Attribute, Measurer
from steer.directions.figures import isotonic
from steer.directions.plausible import plausible_range
from steer.directions.readings import circular_mean, labeller, read_pictures, worded
from steer.directions.swept import Array
from steer.door import A_KNOB, expect
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import CalibratedKnob, Knob, LinearKnob, RingKnob
from steer.steering import Steering

FIRST_SEED = 4_000_000
"""The first sample on which scales are measured; ranges and scorecards use others."""

POINTS = 13
"""Places along the knob where the attribute is looked at; round a ring every 30 degrees."""

BEYOND = 1.0
"""How far a scale goes on beyond the knob's range, in its unit: samples start on either side of the middle."""

SMALLEST_RISE = 0.02
"""Neighbouring levels differ by this many spreads or more; between nearer ones the attribute stands still."""


def calibrate(
    generator: Generator,
    knob: Knob,
    *,
    samples: int = 48,
    measurer: Measurer | None = None,
    progress: Progress | None = None,
) -> CalibratedKnob:
    """Measure what a knob's attribute is at every place along it, and count in that.

    Every sample is brought to each of 13 places along the knob, and the attribute averaged there over all samples. Of
    these levels the nearest rising ones make the scale. The knob is turned over where its attribute falls along it.

    Args:
        generator: what the knob turns.
        knob: a knob that is meant for a linear attribute, or for an angle if it is a ring.
        samples: how many.
        measurer: what reads the attribute; by default the one that finders learn from.
        progress: called with the number of pictures.

    Returns:
        The knob with the new scale, its range measured anew.

    Raises:
        BadInput: the knob is meant for no such attribute, or the attribute does not answer to it.
    """
    expect(knob, Knob, A_KNOB)
    generator = worded(generator)
    measurer = measurer if measurer is not None else labeller(generator)
    attribute = measurer.attributes.get(knob.attribute or "")
    ring = isinstance(knob, RingKnob)
    fits = attribute is not None and attribute.kind == ("circular" if ring else "linear")
    if not isinstance(knob, LinearKnob | RingKnob) or attribute is None or not fits:
        raise BadInput(
            f"the knob '{knob.name}' of kind '{knob.kind}' is meant for no "
            f"{'angle' if ring else 'number'} that '{measurer.name}' measures, so it has no scale"
        )
    if knob.edges:
        raise BadInput(f"the knob '{knob.name}' changes on the way, so it has no one scale; find one at a single place")
    low, high = (-180.0, 180.0) if ring else (knob.range[0] - BEYOND, knob.range[1] + BEYOND)
    places = np.linspace(low, high, POINTS)
    readings = _readings_at(generator, knob, places, samples, measurer, attribute, progress)
    levels = _level(attribute, readings)
    if levels[-1] < levels[0]:
        knob, places, levels = _turned_over(knob), -places[::-1], levels[::-1]
    kept = _rising(knob, attribute, levels)
    scale = CalibratedKnob(
        knob.name,
        knob,
        torch.from_numpy(places[kept].copy()).float(),
        torch.from_numpy(isotonic(levels)[kept]).float(),
        unit="degree" if ring else "spread",
        window=knob.window,
        attribute=knob.attribute,
        provenance=knob.provenance,
    )
    return replace(scale, range=plausible_range(generator, scale, measurer=measurer))


def _readings_at(
    generator: Generator,
    knob: Knob,
    places: Array,
    samples: int,
    measurer: Measurer,
    attribute: Attribute,
    progress: Progress | None,
) -> Array:
    """Return the attribute of every sample at every place along a knob, (samples, places) in its unit."""
    latent = generator.sample(range(FIRST_SEED, FIRST_SEED + samples))
    rows = [row for row in range(samples) for _ in places]
    here = knob.coordinate(generator.observe(latent, knob.space)).cpu()  # (samples,)
    amounts = torch.from_numpy(places).float() - here[:, None]
    turned = Steering([(knob, amounts.flatten())])
    read = read_pictures(generator, latent.rows(rows), measurer.measure, turned, progress=progress)
    readings: Array = read[attribute.name].double().numpy().reshape(samples, len(places))
    return readings


def _level(attribute: Attribute, readings: Array) -> Array:
    """Return the mean of an attribute at each place, in spreads; of angles in degrees, followed round the circle."""
    if attribute.kind == "circular":
        return np.unwrap(circular_mean(readings), period=360)
    level: Array = readings.mean(0) / attribute.spread
    return level


def _turned_over(knob: LinearKnob | RingKnob) -> LinearKnob | RingKnob:
    """Return a knob that goes the other way."""
    range = (-knob.range[1], -knob.range[0])
    if isinstance(knob, LinearKnob):
        return replace(knob, direction=-knob.direction, range=range)
    return replace(knob, plane=torch.stack([knob.plane[0], -knob.plane[1]]), range=range)


def _rising(knob: Knob, attribute: Attribute, levels: Array) -> list[int]:
    """Return the places at which the level has risen since the last one of them.

    Raises:
        BadInput: it rises by less than a spread in all; a ring's not by one turn of the circle.
    """
    circle = attribute.kind == "circular"
    least = SMALLEST_RISE * (attribute.spread if circle else 1)
    rise = float(levels[-1] - levels[0])
    if not (abs(rise - 360) < 1 if circle else rise >= 1):
        what = f"{rise:.0f} degrees once round" if circle else f"{rise:.2g} spreads over its range"
        raise BadInput(f"'{attribute.name}' moves by {what} of the knob '{knob.name}', too little to count in")
    fitted, kept = isotonic(levels), [0]
    for place in np.arange(1, len(levels) - circle):
        if fitted[place] - fitted[kept[-1]] >= least and (not circle or fitted[-1] - fitted[place] >= least):
            kept.append(int(place))
    return [*kept, len(levels) - 1] if circle else kept

"""Localise: find the narrowest part of the way to the picture in which a knob still does all it is meant to do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch

from steer.attribute import Measurer
from steer.directions.readings import labeller, worded
from steer.directions.trial import COMPARED, COMPARED_FROM, REPORTED, REPORTED_FROM, Eyes, Trial
from steer.door import SOME_KNOBS, expect
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import Knob, KnobSet, Window
from steer.registry import load_measurer

EDGES = 9
"""At most so many places at which a window may begin or end; a way of more stages is looked at more coarsely."""

AS_GOOD = 0.05
"""Windows whose leakage is within this part of the least are as good; the narrowest of them is taken."""


def localise(
    generator: Generator,
    knobs: Mapping[str, Knob],
    *,
    lock: Sequence[str] = (),
    keep: float = 0.9,
    measurer: Measurer | None = None,
    judge: Measurer | None = None,
    progress: Progress | None = None,
) -> KnobSet:
    """Try every window on the way, and give each knob the one that disturbs least and keeps the target's gain.

    Args:
        generator: what the knobs turn.
        knobs: any, each meant for an attribute; their own windows are not looked at.
        lock: what must not be disturbed, as for `disentangle`; by default every other number and angle.
        keep: the smallest share of the gain without a window.
        measurer: what windows are compared by; by default the one that finders learn from.
        judge: what the report is from; by default the generator's own.
        progress: called as the work goes on.

    Returns:
        The knobs under their names, each with its window. The report has for each the ``window``; ``before``, without
        one, and ``after``, as `disentangle` reports them; and ``tried``: every window with its ``gain`` and
        ``leakage_rms``, by the measurer.

    Raises:
        BadInput: a knob is meant for nothing that is measured, or ``keep`` is no share.
        UnknownName: there is no such attribute to lock.
    """
    expect(knobs, Mapping, SOME_KNOBS)
    if not 0 < keep <= 1:
        raise BadInput(f"the share of the gain to keep is above 0 and at most 1, not {keep}")
    generator = worded(generator)
    measurer = measurer if measurer is not None else labeller(generator)
    judge = judge if judge is not None else load_measurer(generator.backend.measurer)
    for knob in knobs.values():
        if knob.attribute not in measurer.attributes:
            known = ", ".join(measurer.attributes)
            raise BadInput(f"the knob '{knob.name}' is meant for nothing that '{measurer.name}' measures: {known}")
    latent = generator.sample(range(COMPARED_FROM, COMPARED_FROM + COMPARED))
    compared = Trial(generator, Eyes.of(measurer, lock, generator, latent), COMPARED_FROM, COMPARED)
    reported = Trial(generator, Eyes.of(judge, lock, generator, latent), REPORTED_FROM, REPORTED)
    windows = {space: _windows(generator, space) for space in {knob.space for knob in knobs.values()}}
    total, done = sum(len(windows[knob.space]) for knob in knobs.values()), 0
    placed: dict[str, Knob] = {}
    report: dict[str, Any] = {}
    for name, knob in knobs.items():
        amounts = [knob.range[0], knob.range[0] / 2, knob.range[1] / 2, knob.range[1]]
        tried = []
        for window in windows[knob.space]:
            figures = compared.figures(_within(knob, window), amounts)
            tried.append((window, figures["gain"], figures["leakage_rms"]))
            done += 1
            if progress is not None:
                progress(done, total)
        best = _best(tried, keep)
        placed[name] = _within(knob, best)
        report[name] = {
            "window": [best.start, best.end],
            "before": reported.figures(_within(knob, Window()), amounts),
            "after": reported.figures(placed[name], amounts),
            "tried": [
                {"window": [window.start, window.end], "gain": gain, "leakage_rms": leakage}
                for window, gain, leakage in tried
            ],
        }
    return KnobSet(placed, report)


def _within(knob: Knob, window: Window) -> Knob:
    return replace(knob, window=window)


def _windows(generator: Generator, space: str) -> list[Window]:
    """Return every window between the edges of the stages in which a space is met, the whole way first."""
    with torch.no_grad():
        stages = generator.backend.stages(generator.sample([COMPARED_FROM]), generator.sampler)
    met = [stage.interval for stage in stages if space in stage.spaces]
    edges = sorted({edge for interval in met for edge in interval})
    coarse = [edges[round(place * (len(edges) - 1) / (EDGES - 1))] for place in range(EDGES)]
    chosen = edges if len(edges) <= EDGES else coarse
    between = [Window(start, end) for start, end in combinations(chosen, 2)]
    whole = Window()
    return [whole, *(window for window in between if window != whole)]


def _best(tried: Sequence[tuple[Window, float, float]], keep: float) -> Window:
    """Return the narrowest of the windows that leak least among those that keep the gain; the whole way comes first."""
    whole_gain = tried[0][1]
    kept = [each for each in tried if each[1] >= keep * whole_gain]
    least = min(leakage for _, _, leakage in kept)
    as_good = [each for each in kept if each[2] <= least * (1 + AS_GOOD)]
    return min(as_good, key=lambda each: (each[0].end - each[0].start, each[2]))[0]

"""Disentangle: correct knobs so that what must not change changes least, as measured, while the target still turns.

The step of a knob at a sample is linear in its direction (for a ring, in its plane). So is, for small steps, every
attribute's answer to it; the mean square of all that must not change is then a quadratic form of the direction, whose
smallest value for a given mean answer of the target has a closed form. Corrections of several strengths are tried on
other samples by really turning; the knob that was given stays unless one of them leaks clearly less.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from steer.attribute import Attribute, Measurer
from steer.directions.plausible import plausible_range
from steer.directions.readings import labeller, worded
from steer.directions.slopes import Slopes, measure_slopes
from steer.directions.swept import Array
from steer.directions.trial import COMPARED, COMPARED_FROM, FIRST_SEED, REPORTED, REPORTED_FROM, Eyes, Trial, target_of
from steer.door import SOME_KNOBS, expect
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import Knob, KnobSet, LinearKnob, RingKnob, Window
from steer.latent import Latent
from steer.registry import load_measurer

LARGEST_BASIS = 64
"""In spaces with more dice, or none, knobs are corrected within the span of all that are given."""

PULLS = (0.03, 0.3, 3.0)
"""How strongly a correction is drawn back to the knob that was given, against the mean of the quadratic form."""

NO_PULL = 1e-6

WORTH_IT = 0.9
"""A correction is taken where this part of the leakage is left or less: a smaller gain on few samples may be luck."""

CLIPPED = 0.95
"""Slopes beyond this quantile of their size count as that: where an angle flips round, one step says anything."""

Turnable = LinearKnob | RingKnob


def disentangle(
    generator: Generator,
    knobs: Mapping[str, Knob],
    *,
    lock: Sequence[str] = (),
    samples: int = 48,
    measurer: Measurer | None = None,
    judge: Measurer | None = None,
    progress: Progress | None = None,
) -> KnobSet:
    """Correct every knob of a set against what else it changes.

    Args:
        generator: what the knobs turn.
        knobs: linear and ring knobs of one space, each meant for an attribute.
        lock: what must not change: attributes by name, and "background" for all that is not the thing itself. By
            default every other number and angle that is measured.
        samples: on how many the slopes are measured.
        measurer: what the correction goes by; by default the one that finders learn from.
        judge: what the report is from; by default the generator's own.
        progress: called as the work goes on.

    Returns:
        The knobs under their names. The report has for each ``before`` and ``after``: ``gain``, the root mean square
        in spreads per unit, ``leakage`` of everything locked and ``leakage_rms`` of all, by the judge on unseen
        samples; ``pull``, how strongly the correction was held back, null where none takes a tenth of the leakage
        away; and ``floor``, what part of the given knob's leakage no straight knob of that gain can avoid, because it
        differs from sample to sample.

    Raises:
        BadInput: a knob is of another kind or space, or meant for nothing that is measured.
        UnknownName: there is no such attribute to lock.
    """
    expect(knobs, Mapping, SOME_KNOBS)
    generator = worded(generator)
    measurer = measurer if measurer is not None else labeller(generator)
    judge = judge if judge is not None else load_measurer(generator.backend.measurer)
    given = {name: _turnable(knob, measurer) for name, knob in knobs.items()}
    if len({knob.space for knob in given.values()}) != 1:
        raise BadInput("knobs are disentangled in one space at a time; give those of one")
    latent = generator.sample(range(FIRST_SEED, FIRST_SEED + samples))
    eyes, judging = (Eyes.of(each, lock, generator, latent) for each in (measurer, judge))
    compared = Trial(generator, eyes, COMPARED_FROM, COMPARED)
    reported = Trial(generator, judging, REPORTED_FROM, REPORTED)
    basis = _basis(generator, list(given.values()))
    slopes: dict[Window, Slopes] = {}
    corrected: dict[str, Knob] = {}
    report: dict[str, Any] = {}
    for number, (name, knob) in enumerate(given.items()):
        if knob.window not in slopes:
            slopes[knob.window] = _slopes(generator, latent, knob, basis, eyes)
        corrected[name], report[name] = _corrected(knob, slopes[knob.window], compared, reported)
        if progress is not None:
            progress(number + 1, len(given))
    return KnobSet(corrected, report)


def _turnable(knob: Knob, measurer: Measurer) -> Turnable:
    attribute = measurer.attributes.get(knob.attribute or "")
    wanted = "circular" if isinstance(knob, RingKnob) else "linear"
    if not isinstance(knob, LinearKnob | RingKnob) or attribute is None or attribute.kind != wanted:
        raise BadInput(
            f"the knob '{knob.name}' of kind '{knob.kind}' cannot be corrected; take linear and ring knobs that are "
            f"meant for a number or an angle that '{measurer.name}' measures, such as knobs.only('size', 'x')"
        )
    return knob


def _parameters(knob: Turnable) -> torch.Tensor:
    """Return what a knob's step is linear in, (1 or 2, *shape), a ring's orthonormal plane or a unit direction."""
    return knob.plane if isinstance(knob, RingKnob) else (knob.direction / knob.direction.norm())[None]


def _basis(generator: Generator, knobs: Sequence[Turnable]) -> Array:
    """Return orthonormal directions to correct within, (directions, values)."""
    space = generator.space(knobs[0].space)
    count = math.prod(space.shape)
    if space.isotropic and count <= LARGEST_BASIS:
        return np.eye(count)
    given = torch.cat([_parameters(knob).flatten(1) for knob in knobs]).double().cpu().numpy()
    _, strengths, axes = np.linalg.svd(given, full_matrices=False)
    return np.asarray(axes[strengths > 1e-6 * strengths[0]])


def _slopes(generator: Generator, latent: Latent, knob: Turnable, basis: Array, eyes: Eyes) -> Slopes:
    """Measure the slopes of every number and angle within a knob's window, the largest clipped."""
    numbers: dict[str, Attribute] = {
        name: attribute for name, attribute in eyes.measurer.attributes.items() if attribute.kind != "categorical"
    }
    measured = measure_slopes(generator, latent, knob.space, basis, numbers, eyes.measurer.measure, window=knob.window)
    ends = {name: float(np.quantile(np.abs(values), CLIPPED)) for name, values in measured.slopes.items()}
    return replace(
        measured, slopes={name: values.clip(-ends[name], ends[name]) for name, values in measured.slopes.items()}
    )


def _corrected(knob: Turnable, slopes: Slopes, compared: Trial, reported: Trial) -> tuple[Turnable, dict[str, Any]]:
    """Return the knob that leaks least and what is to be said of it."""
    amounts = [knob.range[0], knob.range[0] / 2, knob.range[1] / 2, knob.range[1]]
    given = slopes.within(_parameters(knob))
    form, answer = _quadratic(given, slopes, target_of(knob), compared.eyes.others(target_of(knob)))
    forms: dict[float | None, Turnable] = {None: knob}
    for pull in PULLS:
        forms[pull] = _remade(knob, slopes, _least(form, answer, given.flatten(), pull).reshape(given.shape))
    leakage = {pull: compared.figures(each, amounts)["leakage_rms"] for pull, each in forms.items()}
    best = min(leakage, key=lambda pull: leakage[pull])
    if leakage[best] > WORTH_IT * leakage[None]:
        best = None
    before, least = (
        math.sqrt(max(float(each @ form @ each), 0))
        for each in (given.flatten(), _least(form, answer, given.flatten(), NO_PULL))
    )
    said = {
        "pull": best,
        "floor": round(least / max(before, 1e-12), 4),
        "before": reported.figures(knob, amounts),
        "after": reported.figures(forms[best], amounts),
    }
    chosen = forms[best]
    if best is not None:
        scores = {**knob.provenance.scores, "disentangled": {"pull": best, "floor": said["floor"]}}
        chosen = replace(chosen, provenance=replace(knob.provenance, scores=scores))
        ends = plausible_range(compared.generator, chosen, measurer=compared.eyes.measurer)
        chosen = replace(chosen, range=ends)
    return chosen, said


def _quadratic(given: Array, slopes: Slopes, target: str, locked: Sequence[str]) -> tuple[Array, Array]:
    """Return the mean square of what is locked as a quadratic form, and the mean answer of the target as a vector.

    Both act on the parameters of the knob, flat. That the target answers differently from sample to sample counts as
    a leakage, too.
    """
    if len(given) == 2:  # a ring's step: a quarter turn of where the sample stands in the plane
        first, second = (slopes.places @ given.T).T
        lever = np.stack([-second, first], axis=1)  # (samples, 2)
    else:
        lever = np.ones((len(slopes.places), 1))

    def answers(name: str) -> Array:
        """Return how an attribute of each sample answers to each parameter, (samples, parameters)."""
        return np.asarray((lever[:, :, None] * slopes.slopes[name][:, None, :]).reshape(len(lever), -1))

    own = answers(target)
    varied = own - own.mean(0)
    form = sum((answers(name).T @ answers(name) for name in locked), varied.T @ varied) / len(lever)
    return form, own.mean(0)


def _least(form: Array, answer: Array, given: Array, pull: float) -> Array:
    """Return the parameters with the least form, drawn back to those given, at the same mean answer of the target."""
    strength = pull * np.trace(form) / len(form)
    inverse = np.linalg.inv(form + max(strength, 1e-12) * np.eye(len(form)))
    drawn = inverse @ (strength * given)
    correction = inverse @ answer
    missing = answer @ given - answer @ drawn
    least: Array = drawn + missing / max(float(answer @ correction), 1e-12) * correction
    return least


def _remade(knob: Turnable, slopes: Slopes, parameters: Array) -> Turnable:
    """Return the knob with other parameters, as long as it was; of a plane the nearest orthonormal one."""
    if isinstance(knob, RingKnob):
        left, _, right = np.linalg.svd(parameters, full_matrices=False)
        return replace(knob, plane=slopes.without(left @ right).reshape(knob.plane.shape))
    unit = parameters[0] / np.linalg.norm(parameters[0])
    return replace(knob, direction=slopes.without(unit).reshape(knob.shape) * knob.direction.norm().cpu())

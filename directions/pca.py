"""Principal components: turn one space along what varies most in another.

After Härkönen et al. (2020), GANSpace, arXiv 2004.02546, section 3. Where the observed layer is affine in the dice,
what their sampling and regression converge to is known in closed form: the right singular vectors of its matrix.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from steer.backend import Sampler, Stage
from steer.directions.components import (
    HASHED,
    Components,
    Covariance,
    Estimate,
    Projection,
    Regression,
    Stability,
    isotropic,
    largest_angle,
    normalized,
    principal,
    signed,
)
from steer.directions.plausible import with_ranges
from steer.directions.readings import WHOLE_WAY, batches, passed, space_values, worded
from steer.errors import BadInput
from steer.generator import Generator, Progress
from steer.knob import KnobSet, LinearKnob, Provenance, Window
from steer.latent import Latent
from steer.space import Space

FIRST_SEED = 10_000_000
"""The first seed that is sampled; each ``seed`` of a finder has its own ten million."""

FIRST_CHECKPOINT = 1_000
LARGEST_SPACE = 4_096
BATCH_VALUES = 2**22
"""Observed values held in memory at a time, over all samples of a batch."""

CLEAR_GAP = 0.05
"""Neighbouring components are told apart where their variances differ by this part."""


@dataclass(frozen=True)
class PCA:
    """Finds the directions of one space along which another varies most.

    Attributes:
        observe: where to look: any space that is not plain dice.
        space: where to turn; the observed space itself, or one that is met before it.
        components: how many knobs.
        samples: the most samples that are drawn, where there is no closed form.
        condition: what to ask for, such as ``{"label": "robin"}``; left out, everything mixed.
        sampler: steps, for generators that have a choice of them; left out, the generator's draft.
        at: the part of the way to look at and to turn in, for an inner space that is met in many stages.
        per_stage: whether a space that is turned by its own components gets others in each of these stages; else those
            of the mean over them.
        fit: how what turns a layer is found from samples. "reduced_rank" takes what the turned space explains of the
            layer, and the components of that; "components" takes those of the layer, whatever causes them, and then
            what is turned with each, as GANSpace does.
        seed: another seed draws other samples.
        truncation: see `Generator.sample`.
        tolerance: sampling stops when the components turned by less than this many degrees while the number of
            samples doubled.
        measure_ranges: whether to look at pictures for the plausible range of every knob, which takes about a second
            each; left out, -3 to 3 sigmas.
    """

    observe: str = "layer:0"
    space: str = "z"
    components: int = 10
    samples: int = 20_000
    condition: Mapping[str, str] | None = None
    sampler: Sampler | None = None
    at: tuple[float, float] = WHOLE_WAY
    per_stage: bool = True
    fit: Literal["reduced_rank", "components"] = "reduced_rank"
    seed: int = 0
    truncation: float = 1.0
    tolerance: float = 2.0
    measure_ranges: bool = False

    def find(self, generator: Generator, *, progress: Progress | None = None) -> KnobSet:
        """Find the knobs ``pc0``, ``pc1``, ...; the largest entry of each direction is positive.

        The report holds the method, the explained variance ratio of each component (its share of the variance that
        the turned space causes linearly), how much of the observed variance that is (``linear_share``), the number
        of samples, and how many degrees the components turned at each doubling of them. What was sampled also has
        ``angle_90``: the 90 % interval, in degrees, by which the component of each rank turns when samples are drawn
        anew, by bootstrap; where it is large, the component is not to be told from its neighbours. In a space that is
        met in many stages it is that of the least steady one.

        In a space that is met in many stages the components of each are put into the order, and given the sign, of
        those most like them in the stage before (Haas et al., 2024, arXiv 2303.11073, align signs); the report has how
        like they are (``alignment``, cosines between neighbours) and the ratios of every stage; those of the whole are
        their means.

        Raises:
            BadInput: the observed space is plain dice, or never changes, or is met before the turned one; or the turned
                one is too big, or the generator has no choice of steps.
        """
        generator = worded(generator.with_sampler(self.sampler or generator.sampler or generator.draft))
        turned = self._check(generator)
        started = time.perf_counter()
        parts, edges, report = self._closed_form(generator) or self._stream(generator, progress)
        calculated = time.perf_counter()

        parts, alignment = aligned(parts)
        ratios = torch.stack([(part.variances / part.total)[: len(part.directions)] for part in parts])
        means = ratios.mean(0).tolist()
        options = {**asdict(self), "sampler": generator.sampler.to_json() if generator.sampler else None}
        knobs = {}
        for index in range(len(means)):
            scores = {"explained_variance_ratio": means[index]}
            scores |= {"angle_90": report["angle_90"][index]} if index < len(report.get("angle_90", ())) else {}
            provenance = Provenance(generator.name, generator.fingerprint, "pca", options, scores)
            stacked = torch.stack([part.directions[index] for part in parts]).float().reshape(-1, *turned.shape)
            direction = stacked if edges else stacked[0]
            knobs[f"pc{index}"] = LinearKnob(
                f"pc{index}", self.space, direction, window=Window(*self.at), provenance=provenance, edges=edges
            )
        report |= {
            "observe": self.observe,
            "space": self.space,
            "explained_variance_ratio": means,
            "linear_share": parts[0].linear_share,
        }
        if edges:
            along = {"edges": list(edges), "explained_variance_ratio": ratios.tolist(), "alignment": alignment}
            report["along_the_way"] = along
        report["seconds"] = round(calculated - started, 4)
        return with_ranges(generator, KnobSet(knobs, report), self.measure_ranges, self.truncation, progress)

    def _check(self, generator: Generator) -> Space:
        observed, turned = generator.space(self.observe), generator.space(self.space)
        if observed.isotropic:
            others = ", ".join(name for name, space in generator.spaces.items() if not space.isotropic)
            raise BadInput(
                f"every direction of '{self.observe}' has the same spread, so there are no principal ones; "
                f"observe one of: {others}"
            )
        if self.components < 1 or self.samples < 100 or self.tolerance < 0 or self.seed < 0:
            raise BadInput("pca takes at least 1 component, 100 samples, a tolerance of 0 degrees and a seed of 0")
        size = math.prod(turned.shape)
        if self.observe != self.space:
            if size > LARGEST_SPACE:
                raise BadInput(
                    f"'{self.space}' has {size} values, over the {LARGEST_SPACE} that can be turned by what another "
                    f"space does; turn a smaller one, or observe '{self.space}' itself"
                )
            stages = generator.backend.stages(generator.sample([0]), None)
            if _first(stages, self.space) > _first(stages, self.observe):
                raise BadInput(f"'{self.observe}' is met before '{self.space}' and does not depend on it; swap the two")
        return turned

    def _closed_form(self, generator: Generator) -> "_Found | None":
        """Return the right singular vectors of the matrix from dice to the observed values, where there is one."""
        turned = generator.space(self.space)
        matrix = generator.backend.linear_map(self.observe, self.space) if self.observe != self.space else None
        if matrix is None or not turned.isotropic:
            return None
        matrix = matrix.detach().cpu().double().flatten(1)
        found = principal(matrix, isotropic(turned), self.components)
        return [found], (), {"method": "closed form", "samples": 0}

    def _stream(self, generator: Generator, progress: Progress | None) -> "_Found":
        """Return components estimated from samples, drawn until they hold still; memory does not grow with them."""
        observed, turned = generator.space(self.observe), generator.space(self.space)
        same = self.observe == self.space
        dice = turned.isotropic and turned.kind == "input"
        estimates: list[Estimate] = []
        stabilities: list[Stability] = []
        size = min(max(BATCH_VALUES // math.prod(observed.shape), 16), 256)

        drawn, checkpoint = 0, FIRST_CHECKPOINT
        edges: tuple[float, ...] = ()
        before: list[Components] = []
        history: list[dict[str, float]] = []
        while drawn < self.samples and not (history and history[-1]["degrees"] <= self.tolerance):
            for rows in batches(min(checkpoint, self.samples) - drawn, size):
                latent = self._draw(generator, range(drawn, drawn + len(rows)), mirrored=dice)
                met = passed(generator, latent, self.observe, at=self.at, per_stage=self.per_stage and same)
                turns = None if same else space_values(generator, latent, self.space)
                edges = met.edges
                for part, values in enumerate(met.values.double()):
                    if part == len(estimates):
                        estimates.append(self._estimate(turned, same=same))
                        stabilities.append(self._stability(turned, same=same))
                    estimates[part].add(values if turns is None else turns, values)
                    stabilities[part].add(values if turns is None else turns, values, paired=dice)
                drawn += len(rows)
                if progress is not None:
                    progress(drawn, self.samples)
            now = [estimate.components() for estimate in estimates]
            if not all(len(part.directions) for part in now):
                raise BadInput(f"'{self.observe}' never changes, so nothing in it varies most; observe another space")
            if before:
                turned_by = max(_turned_by(*pair) for pair in zip(before, now, strict=True))
                history.append({"samples": drawn, "degrees": round(turned_by, 3)})
            before, checkpoint = now, 2 * checkpoint
        angles = zip(*(stability.angles() for stability in stabilities), strict=False)
        fitted = "streaming covariance" if same else _METHODS[self.fit]
        report = {
            "method": fitted,
            "samples": drawn,
            "convergence": history,
            "converged": bool(history) and history[-1]["degrees"] <= self.tolerance,
            "angle_90": [max(ends, key=lambda end: end[1]) for ends in angles],
        }
        return before, edges, report

    def _estimate(self, turned: Space, *, same: bool) -> Estimate:
        """Return what the samples go into."""
        if same:
            return Covariance(self.components)
        regression = Regression(self.components, turned)
        return regression if self.fit == "reduced_rank" else Projection(Covariance(self.components), regression)

    def _stability(self, turned: Space, *, same: bool) -> Stability:
        """Return what says how far the components turn, by the same estimate of hashed values."""

        def make() -> Estimate:
            of_hashed = Regression(self.components, HASHED)
            if same:
                return of_hashed
            regression = Regression(self.components, turned)
            return regression if self.fit == "reduced_rank" else Projection(of_hashed, regression)

        return Stability(make, same=same, seed=self.seed)

    def _draw(self, generator: Generator, numbers: range, *, mirrored: bool) -> Latent:
        """Draw samples; mirrored, every second one has the dice of the one before with the other sign.

        What is even in the dice (the mean, the class, every square) then cancels instead of adding noise.
        """
        first = FIRST_SEED * (1 + self.seed)
        seeds = [first + (number // 2 if mirrored else number) for number in numbers]
        condition = dict(self.condition) if self.condition else None
        latent = generator.sample(seeds, condition=condition, truncation=self.truncation)
        if not mirrored:
            return latent
        values = latent[self.space]
        signs = torch.tensor([1.0 - 2 * (number % 2) for number in numbers], device=values.device)
        return latent.with_values(self.space, signs.reshape(-1, *(1,) * (values.dim() - 1)) * values)


_METHODS: Mapping[str, str] = {"reduced_rank": "streaming regression", "components": "streaming projection"}

_Found = tuple[list[Components], tuple[float, ...], dict[str, Any]]
"""Components of each part of the way, where the parts begin and end, and the report."""


def aligned(parts: Sequence[Components]) -> tuple[list[Components], list[list[float]]]:
    """Give the components of each part the order and the signs of those most like them in the part before.

    Those of the first part get their largest entry positive.

    Returns:
        As many components in each part as the least have, and the cosines of each pair of neighbours, (parts - 1,
        components).
    """
    count = min(len(part.directions) for part in parts)
    first = torch.stack([signed(direction) for direction in parts[0].directions[:count]])
    ordered, cosines = [replace(parts[0], directions=first)], []
    for part in parts[1:]:
        like = normalized(ordered[-1].directions) @ normalized(part.directions[:count]).T  # (before, now)
        order = _matched(like.abs())
        along = like[torch.arange(count), order]
        signs = torch.where(along < 0, -1.0, 1.0).to(like)
        rest = torch.arange(count, len(part.variances))
        ordered.append(
            replace(
                part,
                directions=signs[:, None] * part.directions[order],
                variances=part.variances[torch.cat([order, rest])],
            )
        )
        cosines.append(along.abs().tolist())
    return ordered, cosines


def _matched(likeness: Tensor) -> Tensor:
    """Return for every row a column of its own, the likeliest pairs first."""
    left, order = likeness.clone(), torch.zeros(len(likeness), dtype=torch.long)
    for _ in range(len(likeness)):
        row, column = divmod(int(left.argmax()), left.shape[1])
        order[row] = column
        left[row], left[:, column] = -1, -1
    return order


def _turned_by(before: Components, now: Components) -> float:
    """Return by how many degrees the leading subspaces turned, the worst of those that are clearly told apart."""
    count = min(len(before.directions), len(now.directions))
    old, new = (normalized(each.directions[:count]) for each in (before, now))
    after = torch.cat([now.variances, now.variances.new_zeros(1)])
    clear = [size for size in range(1, count + 1) if after[size] < (1 - CLEAR_GAP) * after[size - 1]] or [count]
    return max(largest_angle(old[:size], new[:size]) for size in clear)


def _first(stages: Sequence[Stage], space: str) -> int:
    """Return the first stage in which a space is met."""
    return next(stage.index for stage in stages if space in stage.spaces)

"""How well a generator inverts pictures: the reconstruction table of the DDIM paper, with every way of inverting.

After Song et al. (2021), arXiv 2010.02502, section 5.4: a picture becomes a latent and a picture again, and the error
is shown against the number of steps. What comes back is drawn from the latent alone, without the anchor.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from steer.backend import Sampler
from steer.errors import BadInput, UnknownName
from steer.generator import Generator
from steer.generators.training.pictures import read_folder
from steer.inversion import Inversion, Invertible, Report
from steer.knob import LinearKnob
from steer.pictures import to_images
from steer.prepare import prepare
from steer.progress import Progress
from steer.registry import load_generator, load_measurer
from steer.steering import Steering

STEPS = (10, 20, 50, 100)
MORE_STEPS = (*STEPS, 200, 500, 1000)
PICTURES, MORE_PICTURES = 6, 24
"""Pictures beside the two photographs."""

FIRST_SEED = 4_000_000
"""Seeds that nothing was trained on or found with."""

PUBLISHED = {10: 0.014, 20: 0.0065, 50: 0.0023, 100: 0.0009, 200: 0.0004, 500: 0.0001, 1000: 0.0001}
"""Table 2 of the paper: mean squared error over all values, by steps; a model of CIFAR-10 on its test set."""

SMALL = 1e-3
"""A turn so small, in sigmas, that it must hardly show."""

Kind = Literal["render", "sample", "photo"]


@dataclass(frozen=True)
class Row:
    """What one way of inverting reaches on one kind of picture.

    Attributes:
        method: the way.
        steps: of the sampler; None for generators that have no choice of them.
        kind: "render" (of the world that the generator learnt), "sample" (its own, where there is no such world) or
            "photo" (what it never learnt).
        mse: mean squared error over all pixels, pictures in [0, 1].
        mae_median: median of the pictures' mean absolute errors.
        mae_p90: their 90th percentile.
        max_error: the largest error of all.
        network_calls_per_step: how often the network was asked, the sampling that measures not counted; for a whole
            picture where there are no steps.
        pictures: how many there were.
    """

    method: str
    steps: int | None
    kind: Kind
    mse: float
    mae_median: float
    mae_p90: float
    max_error: float
    network_calls_per_step: float
    pictures: int


@dataclass(frozen=True)
class Reconstruction:
    """The table.

    Attributes:
        rows: the ways, each at every number of steps, on every kind of picture.
        zero_turn_bit_exact: whether every picture, inverted by the best way, is drawn again as it was given, to the
            last of 8 bits, where nothing is turned; of photographs that were given, the first six.
        small_turn_change: the largest change of a pixel in [0, 1] where these pictures are turned by a thousandth of a
            sigma along a random direction of the dice.
        given: whether the photographs were given, so that the published errors stand beside.
    """

    rows: tuple[Row, ...]
    zero_turn_bit_exact: bool
    small_turn_change: float
    given: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON, with the published errors where photographs were given."""
        return asdict(self) | ({"published_mse_cifar10": PUBLISHED} if self.given else {})

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return headings and rows of text."""
        heading = ("method", "steps", "kind", "pictures", "mse", "mae median", "mae p90", "max", "calls/step")
        published = ("published, CIFAR-10",) if self.given else ()
        return (*heading, *published), [
            (
                row.method,
                "" if row.steps is None else f"{row.steps}",
                row.kind,
                f"{row.pictures}",
                *(f"{value:.1e}" for value in (row.mse, row.mae_median, row.mae_p90, row.max_error)),
                f"{row.network_calls_per_step:.1f}",
                *(f"{PUBLISHED[row.steps]:.1e}" if row.steps in PUBLISHED else "" for _ in published),
            )
            for row in self.rows
        ]


def photographs() -> list[Tensor]:
    """Return two photographs, a temple and a flower, (3, height, width) in [0, 1]; they come with scikit-learn."""
    from sklearn.datasets import load_sample_images

    return [torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255 for image in load_sample_images().images]


def read_photographs(folder: Path, count: int, generator: Generator) -> list[Tensor]:
    """Read photographs to invert from a folder with a sub-folder per class: so many, evenly from all.

    Raises:
        BadInput: there are none, or fewer.
    """
    found = read_folder(folder, generator.backend.picture_size[0]).images
    if not 1 <= count <= len(found):
        raise BadInput(f"'{folder}' has {len(found)} pictures; take 1 to {len(found)} of them, not {count}")
    return list(found[torch.linspace(0, len(found) - 1, count).round().long()].float() / 255)


def measure_reconstruction(
    generator: Generator,
    *,
    pictures: Sequence[Tensor] | None = None,
    full: bool = False,
    steps: Sequence[int] | None = None,
    methods: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Reconstruction:
    """Invert pictures of the generator's own world, and photographs, in every way that its backend offers.

    Args:
        generator: the generator.
        pictures: photographs to invert instead, (3, height, width) in [0, 1] each.
        full: take 24 pictures and up to 1000 steps instead of 6 and up to 100.
        steps: numbers of steps instead of these, for generators that have a choice of them.
        methods: ways of inverting instead of all that there are.
        progress: called after every picture.

    Raises:
        BadInput: the generator cannot invert, or has no choice of steps.
        UnknownName: it has no such way of inverting.
    """
    backend = generator.backend
    if not isinstance(backend, Invertible):
        raise BadInput(f"'{generator.name}' cannot invert pictures, so there is nothing to measure")
    ways = methods or list(backend.inversions)
    for way in ways:
        if way not in backend.inversions:
            raise UnknownName("method of inversion", way, backend.inversions)
    kinds: dict[Kind, Sequence[Tensor]]
    if pictures is None:
        kind, own = _pictures(generator, MORE_PICTURES if full else PICTURES)
        kinds = {kind: own, "photo": photographs()}
    else:
        kinds = {"photo": pictures}
    if steps and not backend.samplers:
        raise BadInput(f"'{generator.name}' has no choice of steps; leave them out")
    counts: Sequence[int | None] = (steps or (MORE_STEPS if full else STEPS)) if backend.samplers else (None,)
    total = len(ways) * len(counts) * sum(map(len, kinds.values()))
    done = 0

    rows, exact, changed = [], True, 0.0
    for method in ways:
        for count in counts:
            sampler = Sampler(count) if count is not None else None
            for each, originals in kinds.items():
                reports, calls = [], []
                for number, picture in enumerate(originals):
                    found = generator.invert(picture, sampler=sampler, **backend.inversions[method])
                    reports.append(found.report)
                    calls.append(_calls_per_step(generator, found))
                    if method == ways[-1] and (pictures is None or number < PICTURES):
                        exact = exact and _comes_back(generator, found)
                        changed = max(changed, _changed(generator, found))
                    done += 1
                    if progress is not None:
                        progress(done, total)
                rows.append(_row(method, count, each, reports, calls))
    return Reconstruction(tuple(rows), exact, changed, given=pictures is not None)


def _pictures(generator: Generator, count: int) -> tuple[Kind, list[Tensor]]:
    """Return pictures of the world that a generator learnt, or its own where there is none, and which they are."""
    reference = load_measurer(generator.backend.measurer).reference
    kind: Kind = "render" if reference else "sample"
    drawing = load_generator(reference) if reference else generator
    with torch.no_grad():
        pictures = drawing.decode(drawing.sample(range(FIRST_SEED, FIRST_SEED + count)))
    return kind, [prepare(picture, generator.backend.picture_size).picture for picture in pictures.cpu()]


def _calls_per_step(generator: Generator, inversion: Inversion) -> float:
    stages = generator.backend.stages(inversion.latent, inversion.sampler) if inversion.sampler is not None else [None]
    return inversion.report.calls / len(stages)


def _row(method: str, steps: int | None, kind: Kind, reports: Sequence[Report], calls: Sequence[float]) -> Row:
    errors = torch.tensor([each.error for each in reports], dtype=torch.float64)
    return Row(
        method=method,
        steps=steps,
        kind=kind,
        mse=sum(10 ** (-each.psnr / 10) for each in reports) / len(reports),
        mae_median=float(errors.median()),
        mae_p90=float(errors.quantile(0.9)),
        max_error=max(each.largest_error for each in reports),
        network_calls_per_step=sum(calls) / len(calls),
        pictures=len(reports),
    )


def _comes_back(generator: Generator, inversion: Inversion) -> bool:
    with torch.no_grad():
        shown = generator.decode(inversion.latent)
    given = inversion.report.prepared.picture
    return to_images(shown)[0].tobytes() == to_images(given)[0].tobytes()


def _changed(generator: Generator, inversion: Inversion) -> float:
    """Return the largest change of a pixel by a small turn along a random direction of the dice."""
    dice = next(space for space in generator.spaces.values() if space.kind == "input" and space.isotropic)
    way = torch.randn(dice.shape, generator=torch.Generator().manual_seed(0))
    knob = LinearKnob("small", dice.name, dice.sigma * way / way.norm())
    with torch.no_grad():
        still, turned = (generator.decode(inversion.latent, Steering([(knob, amount)])) for amount in (0.0, SMALL))
    return float((turned - still).abs().max())

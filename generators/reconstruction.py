"""How well a generator inverts pictures: the reconstruction table of the DDIM paper, with every way of inverting.

After Song et al. (2021), arXiv 2010.02502, section 5.4: a picture becomes a latent and a picture again, and the error
is shown against the number of steps. What comes back is drawn from the latent alone, without the anchor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from steer.backend import Sampler
from steer.errors import BadInput
from steer.generator import Generator
from steer.inversion import Inversion, Invertible
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
            last of 8 bits, where nothing is turned.
        small_turn_change: the largest change of a pixel in [0, 1] where these pictures are turned by a thousandth of a
            sigma along a random direction of the dice.
    """

    rows: tuple[Row, ...]
    zero_turn_bit_exact: bool
    small_turn_change: float

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON."""
        return asdict(self)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return headings and rows of text."""
        heading = ("method", "steps", "kind", "pictures", "mse", "mae median", "mae p90", "max", "calls/step")
        return heading, [
            (
                row.method,
                "" if row.steps is None else f"{row.steps}",
                row.kind,
                f"{row.pictures}",
                *(f"{value:.1e}" for value in (row.mse, row.mae_median, row.mae_p90, row.max_error)),
                f"{row.network_calls_per_step:.1f}",
            )
            for row in self.rows
        ]


def photographs() -> list[Tensor]:
    """Return two photographs, a temple and a flower, (3, height, width) in [0, 1]; they come with scikit-learn."""
    from sklearn.datasets import load_sample_images

    return [torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255 for image in load_sample_images().images]


def measure_reconstruction(
    generator: Generator, *, full: bool = False, steps: Sequence[int] | None = None, progress: Progress | None = None
) -> Reconstruction:
    """Invert pictures of the generator's own world, and photographs, in every way that its backend offers.

    Args:
        generator: the generator.
        full: take 24 pictures and up to 1000 steps instead of 6 and up to 100.
        steps: numbers of steps instead of these, for generators that have a choice of them.
        progress: called after every picture.

    Raises:
        BadInput: the generator cannot invert, or has no choice of steps.
    """
    backend = generator.backend
    if not isinstance(backend, Invertible):
        raise BadInput(f"'{generator.name}' cannot invert pictures, so there is nothing to measure")
    kind, pictures = _pictures(generator, MORE_PICTURES if full else PICTURES)
    kinds: dict[Kind, list[Tensor]] = {kind: pictures, "photo": photographs()}
    if steps and not backend.samplers:
        raise BadInput(f"'{generator.name}' has no choice of steps; leave them out")
    counts: Sequence[int | None] = (steps or (MORE_STEPS if full else STEPS)) if backend.samplers else (None,)
    total = len(backend.inversions) * len(counts) * sum(map(len, kinds.values()))
    done = 0

    def inverted(pictures: Sequence[Tensor], method: str, count: int | None) -> Iterator[Inversion]:
        nonlocal done
        for picture in pictures:
            sampler = Sampler(count) if count is not None else None
            yield generator.invert(picture, sampler=sampler, **backend.inversions[method])
            done += 1
            if progress is not None:
                progress(done, total)

    rows, exact, changed = [], True, 0.0
    for method in backend.inversions:
        for count in counts:
            for kind, pictures in kinds.items():
                found = list(inverted(pictures, method, count))
                rows.append(_row(method, count, kind, generator, found))
                if method == list(backend.inversions)[-1]:
                    exact = exact and all(_comes_back(generator, inversion) for inversion in found)
                    changed = max([changed, *(_changed(generator, inversion) for inversion in found)])
    return Reconstruction(tuple(rows), exact, changed)


def _pictures(generator: Generator, count: int) -> tuple[Kind, list[Tensor]]:
    """Return pictures of the world that a generator learnt, or its own where there is none, and which they are."""
    reference = load_measurer(generator.backend.measurer).reference
    kind: Kind = "render" if reference else "sample"
    drawing = load_generator(reference) if reference else generator
    with torch.no_grad():
        pictures = drawing.decode(drawing.sample(range(FIRST_SEED, FIRST_SEED + count)))
    return kind, [prepare(picture, generator.backend.picture_size).picture for picture in pictures.cpu()]


def _row(method: str, steps: int | None, kind: Kind, generator: Generator, found: Sequence[Inversion]) -> Row:
    with torch.no_grad():
        returned = torch.cat(
            [generator.decode(each.latent.without_anchor(), sampler=each.sampler).cpu() for each in found]
        )
    missed = (returned - torch.cat([each.report.prepared.picture for each in found])).abs().double()
    per_picture = missed.mean((1, 2, 3))
    stages = len(generator.backend.stages(found[0].latent, found[0].sampler)) if steps is not None else 1
    return Row(
        method=method,
        steps=steps,
        kind=kind,
        mse=float(missed.square().mean()),
        mae_median=float(per_picture.median()),
        mae_p90=float(per_picture.quantile(0.9)),
        max_error=float(missed.max()),
        network_calls_per_step=sum(each.report.calls for each in found) / len(found) / stages,
        pictures=len(found),
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

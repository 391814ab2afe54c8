"""Sweeps: one knob turned over its range on many samples, and all that was read off their pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from steer.amounts import evenly
from steer.attribute import Attribute, Measurer
from steer.directions.readings import DOMAIN, domain, labels_of, read_pictures, sweep
from steer.generator import Generator, Progress
from steer.knob import Knob
from steer.latent import Latent

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Swept:
    """What was read off samples while one knob was turned.

    A change is always that from the sample's own unturned picture, in spreads: standard deviations of the attribute
    in the data (104 degrees for a uniform angle).

    Attributes:
        amounts: what the knob was turned by, rising, (amounts,).
        attributes: what was measured.
        readings: of every attribute, in its unit, (samples, amounts).
        changes: of every attribute, in spreads, (samples, amounts).
        in_domain: how well the measurer knows each picture, (samples, amounts) in [0, 1].
        classes: the classes that samples were asked for; one, empty text, where there are none.
        groups: the class of each sample, an index, (samples,).
        numbers: which sample each row is, (samples,).
    """

    amounts: Array
    attributes: Mapping[str, Attribute]
    readings: Mapping[str, Array]
    changes: Mapping[str, Array]
    in_domain: Array
    classes: tuple[str, ...]
    groups: Rows
    numbers: Rows

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, index: Rows) -> "Swept":
        """Return the named samples, repeats allowed."""
        return replace(
            self,
            readings={name: values[index] for name, values in self.readings.items()},
            changes={name: values[index] for name, values in self.changes.items()},
            in_domain=self.in_domain[index],
            groups=self.groups[index],
            numbers=self.numbers[index],
        )

    def moved(self, name: str) -> float:
        """Return the root-mean-square change of an attribute, in spreads."""
        return float(np.sqrt(np.square(self.changes[name]).mean()))

    @property
    def most_moved(self) -> str:
        """The attribute that changes most."""
        return max(self.changes, key=self.moved)


def sweep_knob(
    generator: Generator,
    measurer: Measurer,
    latent: Latent,
    unturned: Mapping[str, Tensor],
    knob: Knob,
    amounts: Sequence[float],
    progress: Progress | None = None,
) -> Swept:
    """Turn a knob by every amount on every row of a latent, and read the pictures.

    Args:
        generator: what draws them.
        measurer: what reads them.
        latent: the samples.
        unturned: what `readings.domain` of the measurer, attributes and all, says of their unturned pictures.
        knob: what is turned.
        amounts: by how much.
        progress: called with the number of pictures.
    """
    turning = [amount for amount in amounts if amount != 0]  # at 0 the picture is bit-equal to the unturned one
    turned = sweep(generator, latent, knob, turning, domain(measurer, attributes=True), progress=progress)
    columns = np.flatnonzero(amounts)

    def table(name: str) -> Array:
        values = np.repeat(unturned[name].double().numpy()[:, None], len(amounts), axis=1)
        values[:, columns] = turned[name].double().numpy()
        return values

    changes = {name: np.zeros((len(latent), len(amounts))) for name in measurer.attributes}
    for name, attribute in measurer.attributes.items():
        moved = attribute.difference(turned[name], unturned[name][:, None])
        changes[name][:, columns] = moved.double().numpy() / attribute.spread
    classes, groups = np.unique(labels_of(generator, latent), return_inverse=True)
    return Swept(
        amounts=np.asarray(amounts, dtype=np.float64),
        attributes=measurer.attributes,
        readings={name: table(name) for name in measurer.attributes},
        changes=changes,
        in_domain=table(DOMAIN),
        classes=tuple(classes.tolist()),
        groups=groups.astype(np.int64),
        numbers=np.arange(len(latent)),
    )


class Bench:
    """Samples of a generator on which one knob after the other is swept.

    Args:
        generator: what draws them.
        measurer: what reads them.
        seeds: which samples.
        amounts: at how many amounts, evenly over each knob's range.
    """

    def __init__(self, generator: Generator, measurer: Measurer, seeds: Sequence[int], amounts: int) -> None:
        self.generator, self.measurer, self.amounts = generator, measurer, amounts
        self.latent = generator.sample(seeds)
        self.unturned = read_pictures(generator, self.latent, domain(measurer, attributes=True))

    def sweep(self, knob: Knob, progress: Progress | None = None) -> Swept:
        """Turn a knob over its range on every sample."""
        grid = evenly(*knob.range, self.amounts)
        return sweep_knob(self.generator, self.measurer, self.latent, self.unturned, knob, grid, progress)

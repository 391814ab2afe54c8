"""What a knob can do, whatever its kind, and what can be done with any."""

from collections.abc import Mapping
from dataclasses import Field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from steer.knob.provenance import Provenance
from steer.knob.window import Window


@runtime_checkable
class Knob(Protocol):
    """Something to turn: in a space, by an amount in its own unit.

    Kinds are frozen dataclasses: files and recipes keep their fields, and `dataclasses.replace` gives a copy another
    name, range, window or provenance. What is only turned need not be one.

    Attributes:
        kind: what files and recipes call its class, such as "linear".
        name: a short name, such as "heading".
        space: the space whose values it displaces.
        shape: shape of one sample's values there.
        unit: unit of the amount: "sigma", "spread", "degree" or "absolute".
        range: the amounts between which pictures stay plausible, measured.
        window: where on the way to the picture it acts.
        attribute: the attribute it is meant to turn, where there is one.
        provenance: where it comes from.
    """

    kind: ClassVar[str]
    if TYPE_CHECKING:  # isinstance asks for no more than what turning takes
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def space(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def range(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def window(self) -> Window: ...  # noqa: D102
    @property
    def attribute(self) -> str | None: ...  # noqa: D102
    @property
    def provenance(self) -> Provenance: ...  # noqa: D102

    def displacement(self, values: Tensor, amount: Tensor, *, absolute: bool = False) -> Tensor:
        """Return what to add to unsteered ``values`` (batch, *shape) for ``amount`` (batch,).

        Exactly 0 for a relative amount of 0. An absolute amount is the coordinate to arrive at.
        """
        ...

    def coordinate(self, values: Tensor) -> Tensor:
        """Return where ``values`` stand along the knob, (batch,), in its unit."""
        ...

    def roll(self, values: Tensor, fresh: Tensor) -> Tensor:
        """Return ``values`` with what the knob's turning can change taken from ``fresh``, both (batch, *shape)."""
        ...


@runtime_checkable
class Changing(Protocol):
    """A knob that may change on the way to the picture: what its author adds to `Knob`."""

    def at(self, interval: tuple[float, float]) -> Knob:
        """Return the knob as it turns in the stage of an interval: itself, where it does not change."""
        ...


@runtime_checkable
class Situated(Protocol):
    """A knob that turns samples by what else they are made of: what its author adds to `Knob`."""

    def given(self, values: Mapping[str, Tensor]) -> Knob:
        """Return the knob as it turns samples with these values, (batch, ...) by input space."""
        ...


def given(knob: Knob, values: Mapping[str, Tensor]) -> Knob:
    """Return a knob as it turns samples with these values, (batch, ...) by input space."""
    return knob.given(values) if isinstance(knob, Situated) else knob


def is_round(knob: Knob) -> bool:
    """Whether a knob goes round a circle, so that a dial fits it: a ring, or a flow once round an angle."""
    low, high = knob.range
    return knob.kind == "ring" or (knob.unit == "degree" and high - low == 360)


def adopt(knob: Knob, fingerprint: str) -> Knob:
    """Return the knob as one made for the weights with this fingerprint: the explicit way to insist."""
    return replace(knob, provenance=replace(knob.provenance, fingerprint=fingerprint))

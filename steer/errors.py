"""What can go wrong, said so that the reader can put it right."""

from collections.abc import Iterable
from difflib import get_close_matches


class SteerError(Exception):
    """A mistake a user can make and mend; the message names the cure."""


class SteerWarning(UserWarning):
    """Something of what was asked was passed over, and the work went on; the command line says it in one line."""


class BadInput(SteerError):
    """An argument, option or file content is not usable."""


class BrokenFile(SteerError):
    """A file is corrupted, of another kind or of a newer schema."""


class Cancelled(SteerError):
    """A progress callback asked for the work to stop."""


class MissingPart(SteerError):
    """An optional part of the toolkit is not installed.

    Attributes:
        extra: the extra that brings it, as in ``pip install 'latent-steer[extra]'``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install 'latent-steer[{extra}]'")
        self.extra = extra


class UnknownName(SteerError):
    """A name is not among those there are.

    Attributes:
        kind: what was looked for, such as "generator".
        asked: the name that was asked for.
        available: the names there are.
    """

    def __init__(self, kind: str, asked: str, available: Iterable[str], hint: str = "") -> None:
        self.kind, self.asked, self.available = kind, asked, tuple(available)
        there = f"there are {', '.join(self.available)}" if self.available else "there are none"
        close = get_close_matches(str(asked), self.available, n=1)
        meant = f"did you mean '{close[0]}'?" if close else ""
        super().__init__("; ".join(filter(None, (f"no {kind} named '{asked}'", there, hint, meant))))


class WrongGenerator(SteerError):
    """A knob or recipe was made for other weights.

    Attributes:
        what: the knob or recipe.
        made_for: fingerprint it was made for.
        found: fingerprint of the generator at hand.
    """

    def __init__(self, what: str, made_for: str, found: str, insist: str) -> None:
        self.what, self.made_for, self.found = what, made_for, found
        super().__init__(
            f"{what} was made for weights {made_for[:12]}, this generator has {found[:12]}; "
            f"take one made for these, or insist with {insist}"
        )

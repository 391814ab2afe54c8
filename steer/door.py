"""The door: what a user hands in by mistake is refused here, with its cure; further in, types are trusted."""

from types import UnionType

from steer.errors import BadInput

A_GENERATOR = "a generator is what steer.load_generator(NAME) returns"
A_KNOB = "a knob is what steer.shipped_knobs(generator)[NAME] or steer.find returns"
SOME_KNOBS = "knobs are what steer.shipped_knobs(generator) or steer.find returns, or a dict of names and knobs"
A_LATENT = "a latent is what generator.sample([0, 1]) returns, with values of your own by latent.with_values('z', …)"
A_STEERING = "turns are given as steer.Steering([(knob, amount), …])"


def expect(value: object, kind: type | UnionType, wanted: str) -> None:
    """Refuse what is not of a kind.

    Args:
        value: what was handed in.
        kind: what it should be.
        wanted: the same in words, with how to come by it.

    Raises:
        BadInput: it is something else.
    """
    if not isinstance(value, kind):
        raise BadInput(f"{wanted}, not {_told(value)}")


def whole_numbers(numbers: object, wanted: str) -> list[int]:
    """Return a list of whole numbers, whatever kind of list they were given in.

    Raises:
        BadInput: they are something else, below 0, or none at all.
    """
    found: list[int] = []
    try:
        found = [int(each) for each in numbers if 0 <= each < 2**53 and each == int(each)]  # type: ignore[attr-defined]
        whole = len(found) == len(numbers) > 0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise BadInput(f"{wanted}, not {_told(numbers)}")
    return found


def _told(value: object) -> str:
    """Return how to call a value in a complaint: short ones as they are, others by their kind."""
    parts = value if isinstance(value, list | tuple) else [value]
    plain = all(each is None or isinstance(each, str | int | float) for each in parts)
    return f"{value!r:.60}" if plain else f"a {type(value).__name__}"

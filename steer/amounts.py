"""Amounts, evenly from one end of a range to the other."""


def evenly(low: float, high: float, count: int) -> list[float]:
    """Return amounts in even steps, both ends among them.

    Half-way between as much down and up lies exactly 0, which turns nothing; float32 leaves a rest there.

    >>> evenly(-1, 1, 7)[3]
    0.0
    """
    return [round(low + (high - low) * place / (count - 1), 9) + 0.0 for place in range(count)]

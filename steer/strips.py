"""Strips: one knob over its range, on several birds."""

from collections.abc import Mapping, Sequence

from steer.amounts import evenly
from steer.backend import Sampler
from steer.condition import Asked
from steer.door import A_GENERATOR, A_KNOB, expect
from steer.errors import BadInput
from steer.generator import Generator
from steer.knob import Knob, Window
from steer.latent import Latent
from steer.layout import Layout
from steer.recipe import Recipe
from steer.steering import Steering, Turn

UNIT_MARKS: Mapping[str, str] = {"sigma": "σ", "degree": "°", "absolute": ""}
"""What stands behind an amount, by the knob's unit."""


def strip(
    generator: Generator,
    knob: Knob,
    seeds: Sequence[int] | Latent,
    *,
    amounts: Sequence[float] | None = None,
    columns: int = 7,
    condition: Mapping[str, Asked | Sequence[Asked]] | None = None,
    truncation: float = 1.0,
    sampler: Sampler | None = None,
    window: Window | None = None,
    absolute: bool = False,
    steering: Steering | None = None,
) -> Recipe:
    """Lay out one knob at several amounts, a row for each seed, a column for each amount.

    Args:
        generator: what draws it.
        knob: what is turned.
        seeds: one row each; or a latent, such as an inverted picture, with its own condition and truncation.
        amounts: one column each, in the knob's unit; by default ``columns`` of them evenly over its range.
        columns: how many where no amounts are given.
        condition: what to ask for.
        truncation: see `Generator.sample`.
        sampler: steps, for generators that have a choice of them; an inverted picture has its own.
        window: where the knob acts; its own window where None.
        absolute: the amounts are coordinates to arrive at.
        steering: other turns, the same in every picture.

    Returns:
        The recipe of the strip: ``.save("strip.png")`` writes it, ``.image()`` shows it, ``.render()`` computes it.

    >>> import steer
    >>> birds = steer.load_generator("aviary")
    >>> steer.strip(birds, steer.shipped_knobs(birds)["heading"], [0, 1], columns=3).render().shape
    torch.Size([6, 3, 64, 64])
    """
    expect(generator, Generator, A_GENERATOR)
    expect(knob, Knob, A_KNOB)
    if amounts is None:
        if columns < 2:
            raise BadInput(f"a strip has at least 2 columns, not {columns}")
        amounts = evenly(*knob.range, columns)
    expect(amounts, Sequence, "amounts are a list of numbers, one a column")
    if isinstance(seeds, Latent):
        latent = seeds
    else:
        latent = generator.sample(seeds, condition=condition, truncation=truncation)
    rows = [row for row in range(len(latent)) for _ in amounts]
    turn = Turn(knob, list(amounts) * len(latent), window, absolute)
    mark = UNIT_MARKS.get(knob.unit, "")
    layout = Layout(
        columns=len(amounts),
        column_labels=tuple(f"{amount:+.3g}{mark}" for amount in amounts),
        row_labels=tuple("" if seed is None else f"{seed}" for seed in latent.seeds),
    )
    kept = steering.rows(rows, len(latent)).turns if steering is not None else ()
    return Recipe.of(generator, latent.rows(rows), Steering([*kept, turn]), sampler=sampler, layout=layout)

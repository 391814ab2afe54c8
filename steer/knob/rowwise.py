"""One number a row, for arithmetic with values of any shape."""

from torch import Tensor


def rowwise(amount: Tensor, values: Tensor) -> Tensor:
    """Return numbers (batch,) shaped to multiply values (batch, *shape) row by row, in their precision and place."""
    return amount.to(values).reshape(-1, *(1,) * (values.dim() - 1))

"""Shapes of tensors as annotations; the tests check them at every call."""

from jaxtyping import Float
from torch import Tensor

Pictures = Float[Tensor, "batch 3 height width"]
"""Pictures in [0, 1]."""

Amounts = Float[Tensor, "batch"]
"""One number a row."""

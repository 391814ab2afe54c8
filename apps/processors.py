"""How many processors a picture takes while hands move."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def half_of_the_processors() -> Iterator[None]:
    """Compute on half of the processors, in this thread only: the browser that shows what comes of it needs the rest.

    The threads of one computation meet hundreds of times in a picture, and wait for each other at work. So one that is
    pushed aside by the browser holds up all, and a picture takes many times as long as on a single processor.
    """
    everything = torch.get_num_threads()  # also lets PyTorch choose for a new thread, or it would do so in there
    with _openmp().limit(limits=max(1, everything // 2)):
        yield


@cache
def _openmp() -> ThreadpoolController:
    """Return the way to the threads themselves: `torch.set_num_threads` would speak for all of the process."""
    return ThreadpoolController().select(user_api="openmp")

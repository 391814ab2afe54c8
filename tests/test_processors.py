"""While hands move, pictures leave processors to the browser that shows them."""

from collections.abc import Iterator
from threading import Thread

import pytest
import torch
from threadpoolctl import ThreadpoolController

from steer.apps.processors import half_of_the_processors
from steer.apps.session import Session


@pytest.fixture(autouse=True)
def _two_processors() -> Iterator[None]:
    """Give this thread two, also where tests run beside each other on one each."""
    with ThreadpoolController().select(user_api="openmp").limit(limits=2):
        yield


def test_half_of_the_processors_compute_and_all_of_them_again_afterwards() -> None:
    assert torch.get_num_threads() == 2
    with half_of_the_processors():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def threads_elsewhere() -> int:
    """Return how many processors another thread has that begins now."""
    counts: list[int] = []
    other = Thread(target=lambda: counts.append(torch.get_num_threads()))
    other.start()
    other.join()
    return counts[0]


def test_other_threads_keep_all_processors_even_those_that_begin_meanwhile() -> None:
    before = threads_elsewhere()
    with half_of_the_processors():
        assert threads_elsewhere() == before


def test_what_a_hand_waits_for_is_made_on_half_of_them_and_what_is_kept_on_all() -> None:
    session, counts = Session("aviary"), []
    session.turn("size", 0.5)
    session.picture(draft=True, check=lambda: counts.append(torch.get_num_threads()))
    assert set(counts) == {1}
    session.turn("size", 0.6)
    session.picture(check=lambda: counts.append(torch.get_num_threads()))
    assert set(counts) == {1, 2}
    assert counts == sorted(counts)

"""While hands move, pictures leave processors to the browser that shows them."""

from threading import Thread

import pytest
import torch

from steer.apps.processors import half_of_the_processors
from steer.apps.session import Session

pytestmark = pytest.mark.skipif(torch.get_num_threads() < 2, reason="there is one processor only")


def test_half_of_the_processors_compute_and_all_of_them_again_afterwards() -> None:
    everything = torch.get_num_threads()
    with half_of_the_processors():
        assert torch.get_num_threads() == everything // 2
    assert torch.get_num_threads() == everything


def test_other_threads_keep_all_processors_even_those_that_begin_meanwhile() -> None:
    counts: list[int] = []
    with half_of_the_processors():
        other = Thread(target=lambda: counts.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert counts == [torch.get_num_threads()]


def test_what_a_hand_waits_for_is_made_on_half_of_them_and_what_is_kept_on_all() -> None:
    session, counts = Session("aviary"), []
    session.turn("size", 0.5)
    session.picture(draft=True, check=lambda: counts.append(torch.get_num_threads()))
    session.turn("size", 0.6)
    session.picture(check=lambda: counts.append(torch.get_num_threads()))
    everything = torch.get_num_threads()
    assert set(counts) == {everything // 2, everything}
    assert counts == sorted(counts)

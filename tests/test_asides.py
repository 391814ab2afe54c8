"""What is passed over is said to whoever asked for the work, once, and to nobody else."""

import warnings
from contextvars import copy_context
from threading import Thread

import pytest

from steer.apps.asides import asides
from steer.errors import SteerWarning


def warn(text: str, kind: type[Warning] = SteerWarning) -> None:
    warnings.warn(text, kind, stacklevel=2)


def run(thread: Thread) -> None:
    thread.start()
    thread.join()


def test_a_warning_is_said_once_however_often_it_comes_and_again_to_who_asks_again() -> None:
    first: list[str] = []
    again: list[str] = []
    for heard in (first, again):
        with asides(heard.append):
            for _ in range(2):
                warn("zebra is\n unknown")
    assert first == again == ["zebra is unknown"]


def test_threads_hear_their_own_warnings_alone() -> None:
    mine: list[str] = []
    theirs: list[str] = []

    def work() -> None:
        with asides(theirs.append):
            warn("theirs")

    with asides(mine.append):
        run(Thread(target=work))
        run(Thread(target=copy_context().run, args=(warn, "mine")))
    assert mine == ["mine"]
    assert theirs == ["theirs"]


def test_other_warnings_and_those_that_nobody_listens_to_go_their_usual_way() -> None:
    heard: list[str] = []
    with pytest.warns(SteerWarning, match="not heard"), asides(heard.append):
        run(Thread(target=warn, args=("not heard",)))
    with pytest.warns(UserWarning, match="of others"), asides(heard.append):
        warn("of others", UserWarning)
    assert heard == []

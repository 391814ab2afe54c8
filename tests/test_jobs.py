"""What a job beside the page promises."""

from threading import Event

import pytest

from steer.apps.studio.jobs import Job, Pace
from steer.errors import BadInput, Cancelled
from steer.progress import Progress


def test_a_job_says_how_far_it_is_and_returns_what_came_of_it() -> None:
    go_on = Event()

    def work(progress: Progress) -> str:
        progress(1, 4)
        go_on.wait(30)
        return "found"

    job = Job(work)
    watching = job.watch()
    paces = [next(watching)]
    while not paces[-1].total:
        paces.append(next(watching))
    assert (paces[-1].done, paces[-1].total, paces[-1].share) == (1, 4, 0.25)
    go_on.set()
    list(watching)
    assert job.result() == "found"


def test_whoever_stops_watching_stops_the_work() -> None:
    ended = Event()

    def work(progress: Progress) -> None:
        try:
            while True:
                progress(1, 2)
        finally:
            ended.set()

    job = Job(work)
    watching = job.watch()
    next(watching)
    watching.close()
    assert ended.wait(30)
    with pytest.raises(Cancelled):
        job.result()


def test_what_the_work_raises_is_raised_where_the_result_is_asked_for() -> None:
    def work(progress: Progress) -> None:
        raise BadInput("no such picture")

    job = Job(work)
    list(job.watch())
    with pytest.raises(BadInput, match="no such picture"):
        job.result()


def test_the_time_left_follows_the_pace_so_far() -> None:
    assert Pace(done=1, total=4, seconds=10).seconds_left == 30
    assert Pace(done=0, total=4, seconds=10).seconds_left is None
    assert Pace(done=3, total=0, seconds=10).share is None

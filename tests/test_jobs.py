"""What a job beside the page promises."""

from threading import Event

import pytest

from steer.apps.studio.jobs import Job, Line, Pace
from steer.errors import BadInput, Cancelled
from steer.progress import Progress


def test_a_job_says_how_far_it_is_and_returns_what_came_of_it() -> None:
    go_on = Event()

    def work(progress: Progress) -> str:
        progress(1, 4)
        go_on.wait(30)
        return "found"

    job = Job(work, Line())
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

    job = Job(work, Line())
    watching = job.watch()
    next(watching)
    watching.close()
    assert ended.wait(30)
    with pytest.raises(Cancelled):
        job.result()


def test_jobs_begin_one_after_the_other_and_know_how_many_come_first() -> None:
    line, go_on = Line(), Event()
    begun: list[str] = []

    def work(name: str) -> str:
        begun.append(name)
        go_on.wait(30)
        return name

    jobs = [Job(lambda progress, name=name: work(name), line) for name in ("first", "second", "third")]
    watching = [job.watch() for job in jobs]
    assert [next(each).ahead for each in watching] == [0, 1, 2]
    jobs[1].stop()
    assert jobs[2].pace.ahead == 1
    go_on.set()
    for each in watching:
        list(each)
    assert begun == ["first", "third"]
    assert jobs[2].result() == "third"


def test_a_stopped_job_is_given_up_at_once_and_the_next_waits_for_its_work_to_end() -> None:
    line, go_on = Line(), Event()
    slow, quick = Job(lambda progress: go_on.wait(30), line), Job(lambda progress: "done", line)
    watching = slow.watch()
    next(watching)
    slow.stop()
    list(watching)
    with pytest.raises(Cancelled):
        slow.result()
    assert next(quick.watch()).ahead == 1
    go_on.set()


def test_what_the_work_raises_is_raised_where_the_result_is_asked_for() -> None:
    def work(progress: Progress) -> None:
        raise BadInput("no such picture")

    job = Job(work, Line())
    list(job.watch())
    with pytest.raises(BadInput, match="no such picture"):
        job.result()


def test_the_time_left_follows_the_pace_so_far() -> None:
    assert Pace(done=1, total=4, seconds=10).seconds_left == 30
    assert Pace(done=0, total=4, seconds=10).seconds_left is None
    assert Pace(done=3, total=0, seconds=10).share is None

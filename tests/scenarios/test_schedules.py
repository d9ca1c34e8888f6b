"""Schedules in several real processes on one file."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

from postlude import JobState
from tests.scenarios.conftest import Serve, on_both_stores, postgres_in_the_long_form
from tests.scenarios.look import Look
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until


def moments(server: Server) -> list[datetime]:
    return sorted(datetime.fromisoformat(name) for name in server.effects("ran"))


def gaps(server: Server) -> Counter[float]:
    return Counter((after - before).total_seconds() for before, after in pairwise(moments(server)))


@on_both_stores
def test_35_four_processes_make_one_job_for_each_moment(serve: Serve) -> None:
    """`uvicorn --workers 4`, a schedule that comes every second: one job a second, which runs once."""
    with serve(uvicorn("scheduled", "--workers", "4")).start() as server:
        wait_until(lambda: len(server.says("startup complete")) == 4, "all four are there")
        seen = len(moments(server))
        wait_until(lambda: len(moments(server)) >= seen + 5, "five moments came")
        server.terminate()
        assert len(server.says("schedules: 1, the next one is 'tick' at")) == 1
    with Look.into(server) as look:
        assert len(look.jobs()) <= len(moments(server)) + look.count(JobState.QUEUED)
    assert set(Counter(moments(server)).values()) == {1}
    assert set(gaps(server)) == {1.0}, "and none is left out"
    assert not server.says("ERROR")


@postgres_in_the_long_form
def test_35_killed_and_started_again(serve: Serve) -> None:
    """What was not there while it was dead is one job; no moment comes twice."""
    server = serve(uvicorn("scheduled")).start()
    wait_until(lambda: len(moments(server)) >= 2, "two moments came")
    server.kill()
    server.start()
    seen = len(moments(server))
    wait_until(lambda: len(moments(server)) >= seen + 2, "two more came")
    server.kill()
    with Look.into(server) as look:
        assert len(look.jobs()) - len(set(moments(server))) in {0, 1}, "the last one may not have begun"
    repeated = [moment for moment, times in Counter(moments(server)).items() if times > 1]
    assert len(repeated) <= 2, "a job that was running when its process died runs again"

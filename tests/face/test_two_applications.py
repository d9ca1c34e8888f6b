"""Two applications of one process on one store: neither takes the other for dead, and none is in the other's way."""

from collections import Counter

import pytest
from fastapi import BackgroundTasks
from fastapi.testclient import TestClient

from postlude import JobState, Postlude
from tests.face.conftest import Make
from tests.face.holding import let_go, ran, started

pytestmark = pytest.mark.usefixtures("from_nothing")


def note(what: str) -> None:
    ran.append(what)


def hold(what: str) -> None:
    started.set()
    assert let_go.wait(10)
    ran.append(what)


def application(make: Make) -> tuple[TestClient, Postlude]:
    app, durable = make()

    @app.post("/note/{what}")
    def add(what: str, background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(note, what)

    @app.post("/hold/{what}")
    def add_long(what: str, background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(hold, what)

    return TestClient(app), durable


def test_one_is_closed_and_opened_again_while_the_other_works(make: Make) -> None:
    first, durable = application(make)
    second, _ = application(make)
    with first:
        assert first.post("/hold/first").status_code == 200
        assert started.wait(10)
        for turn in ("once", "again"):
            with second:  # whose start rescues what dead processes have left
                assert second.post(f"/note/{turn}").status_code == 200
        let_go.set()
        assert first.post("/note/late").status_code == 200
        jobs = durable.blocking.jobs.list()
        for job in jobs:
            durable.blocking.jobs.wait(job.id, timeout=10)
    assert Counter(ran) == Counter(["first", "once", "again", "late"])
    ended = durable.blocking.jobs.list(state=JobState.SUCCEEDED)
    assert [job.interruptions for job in ended] == [0] * 4

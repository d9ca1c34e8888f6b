"""A stored task that comes, in order, behind one that could not be stored and that did not succeed."""

from collections.abc import Iterator

import pytest
from fastapi import BackgroundTasks, Depends
from fastapi.testclient import TestClient

from postlude import JobState
from tests.face.conftest import Make, Serve, ended

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def later(what: str) -> None:
    ran.append(what)


def fail_with(thing: object) -> None:
    message = f"no use for {type(thing).__name__}"
    raise ValueError(message)


def add_at_the_end(background_tasks: BackgroundTasks) -> Iterator[None]:
    yield
    background_tasks.add_task(later, "added at the end")


def test_one_that_was_added_later_is_cancelled_and_stays_so_after_a_restart(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.get("/", dependencies=[Depends(add_at_the_end)])
    async def endpoint(background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(fail_with, object())

    with serve(app, raise_server_exceptions=False) as client:
        client.get("/")
        (job,) = durable.blocking.jobs.list()
        (job,) = ended(durable, str(job.id))
    assert job.state is JobState.CANCELLED
    with TestClient(app):
        (job,) = ended(durable, str(job.id))
    assert (job.state, ran) == (JobState.CANCELLED, [])


def test_one_of_the_same_request_can_be_retried_although_the_one_before_it_is_gone(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.get("/")
    async def endpoint(background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(fail_with, object())
        background_tasks.add_task(later, "second")
        background_tasks.add_task(later, "third")

    with serve(app, raise_server_exceptions=False) as client:
        client.get("/")
        third, second, first = durable.blocking.jobs.list()
        jobs = ended(durable, *(str(job.id) for job in (first, second, third)))
        assert [job.state for job in jobs] == [JobState.FAILED, JobState.CANCELLED, JobState.CANCELLED]
        assert ran == []
    with TestClient(app):
        durable.blocking.jobs.retry(second.id)
        jobs = ended(durable, str(second.id), str(third.id))
    assert [job.state for job in jobs] == [JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert ran == ["second", "third"]

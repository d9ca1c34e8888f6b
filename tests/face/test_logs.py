"""What a task logs and saves, and what comes along with its request, in an application as a user writes it."""

import io
import logging
from contextvars import ContextVar
from typing import Annotated

import pytest
from fastapi import Depends
from fastapi.testclient import TestClient

from postlude import BackgroundTasks, JobState, current_job, task
from postlude.errors import SettingsError
from postlude.logs import _handler
from postlude.telemetry import JobFields
from tests.face.conftest import Make, Serve, ended

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

logger = logging.getLogger(__name__)
tenant: ContextVar[str] = ContextVar("tenant")
ran: list[object] = []


@pytest.fixture(autouse=True)
def a_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, __name__)
    ran.clear()


def send(to: str) -> None:
    logger.info("sending to %s", to)


async def send_soon(to: str) -> None:
    logger.info("sending to %s", to)


@task(retries=2, backoff=0.01)
def copy_pages() -> None:
    job = current_job()
    done = job.saved or 0
    ran.append(done)
    logger.info("from page %d", done)
    job.blocking.save(done + 10)
    if job.attempt < 3:
        raise ConnectionError


async def look(*_: object) -> None:
    job = current_job()
    ran.append((tenant.get("none"), job.origin.get("request_id"), job.origin.get("traceparent")))


def look_in_a_thread() -> None:
    ran.append(tenant.get("none"))


async def of_tenant() -> None:
    tenant.set("acme")


def test_the_lines_of_a_task_are_with_its_job(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/send")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(function, "ada").id) for function in (send, send_soon)]

    with serve(app) as client:
        ids = client.post("/send").json()
        ended(durable, *ids)
    for job_id in ids:
        (line,) = durable.blocking.jobs.logs(job_id)
        assert (line.level, line.logger, line.message, line.attempt) == ("INFO", __name__, "sending to ada", 1)
        assert line.at > 1_700_000_000
    assert _handler not in logging.getLogger().handlers, "it is gone with the application"


async def test_a_job_gives_its_own_lines(make: Make) -> None:
    app, durable = make()

    @app.post("/send")
    async def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(send_soon, "ada").id)

    job_id = TestClient(app).post("/send").json()
    job = await durable.jobs.get(job_id)
    assert [line.message for line in await job.logs()] == ["sending to ada"]
    assert await durable.jobs.logs(job_id) == await job.logs()
    assert job.saved is None
    await durable.close()


def test_the_next_attempt_goes_on_where_the_last_one_was(make: Make) -> None:
    app, durable = make()
    job = durable.blocking.enqueue(copy_pages)
    with TestClient(app):
        (job,) = ended(durable, str(job.id))
    assert (job.state, job.attempts, job.saved) == (JobState.SUCCEEDED, 3, 30)
    assert ran == [0, 10, 20]
    lines = durable.blocking.jobs.logs(job.id)
    assert [(line.message, line.attempt) for line in lines] == [
        ("from page 0", 1),
        ("from page 10", 2),
        ("from page 20", 3),
    ]


def test_what_the_request_knew_is_there_in_its_tasks(make: Make, serve: Serve) -> None:
    app, durable = make(carry=[tenant])

    @app.post("/look")
    async def endpoint(_: Annotated[None, Depends(of_tenant)], tasks: BackgroundTasks) -> list[str]:
        jobs = [tasks.add_task(look), tasks.add_task(look_in_a_thread)]
        tenant.set("changed too late")
        return [str(job.id) for job in jobs]

    with serve(app) as client:
        headers = {"x-request-id": "r-1", "traceparent": TRACE}
        ended(durable, *client.post("/look", headers=headers).json())
    assert ran == [("acme", "r-1", TRACE), "acme"]


def test_42_the_request_is_known_in_another_process(make: Make) -> None:
    """The process that takes the request only stores its tasks; what runs them knows where they come from."""
    app, durable = make(carry=[f"{__name__}:tenant"], worker="off")

    @app.post("/look")
    async def endpoint(_: Annotated[None, Depends(of_tenant)], tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(look, "hunter2").id)

    with TestClient(app) as client:
        job_id = client.post("/look", headers={"x-request-id": "r-1", "traceparent": TRACE}).json()
        assert durable.blocking.jobs.get(job_id).state is JobState.QUEUED
    other, its = make(carry=[tenant])
    with TestClient(other):
        ended(its, job_id)
    assert ran == [("acme", "r-1", TRACE)]


def test_42_each_record_of_a_task_can_name_the_request(make: Make, serve: Serve) -> None:
    """In a thread and on the loop; what the endpoint itself logs is outside of tasks."""
    app, durable = make()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(JobFields())
    handler.setFormatter(logging.Formatter("%(request_id)s, %(route)s, %(traceparent)s, %(message)s"))

    @app.post("/orders/{number}")
    def endpoint(number: int, tasks: BackgroundTasks) -> list[str]:
        logger.info("order %d", number)
        return [str(tasks.add_task(function, str(number)).id) for function in (send, send_soon)]

    logger.addHandler(handler)
    try:
        with serve(app) as client:
            for number in (1, 2):
                headers = {"x-request-id": f"r-{number}", "traceparent": TRACE}
                ended(durable, *client.post(f"/orders/{number}", headers=headers).json())
    finally:
        logger.removeHandler(handler)
    of_task = [f"r-{number}, POST /orders/{{number}}, {TRACE}, sending to {number}" for number in (1, 1, 2, 2)]
    assert stream.getvalue().splitlines() == [", , , order 1", *of_task[:2], ", , , order 2", *of_task[2:]]


def test_a_job_outside_of_requests_carries_what_its_thread_knew(make: Make) -> None:
    app, durable = make(carry=[tenant])
    token = tenant.set("of the script")
    job = durable.blocking.enqueue(look)
    tenant.reset(token)
    with TestClient(app):
        ended(durable, str(job.id))
    assert ran == [("of the script", None, None)]


def test_nothing_is_carried_that_was_not_asked_for(make: Make) -> None:
    app, durable = make()
    token = tenant.set("of the script")
    job = durable.blocking.enqueue(look)
    tenant.reset(token)
    with TestClient(app):
        ended(durable, str(job.id))
    assert ran == [("none", None, None)]


def test_a_variable_that_is_not_there_keeps_the_application_from_starting(make: Make) -> None:
    app, _ = make(carry=[f"{__name__}:not_there"])
    with (
        pytest.raises(SettingsError, match=r"carry: 'tests\.face\.test_logs:not_there' cannot be imported"),
        TestClient(app),
    ):
        pass


def test_a_value_that_cannot_be_stored_is_warned_about(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    session: ContextVar[object] = ContextVar("session")
    app, durable = make(carry=[session])

    @app.post("/look")
    async def endpoint(tasks: BackgroundTasks) -> str:
        session.set(object())
        return str(tasks.add_task(look).id)

    client = TestClient(app)
    ended(durable, client.post("/look").json(), client.post("/look").json())
    said = [record.getMessage() for record in caplog.records if "'session' is not carried" in record.getMessage()]
    assert len(said) == 1


def test_two_applications_share_the_handler(make: Make, tmp_path: object) -> None:
    first, _ = make()
    second, _ = make(url=f"sqlite:///{tmp_path}/second.db")
    handlers = logging.getLogger().handlers
    with TestClient(first):
        with TestClient(second):
            assert handlers.count(_handler) == 1
        assert handlers.count(_handler) == 1
    assert _handler not in handlers


def test_an_application_that_is_switched_off_has_no_handler(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    app, _ = make()
    with TestClient(app):
        assert _handler not in logging.getLogger().handlers

"""What a task can say of its own job, in an application as a user writes it."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from postlude import (
    BackgroundTasks,
    Cancel,
    JobState,
    Retry,
    RetryPolicy,
    Snooze,
    cancel_requested,
    current_job,
    progress,
    task,
)
from postlude.job import Progress
from tests.face.conftest import Make, Serve, ended

ran: list[object] = []
gate = threading.Event()


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    ran.clear()
    gate.clear()
    yield
    gate.set()


@task(retries=RetryPolicy(3, backoff=0.01, retry_on=ConnectionError))
def send(to: str) -> None:
    ran.append(current_job().attempt)
    if len(ran) < 3:
        raise ConnectionError(to)


@task(retries=True)
async def wait_for_report() -> None:
    ran.append(current_job().attempt)
    if len(ran) == 1:
        raise Snooze(0.01)
    if len(ran) == 2:
        raise Retry("not there yet", after=0.01)
    progress(3, 3, "done")


def stop_when_asked() -> None:
    ran.append("begins")
    while not cancel_requested():
        gate.wait(0.01)
    raise Cancel


def test_a_task_that_fails_is_tried_again_when_it_is_time(make: Make) -> None:
    app, durable = make()

    @app.post("/send")
    def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(send, "a@example.com").id)

    with TestClient(app) as client:
        (job,) = ended(durable, client.post("/send").json())
    assert (job.state, job.attempts, job.error) == (JobState.SUCCEEDED, 3, None)
    assert ran == [1, 2, 3]
    assert [line.outcome for line in durable.blocking.jobs.history(job.id)] == ["failed", "failed"]


def test_a_task_says_itself_when_it_is_run_again(make: Make) -> None:
    app, durable = make()
    job = durable.blocking.enqueue(wait_for_report)
    with TestClient(app):
        (job,) = ended(durable, str(job.id))
    assert (job.state, job.attempts, job.progress) == (JobState.SUCCEEDED, 2, Progress(3, 3, "done"))
    assert ran == [1, 1, 2]


def test_a_function_in_a_thread_can_be_cancelled_in_both_modes(make: Make, serve: Serve) -> None:
    app, durable = make()
    added: list[str] = []

    @app.post("/stop")
    async def endpoint(tasks: BackgroundTasks) -> None:
        added.append(str(tasks.add_task(stop_when_asked).id))

    def cancel_when_it_runs() -> None:
        while not ran:
            gate.wait(0.001)
        durable.blocking.jobs.cancel(added[0], reason="enough")

    other = threading.Thread(target=cancel_when_it_runs)
    other.start()
    with serve(app) as client:
        client.post("/stop")
        (job,) = ended(durable, added[0])
    other.join()
    assert (job.state, job.reason) == (JobState.CANCELLED, "enough")


async def test_the_job_is_that_of_the_task_also_in_what_it_starts(make: Make) -> None:
    app, _ = make()

    async def inner() -> object:
        return current_job().id

    async def outer() -> None:
        ran.append(await asyncio.create_task(inner()))
        ran.append(await asyncio.to_thread(lambda: current_job().id))

    @app.post("/x")
    async def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(outer).id)

    job_id = await asyncio.to_thread(lambda: TestClient(app).post("/x").json())
    assert [str(each) for each in ran] == [job_id, job_id]


def test_a_job_that_is_enqueued_for_later(make: Make) -> None:
    app, durable = make()
    with TestClient(app):
        later = durable.blocking.options(delay=3600).enqueue(send, "a@example.com")
        soon = durable.blocking.options(delay=0.05, retries=0).enqueue(send, "b@example.com")
        (job,) = ended(durable, str(soon.id))
        assert job.state is JobState.FAILED, "this call asked for no retries"
        assert durable.blocking.jobs.get(later.id).state is JobState.QUEUED


def test_a_task_of_a_request_that_is_delayed(make: Make) -> None:
    app, durable = make()

    @app.post("/send")
    def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.options(delay=0.05, retries=5).add_task(send, "a@example.com").id)

    with TestClient(app) as client:
        (job,) = ended(durable, client.post("/send").json())
    assert (job.state, ran) == (JobState.SUCCEEDED, [1, 2, 3])


@task(retries=2, backoff=0.01)
def convert(path: str) -> None:
    ran.append(Path(path).read_text("utf-8"))
    if len(ran) < 3:
        raise OSError(path)


@task(retries=3, backoff=[0.02, 0.06, 0.5])
def fetch() -> None:
    ran.append(time.perf_counter())
    if len(ran) < 3:
        message = f"try {len(ran)}"
        raise ConnectionError(message)


@task(retries=1, backoff=0)
def refuse() -> None:
    if not gate.is_set():
        raise ConnectionError


def test_20_a_file_is_there_until_the_task_that_reads_it_has_succeeded(make: Make, tmp_path: Path) -> None:
    app, durable = make(allow=["os:remove"])
    path = tmp_path / "upload.txt"
    path.write_text("whole", "utf-8")

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(convert, str(path)).id), str(tasks.add_task(os.remove, str(path)).id)]

    with TestClient(app) as client:
        jobs = ended(durable, *client.post("/").json())
    assert [job.state for job in jobs] == [JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert ran == ["whole"] * 3
    assert not path.exists()


def test_24_growing_delays_and_the_whole_history(make: Make) -> None:
    app, durable = make()
    with TestClient(app):
        job = durable.blocking.enqueue(fetch)
        (job,) = ended(durable, str(job.id))
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 3)
    first, second, third = [moment for moment in ran if isinstance(moment, float)]
    assert second - first >= 0.02
    assert third - second >= 0.06
    history = durable.blocking.jobs.history(job.id)
    assert [(line.number, line.outcome, line.failure and line.failure.message) for line in history] == [
        (1, "failed", "try 1"),
        (2, "failed", "try 2"),
    ]


def test_25_one_that_fails_for_ever_has_failed_after_its_attempts_and_can_be_retried_by_hand(make: Make) -> None:
    app, durable = make()
    with TestClient(app):
        job = durable.blocking.enqueue(refuse)
        (job,) = ended(durable, str(job.id))
        assert (job.state, job.attempts) == (JobState.FAILED, 2)
        gate.set()
        durable.blocking.jobs.retry(job.id)
        (job,) = ended(durable, str(job.id))
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 3)


def test_a_delay_is_kept_where_no_worker_runs(make: Make) -> None:
    app, durable = make(worker="off")

    @app.post("/send")
    def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.options(delay=3600).add_task(send, "a@example.com").id)

    with TestClient(app) as client:
        job = durable.blocking.jobs.get(client.post("/send").json())
    assert job.state is JobState.QUEUED
    assert job._record is not None
    assert job._record.run_at == job._record.created_at + 3600

"""`executor="process"` with and without the lifespan of the application."""

import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks

from tests.engine import elsewhere_tasks as tasks
from tests.face.conftest import Make, Serve, ended


def test_a_task_runs_in_a_child(make: Make, serve: Serve, tmp_path: Path) -> None:
    app, durable = make()
    path = tmp_path / "out"

    @app.post("/")
    async def endpoint(background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(tasks.writes, str(path), "text")

    with serve(app) as client:
        client.post("/")
        (job,) = durable.blocking.jobs.list()
        (job,) = ended(durable, str(job.id))
    assert job.state == "succeeded"
    text, child, parent = path.read_text().split()
    assert (text, int(child) != os.getpid(), int(parent)) == ("text", True, os.getpid())


def test_what_came_along_is_there_and_what_it_returns_comes_back(make: Make, serve: Serve) -> None:
    app, durable = make(carry=[tasks.tenant])

    @app.post("/")
    async def endpoint(background_tasks: BackgroundTasks) -> None:
        tasks.tenant.set("acme")
        background_tasks.add_task(tasks.names_tenant)

    with serve(app) as client:
        client.post("/")
        (job,) = durable.blocking.jobs.list()
        (job,) = ended(durable, str(job.id))
    assert job.result == "acme"


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("function", [tasks.sees_request, tasks.sees_request_in_pool])
def test_42_the_request_is_known_there(make: Make, serve: Serve, function: Any) -> None:
    """In a child of ours, and in a registered executor that has processes of its own, which inherit nothing."""
    app, durable = make(carry=[tasks.tenant])

    @app.post("/of/{tenant}")
    async def endpoint(tenant: str, background_tasks: BackgroundTasks) -> None:
        tasks.tenant.set(tenant)
        background_tasks.add_task(function)

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        durable.executors.register("pool", pool)
        with serve(app) as client:
            client.post("/of/acme", headers={"x-request-id": "r-1", "traceparent": TRACE})
            (job,) = durable.blocking.jobs.list()
            (job,) = ended(durable, str(job.id))
    assert job.state == "succeeded", job.reason
    seen = dict(job.result)
    assert seen.pop("pid") != str(os.getpid())
    assert seen == {
        "tenant": "acme",
        "request": "r-1",
        "request_id": "r-1",
        "route": "POST /of/{tenant}",
        "traceparent": TRACE,
    }


def test_what_it_logs_is_kept_with_its_job(make: Make, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, tasks.logger.name)
    app, durable = make()

    @app.post("/")
    async def endpoint(background_tasks: BackgroundTasks) -> None:
        for word in ("one", "two"):
            background_tasks.add_task(tasks.logs, word)

    with serve(app) as client:
        client.post("/")
        jobs = ended(durable, *(str(job.id) for job in durable.blocking.jobs.list()[::-1]))
    kept = [list(durable.blocking.jobs.logs(job.id)) for job in jobs]
    assert [[(line.level, line.logger, line.attempt) for line in lines] for lines in kept] == [
        [("ERROR", tasks.logger.name, 1)]
    ] * 2
    for word, (line,) in zip(("one", "two"), kept, strict=True):
        assert line.message.splitlines()[0] == f"loud {word}"
        assert line.message.splitlines()[-1].endswith("Flaky: code 1"), "with its traceback"

"""`executor="process"` with and without the lifespan of the application."""

import os
from pathlib import Path

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

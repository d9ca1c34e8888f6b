"""Tasks in child processes, whose numbers they note."""

import os

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, task
from tests.scenarios.apps.effects import note, pass_gate

app = FastAPI()
durable = Postlude(app)


@task(executor="process")
def in_process(name: str) -> None:
    note("started", name)
    pass_gate(name)
    note("ended", name)


@task(executor="process")
def keeps_python_to_itself(name: str) -> None:
    """In C, and without an end: no other thread of its process can do anything."""
    note("started", name)
    sum(iter(int, 1))


@task(executor="process")
def crashes(name: str) -> None:
    note("started", name)
    os._exit(1)


@app.post("/add/{kind}/{name}")
async def add(kind: str, name: str, background_tasks: BackgroundTasks) -> str:
    tasks = {function.__name__: function for function in (in_process, keeps_python_to_itself, crashes)}
    background_tasks.add_task(tasks[kind], name)
    return name

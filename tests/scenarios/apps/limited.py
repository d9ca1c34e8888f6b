"""A task of which two may run at once, and a stub of one that only another process has the code of."""

import os

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, task
from tests.scenarios.apps.effects import note, pause

app = FastAPI()
durable = Postlude(app)
HAS_CODE = bool(os.environ.get("HAS_CODE"))


@task(max_running=2)
async def two_at_once(name: str) -> None:
    note("started", name)
    await pause(0.05)
    note("ended", name)


@task(name="render", remote=not HAS_CODE)
async def render(name: str) -> None:
    note("rendered", name)


@app.post("/add/{name}")
async def add(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(two_at_once, name)
    return name


@app.post("/render/{name}")
async def add_rendering(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(render, name)
    return name

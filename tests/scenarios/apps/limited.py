"""Tasks with limits of each kind, and a stub of one that only another process has the code of."""

import os
import time

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, task
from tests.scenarios.apps.effects import note, pass_gate_async, pause

app = FastAPI()
durable = Postlude(app)
HAS_CODE = bool(os.environ.get("HAS_CODE"))


@task(max_running=2)
async def two_at_once(name: str) -> None:
    note("started", name)
    await pause(0.05)
    note("ended", name)


@task(rate="2/s")
async def two_a_second(name: str) -> None:
    """Says when it began: in seconds since the epoch, which both processes have in common."""
    note("began", f"{time.time()}")


@task(max_running=1, partition_by=lambda tenant: tenant)
async def one_for_each(tenant: str, name: str) -> None:
    note("started", tenant)
    await pass_gate_async(tenant)
    note("ended", tenant)


@task(name="render", remote=not HAS_CODE)
async def render(name: str) -> None:
    note("rendered", name)


@app.post("/add/{name}")
async def add(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(two_at_once, name)
    return name


@app.post("/rated/{name}")
async def add_rated(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(two_a_second, name)
    return name


@app.post("/of/{tenant}/{name}")
async def add_of_tenant(tenant: str, name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(one_for_each, tenant, name)
    return name


@app.post("/render/{name}")
async def add_rendering(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(render, name)
    return name

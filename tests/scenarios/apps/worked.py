"""An application whose jobs are run by a process of their own, and that has a pool while its lifespan lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude, task
from tests.scenarios.apps.effects import note, pass_gate, pass_gate_async


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    note("began", "lifespan")
    app.state.pool = "pool"
    yield
    app.state.pool = "closed"
    note("left", "lifespan")


app = FastAPI(lifespan=lifespan)
durable = Postlude(app)


def in_thread(name: str) -> None:
    note("started", name)
    pass_gate(name)
    note("ended", name)


async def on_loop(name: str) -> None:
    note("started", name)
    await pass_gate_async(name)
    note("ended", name)


async def blocks_the_loop(name: str) -> None:
    note("started", name)
    pass_gate(name)
    note("ended", name)


async def tells_the_pool(name: str) -> None:
    note(app.state.pool, name)


async def tells_the_pool_at_its_end(name: str) -> None:
    note("started", name)
    try:
        await asyncio.Event().wait()
    finally:
        note(app.state.pool, name)


async def hands_over_to_a_thread(name: str) -> None:
    await asyncio.to_thread(in_thread, name)


@task(timeout=0.2)
def is_stuck(name: str) -> None:
    note("started", name)
    pass_gate(name)


@task(queue="mail")
def mail(name: str) -> None:
    note("started", name)
    pass_gate(name)


@task(queue="reports")
async def report(name: str) -> None:
    note("started", name)
    await pass_gate_async(name)


TASKS: dict[str, Callable[[str], object]] = {
    function.__name__: function
    for function in (
        in_thread,
        on_loop,
        blocks_the_loop,
        tells_the_pool,
        tells_the_pool_at_its_end,
        hands_over_to_a_thread,
        is_stuck,
        mail,
        report,
    )
}


@app.get("/ping")
async def ping() -> str:
    return "pong"


@app.post("/add/{kind}/{name}")
async def add(kind: str, name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(TASKS[kind], name)
    return name


@app.post("/add-unstorable/{name}")
async def add_unstorable(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(lambda: note("ended", name))
    return name

"""Tasks that are over when the test says so, added in every way that a server can be killed in."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from postlude import Postlude, current_job, task
from tests.scenarios.apps.effects import block, note, pass_gate, pass_gate_async

app = FastAPI()
durable = Postlude(app)


@app.middleware("http")
async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


def in_thread(name: str) -> None:
    note("started", name)
    pass_gate(name)
    note("ended", name)


async def on_loop(name: str) -> None:
    note("started", name)
    await pass_gate_async(name)
    note("ended", name)


@task(interrupted="hold")
async def charge_card(name: str) -> None:
    note("started", name)
    await pass_gate_async(name)
    note("ended", name)


async def saves(name: str) -> None:
    note("started", name)
    await pass_gate_async(name)
    await current_job().save(name)
    note("ended", name)


async def poison(name: str) -> None:
    note("started", name)
    os._exit(1)


async def selfish(name: str) -> None:
    block(0.4)
    note("ended", name)


def three_seconds(name: str) -> None:
    note("started", name)
    block(3.0)


TASKS: dict[str, Callable[[str], object]] = {
    function.__name__: function for function in (in_thread, on_loop, charge_card, saves, poison, selfish, three_seconds)
}


async def slow_to_leave() -> AsyncIterator[None]:
    """Between the answer and the start of the tasks there is the exit of what the request depends on."""
    yield
    note("left", "dependency")
    await pass_gate_async("dependency")


@app.get("/ping")
def ping() -> str:
    return "pong"


@app.post("/add/{kind}/{name}")
async def add(kind: str, name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(TASKS[kind], name)
    return name


@app.post("/add-and-linger/{kind}/{name}")
async def add_and_linger(
    kind: str, name: str, background_tasks: BackgroundTasks, _: Annotated[None, Depends(slow_to_leave)]
) -> str:
    background_tasks.add_task(TASKS[kind], name)
    return name


@app.get("/stream/{kind}/{name}")
async def stream(kind: str, name: str, background_tasks: BackgroundTasks) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        yield "before;"
        background_tasks.add_task(TASKS[kind], name)
        yield "after;"
        await pass_gate_async("stream")
        yield "end"

    return StreamingResponse(chunks())

"""An application whose tasks run until somebody opens a gate, for commands that look at what runs."""

import asyncio
import logging
import threading
from pathlib import Path

from fastapi import FastAPI

from postlude import Postlude, progress, task

app = FastAPI()
durable = Postlude(app, worker="off")


def wait_for(gate: str) -> None:
    while not Path(gate).exists():
        threading.Event().wait(0.01)  # in the function, token=hunter2


async def await_gate(gate: str) -> None:
    closed = asyncio.Event()
    while not Path(gate).exists():  # noqa: ASYNC240 - for a moment
        asyncio.get_running_loop().call_later(0.01, closed.set)
        await closed.wait()  # in the coroutine
        closed.clear()


@task(name="bench.in_thread")
def in_thread(gate: str) -> None:
    wait_for(gate)


@task(name="bench.on_loop")
async def on_loop(gate: str) -> None:
    await await_gate(gate)


@task(name="bench.in_child", executor="process")
def in_child(gate: str) -> None:
    wait_for(gate)


@task(name="bench.on_loop_of_child", executor="process")
async def on_loop_of_child(gate: str) -> None:
    await await_gate(gate)


@task(name="bench.counted")
def counted(gate: str) -> dict[str, str]:
    logging.getLogger("bench").warning("first line")
    progress(1, 2, "half, token=hunter2")
    wait_for(gate)
    logging.getLogger("bench").warning("last line, token=hunter2")
    return {"gate": "open", "token": "hunter2"}


@task(name="bench.broken")
def broken() -> None:
    message = "no such \x1b[31mcolour"
    raise ValueError(message)

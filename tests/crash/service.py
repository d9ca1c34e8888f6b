"""The service that is killed: tasks of every kind, which tell another process what they have done."""

import asyncio
import contextlib
import os
import socket
import threading

from fastapi import BackgroundTasks, FastAPI, Response

from postlude import Postlude, task

LONG_SECONDS = 1.4
"""Long enough for the attempt to be recorded as running."""

app = FastAPI()
durable = Postlude(app)

_never = threading.Event()


def tell(event: str, name: str) -> None:
    """To the process that counts. What was sent is there for it, even if the sender dies in the next moment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(f"{event} {name}".encode(), os.environ["COUNTER"])


# More often than any server is killed here: what is counted as poison elsewhere is this test's daily bread.
forgiving = task(max_interruptions=1000)


@forgiving
async def on_loop(name: str) -> None:
    tell("started", name)
    tell("ended", name)


@forgiving
def in_thread(name: str) -> None:
    tell("started", name)
    tell("ended", name)


@forgiving
async def long_on_loop(name: str) -> None:
    tell("started", name)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), LONG_SECONDS)
    tell("ended", name)


@forgiving
def long_in_thread(name: str) -> None:
    tell("started", name)
    _never.wait(LONG_SECONDS)
    tell("ended", name)


TASKS = {
    "loop": (on_loop,),
    "thread": (in_thread,),
    "chain": (in_thread, on_loop),
    "long": (long_on_loop,),
    "longthread": (long_in_thread,),
}


@app.get("/process")
async def process() -> int:
    return os.getpid()


@app.post("/{kind}/{number}")
async def add(kind: str, number: str, background_tasks: BackgroundTasks, response: Response) -> str:
    response.headers["x-process"] = str(os.getpid())
    for position, function in enumerate(TASKS[kind]):
        background_tasks.add_task(function, f"{kind}-{number}-{position}")
    return number

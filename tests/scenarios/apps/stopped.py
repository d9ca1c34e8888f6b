"""Stops the whole process in the moment before the server gets the first byte of an answer."""

import os
import signal

from fastapi import BackgroundTasks, FastAPI
from starlette.types import Message, Receive, Scope, Send

from postlude import Postlude
from tests.scenarios.apps.effects import note

inner = FastAPI()
durable = Postlude(inner)


@inner.post("/note/{name}")
async def endpoint(name: str, background_tasks: BackgroundTasks) -> str:
    background_tasks.add_task(note, "ended", name)
    return name


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            os.kill(os.getpid(), signal.SIGSTOP)
        await send(message)

    await inner(scope, receive, watched)

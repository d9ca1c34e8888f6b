"""The service that the demonstration kills. It notes in a log, in its working directory, what it has done.

`POSTLUDE_DISABLED=1` makes the same program one of FastAPI alone.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude
from postlude.cli.demo.tally import LOG
from postlude.clock import SystemClock


def note(event: str) -> None:
    """Append a line: the moment, the process, and what happened. One write, so that a kill leaves no half of it."""
    line = f"{SystemClock.now():.6f} {os.getpid()} {event}\n"
    file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Note the moment from which this process can work."""
    note("up")
    yield


app: FastAPI = FastAPI(lifespan=lifespan)
durable: Postlude = Postlude(app)


def send(number: int, seconds: float) -> None:
    """Take as long as a mail server would."""
    note(f"started {number}")
    time.sleep(seconds)  # noqa: TID251 - it stands for the work, and the work takes real time
    note(f"finished {number}")


@app.post("/notifications/{number}", status_code=202)
async def promise(number: int, seconds: float, background_tasks: BackgroundTasks) -> dict[str, str]:
    """Promise a notification."""
    background_tasks.add_task(send, number, seconds)
    return {"message": "Notification sent in the background"}

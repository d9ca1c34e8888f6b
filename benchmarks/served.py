"""The application under load: FastAPI's own background tasks, or with POSTLUDE_URL in the environment durable ones."""

from __future__ import annotations

import os
import time
from typing import Any

from fastapi import BackgroundTasks, FastAPI

from benchmarks import chores

app = FastAPI()

if os.environ.get("POSTLUDE_URL"):
    from postlude import Postlude

    durable = Postlude(app)

    @app.get("/jobs")
    async def jobs() -> dict[str, int]:
        return {state.value: count for state, count in (await durable.jobs.count()).items()}


@app.post("/async/{email}")
async def add_async(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(chores.nothing_async, email, message="some notification")
    return {"message": "Notification sent in the background"}


@app.post("/def/{email}")
async def add_def(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(chores.nothing_def, email, message="some notification")
    return {"message": "Notification sent in the background"}


@app.post("/delay/async")
async def delay_async(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(chores.note_delay, time.perf_counter())


@app.post("/delay/def")
async def delay_def(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(chores.note_delay_def, time.perf_counter())


@app.get("/delays")
async def delays() -> list[float]:
    return chores.delays


@app.post("/work")
async def work(seconds: float, diary: str, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(chores.work, seconds, diary)


@app.get("/cpu")
async def cpu() -> dict[str, Any]:
    return {"seconds": time.process_time(), "process": os.getpid()}

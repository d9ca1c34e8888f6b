"""The application whose jobs are listened to: it counts how often the store is read for that."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from fastapi import FastAPI

from benchmarks import chores
from postlude import BackgroundTasks, Postlude, progress

app = FastAPI()
durable = Postlude(app, concurrency=400, shutdown_grace=0)
asked: Counter[str] = Counter()


async def allowed() -> bool:
    return True


app.include_router(durable.router(authorize=allowed))


async def tells(seconds: float) -> None:
    """Says four times a second how far it is."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        progress(seconds - left, seconds, "still at it")
        await chores.pause(0.25)


@app.post("/tell")
async def tell(seconds: float, jobs: int, tasks: BackgroundTasks) -> list[str]:
    return [str(tasks.options(ordered=False).add_task(tells, seconds).id) for _ in range(jobs)]


@app.post("/delay")
async def delay(tasks: BackgroundTasks) -> None:
    tasks.add_task(chores.note_delay, time.perf_counter())


@app.get("/delays")
async def delays() -> list[float]:
    """Those since the last time."""
    found, chores.delays[:] = chores.delays[:], []
    return found


@app.get("/asked")
async def count() -> dict[str, Any]:
    """How often what is asked on behalf of listeners was asked, counted from the first time on; and the CPU."""
    store: Any = await durable._runtime.store()
    for name in ("glances", "get", "logs") if not hasattr(store, "counted") else ():
        setattr(store, name, _counting(name, getattr(store, name)))
    store.counted = True
    return {"asked": asked.total(), "cpu": time.process_time()}


def _counting(name: str, operation: Any) -> Any:  # noqa: ANN401
    async def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        asked[name] += 1
        return await operation(*args, **kwargs)

    return counted

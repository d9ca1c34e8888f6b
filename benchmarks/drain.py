"""Jobs a second of one worker process on one core, from a backlog of tasks that do nothing until all are settled."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from fastapi import FastAPI

from benchmarks import chores
from benchmarks.machine import SERVER_CORE, measure_apart
from benchmarks.rounds import Figure, at_least, column, interleaved, ratios
from postlude import Postlude

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.rounds import Plan

BATCH = 1_000
UNFINISHED = ("staged", "queued", "running")
PARTITIONS = 10_000
KINDS = ("async", "def", "limited")


def measure(plan: Plan) -> list[Figure]:
    count = plan.scaled(100_000, 2_000)
    found = interleaved(list(KINDS), plan.rounds, lambda kind: take(kind, plan, count))
    limited = column(found["limited"], "per_second"), column(found["async"], "per_second")
    return [
        at_least(f"drain, {count:,} waiting async", column(found["async"], "per_second"), 25_000, "jobs/s"),
        Figure("drain, async, CPU of the worker", column(found["async"], "cpu_us"), "µs a job"),
        Figure(f"drain, {count:,} waiting def", column(found["def"], "per_second"), "jobs/s"),
        Figure("drain, def, CPU of the worker", column(found["def"], "cpu_us"), "µs a job"),
        Figure(
            f"drain, {count:,} waiting in {PARTITIONS:,} partitions", column(found["limited"], "per_second"), "jobs/s"
        ),
        Figure("drain, with limits / without", ratios(*limited), "times"),
        Figure("drain, filled by enqueue_many", column(found["async"], "filled_per_second"), "jobs/s"),
    ]


def take(kind: str, plan: Plan, count: int) -> dict[str, float]:
    file = plan.folder / f"drain-{kind}-{time.monotonic_ns()}.db"
    filled: dict[str, float] = measure_apart("drain", "fill", kind, file, count)
    drained: dict[str, float] = measure_apart("drain", "drain", kind, file, count, core=SERVER_CORE)
    return filled | drained


async def _fill(kind: str, file: Path, count: int) -> dict[str, float]:
    durable = Postlude(url=f"sqlite:///{file}", worker="off")
    task = _task(kind)
    begin = time.perf_counter()
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        calls = [(f"user{number % PARTITIONS}@example.com", "some notification") for number in numbers]
        await durable.enqueue_many(task, calls)
    took = time.perf_counter() - begin
    await durable.close()
    return {"filled_per_second": count / took}


def _task(kind: str) -> Callable[..., object]:
    if kind == "limited":
        from benchmarks.limited import count_limited  # noqa: PLC0415 - an older code, measured beside this, has no limits

        return count_limited
    return chores.count_async if kind == "async" else chores.count_def


async def _drain(kind: str, file: Path, count: int) -> dict[str, float]:
    app = FastAPI()
    _task(kind)  # declared here as well
    durable = Postlude(app, url=f"sqlite:///{file}")
    begin, cpu = time.perf_counter(), time.process_time()
    async with running(app):
        while chores.ran < count:  # noqa: ASYNC110 - a task that set an event would do more than nothing
            await asyncio.sleep(0.01)
        # Asked for only now: to count what waits would cost what is measured here.
        while any((await durable.jobs.count(state=UNFINISHED)).values()):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        took, used = time.perf_counter() - begin, time.process_time() - cpu
        succeeded = (await durable.jobs.count(state="succeeded")).values()
    assert sum(succeeded) == chores.ran == count, (succeeded, chores.ran)
    return {"per_second": count / took, "cpu_us": 1e6 * used / count}


class running:  # noqa: N801 - reads as a sentence where it is used
    """Carries the application through its lifespan, as a server does."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._from_app: asyncio.Queue[str] = asyncio.Queue()

    async def __aenter__(self) -> None:
        async def send(message: dict[str, str]) -> None:
            self._from_app.put_nowait(message["type"])

        lifespan = self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._to_app.get, send)  # type: ignore[arg-type]
        self._task = asyncio.ensure_future(lifespan)
        await self._pass("lifespan.startup")

    async def __aexit__(self, *_: object) -> None:
        await self._pass("lifespan.shutdown")
        await self._task

    async def _pass(self, kind: str) -> None:
        self._to_app.put_nowait({"type": kind})
        answer = await self._from_app.get()
        assert answer == f"{kind}.complete", answer


def _main(step: str, kind: str, file: Path, count: int) -> dict[str, float]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run((_fill if step == "fill" else _drain)(kind, file, count))


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))

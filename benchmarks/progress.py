"""What `progress()` costs inside a task; it is written down about twice a second, however often it is called."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from fastapi import FastAPI

from benchmarks.drain import running
from benchmarks.machine import measure_apart
from benchmarks.rounds import Figure, column
from postlude import Postlude, progress

if TYPE_CHECKING:
    from benchmarks.rounds import Plan

took = 0.0


def measure(plan: Plan) -> list[Figure]:
    count = plan.scaled(1_000_000, 20_000)
    samples = []
    for _ in range(plan.rounds):
        file = plan.folder / f"progress-{time.monotonic_ns()}.db"
        sample: dict[str, float] = measure_apart("progress", file, count)
        samples.append(sample)
    return [Figure(f"progress, {count:,} calls in a `def` task", column(samples, "per_second"), "calls/s")]


def tell(count: int) -> None:
    global took  # noqa: PLW0603 - one task of one process
    begin = time.perf_counter()
    for done in range(count):
        progress(done, count)
    took = time.perf_counter() - begin


async def take(file: str, count: int) -> dict[str, float]:
    app = FastAPI()
    durable = Postlude(app, url=f"sqlite:///{file}", allow=["benchmarks.progress:tell"])
    async with running(app):
        job = await durable.enqueue(tell, count)
        ended = await job.wait(timeout=600)
    assert ended.progress is not None
    assert ended.progress.done == count - 1
    return {"per_second": count / took}


if __name__ == "__main__":
    from benchmarks import progress as module

    print(json.dumps(asyncio.run(module.take(sys.argv[1], int(sys.argv[2])))))

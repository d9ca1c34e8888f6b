"""The round trip to a warm child of `executor="process"`, beside a ProcessPoolExecutor's with the same function."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import chores
from benchmarks.machine import measure_apart
from benchmarks.rounds import Figure, median, ratios
from postlude.calls import Call, CallOptions
from postlude.context import CurrentJob, enter
from postlude.executors.contract import Work, resolve
from postlude.executors.processes import RECYCLE_AFTER, ProcessExecutor
from postlude.ids import new_job_id
from postlude.job import Outcome, Succeeded
from postlude.registry import Registry
from postlude.running.elsewhere import Setup, sent

if TYPE_CHECKING:
    from benchmarks.rounds import Plan

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS = ("user@example.com", "some notification")


def measure(plan: Plan) -> list[Figure]:
    trips = plan.scaled(RECYCLE_AFTER * 5, 10)
    found = measure_apart("children", plan.rounds, trips)
    ours = [1e3 * median(each["ours"]) for each in found]
    pool = [1e3 * median(each["pool"]) for each in found]
    return [
        Figure("process, round trip to a warm child", ours, "ms"),
        Figure("process, the same by ProcessPoolExecutor", pool, "ms"),
        Figure("process, round trip ÷ ProcessPoolExecutor's", ratios(ours, pool)),
        Figure("process, first trip: start of a child", [1e3 * each["first"][0] for each in found], "ms"),
        Figure("process, first trip of ProcessPoolExecutor", [1e3 * each["first"][1] for each in found], "ms"),
    ]


async def _round(trips: int) -> dict[str, list[float]]:
    executor = ProcessExecutor(1, Setup(str(ROOT)).dumps())
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        ours, theirs = [], []
        for _ in range(trips + 1):
            begin = time.perf_counter()
            await _ours(executor)
            middle = time.perf_counter()
            await asyncio.wrap_future(pool.submit(chores.nothing_def, *ARGUMENTS))
            ours.append(middle - begin)
            theirs.append(time.perf_counter() - middle)
    executor.close()
    return {"first": [ours.pop(0), theirs.pop(0)], "ours": ours, "pool": theirs}


async def _ours(executor: ProcessExecutor) -> None:
    definition = _registry.of(chores.nothing_def)
    encoded = definition.codec.encode(ARGUMENTS, {})
    call = Call(definition, new_job_id(), encoded.args, encoded.kwargs, encoded.text, CallOptions(), None)
    job = CurrentJob(call.id, definition.name, 1, None, None)
    context = copy_context()
    context.run(enter, job)
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    work = Work(definition.name, definition.function, call.args, call.kwargs, context, sent(call, job, {}))
    executor.begin(work, lambda outcome: resolve(ended, outcome))
    assert isinstance(await ended, Succeeded)


_registry = Registry(ROOT)

if __name__ == "__main__":
    print(json.dumps([asyncio.run(_round(int(sys.argv[2]))) for _ in range(int(sys.argv[1]))]))

"""How long a request waits for its commit while finished jobs are removed beside it, and while nothing else goes on."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import measure_apart, percentile
from benchmarks.rounds import Figure, column, interleaved, ratios
from postlude.clock import SystemClock
from postlude.ids import new_job_id
from postlude.job import JobState, NewJob, Succeeded
from postlude.retention import Retention
from postlude.running.execution import decide
from postlude.services.prune import Prune
from postlude.services.service import Service
from postlude.stores import open_store
from postlude.stores.contract import Filter
from postlude.telling import Events

if TYPE_CHECKING:
    from benchmarks.rounds import Plan
    from postlude.stores.contract import Store

TASK = "benchmarks.chores:nothing_async"
FILL_BATCH = 1_000
BESIDE = "beside prune"
ALONE = "alone"


def measure(plan: Plan) -> list[Figure]:
    finished, inserts = plan.scaled(50_000, 1_000), plan.scaled(10_000, 50)
    found = interleaved([BESIDE, ALONE], plan.rounds, lambda case: _take(plan, case, finished, inserts))
    figures = [
        Figure(f"prune, commit of one job {case}, {name}", column(found[case], name), "ms")
        for case in (BESIDE, ALONE)
        for name in ("p50", "p99", "longest")
    ]
    beside, alone = (column(found[case], "p99") for case in (BESIDE, ALONE))
    return [
        *figures,
        Figure("prune, p99 of a commit beside it ÷ alone", ratios(beside, alone), "times"),
        Figure(f"prune of {finished:,} finished jobs beside commits", column(found[BESIDE], "per_second"), "jobs/s"),
    ]


def _take(plan: Plan, case: str, finished: int, inserts: int) -> dict[str, float]:
    file = plan.folder / f"prune-{time.monotonic_ns()}.db"
    sample: dict[str, float] = measure_apart("prune", case, file, finished, inserts)
    return sample


async def _measure(case: str, file: Path, finished: int, inserts: int) -> dict[str, float]:
    store = open_store(f"sqlite:///{file}")
    await store.open()
    await _fill(store, finished)
    prune = Prune(store, SystemClock(), Retention(0, 0, 0), lambda: None)
    service = Service("prune", prune, Events())
    took: list[float] = []
    begin = time.perf_counter()
    if case == BESIDE:
        service.start()
    while prune.pruned < finished if case == BESIDE else len(took) < inserts:
        job = _job()
        before = time.perf_counter()
        await store.insert([job])
        took.append(1e3 * (time.perf_counter() - before))
    seconds = time.perf_counter() - begin
    await service.stop()
    kept = (await store.count(Filter())).get(JobState.SUCCEEDED, 0)
    assert kept + prune.pruned == finished, (kept, prune.pruned)
    await store.close()
    return {
        "p50": percentile(took, 0.5),
        "p99": percentile(took, 0.99),
        "longest": max(took),
        "per_second": prune.pruned / seconds,
    }


async def _fill(store: Store, count: int) -> None:
    """So many jobs that have ended, as they are when they have run where they were added."""
    owner = await store.enlist()
    for start in range(0, count, FILL_BATCH):
        jobs = [_job()._replace(created_at=1.0, run_at=1.0) for _ in range(min(FILL_BATCH, count - start))]
        await store.insert(jobs)
        claimed = await store.claim(owner=owner, tasks=[TASK], limit=len(jobs), now=2.0, idle=False)
        await store.settle([decide(Succeeded(), claim, 3.0) for claim in claimed.claims])
    await store.dismiss(owner)


def _job() -> NewJob:
    now = time.time()
    return NewJob(
        new_job_id(), TASK, '[["user@example.com"],{"message":"some notification"}]', JobState.QUEUED, now, now
    )


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])))))

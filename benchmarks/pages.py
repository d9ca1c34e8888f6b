"""How long the first page of everything that is looked at takes with a million jobs, on both stores."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import TYPE_CHECKING, Final

from benchmarks.machine import measure_apart
from benchmarks.rounds import Figure, at_most
from benchmarks.servers import postgres
from postlude import Postlude
from postlude.ids import job_id_at, new_token
from postlude.job import Failed, Failure, JobState, Key, NewJob, Terms
from postlude.running.execution import decide
from postlude.statistics import Minute
from postlude.stores.contract import Filter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.rounds import Plan
    from postlude.stores.contract import Store

BUDGET: Final = 100.0
"""Milliseconds."""
LOT: Final = 10_000
TASKS: Final = tuple(f"shop.tasks:task_{number}" for number in range(20))
DAY: Final = 86400.0
S = JobState


def measure(plan: Plan) -> list[Figure]:
    jobs, times = plan.scaled(1_000_000, 5_000), plan.scaled(5, 1)
    with postgres(plan.folder) as server:
        places = {"SQLite": f"sqlite:///{plan.folder / 'pages.db'}", "PostgreSQL": server.dsn}
        found = {name: measure_apart("pages", url, jobs, times, timeout=900) for name, url in places.items()}
    return [
        at_most(f"{page}, {jobs:,} jobs, {name}", samples, BUDGET, "ms")
        for name, pages in found.items()
        for page, samples in pages.items()
    ]


async def _measure(url: str, jobs: int, times: int) -> dict[str, list[float]]:
    durable = Postlude(url=url, worker="off")
    store, views = await durable._runtime.store(), durable._runtime.views
    await _fill(store, jobs)
    some = (await store.list(Filter(frozenset({S.FAILED})), limit=1, before=None))[0]
    now = time.time()
    deep = (await views.jobs(limit=1000)).older
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "overview of an hour": views.overview,
        "overview of a day": lambda: views.overview("day"),
        "all jobs": views.jobs,
        "all jobs, further on": lambda: views.jobs(place=deep),
        "all jobs, back": lambda: views.jobs(place=deep, newer=True),
        "failed jobs": lambda: views.jobs(Filter(frozenset({S.FAILED}))),
        "queued jobs": lambda: views.jobs(Filter(frozenset({S.QUEUED}))),
        "failed and cancelled jobs": lambda: views.jobs(Filter(frozenset({S.FAILED, S.CANCELLED}))),
        "jobs of a task": lambda: views.jobs(Filter(task=TASKS[3])),
        "jobs of a task that there is not": lambda: views.jobs(Filter(task="no:such")),
        "jobs of a rare queue": lambda: views.jobs(Filter(queue="rare")),
        "jobs with a key": lambda: views.jobs(Filter(key="customer 7")),
        "jobs of an hour half a day ago": lambda: views.jobs(Filter(since=now - DAY / 2, until=now - DAY / 2 + 3600)),
        "jobs with a text": lambda: views.jobs(Filter(text="customer-77")),
        "jobs with a text that is nowhere": lambda: views.jobs(Filter(text="no such text")),
        "counts": views.counts,
        "counts of a task": lambda: views.counts(Filter(task=TASKS[3])),
        "one job": lambda: views.job(some.id),
        "tasks": views.tasks,
        "queues": views.queues,
        "workers": views.workers,
        "what needs a person": views.needs,
    }
    found = {name: [await _timed(ask) for _ in range(times)] for name, ask in asked.items()}
    await durable.close()
    return found


async def _timed(ask: Callable[[], Awaitable[object]]) -> float:
    begin = time.perf_counter()
    await ask()
    return 1e3 * (time.perf_counter() - begin)


async def _fill(store: Store, count: int) -> None:
    """A day of jobs: most have succeeded, some in a hundred wait, one has failed."""
    owner, now, made = await store.enlist(), time.time(), random.Random(1)  # noqa: S311 - the same each time
    for start in range(0, count, LOT):
        lot = [_job(number, now - DAY * (1 - number / count), made) for number in range(start, min(start + LOT, count))]
        await store.insert(lot)
        waiting = [job.task for job in lot if job.state is S.QUEUED]
        taken = await store.claim(owner=owner, tasks=set(waiting), limit=len(lot) // 100, now=now, idle=False)
        failure = Failure("ConnectionError", "the server refused", "Traceback …\n" * 20)
        await store.settle([decide(Failed(failure), claim, claim.created_at + 1) for claim in taken.claims])
    counts = {"succeeded": 30, "failed": 1, "start:3": 20, "start:5": 11, "run:4": 31}
    minutes = [*range(60), *range(60, 24 * 60, 10)]
    sums = [Minute(int(now - 60 * minute), task, counts) for minute in minutes for task in TASKS]
    await store.seeing.add_statistics(sums, now=now)


def _job(number: int, at: float, made: random.Random) -> NewJob:
    state = S.QUEUED if number % 50 == 0 else S.CANCELLED if number % 199 == 0 else S.SUCCEEDED
    arguments = json.dumps({"args": [f"customer-{made.randrange(10_000)}@example.com"], "kwargs": {"text": "x" * 200}})
    terms = Terms("rare" if number % 50_000 == 0 else "default", key=Key(f"customer {number}") if number < 50 else None)
    # Half of what waits is for later.
    run_at = at + 2 * DAY if number % 100 == 0 else at
    return NewJob(
        job_id_at(int(at * 1e9), new_token()), TASKS[number % len(TASKS)], arguments, state, at, run_at, terms=terms
    )


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(sys.argv[1], *map(int, sys.argv[2:])))))

"""Jobs a second that 64 producers enqueue, each waiting for its commit, beside what SQLite takes of such rows."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import apsw

from benchmarks import chores
from benchmarks.machine import measure_apart
from benchmarks.rounds import Figure, at_least, column, interleaved, ratios
from postlude import Postlude

if TYPE_CHECKING:
    from benchmarks.rounds import Plan

PRODUCERS = 64
BEST_PEER = 9_100
"""Jobs a second of SAQ on Redis with an fsync for each, on a machine where fdatasync takes 0.25 ms."""

Case = Literal["enqueue", "limit"]
CASES: list[Case] = ["limit", "enqueue"]


def measure(plan: Plan) -> list[Figure]:
    count = plan.scaled(50_000, 2_000)
    found = interleaved(CASES, plan.rounds, lambda case: take(case, plan, count))
    enqueued, limit = column(found["enqueue"], "per_second"), column(found["limit"], "per_second")
    peer = f"3 × the best durable Python queue, {BEST_PEER:,}/s where fdatasync takes 0.25 ms"
    return [
        at_least("enqueue, 64 producers", enqueued, 3 * BEST_PEER, "jobs/s", note=peer),
        Figure("enqueue, SQLite alone in groups of 64", limit, "rows/s"),
        Figure("enqueue, 64 producers ÷ SQLite alone", ratios(enqueued, limit)),
        Figure("enqueue, CPU of the producer", column(found["enqueue"], "cpu_us"), "µs a job"),
    ]


def take(case: Case, plan: Plan, count: int) -> dict[str, float]:
    file = plan.folder / f"{case}-{time.monotonic_ns()}.db"
    sample: dict[str, float] = measure_apart("enqueue", case, file, count)
    return sample


async def _produce(file: Path, count: int) -> dict[str, float]:
    durable = Postlude(url=f"sqlite:///{file}", worker="off")
    left = iter(range(count))

    async def producer() -> None:
        for _ in left:
            await durable.enqueue(chores.nothing_async, "user@example.com", message="some notification")

    await durable.enqueue(chores.nothing_async, "user@example.com")
    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(producer() for _ in range(PRODUCERS)))
    took, used = time.perf_counter() - begin, time.process_time() - cpu
    counts = await durable.jobs.count()
    await durable.close()
    assert sum(counts.values()) == count + 1, counts
    return {"per_second": count / took, "cpu_us": 1e6 * used / count}


def _insert(file: Path, count: int) -> dict[str, float]:
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, task TEXT, state TEXT, arguments TEXT, "
        "created_at REAL, run_at REAL) STRICT"
    )
    text = '[["user@example.com"],{"message":"some notification"}]'
    groups = count // PRODUCERS
    rows = [(os.urandom(16), "benchmarks.chores:nothing", "queued", text, 1.7e9, 1.7e9) for _ in range(count)]
    begin = time.perf_counter()
    for group in range(groups):
        with connection:
            connection.executemany(
                "INSERT INTO jobs (id, task, state, arguments, created_at, run_at) VALUES (?, ?, ?, ?, ?, ?)",
                rows[group * PRODUCERS : (group + 1) * PRODUCERS],
            )
    return {"per_second": groups * PRODUCERS / (time.perf_counter() - begin)}


def _main(case: str, file: Path, count: int) -> dict[str, float]:
    if case == "limit":
        return _insert(file, count)
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(_produce(file, count))


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415 - only the process that produces needs it

    return uvloop.new_event_loop()


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))

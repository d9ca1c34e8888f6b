"""From add_task to the first line of the task, in one idle process: the commit and the answer lie between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.machine import percentile
from benchmarks.rounds import Figure, at_most, column, interleaved
from benchmarks.server import Server

if TYPE_CHECKING:
    from benchmarks.rounds import Plan

PAUSE = 0.02


class Case(NamedTuple):
    kind: str
    durable: bool


CASES = [Case("async", durable=False), Case("async", durable=True), Case("def", durable=True)]


def measure(plan: Plan) -> list[Figure]:
    found = interleaved(CASES, plan.rounds, lambda case: _take(case, plan))
    figures = []
    for case in CASES:
        name = f"add_task to start, {case.kind}, {'durable' if case.durable else 'stock'}"
        p50, p99 = column(found[case], "p50"), column(found[case], "p99")
        figures.append(at_most(f"{name}, p50", p50, 1.0, "ms") if case.durable else Figure(f"{name}, p50", p50, "ms"))
        figures.append(Figure(f"{name}, p99", p99, "ms"))
    return figures


def _take(case: Case, plan: Plan) -> dict[str, float]:
    name = f"latency-{case.kind}-{time.monotonic_ns()}"
    store = plan.folder / f"{name}.db" if case.durable else None
    with Server(store, plan.folder / f"{name}.log") as server:
        first, count = 5, plan.scaled(200, 10)
        for _ in range(first + count):
            server.post(f"/delay/{case.kind}")
            time.sleep(PAUSE)
        delays = [1e3 * seconds for seconds in server.get("/delays")][first:]
    assert len(delays) == count, f"{count} tasks were added and {len(delays)} have started"
    return {"p50": percentile(delays, 0.5), "p99": percentile(delays, 0.99)}

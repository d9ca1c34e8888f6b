"""Requests a second, each with one task that does nothing: FastAPI's own background tasks and durable ones.

One process on one core, its load on another. And four processes on one file, which is not pinned.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.machine import LOAD_CORE, SERVER_CORE, CannotRun, measure_apart
from benchmarks.rounds import Figure, at_least, at_most, column, interleaved, median, ratios
from benchmarks.server import Server

if TYPE_CHECKING:
    from benchmarks.rounds import Plan

CONNECTIONS = 32
SETTLE_WITHIN = 60.0
UNFINISHED = ("staged", "queued", "running")


class Case(NamedTuple):
    kind: str
    """"async" or "def": what the task is."""
    durable: bool
    workers: int = 1

    @property
    def name(self) -> str:
        many = f", {self.workers} workers" if self.workers > 1 else ""
        return f"http {self.kind}, {'durable' if self.durable else 'stock'}{many}"


ONE_PROCESS = [Case(kind, durable) for kind in ("async", "def") for durable in (False, True)]
MANY = [Case("async", durable=True, workers=4), Case("def", durable=True, workers=4)]


def measure(plan: Plan) -> list[Figure]:
    found = interleaved([*ONE_PROCESS, *MANY], plan.rounds, lambda case: take(case, plan))
    figures = []
    for kind, least in (("async", 0.6), ("def", 2.0)):
        stock, durable = found[Case(kind, durable=False)], found[Case(kind, durable=True)]
        figures.append(
            at_least(
                f"http {kind}, durable ÷ stock",
                ratios(column(durable, "per_second"), column(stock, "per_second")),
                least,
            )
        )
        figures += _of_case(Case(kind, durable=False), stock, None)
        limit = 20.0 if kind == "async" else median(column(stock, "p99_ms")) / 10
        figures += _of_case(Case(kind, durable=True), durable, limit)
    for case in MANY:
        figures += _of_case(case, found[case], None)
        refused = [sample["refused"] + sample["broken"] for sample in found[case]]
        figures.append(at_most(f"{case.name}, not answered with 2xx", refused, 0, "requests"))
    return figures


def _of_case(case: Case, samples: list[dict[str, float]], limit: float | None) -> list[Figure]:
    p50, p99 = column(samples, "p50_ms"), column(samples, "p99_ms")
    return [
        Figure(case.name, column(samples, "per_second"), "requests/s"),
        Figure(f"{case.name}, p50", p50, "ms"),
        Figure(f"{case.name}, p99", p99, "ms") if limit is None else at_most(f"{case.name}, p99", p99, limit, "ms"),
        *(
            [Figure(f"{case.name}, CPU of the server", column(samples, "cpu_us"), "µs a request")]
            if case.workers == 1
            else []
        ),
    ]


def take(case: Case, plan: Plan) -> dict[str, float]:
    name = f"{case.kind}-{case.workers}-{time.monotonic_ns()}"
    store = plan.folder / f"{name}.db" if case.durable else None
    core, load_core = (SERVER_CORE, LOAD_CORE) if case.workers == 1 else (None, None)
    with Server(store, plan.folder / f"{name}.log", core=core, workers=case.workers) as server:
        path = f"/{case.kind}/user@example.com"
        warm = measure_apart("load", server.port, path, CONNECTIONS, plan.seconds(1.0, 0.1), core=load_core)
        before = server.get("/cpu")["seconds"]
        sample: dict[str, float] = measure_apart(
            "load", server.port, path, CONNECTIONS, plan.seconds(6.0, 0.5), core=load_core
        )
        if case.durable:
            settled(server, warm["acknowledged"] + sample["acknowledged"])
        sample["cpu_us"] = 1e6 * (server.get("/cpu")["seconds"] - before) / max(1, sample["acknowledged"])
    if case.workers == 1 and sample["refused"] + sample["broken"]:
        message = f"{case.name}: {sample['refused']} requests were refused, {sample['broken']} connections broke"
        raise CannotRun(message)
    return sample


def settled(server: Server, acknowledged: int) -> None:
    """Wait until nothing is left to do, and see that every request that was answered has its job."""
    until = time.monotonic() + SETTLE_WITHIN
    while True:
        counts = server.get("/jobs")
        if not any(counts[state] for state in UNFINISHED):
            break
        if time.monotonic() > until:
            message = f"not everything was settled {SETTLE_WITHIN:g} s after the load: {counts}"
            raise CannotRun(message)
        time.sleep(0.05)
    if counts["succeeded"] != acknowledged:
        message = f"{acknowledged} requests were acknowledged, and {counts['succeeded']} jobs have succeeded: {counts}"
        raise CannotRun(message)

"""What a thousand listeners cost: statements, CPU, and the time until a task starts beside them."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.machine import percentile
from benchmarks.rounds import Figure, at_most, column, interleaved
from benchmarks.server import Server

if TYPE_CHECKING:
    from benchmarks.rounds import Plan

JOBS = 100
PAUSE = 0.05


class Case(NamedTuple):
    listeners: int


def measure(plan: Plan) -> list[Figure]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket each, on both sides
    cases = [Case(0), Case(plan.scaled(1_000, 50))]
    found = interleaved(cases, plan.rounds, lambda case: asyncio.run(_take(case, plan)))
    figures = []
    for case in cases:
        samples, name = found[case], f"{case.listeners:,} listeners to {JOBS} jobs that run"
        if case.listeners:
            figures += [
                at_most(f"{name}, reads of the store", column(samples, "asked"), 1.0, "/s"),
                Figure(f"{name}, events sent", column(samples, "events"), "/s"),
            ]
        figures += [
            Figure(f"{name}, CPU of the server", column(samples, "cpu"), "% of a core"),
            Figure(f"{name}, add_task to start of another, p50", column(samples, "p50"), "ms"),
            Figure(f"{name}, add_task to start of another, p99", column(samples, "p99"), "ms"),
        ]
    return figures


async def _take(case: Case, plan: Plan) -> dict[str, float]:
    name = f"listeners-{case.listeners}-{time.monotonic_ns()}"
    seconds = plan.seconds(20.0, 2.0)
    with Server(plan.folder / f"{name}.db", plan.folder / f"{name}.log", app="benchmarks.listened:app") as server:
        ids = server.post(f"/tell?seconds={seconds + 30}&jobs={JOBS}")
        heard = _Heard()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_listen(server.port, ids[number % JOBS], heard)) for number in range(case.listeners)
            ]
            while heard.begun < case.listeners:  # noqa: ASYNC110 - it is another process that makes it so
                await asyncio.sleep(PAUSE)
            await asyncio.to_thread(server.get, "/asked")
            await asyncio.to_thread(server.get, "/delays")
            before, events, begin = await asyncio.to_thread(server.get, "/asked"), heard.events, time.monotonic()
            while time.monotonic() < begin + seconds:
                await asyncio.to_thread(server.post, "/delay")
                await asyncio.sleep(PAUSE)
            after, took = await asyncio.to_thread(server.get, "/asked"), time.monotonic() - begin
            delays = [1e3 * delay for delay in await asyncio.to_thread(server.get, "/delays")]
            for task in tasks:
                task.cancel()
    return {
        "asked": (after["asked"] - before["asked"]) / took,
        "cpu": 100 * (after["cpu"] - before["cpu"]) / took,
        "events": (heard.events - events) / took,
        "p50": percentile(delays, 0.5),
        "p99": percentile(delays, 0.99),
    }


class _Heard:
    """What all listeners together have heard."""

    def __init__(self) -> None:
        self.begun = 0
        """How many have got their first event."""
        self.events = 0


async def _listen(port: int, job: str, heard: _Heard) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    first = True
    with contextlib.closing(writer):
        while line := await reader.readline():
            if line.startswith(b"event: "):
                heard.events += 1
                heard.begun += first
                first = False

"""How quick a request is while four reports run in child processes, beside the same on the idle server."""

from __future__ import annotations

import http.client
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.machine import ROOT, CannotRun, percentile
from benchmarks.rounds import Figure, at_most, column, ratios
from benchmarks.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.rounds import Plan

REPORTS = 4
PARTS = 100
"""How often the file is read in one report, so that none ends while it is measured."""
PAUSE = 0.005
WITHIN = 30.0
SALES = """
SELECT TIMESTAMP '2025-01-01' + INTERVAL (i % 31536000) SECOND AS sold, i % 40 AS shop, hash(i * 7) % 100000 AS amount
FROM range({rows}) t(i)
"""


def measure(plan: Plan) -> list[Figure]:
    rows = plan.scaled(20_000_000, 200_000)
    data = _data(plan.folder / "data", rows)
    samples = []
    for _ in range(plan.rounds):
        store = plan.folder / f"reports-{time.monotonic_ns()}.db"
        settings = {"REPORTS_DATA": str(data), "REPORTS_STORAGE": str(plan.folder / "uploads")}
        with _environment(PYTHONPATH=f"{ROOT}:{ROOT / 'examples'}", **settings):
            server = Server(store, plan.folder / "reports.log", app="benchmarks.reported:app")
            with server:
                samples.append(_round(server, plan))
    idle, busy = column(samples, "idle"), column(samples, "busy")
    return [
        Figure("/ping, idle, p99", idle, "ms"),
        Figure(f"/ping, while {REPORTS} reports of {rows:,} rows and more run, p99", busy, "ms"),
        at_most("/ping, p99 beside reports ÷ idle", ratios(busy, idle), 1.5),
    ]


def _data(folder: Path, rows: int) -> Path:
    """A data set that is one file many times over."""
    (folder / "sales").mkdir(parents=True)
    file = folder / "one"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({SALES.format(rows=rows)}) TO '{file}' (FORMAT parquet)")
    for part in range(PARTS):
        (folder / "sales" / f"{part:03}.parquet").symlink_to(file)
    return folder


def _round(server: Server, plan: Plan) -> dict[str, float]:
    _pings(server, plan.scaled(100, 5))  # what is paid once
    idle = _pings(server, plan.scaled(2000, 20))
    asked = [_ask(server, top) for top in range(1, REPORTS + 1)]
    until = time.monotonic() + WITHIN
    while any(_running(server, each) is None for each in asked):
        if time.monotonic() > until:
            message = f"the reports did not start: {[server.get(each) for each in asked]}"
            raise CannotRun(message)
        time.sleep(0.05)
    busy = _pings(server, plan.scaled(2000, 20))
    if not plan.smoke and not all(_running(server, each) for each in asked):
        message = "the reports ended before it was measured: this machine needs more PARTS"
        raise CannotRun(message)
    for each in asked:
        if _running(server, each):
            server.post(f"{each}/cancel")
    return {"idle": 1e3 * percentile(idle, 0.99), "busy": 1e3 * percentile(busy, 0.99)}


def _running(server: Server, report: str) -> bool | None:
    """Whether a report runs; None: it has not begun to read."""
    status: dict[str, Any] = server.get(report)
    if status["state"] in {"failed", "cancelled"}:
        message = f"a report has {status['state']}: {status['problem']}"
        raise CannotRun(message)
    return None if status["percent"] is None else status["state"] != "succeeded"


def _ask(server: Server, top: int) -> str:
    measures = [{"what": "mean", "of": "amount"}, {"what": "max", "of": "amount"}]
    question = {"measures": measures, "group_by": ["shop"], "bucket": {"column": "sold", "by": "week"}, "top": top}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WITHIN)
    body = json.dumps({"data": "sales", "question": question})
    connection.request("POST", "/reports", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status != http.client.ACCEPTED:
        message = f"POST /reports was answered with {answer.status}: {said!r}"
        raise CannotRun(message)
    return str(answer.headers["location"])


def _pings(server: Server, count: int) -> list[float]:
    """Seconds of each of so many requests on one connection, two hundred a second at most."""
    connection, found = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WITHIN), []
    for _ in range(count):
        begin = time.perf_counter()
        connection.request("GET", "/ping")
        connection.getresponse().read()
        found.append(time.perf_counter() - begin)
        time.sleep(PAUSE)
    connection.close()
    return found


@contextmanager
def _environment(**more: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

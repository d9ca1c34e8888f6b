"""What an open dashboard costs requests: the same load with nobody looking, and with the overview open beside it.

One process on one core, its load on another. Whoever looks does what the page's script does: reads the events, and asks
for the page at each that says that something has changed.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.http import CONNECTIONS, settled
from benchmarks.machine import LOAD_CORE, SERVER_CORE, CannotRun, measure_apart, percentile
from benchmarks.rounds import Figure, at_least, column, interleaved, ratios
from benchmarks.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.rounds import Plan

PATH = "/async/user@example.com"
LOOKS = 20


class Case(NamedTuple):
    watched: bool

    @property
    def name(self) -> str:
        return f"durable requests, {'the overview open' if self.watched else 'nobody looks'}"


def measure(plan: Plan) -> list[Figure]:
    cases = [Case(watched=False), Case(watched=True)]
    found = interleaved(cases, plan.rounds, lambda case: _take(case, plan))
    alone, watched = (found[case] for case in cases)
    figures = [
        at_least(
            "the overview open ÷ nobody looks, requests/s",
            ratios(column(watched, "per_second"), column(alone, "per_second")),
            0.97,
        )
    ]
    for case in cases:
        samples = found[case]
        figures += [
            Figure(case.name, column(samples, "per_second"), "requests/s"),
            Figure(f"{case.name}, p99", column(samples, "p99_ms"), "ms"),
            Figure(f"{case.name}, CPU of the server", column(samples, "cpu_us"), "µs a request"),
        ]
    return [
        *figures,
        Figure("the overview, asked for", column(watched, "pages"), "times/s"),
        Figure("the overview, until it is there, p50", column(watched, "page_ms"), "ms"),
        Figure("the overview, CPU of the server for it", column(watched, "look_ms"), "ms"),
    ]


def _take(case: Case, plan: Plan) -> dict[str, float]:
    name = f"watched-{case.watched}-{time.monotonic_ns()}"
    app = "benchmarks.seen:app" if case.watched else "benchmarks.served:app"
    store, log = plan.folder / f"{name}.db", plan.folder / f"{name}.log"
    with Server(store, log, core=SERVER_CORE, app=app) as server:
        with contextlib.ExitStack() as open_page:
            pages = open_page.enter_context(_looking(server.port)) if case.watched else []
            warm = measure_apart("load", server.port, PATH, CONNECTIONS, plan.seconds(2.0, 0.1), core=LOAD_CORE)
            before, begin, earlier = server.get("/cpu")["seconds"], time.monotonic(), len(pages)
            sample: dict[str, float] = measure_apart(
                "load", server.port, PATH, CONNECTIONS, plan.seconds(10.0, 2.0), core=LOAD_CORE
            )
            took, shown = time.monotonic() - begin, pages[earlier:]
        settled(server, warm["acknowledged"] + sample["acknowledged"])
        sample["cpu_us"] = 1e6 * (server.get("/cpu")["seconds"] - before) / max(1, sample["acknowledged"])
        if case.watched:
            sample["look_ms"] = _cost_of_a_look(server)
    if case.watched and not shown:
        message = "the page was never told that something has changed"
        raise CannotRun(message)
    sample["pages"] = len(shown) / took
    sample["page_ms"] = 1e3 * percentile(shown, 0.5) if shown else 0.0
    return sample


def _cost_of_a_look(server: Server) -> float:
    """CPU of the server, in ms: what others do on the machine changes that the least."""
    before = server.get("/cpu")["seconds"]
    for _ in range(LOOKS):
        _look(server.port)
    spent: float = server.get("/cpu")["seconds"] - before
    return 1e3 * spent / LOOKS


def _look(port: int) -> float:
    """Ask for the page; returns how many seconds that took."""
    begin = time.perf_counter()
    # Anew each time: the server closes a connection that was quiet for five seconds.
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as page:
        page.request("GET", "/postlude/")
        page.getresponse().read()
    return time.perf_counter() - begin


@contextlib.contextmanager
def _looking(port: int) -> Iterator[list[float]]:
    """Somebody has the overview open: how many seconds each look took, as they come."""
    shown: list[float] = []
    events = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    events.request("GET", "/postlude/live")
    held: socket.socket = events.sock
    told = events.getresponse()

    def follow() -> None:
        with contextlib.suppress(http.client.HTTPException, OSError):  # it ends in the middle of something
            shown.extend(_look(port) for line in told if line.startswith(b"event: changed"))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield shown
    finally:
        held.shutdown(socket.SHUT_RDWR)
        thread.join()
        events.close()

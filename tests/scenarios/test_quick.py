"""Scenarios 28 to 30: the API stays quick."""

import statistics
import time

from tests.scenarios.conftest import Serve
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until


def ping_seconds(server: Server, times: int = 30) -> list[float]:
    """How long a sync endpoint takes to answer, sorted."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        assert server.get("/ping").status == 200
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)


def test_28_two_hundred_def_tasks_and_a_sync_endpoint(serve: Serve) -> None:
    """200 `def` tasks of three seconds are queued: a sync endpoint answers like an idle server's.

    They do not take the threads that it needs.
    """
    with serve(uvicorn("gated")).start() as server:
        idle = ping_seconds(server)
        for number in range(200):
            assert server.post(f"/add/three_seconds/{number}").status == 200
        wait_until(lambda: len(server.effects("started")) >= 16, "all threads for tasks are taken")
        busy = ping_seconds(server)
    # Alone FastAPI would take three seconds: the factor leaves room for a machine that does other things as well.
    assert statistics.median(busy) < 5 * statistics.median(idle) + 0.02
    assert busy[-1] < 1.0


def test_29_an_async_task_that_blocks_the_loop_is_named(serve: Serve) -> None:
    """An `async def` task that keeps the event loop to itself is named in a warning, with the cure.

    One that waits as it should is not.
    """
    with serve(uvicorn("gated")).start() as server:
        server.post("/add/on_loop/polite")
        server.post("/add/selfish/rude")
        server.await_effect("ended", "rude")
        server.open_gate("polite")
        server.await_effect("ended", "polite")
        wait_until(lambda: server.says("blocked the event loop"), "the warning")
    (line,) = server.says("blocked the event loop")
    assert line.startswith("WARNING:")
    assert ":selfish blocked the event loop for 0.4" in line
    assert "make it `def`" in line


def test_30_long_tasks_are_not_counted_as_requests(serve: Serve) -> None:
    """`--limit-concurrency 3` and ten tasks that go on: an eleventh request is answered. FastAPI alone says 503."""
    with serve(uvicorn("gated", "--limit-concurrency", "3")).start() as server:
        for number in range(10):
            assert server.post(f"/add/on_loop/{number}").status == 200
            server.await_effect("started", str(number))
        assert server.get("/ping").status == 200

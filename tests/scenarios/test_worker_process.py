"""`worker="process"`: a child of each server process runs the jobs, and ends with it."""

import os
import signal
import time
from pathlib import Path

import pytest

from postlude import JobState
from tests.scenarios.conftest import Serve
from tests.scenarios.look import Look
from tests.scenarios.server import Server, gone, gunicorn, uvicorn
from tests.scenarios.test_workers import pids
from tests.scenarios.waiting import wait_until

CHILD = "queue: "
"""A line that the child says when it has started."""


def served(serve: Serve, *options: str, app: str = "worked", **env: str) -> Server:
    """A server whose child has started."""
    server = serve(uvicorn(app, *options), POSTLUDE_WORKER="process", **env).start()
    wait_until(lambda: server.says(CHILD), f"the child has started:\n{server.text}")
    return server


def child_at(server: Server, name: str, *, times: int = 1) -> int:
    """The process that began this last."""
    server.await_effect("started", name, times=times)
    lines = [line.split() for line in (server.folder / "effects.log").read_text().splitlines()]
    return [int(pid) for pid, *noted in lines if noted == ["started", name]][-1]


def test_29_a_task_that_blocks_its_loop_does_not_touch_the_api(serve: Serve) -> None:
    server = served(serve)
    server.post("/add/blocks_the_loop/a")
    assert child_at(server, "a") != server.pid
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        assert server.get("/ping", seconds=1.0).status == 200
    server.open_gate("a")
    server.await_effect("ended", "a")
    wait_until(lambda: server.says("blocked the event loop"), "it is named")


def test_tasks_find_the_pool_of_their_own_process(serve: Serve) -> None:
    server = served(serve)
    server.post("/add/tells_the_pool/a")
    server.await_effect("pool", "a")
    assert len(pids(server, "began")) == 2


def test_the_lines_of_the_start_come_once(serve: Serve) -> None:
    server = served(serve, "--workers", "2")
    wait_until(lambda: len(server.says("startup complete")) == 2, "both are there")
    for number in range(4):
        server.post(f"/add/tells_the_pool/{number}")
        server.await_effect("pool", str(number))
    assert len(server.says("worker: a process of its own beside this one", "in each process")) == 1
    for fact in ("store: ", "routes: ", CHILD):
        assert len(server.says("postlude: ", fact)) == 1, server.text


def test_it_ends_with_a_server_that_was_killed(serve: Serve) -> None:
    server = served(serve)
    server.post("/add/blocks_the_loop/a")
    child = child_at(server, "a")
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: gone(child), "the child has ended")
    server.wait()
    server.open_gate("a")
    server.start().await_effect("ended", "a")


def test_it_is_started_again(serve: Serve) -> None:
    server = served(serve)
    server.post("/add/on_loop/a")
    first = child_at(server, "a")
    os.kill(first, signal.SIGKILL)
    second = child_at(server, "a", times=2)
    assert first != second
    assert server.says("ERROR", "the worker's process was ended by signal SIGKILL: another is started")
    server.open_gate("a")
    server.await_effect("ended", "a")
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")
        assert look.job().interruptions == 1
    server.terminate()
    wait_until(lambda: gone(second), "it ended with the server")


def test_it_is_drained_within_the_grace(serve: Serve) -> None:
    server = served(serve, POSTLUDE_SHUTDOWN_GRACE="3")
    for name in ("ends", "goes_on"):
        server.post(f"/add/on_loop/{name}")
    child = child_at(server, "ends")
    assert child_at(server, "goes_on") == child
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.says("told to end"), "the child was told")
    server.open_gate("ends")
    server.wait()
    assert gone(child)
    with Look.into(server) as look:
        assert sorted((job.state, job.interruptions) for job in look.jobs()) == [
            (JobState.QUEUED, 0),
            (JobState.SUCCEEDED, 0),
        ]
    assert len(server.effects("left", "lifespan")) == 2


def test_one_that_does_not_end_is_killed(serve: Serve) -> None:
    server = served(serve, POSTLUDE_SHUTDOWN_GRACE="0")
    server.post("/add/blocks_the_loop/a")
    child = child_at(server, "a")
    server.terminate(seconds=20)
    assert gone(child)
    with Look.into(server) as look:
        assert look.job().state is JobState.RUNNING, "whoever comes next finds that nobody owns it"
    server.open_gate("a")
    server.start().await_effect("ended", "a")


def test_what_cannot_be_stored_runs_in_the_server(serve: Serve) -> None:
    server = served(serve)
    server.post("/add-unstorable/a")
    server.await_effect("ended", "a")
    assert pids(server, "ended") == {server.pid}


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["plain", "preload"])
def test_each_process_of_gunicorn_has_one(serve: Serve, options: tuple[str, ...]) -> None:
    server = serve(gunicorn("worked", "--workers", "2", *options), POSTLUDE_WORKER="process").start()
    server.await_effect("began", "lifespan", times=4)
    server.post("/add/on_loop/a")
    child = child_at(server, "a")
    server.open_gate("a")
    server.await_effect("ended", "a")
    everybody = pids(server, "began")
    assert child in everybody
    server.terminate()
    assert all(map(gone, everybody))


def test_06_a_reload_waits_for_nobody(serve: Serve) -> None:
    """The child is told at once, gives back what it is at, and the child of the next process goes on with it."""
    (code := serve(()).folder / "code.py").touch()
    server = served(serve, "--reload", "--reload-dir", str(code.parent))
    server.post("/add/on_loop/a")
    first = child_at(server, "a")
    os.utime(code, (code.stat().st_mtime + 9,) * 2)
    second = child_at(server, "a", times=2)
    assert first != second
    assert gone(first)
    server.open_gate("a")
    server.await_effect("ended", "a")
    with Look(server.folder) as look:
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")
        assert look.job().interruptions == 0


SCRIPT = """\
import sys
from pathlib import Path

import uvicorn
from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude
from tests.scenarios.apps.effects import note

app = FastAPI()
durable = Postlude(app, worker="process")


def work(name: str) -> None:
    note("ended", name)


@app.post("/{name}")
async def add(name: str, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(work, name)

"""
STARTS = 'uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))\n'


@pytest.mark.parametrize("guard", ['if __name__ == "__main__":\n    ', ""], ids=["guarded", "unguarded"])
def test_a_script_that_starts_its_own_server(serve: Serve, tmp_path: Path, guard: str) -> None:
    (tmp_path / "service.py").write_text(SCRIPT + guard + STARTS)
    server = serve(("service.py", "{port}")).start()
    server.post("/a")
    server.await_effect("ended", "a")
    assert pids(server, "ended") != {server.pid}


MADE_IN_A_FUNCTION = """\
from fastapi import FastAPI
from postlude import Postlude


def create_app() -> FastAPI:
    app = FastAPI()
    app.durable = Postlude(app, worker="process")
    return app
"""


def test_an_application_without_a_name_is_refused(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(MADE_IN_A_FUNCTION)
    server = serve(("uvicorn", "--factory", "service:create_app", "--port", "{port}")).launch()
    assert server.wait() == 3
    assert server.says("no module has it under a name", "Keep it in a module, as in app = create_app()")

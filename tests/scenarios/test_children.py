"""Children of `executor="process"` beside a real server: they outlive neither it nor a signal to it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from postlude import JobState
from postlude.job import UNFINISHED
from tests.scenarios.conftest import Serve
from tests.scenarios.look import Look
from tests.scenarios.server import ROOT, Server, gone, uvicorn
from tests.scenarios.waiting import wait_until


def child_of(server: Server, event: str, name: str) -> int:
    """The process that noted this."""
    server.await_effect(event, name)
    lines = [line.split() for line in (server.folder / "effects.log").read_text().splitlines()]
    return int(next(pid for pid, *noted in lines if noted == [event, name]))


@pytest.mark.parametrize(
    "kind",
    [
        "in_process",
        pytest.param(
            "keeps_python_to_itself",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death"),
        ),
    ],
)
def test_no_child_outlives_a_server_that_was_killed(serve: Serve, kind: str) -> None:
    server = serve(uvicorn("in_processes")).start()
    server.post(f"/add/{kind}/a")
    child = child_of(server, "started", "a")
    assert child != server.pid
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    wait_until(lambda: gone(child), "the child has ended")


def test_what_a_killed_server_left_is_run_by_the_next(serve: Serve) -> None:
    server = serve(uvicorn("in_processes")).start()
    server.post("/add/in_process/a")
    child_of(server, "started", "a")
    server.kill()
    server.open_gate("a")
    server.start()
    server.await_effect("ended", "a")
    assert len(server.effects("ended", "a")) == 1


def test_signals_to_everybody_are_left_to_the_server(serve: Serve) -> None:
    """As systemd, or a terminal, tells all processes: what ends within the grace has ended, and is not interrupted."""
    server = serve(uvicorn("in_processes")).start()
    server.post("/add/in_process/a")
    child = child_of(server, "started", "a")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(child, number)
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.says("Shutting down"), "the server was told")
    server.open_gate("a")
    assert server.wait() in {0, -signal.SIGTERM}
    with Look.into(server) as look:
        assert [(job.state, job.interruptions) for job in look.jobs()] == [(JobState.SUCCEEDED, 0)]
    wait_until(lambda: gone(child), "the child has ended")


def test_a_crash_is_no_crash_of_the_server(serve: Serve) -> None:
    server = serve(uvicorn("in_processes", "--workers", "2")).start()
    server.post("/add/crashes/a")
    with Look.into(server) as look:
        wait_until(lambda: look.count() and not look.count(*UNFINISHED), "it was set aside", seconds=30)
        (job,) = look.jobs()
    assert (job.state, job.interruptions) == (JobState.FAILED, 3)
    assert "exit code 1" in str(job.reason)
    assert server.alive
    server.open_gate("b")
    server.post("/add/in_process/b")
    server.await_effect("ended", "b")


UNGUARDED = """\
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient

from postlude import Postlude, task

app = FastAPI()
durable = Postlude(app)


@task(executor="process")
def add_a_line(text: str) -> None:
    with Path("lines.txt").open("a") as lines:
        lines.write(text + "\\n")


@app.post("/")
def endpoint(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(add_a_line, "once")


Path("runs.txt").open("a").write("run\\n")
{start}
"""


@pytest.mark.parametrize(
    "start",
    [
        'assert TestClient(app).post("/").status_code == 200\ndurable.blocking.close()',
        'with TestClient(app) as client:\n    client.post("/")\n    client.get("/")',
    ],
    ids=["immediate", "embedded"],
)
def test_a_script_without_a_guard_runs_its_task_once(tmp_path: Path, start: str) -> None:
    """Its child loads the script once more; what that starts is refused there, and the tasks above it are known."""
    script = tmp_path / "un-guarded.py"
    script.write_text(UNGUARDED.replace("{start}", start))
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")}
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, env=env, timeout=60, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lines.txt").read_text() == "once\n", done.stderr
    assert (tmp_path / "runs.txt").read_text() == "run\n" * 2

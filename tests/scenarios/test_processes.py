"""Scenarios about several processes, one after the other or at once: poison, held jobs, workers, forks."""

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postlude import JobState
from postlude.job import UNFINISHED
from tests.scenarios.conftest import Serve, on_both_stores, postgres_in_the_long_form
from tests.scenarios.look import Look
from tests.scenarios.server import Server, gunicorn, uvicorn
from tests.scenarios.waiting import wait_until


@postgres_in_the_long_form
def test_26_poison_is_set_aside_and_nothing_beside_it(serve: Serve) -> None:
    """A task ends its process whenever it runs; the server is started again each time.

    After three recorded interruptions it is set aside. Twenty jobs that ran beside it all finish, none is set aside.
    """
    server = serve(uvicorn("gated")).start()
    for number in range(20):
        server.post(f"/add/on_loop/{number}")
    for number in range(20):
        server.await_effect("started", str(number))
    server.post("/add/poison/poison")
    deaths = 0
    with Look.into(server) as look:
        while look.count(*UNFINISHED) and deaths < 8:
            wait_until(lambda: not server.alive or not look.count(*UNFINISHED), "dead, or all have ended")
            if server.alive:
                break
            deaths += 1
            if deaths == 3:
                for number in range(20):
                    server.open_gate(str(number))
            server.launch()
        jobs = look.jobs()
    assert Counter(server.effects("ended")) == Counter(map(str, range(20)))
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 20 + [JobState.FAILED]
    assert jobs[-1].interruptions == 3
    assert "set aside after 3 interruptions" in str(jobs[-1].reason)
    assert all(job.interruptions < 3 for job in jobs[:-1])
    assert len(server.effects("started", "poison")) == deaths == 4, "once unrecorded, and three times recorded"


@on_both_stores
def test_32_four_workers_on_one_file(serve: Serve) -> None:
    """`uvicorn --workers 4`, one SQLite file, 1,000 jobs: each runs exactly once.

    No request fails, and nothing is said of a locked database.
    """
    with serve(uvicorn("load", "--workers", "4")).start() as server:
        wait_until(lambda: len(server.says("startup complete")) == 4, "all four are there")
        assert Counter(post_many(server, 1000)) == {200: 1000}
        wait_until(lambda: len(server.effects("ended")) >= 1000, "all jobs have run", seconds=30)
        with Look.into(server) as look:
            wait_until(lambda: look.count(JobState.SUCCEEDED) == 1000, "all are settled")
        assert Counter(server.effects("ended")) == Counter(map(str, range(1000)))
        assert len(server.processes()) > 1
        server.terminate()
    assert "is locked" not in server.text
    assert not server.says("ERROR")
    assert not server.says("WARNING")


@postgres_in_the_long_form
@pytest.mark.parametrize("kind", ["on_loop", "charge_card"])
def test_43_held(serve: Serve, kind: str) -> None:
    """Killed in the middle of charging a card: the job is set aside for a person, and does not run by itself.

    One whose task may run twice does.
    """
    server = serve(uvicorn("gated")).start()
    server.open_gate("next")
    server.post(f"/add/{kind}/card")
    server.await_effect("started", "card")
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.RUNNING, "the attempt is recorded")
    server.kill()
    server.open_gate("card")
    server.start().post("/add/on_loop/next")
    server.await_effect("ended", "next")
    if kind == "on_loop":
        server.await_effect("ended", "card")
        return
    assert server.effects("started", "card") == ["card"]
    with Look.into(server) as look:
        wait_until(lambda: look.jobs()[0].state.finished, "it is rescued")
        held = look.jobs()[0]
        assert held.state is JobState.FAILED
        assert "held" in str(held.reason)
    assert server.says("was interrupted", "it does not run again by itself")


@on_both_stores
def test_43_held_in_its_first_moment(serve: Serve) -> None:
    """There is no moment in which it runs and looks as if it had not started: killed at once, it is set aside too."""
    server = serve(uvicorn("gated")).start()
    server.post("/add/charge_card/card")
    server.await_effect("started", "card")
    server.kill()
    server.open_gate("card")
    server.start()
    with Look.into(server) as look:
        # Many machines cannot see at once that a process of one of them is gone.
        wait_until(lambda: look.job().state.finished, "it is rescued")
        assert look.job().state is JobState.FAILED
    assert server.effects("started") == ["card"]


@postgres_in_the_long_form
def test_43_held_before_it_started(serve: Serve) -> None:
    """Killed before the start there is nothing that could have happened twice: it runs."""
    server = serve(uvicorn("gated")).start()
    server.open_gate("card")
    connection = server.connect()
    connection.request("POST", "/add-and-linger/charge_card/card")
    assert connection.getresponse().read() == b'"card"'
    server.await_effect("left", "dependency")
    server.kill()
    connection.close()
    server.start().await_effect("ended", "card")
    assert server.effects("started") == ["card"]


@postgres_in_the_long_form
def test_46_gunicorn_preload(serve: Serve) -> None:
    """`gunicorn --preload` with four workers: each of them opens its own store, and every job runs once.

    The process that they are forked from has none open.
    """
    with serve(gunicorn("load", "--preload", "--workers", "4")).start() as server:
        assert Counter(post_many(server, 200)) == {200: 200}
        wait_until(lambda: len(server.effects("ended")) >= 200, "all jobs have run")
        with Look.into(server) as look:
            wait_until(lambda: look.count(JobState.SUCCEEDED) == 200, "all are settled")
        assert Counter(server.effects("ended")) == Counter(map(str, range(200)))
        assert open_files(server.pid) & {"jobs.db", "jobs.db-workers"} == set()
        assert str(server.pid) not in server.processes()


@on_both_stores
def test_46_a_preloaded_worker_is_killed(serve: Serve) -> None:
    """One of four forked workers is killed while it runs a task: another one runs it again.

    Nothing that its parent or its siblings hold makes it look alive.
    """
    with serve(gunicorn("gated", "--preload", "--workers", "4")).start() as server:
        server.post("/add/on_loop/report")
        server.await_effect("started", "report")
        with Look.into(server) as look:
            wait_until(lambda: look.job().state is JobState.RUNNING, "the attempt is recorded")
        (worker,) = server.processes()
        server.kill_worker(int(worker))
        server.await_effect("started", "report", times=2, seconds=5)
        server.open_gate("report")
        server.await_effect("ended", "report")
        assert len(server.processes()) == 2


@on_both_stores
@pytest.mark.parametrize("before", ["unused", "used"])
def test_46_fork_after_import(serve: Serve, before: str) -> None:
    """A program imports the application, may have used its store, and forks: each process opens its own and commits."""
    server = serve(uvicorn("forking"))
    program = [sys.executable, "-m", "tests.scenarios.apps.forking", "4", before]
    done = subprocess.run(
        program, cwd=server.folder, env=server.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = 6 if before == "used" else 5
    with Look.into(server) as look:
        assert look.states() == [JobState.QUEUED] * expected


def post_many(server: Server, number: int) -> list[int]:
    """The status of each of so many requests, from 16 clients at once."""

    def client(first: int) -> list[int]:
        return [server.post(f"/{name}").status for name in range(first, number, 16)]

    with ThreadPoolExecutor(16) as clients:
        return [status for statuses in clients.map(client, range(16)) for status in statuses]


def open_files(pid: int) -> set[str]:
    """The names of the files that a process has open; nothing where the system does not say."""
    return {path.readlink().name for path in Path(f"/proc/{pid}/fd").glob("*") if path.is_symlink()}

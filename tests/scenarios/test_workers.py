"""A server that only stores jobs, and `postlude worker` beside it on one file: who runs them, and how it ends."""

import json
import signal
import time
from typing import Any

import pytest

from postlude import JobState
from postlude.standalone.program import WORN_OUT
from tests.scenarios.conftest import Serve
from tests.scenarios.look import Look
from tests.scenarios.server import APPS, Server, uvicorn
from tests.scenarios.waiting import wait_until

NO_SERVER = {"POSTLUDE_WORKER": "off"}


def worker(*options: str, app: str = "worked") -> tuple[str, ...]:
    """The command that runs the jobs of one of the applications beside this file, with its health at a port."""
    return ("postlude", "worker", f"{APPS}.{app}:app", "--health-port", "{port}", *options)


def only_adds(serve: Serve, app: str = "worked") -> Server:
    return serve(uvicorn(app), **NO_SERVER).start()


def works(serve: Serve, *options: str, **env: str) -> Server:
    """A worker that has started."""
    started = serve(worker(*options), **env).launch()
    wait_until(lambda: not started.alive or started.says("health: "), "the worker has started")
    assert started.alive, started.text
    return started


def health(process: Server) -> tuple[int, dict[str, Any]]:
    answer = process.get("/healthz", seconds=2.0)
    return answer.status, json.loads(answer.body)


def pids(server: Server, event: str) -> set[int]:
    """The processes that noted this."""
    lines = (line.split() for line in (server.folder / "effects.log").read_text().splitlines())
    return {int(pid) for pid, noted, _ in lines if noted == event}


def test_it_runs_what_the_server_stores(serve: Serve) -> None:
    server = only_adds(serve)
    server.open_gate("a")
    server.post("/add/in_thread/a")
    works_here = works(serve)
    server.await_effect("ended", "a")
    assert pids(server, "ended") == {works_here.pid}
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")


def test_it_hears_at_once_of_what_the_server_stores(serve: Serve) -> None:
    """Else it would look once a second: twenty jobs one after the other would take ten seconds on average."""
    server = only_adds(serve)
    works(serve)
    began = time.monotonic()
    for number in range(20):
        server.post(f"/add/tells_the_pool/{number}")
        server.await_effect("pool", str(number))
    assert time.monotonic() - began < 5


def test_tasks_find_what_the_lifespan_made_until_the_last_of_them_has_ended(serve: Serve) -> None:
    server = only_adds(serve)
    works_here = works(serve, POSTLUDE_SHUTDOWN_GRACE="0")
    server.post("/add/tells_the_pool/a")
    server.await_effect("pool", "a")
    server.post("/add/tells_the_pool_at_its_end/b")
    server.await_effect("started", "b")
    works_here.terminate()
    assert server.effects("pool", "b") == ["b"], "it was cancelled before the pool was closed"
    assert len(server.effects("left", "lifespan")) == 1


def test_its_lines_of_the_start_say_what_it_does(serve: Serve) -> None:
    only_adds(serve)
    works_here = works(serve, "--concurrency", "loop=7,threads=3")
    assert works_here.says("store: ", "jobs.db")
    assert works_here.says("worker: this process, up to 7 tasks at once on the event loop, 3 in threads")
    assert works_here.says("queue: 0 jobs waiting")
    assert not works_here.says("routes: ")


def test_it_takes_from_its_queues_alone_and_no_more_than_it_may(serve: Serve) -> None:
    server = only_adds(serve)
    for name in ("a", "b", "c"):
        server.post(f"/add/mail/{name}")
    for name in ("d", "e"):
        server.post(f"/add/report/{name}")
    server.post("/add/on_loop/elsewhere")
    works_here = works(serve, "--queues", "mail:2,reports")
    assert works_here.says("only of the queues mail (at most 2 at once), reports")
    for name in ("a", "b", "d", "e"):
        server.await_effect("started", name)
    with Look(server.folder) as look:
        assert look.count(JobState.QUEUED) == 2
        server.open_gate("a")
        server.await_effect("started", "c")
        for name in ("b", "c", "d", "e"):
            server.open_gate(name)
        wait_until(lambda: look.count(JobState.SUCCEEDED) == 5, "its own have ended")
    assert server.effects("started", "elsewhere") == []
    assert works(serve).alive
    server.await_effect("started", "elsewhere")
    server.open_gate("elsewhere")


def test_sigterm_lets_what_runs_end_and_gives_back_the_rest(serve: Serve) -> None:
    server = only_adds(serve)
    first = works(serve, POSTLUDE_SHUTDOWN_GRACE="3")
    for name in ("ends", "goes_on"):
        server.post(f"/add/on_loop/{name}")
        server.await_effect("started", name)
    first.signal(signal.SIGTERM)
    wait_until(lambda: first.says("told to end"), "it was told")
    server.post("/add/on_loop/comes_later")
    server.open_gate("ends")
    assert first.wait() == 0, first.text
    assert server.effects("ended") == ["ends"]
    assert server.effects("started", "comes_later") == []
    with Look.into(server) as look:
        assert sorted((job.state, job.interruptions) for job in look.jobs()) == [
            (JobState.QUEUED, 0),
            (JobState.QUEUED, 0),
            (JobState.SUCCEEDED, 0),
        ]
    works(serve)
    for name in ("goes_on", "comes_later"):
        server.open_gate(name)
        server.await_effect("ended", name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_gives_back_at_once(serve: Serve, number: signal.Signals) -> None:
    server = only_adds(serve)
    first = works(serve, POSTLUDE_SHUTDOWN_GRACE="100")
    for kind in ("on_loop", "in_thread"):
        server.post(f"/add/{kind}/{kind}")
        server.await_effect("started", kind)
    first.signal(number)
    wait_until(lambda: first.says("told to end"), "it was told")
    first.signal(number)
    assert first.wait(seconds=10) == 0, first.text
    assert first.says("in_thread: still running after it was told to end at once. What does not end")
    assert server.effects("ended") == []
    works(serve)
    for kind in ("on_loop", "in_thread"):
        server.await_effect("started", kind, times=2)
        server.open_gate(kind)
        server.await_effect("ended", kind)
    with Look.into(server) as look:
        wait_until(lambda: look.count(JobState.SUCCEEDED) == 2, "both have succeeded")
        assert [job.interruptions for job in look.jobs()] == [0, 0], "it was told to end: that is no interruption"


def test_a_third_signal_ends_what_does_not_end(serve: Serve) -> None:
    server = only_adds(serve)
    first = works(serve, POSTLUDE_SHUTDOWN_GRACE="100")
    server.post("/add/blocks_the_loop/a")
    server.await_effect("started", "a")

    def ended() -> bool:
        if first.alive:
            first.signal(signal.SIGTERM)  # two that come at once are one
        return not first.alive

    wait_until(ended, "it has ended")
    assert first.wait() == -signal.SIGTERM


def test_jobs_of_a_killed_worker_run_elsewhere_at_once(serve: Serve) -> None:
    server = only_adds(serve)
    first, second = works(serve), works(serve)
    server.post("/add/on_loop/a")
    server.await_effect("started", "a")
    (runs,) = pids(server, "started")
    killed = first if first.pid == runs else second
    killed.kill()
    server.await_effect("started", "a", times=2, seconds=3.0)
    server.open_gate("a")
    server.await_effect("ended", "a")
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")
        assert look.job().interruptions == 1


def test_a_worker_without_threads_ends_to_be_started_again(serve: Serve) -> None:
    """One thread, and one that took its place: with both stuck, it gives back the rest and leaves it to others."""
    server = only_adds(serve)
    first = works(serve, "--concurrency", "threads=1", POSTLUDE_SHUTDOWN_GRACE="0")
    server.post("/add/on_loop/goes_on")
    server.await_effect("started", "goes_on")
    for name in ("a", "b"):
        server.post(f"/add/is_stuck/{name}")
        server.await_effect("started", name)
    assert first.wait() == WORN_OUT, first.text
    assert first.says("wants to be started again")
    with Look.into(server) as look:
        (goes_on,) = [job for job in look.jobs() if job.task.endswith("on_loop")]
        assert (goes_on.state, goes_on.interruptions) == (JobState.QUEUED, 0), "it was given back"
        works(serve)
        stuck = [job.id for job in look.jobs() if job.task.endswith("is_stuck")]
        wait_until(
            lambda: [job.interruptions for job in look.jobs() if job.id in stuck] == [1, 1],
            "what was stuck was interrupted, and counts as that",
        )


def test_health_fails_while_the_loop_is_blocked_and_not_while_work_waits(serve: Serve) -> None:
    server = only_adds(serve)
    works_here = works(serve, "--concurrency", "loop=1,threads=1")
    for number in range(20):
        server.post(f"/add/on_loop/{number}")
    server.await_effect("started", "0")
    assert health(works_here) == (200, {"healthy": True, "state": "running", "problems": []})
    for number in range(20):
        server.open_gate(str(number))
    with Look.into(server) as look:
        wait_until(lambda: look.count(JobState.SUCCEEDED) == 20, "all have ended")
    server.post("/add/blocks_the_loop/a")
    server.await_effect("started", "a")
    wait_until(lambda: health(works_here)[0] == 503, "it is reported")
    ((problem,),) = [health(works_here)[1]["problems"]]
    assert "blocked the event loop" in problem
    server.open_gate("a")
    wait_until(lambda: health(works_here)[0] == 200, "it is well again")


def test_health_of_one_that_starts_and_of_one_that_ends(serve: Serve) -> None:
    slow = serve(worker(app="slow_to_start")).launch()
    wait_until(slow.listens, "it answers")
    assert health(slow) == (503, {"healthy": False, "state": "starting", "problems": []})
    slow.open_gate("start")
    wait_until(lambda: health(slow)[0] == 200, "it has started")
    slow.signal(signal.SIGTERM)
    wait_until(lambda: health(slow) == (200, {"healthy": True, "state": "stopping", "problems": []}), "it stops")
    slow.open_gate("end")
    assert slow.wait() == 0


def test_one_that_is_told_to_end_while_it_starts_ends(serve: Serve) -> None:
    slow = serve(worker(app="slow_to_start")).launch()
    wait_until(slow.listens, "it answers")
    slow.open_gate("end")
    slow.signal(signal.SIGTERM)
    assert slow.wait() == 0, slow.text


@pytest.mark.parametrize(
    ("path", "status"), [("/", 404), ("/healthz?verbose", 200)], ids=["another path", "with a question"]
)
def test_what_else_is_asked_of_its_port(serve: Serve, path: str, status: int) -> None:
    only_adds(serve)
    works_here = works(serve)
    assert works_here.get(path).status == status
    assert works_here.post("/healthz").status == 405
    with works_here.raw("GARBAGE", "") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 404")


def test_a_port_that_is_taken_is_said_in_one_line(serve: Serve) -> None:
    server = only_adds(serve)
    command = tuple(str(server.port) if part == "{port}" else part for part in worker())
    refused = serve(command).launch()
    assert refused.wait() == 1
    (line,) = refused.says("CRITICAL")
    assert f"--health-port {server.port} cannot be listened on: Address already in use" in line


def test_an_application_that_cannot_start_is_shown(serve: Serve) -> None:
    broken = serve(worker(app="slow_to_start"), BROKEN="1").launch()
    assert broken.wait() == 1
    assert broken.says("RuntimeError: the database is not there")
    assert broken.says("could not be run")


def test_no_thread_of_a_task_keeps_it_from_ending(serve: Serve) -> None:
    """`asyncio.to_thread` starts threads that Python waits for."""
    server = only_adds(serve)
    first = works(serve, POSTLUDE_SHUTDOWN_GRACE="0")
    server.post("/add/hands_over_to_a_thread/a")
    server.await_effect("started", "a")
    first.signal(signal.SIGTERM)
    assert first.wait(seconds=10) == 0

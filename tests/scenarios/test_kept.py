"""Scenarios 1 to 10: what was promised is kept, whatever becomes of the process."""

import os
import shutil
import signal
import socket
import struct
import time
from contextlib import closing

import pytest

from postlude import JobState
from tests.scenarios.conftest import Serve, on_both_stores, postgres_in_the_long_form
from tests.scenarios.look import Look
from tests.scenarios.server import ROOT, gunicorn, uvicorn
from tests.scenarios.waiting import let_pass, wait_until

RECORDED_AFTER = 1.0
"""Seconds after which a running attempt is recorded as started."""
AT_ONCE = 1.0
"""Seconds until what a dead process left runs again."""


def test_01_the_tutorial_with_one_more_line(serve: Serve) -> None:
    """The program of FastAPI's tutorial and the one line: same answer, the file is written, the job has succeeded."""
    with serve(uvicorn("tutorial")).start() as server:
        answer = server.post("/send-notification/ada@example.com")
        log = server.folder / "log.txt"
        wait_until(lambda: log.exists() and log.read_text(), "log.txt is written")
    assert answer.status == 200
    assert answer.body == '{"message":"Notification sent in the background"}'
    assert log.read_text() == "notification for ada@example.com: some notification"
    with Look.into(server) as look:
        assert look.job().task.endswith("tutorial:write_notification")


@postgres_in_the_long_form
def test_01_the_job_is_shown_as_succeeded(serve: Serve) -> None:
    """Seen while the server runs, from another process."""
    with serve(uvicorn("tutorial")).start() as server:
        server.post("/send-notification/ada@example.com")
        with Look.into(server) as look:
            wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")


@on_both_stores
def test_02_the_row_is_in_the_file_before_the_first_byte(serve: Serve) -> None:
    """The endpoint is untouched, and the row is in the file before the client sees the first byte.

    The process is stopped in the moment before its server is given the start of the answer: the job is committed, and
    the client has nothing.
    """
    with serve(uvicorn("tests.scenarios.apps.stopped:app")).start() as server:
        with server.raw("POST", "/note/first") as connection:
            os.waitid(os.P_PID, server.pid, os.WSTOPPED)
            with Look.into(server) as look:
                assert look.states() == [JobState.STAGED]
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
            server.signal(signal.SIGCONT)
            connection.settimeout(15)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        server.await_effect("ended", "first")


@postgres_in_the_long_form
def test_02_killed_before_the_first_byte_it_runs_all_the_same(serve: Serve) -> None:
    """What is committed runs, even if the client never learnt of it."""
    server = serve(uvicorn("tests.scenarios.apps.stopped:app")).start()
    with server.raw("POST", "/note/first"):
        os.waitid(os.P_PID, server.pid, os.WSTOPPED)
        server.kill()
    assert server.effects("ended") == []
    server.start().await_effect("ended", "first")


@on_both_stores
def test_03_sigkill_between_answer_and_start(serve: Serve) -> None:
    """Killed when the client has its answer and the task has not started: after a new start it runs, once."""
    server = serve(uvicorn("gated")).start()
    server.open_gate("mail")
    connection = server.connect()
    connection.request("POST", "/add-and-linger/on_loop/mail")
    assert connection.getresponse().read() == b'"mail"'
    server.await_effect("left", "dependency")
    server.kill()
    connection.close()
    assert server.effects("started") == []

    server.start().await_effect("ended", "mail")
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")
        assert look.job().interruptions == 0
        assert look.history(look.job()) == []
    assert server.effects("started") == ["mail"]


@postgres_in_the_long_form
@pytest.mark.parametrize("kind", ["on_loop", "in_thread"])
def test_04_sigkill_while_it_runs(serve: Serve, store: dict[str, str], kind: str) -> None:
    """Killed in the middle of a task: within a second of the new process being up it runs again, by itself.

    The interruption is shown in the job, in its history and in the log.
    """
    server = serve(uvicorn("gated")).start()
    server.post(f"/add/{kind}/report")
    server.await_effect("started", "report")
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.RUNNING, "the attempt is recorded")
    server.kill()

    server.start().await_effect("started", "report", times=2, seconds=AT_ONCE)
    server.open_gate("report")
    server.await_effect("ended", "report")
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")
        job = look.job()
        assert (job.attempts, job.interruptions) == (2, 1)
        assert [(line.number, line.outcome) for line in look.history(job)] == [(1, "interrupted")]
    assert server.says("was interrupted", str(job.id), "it runs again")
    assert server.effects("ended") == ["report"]


@postgres_in_the_long_form
def test_04_sigkill_in_the_first_moment(serve: Serve, store: dict[str, str]) -> None:
    """Killed before the attempt was recorded as started: it runs again, and that is counted as nothing."""
    server = serve(uvicorn("gated")).start()
    server.post("/add/on_loop/report")
    server.await_effect("started", "report")
    server.kill()

    server.open_gate("report")
    server.start().await_effect("ended", "report", seconds=AT_ONCE)
    with Look.into(server) as look:
        wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")
        assert look.job().interruptions == 0


@postgres_in_the_long_form
@pytest.mark.parametrize("kinds", [["on_loop"], ["in_thread"], ["on_loop", "in_thread"]], ids="+".join)
def test_05_sigterm_hands_a_long_task_over(serve: Serve, kinds: list[str]) -> None:
    """SIGTERM, a task that would go on for a minute and two seconds of grace: the process has ended after three.

    Its job is given back without blame, and the next process finishes it.
    """
    server = serve(uvicorn("gated"), POSTLUDE_SHUTDOWN_GRACE="2").start()
    for kind in kinds:
        server.post(f"/add/{kind}/{kind}")
        server.await_effect("started", kind)
    took = server.terminate()
    assert 1.9 < took < 3.0
    for kind in kinds:
        assert server.says("still running when the grace was over", f":{kind}")
        server.open_gate(kind)
    if kinds == ["on_loop"]:  # that can be stopped; the other is seen to be over when its process is gone
        with Look.into(server) as look:
            assert (look.job().state, look.job().attempts) == (JobState.QUEUED, 0)

    server.start()
    for kind in kinds:
        server.await_effect("ended", kind)
    with Look.into(server) as look:
        wait_until(lambda: set(look.states()) == {JobState.SUCCEEDED}, "all have succeeded")
        assert all((job.attempts, job.interruptions) == (1, 0) for job in look.jobs())
    assert sorted(server.effects("ended")) == sorted(kinds)


@on_both_stores
def test_05_what_ends_within_the_grace_is_not_run_again(serve: Serve) -> None:
    """The task ends while the process is stopping: that is recorded, and the process does not wait any longer."""
    server = serve(uvicorn("gated")).start()
    server.post("/add/on_loop/report")
    server.await_effect("started", "report")
    server.signal(signal.SIGTERM)
    server.open_gate("report")
    server.wait(seconds=3)
    assert server.effects("ended") == ["report"]
    with Look.into(server) as look:
        assert look.job().state is JobState.SUCCEEDED


def test_05_sigterm_with_nothing_running_ends_at_once(serve: Serve) -> None:
    """The grace is for tasks that run: without any the process does not wait."""
    server = serve(uvicorn("gated")).start()
    server.open_gate("report")
    server.post("/add/on_loop/report")
    server.await_effect("ended", "report")
    assert server.terminate() < 1.5


@postgres_in_the_long_form
def test_05_sigterm_during_a_request(serve: Serve) -> None:
    """The grace begins with the signal, and not when the last response has ended, for which servers wait first.

    The request that is still open is answered, and what it adds is not lost.
    """
    server = serve(uvicorn("gated"), POSTLUDE_SHUTDOWN_GRACE="1").start()
    server.post("/add/on_loop/early")
    server.await_effect("started", "early")
    with server.raw("GET", "/stream/on_loop/late") as connection:
        wait_until(lambda: b"after;" in connection.recv(4096, socket.MSG_PEEK), "the task was added")
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.says("still running when the grace was over"), "the end of the grace", seconds=2)
        server.open_gate("stream")
        wait_until(lambda: b"end" in connection.recv(4096, socket.MSG_PEEK), "the stream is whole")
        server.wait(seconds=3)
    assert not server.says("Traceback")
    assert server.effects("started") == ["early"]
    server.open_gate("early")
    server.open_gate("late")
    server.start().await_effect("ended", "late")
    server.await_effect("ended", "early")


@postgres_in_the_long_form
def test_06_reload(serve: Serve) -> None:
    """A file is touched while a task runs under `--reload`: the new code is there at once.

    The task goes on in the new process.
    """
    server = serve(uvicorn("main:app", "--reload"))
    program = server.folder / "main.py"
    shutil.copy(ROOT / "tests" / "scenarios" / "apps" / "gated.py", program)
    with server.start():
        server.post("/add/in_thread/report")
        server.await_effect("started", "report")
        program.write_text(program.read_text() + "\nLATER = True\n")
        server.await_effect("started", "report", times=2, seconds=8)
        server.open_gate("report")
        server.await_effect("ended", "report")
        assert len(server.processes()) == 2


@postgres_in_the_long_form
def test_07_gunicorn_asgi_worker_and_a_client_that_leaves(serve: Serve) -> None:
    """The client closes after the answer, and the task succeeds.

    gunicorn's own ASGI worker cancels a request three seconds after its client has gone; the task is not the request.
    """
    with serve(gunicorn("gated")).start() as server:
        server.post("/add/on_loop/report")
        server.await_effect("started", "report")
        let_pass(3.5)
        server.open_gate("report")
        server.await_effect("ended", "report")
        with Look.into(server) as look:
            wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")
            assert look.job().attempts == 1


@postgres_in_the_long_form
def test_08_http_middleware_and_a_client_that_closes_early(serve: Serve) -> None:
    """A `@app.middleware("http")` is there, and the client resets the connection at the first byte: succeeds."""
    with serve(uvicorn("gated")).start() as server:
        connection = server.raw("POST", "/add/on_loop/report")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        server.await_effect("started", "report")
        let_pass(0.3)
        server.open_gate("report")
        server.await_effect("ended", "report")
        with Look.into(server) as look:
            wait_until(lambda: look.job().state is JobState.SUCCEEDED, "the job has succeeded")


@on_both_stores
def test_10_a_stream_killed_in_the_middle(serve: Serve) -> None:
    """A task is added between two chunks: when the client has the second, the job is on disk.

    Killed there, it runs after the new start, once.
    """
    server = serve(uvicorn("gated")).start()
    server.open_gate("report")
    with server.raw("GET", "/stream/on_loop/report") as connection:
        wait_until(lambda: b"after;" in connection.recv(4096, socket.MSG_PEEK), "the second chunk has come")
        with Look.into(server) as look:
            assert look.states() == [JobState.STAGED]
        assert server.effects("started") == []
        server.kill()
    server.start().await_effect("ended", "report")
    assert server.effects("started") == ["report"]


def test_10_a_stream_that_ends(serve: Serve) -> None:
    """The same, left alone: the task starts after the last chunk, once."""
    with serve(uvicorn("gated")).start() as server:
        server.open_gate("report")
        with server.raw("GET", "/stream/on_loop/report") as connection:
            wait_until(lambda: b"after;" in connection.recv(4096, socket.MSG_PEEK), "the second chunk has come")
            let_pass(0.3)
            assert server.effects("started") == []
            server.open_gate("stream")
            server.await_effect("ended", "report")
            assert b"end" in connection.recv(4096)
        assert server.effects("started") == ["report"]


@pytest.mark.parametrize("allowed", ["os:remove", ""], ids=["stored", "ephemeral"])
def test_19_a_file_is_there_until_a_slow_client_has_it_whole(serve: Serve, allowed: str) -> None:
    """Also where the call cannot be stored; then a warning has the line that cures it."""
    with serve(uvicorn("downloads"), POSTLUDE_ALLOW=allowed).start() as server:
        file = server.folder / "report.csv"
        with closing(server.connect()) as connection:
            connection.request("GET", "/report")
            answer = connection.getresponse()
            answer.read(1)
            let_pass(0.3)
            assert file.exists()
            size = file.stat().st_size
            assert len(answer.read()) == size - 1
        wait_until(lambda: not file.exists(), "the file is removed")
    assert len(server.says("WARNING:", 'Postlude(app, allow=["os:remove"])')) == (not allowed)


@on_both_stores
def test_a_second_start_does_not_take_what_the_first_runs(serve: Serve, store: dict[str, str]) -> None:
    """The same application is started beside itself: what the first runs stays with it while it lives.

    It comes to the second when the first is killed; in PostgreSQL a free lock is looked at twice, a second apart.
    """
    with serve(uvicorn("gated")).start() as first, serve(uvicorn("gated")) as second:
        first.post("/add/on_loop/report")
        first.await_effect("started", "report")
        second.start()
        let_pass(2.5)
        assert first.effects("started") == ["report"]
        assert not second.says("interrupted")
        first.kill()
        began = time.monotonic()
        second.await_effect("started", "report", times=2, seconds=5)
        assert time.monotonic() - began < (3.0 if store else 2.0)
        second.open_gate("report")
        second.await_effect("ended", "report")

"""Scenarios 48 to 51: places that cannot keep a store, Postlude switched off, and a disk that fails."""

import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from postlude import JobState
from tests.scenarios.conftest import Serve
from tests.scenarios.look import Look
from tests.scenarios.outage import DatabaseGone, DiskFull, FilesLimited, Outage, mounted
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import let_pass, wait_until

MEMORY = Path("/dev/shm")
"""Where Linux has a file system in memory that everybody may write to."""


@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no file system in memory")
def test_48_a_store_that_forgets_is_warned_about(serve: Serve) -> None:
    """The store is on a file system that is gone with its machine: the start says so, and what to do.

    The server serves all the same.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        with serve(uvicorn("gated"), POSTLUDE_URL=f"sqlite:///{folder}/jobs.db").start() as server:
            server.open_gate("report")
            assert server.post("/add/on_loop/report").status == 200
            server.await_effect("ended", "report")
        (line,) = server.says("in memory (tmpfs)")
    assert line.startswith("WARNING:")
    assert "Mount a volume and set POSTLUDE_URL" in line


def test_48_a_proper_place_is_not_warned_about(serve: Serve) -> None:
    """No warning without a reason: each start says where the store is, once."""
    with serve(uvicorn("gated")).start() as server:
        server.get("/ping")
    assert len(server.says("INFO:", "store: ", str(server.folder / ".postlude" / "jobs.db"))) == 1


def test_48_a_read_only_file_system(serve: Serve, tmp_path: Path) -> None:
    """The default place cannot be written to: the server does not start, and the error names POSTLUDE_URL."""
    with mounted(tmp_path / "image", "ro,size=64k") as folder:
        server = serve(uvicorn("gated"))
        server.folder = folder
        refused(server)
    assert server.says("StoreLocationError", "Read-only file system", "set POSTLUDE_URL")


def test_48_a_place_that_takes_no_files(serve: Serve) -> None:
    """The same where nothing can be mounted: a folder of the kernel's, in which nobody can make a file."""
    folder = "/proc" if sys.platform == "linux" else "/dev"
    server = serve(uvicorn("gated"), POSTLUDE_URL=f"sqlite:///{folder}/jobs.db")
    refused(server)
    assert server.says("StoreLocationError", f"{folder}/jobs.db", "set POSTLUDE_URL")


def refused(server: Server) -> None:
    """It ends by itself instead of listening, and says more than a traceback."""
    server.launch()
    assert server.wait() != 0


def test_50_switched_off(serve: Serve) -> None:
    """`POSTLUDE_DISABLED=1`: FastAPI as it was.

    Tasks run after the answer, there is no store, and a killed process has forgotten them. Each start says so once, and
    nothing else.
    """
    server = serve(uvicorn("gated"), POSTLUDE_DISABLED="1").start()
    server.open_gate("first")
    assert server.post("/add/on_loop/first").status == 200
    server.await_effect("ended", "first")
    server.post("/add/on_loop/second")
    server.await_effect("started", "second")
    server.kill()
    server.open_gate("second")
    server.start().get("/ping")
    let_pass(0.5)
    assert server.effects("ended") == ["first"]
    assert not (server.folder / ".postlude").exists()
    assert len(server.says("WARNING:", "postlude: disabled by POSTLUDE_DISABLED")) == 2
    assert len(server.says("postlude:")) == 2


@pytest.fixture(params=["file size limit", "full disk", "database gone"])
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outage]:
    if request.param == "database gone":
        yield DatabaseGone(request.getfixturevalue("postgres"))
    elif request.param == "file size limit":
        if not hasattr(resource, "prlimit"):
            pytest.skip("no limit can be set on another process here")
        yield FilesLimited(tmp_path)
    else:
        with mounted(tmp_path / "disk", "size=1m") as disk:
            yield DiskFull(disk)


def test_51_the_disk_is_full_in_the_middle_of_the_day(serve: Serve, outage: Outage) -> None:
    """No commit succeeds for a while: 503 with Retry-After, and nothing of the request is kept or run.

    Requests without tasks are answered. What ends meanwhile is settled later, and not run again. When there is room,
    everything goes on by itself.
    """
    with serve(uvicorn("gated"), POSTLUDE_URL=outage.url).start() as server:
        for name in ("before", "refused", "after"):
            server.open_gate(name)
        server.post("/add/on_loop/before")
        server.post("/add/on_loop/across")
        server.await_effect("ended", "before")
        with Look.into(server) as look:
            wait_until(lambda: look.count(JobState.RUNNING) == 1, "one is recorded as running")

        outage.begin(server)
        for _ in range(5):
            answer = server.post("/add/on_loop/refused")
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
            assert "could not be stored" in answer.body
            assert server.get("/ping").status == 200
        server.open_gate("across")
        server.await_effect("ended", "across")
        wait_until(lambda: server.says("did not do what it was asked (settling)"), "what has ended cannot be settled")
        outage.end(server)

        assert server.post("/add/on_loop/after").status == 200
        server.await_effect("ended", "after")
        wait_until(lambda: server.says("the store works again"), "it says that it is over", seconds=5)
        with Look.into(server) as look:
            wait_until(lambda: look.states() == [JobState.SUCCEEDED] * 3, "all are settled")
        server.terminate()
    assert server.effects("ended") == ["before", "across", "after"]
    with server.start():
        let_pass(0.5)
    assert server.effects("started") == ["before", "across", "after"]


def test_51_a_stream_is_broken_off(serve: Serve, outage: Outage) -> None:
    """A task is added in the middle of a stream while no commit succeeds: it is too late for a 503.

    The client gets no end of the stream that it could take for success, and the task does not run.
    """
    with serve(uvicorn("gated"), POSTLUDE_URL=outage.url).start() as server:
        server.open_gate("refused")
        server.open_gate("stream")
        outage.begin(server)
        with server.raw("GET", "/stream/on_loop/refused") as connection:
            received = b""
            while chunk := connection.recv(4096):
                received += chunk
        assert b"before;" in received
        assert b"end" not in received
        assert not received.endswith(b"0\r\n\r\n")
        outage.end(server)
        let_pass(1.0)
        with Look.into(server) as look:
            assert look.states() == []
    assert server.effects("started") == []


def test_51_run_unsaved(serve: Serve, outage: Outage) -> None:
    """With `on_store_error="run_unsaved"` the answers go out and the tasks run in the process.

    The log says which ran without having been stored, and later ones are stored again.
    """
    with serve(uvicorn("gated"), POSTLUDE_URL=outage.url, POSTLUDE_ON_STORE_ERROR="run_unsaved").start() as server:
        for name in ("before", "unsaved", "threaded", "after"):
            server.open_gate(name)
        server.post("/add/on_loop/before")
        server.await_effect("ended", "before")
        outage.begin(server)
        assert server.post("/add/on_loop/unsaved").status == 200
        assert server.post("/add/in_thread/threaded").status == 200
        server.await_effect("ended", "unsaved")
        server.await_effect("ended", "threaded")
        assert server.says("ERROR", "on_loop", "WITHOUT having been stored")
        assert server.says("ERROR", "in_thread", "WITHOUT having been stored")
        outage.end(server)
        assert server.post("/add/on_loop/after").status == 200
        server.await_effect("ended", "after")
        with Look.into(server) as look:
            wait_until(lambda: look.states() == [JobState.SUCCEEDED] * 2, "what could be stored has been")
        server.terminate()
    with server.start():
        let_pass(0.5)
    assert len(server.effects("started")) == 4


@pytest.mark.parametrize("outage", ["file size limit", "database gone"], indirect=True)
def test_51_a_task_that_saves_waits_for_the_store(serve: Serve, outage: Outage) -> None:
    """The outage is not its failure: the same attempt goes on when there is a store again."""
    with serve(uvicorn("gated"), POSTLUDE_URL=outage.url).start() as server:
        server.post("/add/saves/a")
        server.await_effect("started", "a")
        outage.begin(server)
        server.open_gate("a")
        wait_until(lambda: server.says("saving the state of a task"), "it cannot save")
        outage.end(server)
        server.await_effect("ended", "a")
        with Look.into(server) as look:
            wait_until(lambda: look.job().state.finished, "it has ended")
            job = look.job()
    assert (job.state, job.attempts, job.saved) == (JobState.SUCCEEDED, 1, "a")


def test_51_told_to_end_while_the_disk_is_full(serve: Serve, outage: Outage) -> None:
    """SIGTERM while no commit succeeds: the process ends in time all the same, after what runs has had its grace.

    What came to an end then could not be written down, so it runs again: at least once, and never lost.
    """
    server = serve(uvicorn("gated"), POSTLUDE_URL=outage.url, POSTLUDE_SHUTDOWN_GRACE="2")
    with server.start():
        server.post("/add/on_loop/within")
        server.post("/add/on_loop/beyond")
        server.await_effect("started", "beyond")
        outage.begin(server)
        server.signal(signal.SIGTERM)
        let_pass(0.3)
        server.open_gate("within")
        server.await_effect("ended", "within")
        server.wait(seconds=7)
        assert not server.says("Traceback"), server.text
        outage.end(server)
        server.open_gate("beyond")
        server.start()
        server.await_effect("ended", "beyond")
        with Look.into(server) as look:
            wait_until(lambda: look.states() == [JobState.SUCCEEDED] * 2, "both have ended")

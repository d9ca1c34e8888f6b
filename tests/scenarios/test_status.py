"""Scenarios 37 and 38: callers who ask after their jobs, and cancel them; and streams that end with their server."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.scenarios.conftest import Serve, postgres_in_the_long_form
from tests.scenarios.server import Server, gunicorn, uvicorn
from tests.scenarios.waiting import wait_until


def add(server: Server, kind: str, name: str) -> str:
    """Where the job is told of."""
    answer = server.post(f"/add/{kind}/{name}")
    assert answer.status == 202
    where: str = json.loads(answer.body)["status"]
    return where


def told(server: Server, where: str) -> dict[str, Any]:
    """What is told there; never that there is no such job."""
    answer = server.get(where)
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


Listen = Callable[[Server, str], HTTPResponse]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Open a stream; it is closed with the test."""
    with ExitStack() as stack:

        def listen(server: Server, where: str) -> HTTPResponse:
            connection = stack.enter_context(closing(server.connect()))
            connection.request("GET", f"{where}/events", headers={"Accept": "text/event-stream"})
            stream = stack.enter_context(closing(connection.getresponse()))
            assert stream.status == 200
            return stream

        yield listen


def events_until(stream: HTTPResponse, name: str) -> list[str]:
    """The names of the events up to that one, or up to the end of the stream."""
    names: list[str] = []
    while name not in names and (line := stream.readline()):
        if line.startswith(b"event: "):
            names.append(line[7:].decode().strip())
    return names


@postgres_in_the_long_form
def test_37_asked_from_another_process(serve: Serve, listen: Listen) -> None:
    """From the moment on when the caller has the id: the state, the progress, the events, and the result."""
    runs = serve(uvicorn("told")).start()
    asked = serve(uvicorn("told"), POSTLUDE_WORKER="off").start()
    for name in map(str, range(20)):
        told(asked, add(runs, "on_loop", name))
    where = add(runs, "on_loop", "watched")
    stream = listen(asked, where)
    wait_until(lambda: told(asked, where)["progress"], "its progress is told")
    assert told(asked, where)["progress"] == {"done": 1.0, "total": 3.0, "note": "one of three"}
    runs.open_gate("watched")
    assert events_until(stream, "end")[-1] == "end"
    assert told(asked, where)["state"] == "succeeded"
    assert json.loads(asked.get(f"{where}/result").body) == {"name": "watched"}


@postgres_in_the_long_form
def test_38_cancelled_by_the_caller_in_another_process(serve: Serve) -> None:
    runs = serve(uvicorn("told")).start()
    asked = serve(uvicorn("told"), POSTLUDE_WORKER="off").start()
    waits, on_loop, in_process = add(runs, "later", "a"), add(runs, "on_loop", "b"), add(runs, "in_process", "c")
    for name in "bc":
        runs.await_effect("started", name)
    for where in (waits, on_loop, in_process):
        assert asked.post(f"{where}/cancel").status in {200, 202}
    for where in (waits, on_loop, in_process):
        wait_until(lambda where=where: told(asked, where)["state"] == "cancelled", "it is cancelled")  # type: ignore[misc]
    assert runs.effects("CancelledError") == ["b"]
    for name in "abc":
        runs.open_gate(name)
    assert runs.effects("started", "a") == runs.effects("ended", "c") == []


@pytest.mark.parametrize(
    ("command", "worker"),
    [
        pytest.param(uvicorn("told"), "embedded", id="uvicorn"),
        pytest.param(uvicorn("told"), "off", id="uvicorn without a worker"),
        pytest.param(gunicorn("told"), "embedded", id="gunicorn", marks=pytest.mark.soak),
    ],
)
def test_a_stream_ends_with_its_server_and_holds_nothing_up(
    serve: Serve, listen: Listen, command: tuple[str, ...], worker: str
) -> None:
    server = serve(command, POSTLUDE_WORKER=worker, POSTLUDE_SHUTDOWN_GRACE="0").start()
    where = add(server, "on_loop", "a")
    streams = [listen(server, where) for _ in range(3)]
    for stream in streams:
        assert events_until(stream, "state") == ["state"]
    assert server.terminate(seconds=10) < 5
    for stream in streams:
        assert "end" not in events_until(stream, "end"), "its job has not ended"
    assert not server.says("ERROR")
    assert not server.says("Traceback")


def test_06_a_stream_is_open_at_a_reload(serve: Serve, listen: Listen) -> None:
    server = serve(uvicorn("main:app", "--reload"))
    source = server.folder / "main.py"
    text = "from tests.scenarios.apps.told import *\n"
    source.write_text(text)
    server.start()
    stream = listen(server, add(server, "on_loop", "a"))
    assert events_until(stream, "state") == ["state"]
    source.write_text(f"{text}VERSION = 2\n")
    assert "end" not in events_until(stream, "end"), "its job has not ended"
    wait_until(lambda: len(server.says("Application startup complete")) == 2, "the new code is there", seconds=10)

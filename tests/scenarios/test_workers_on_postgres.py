"""Scenario 33: servers and workers that share a PostgreSQL database, as if each were on a machine of its own."""

import signal
import time
from pathlib import Path

import pytest

from tests.scenarios.conftest import Serve
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.test_worker_process import served
from tests.scenarios.test_workers import NO_SERVER, health, pids, works
from tests.stores.places import new_namespace


@pytest.fixture
def shared(postgres: str) -> dict[str, str]:
    """The environment of all that share an empty place in the database."""
    url, _, namespace = new_namespace(postgres).partition("#")
    return {"POSTLUDE_URL": url, "POSTLUDE_NAMESPACE": namespace}


def test_a_worker_hears_at_once_of_what_a_server_stores(serve: Serve, shared: dict[str, str]) -> None:
    server = serve(uvicorn("worked"), **shared, **NO_SERVER).start()
    works_here = works(serve, **shared)
    began = time.monotonic()
    for number in range(20):
        server.post(f"/add/tells_the_pool/{number}")
        server.await_effect("pool", str(number))
    assert time.monotonic() - began < 5
    assert pids(server, "pool") == {works_here.pid}
    assert health(works_here)[0] == 200


def test_33_jobs_of_a_killed_worker_are_taken_over(serve: Serve, shared: dict[str, str], tmp_path: Path) -> None:
    server = serve(uvicorn("worked"), **shared, **NO_SERVER).start()
    hosts = [tmp_path / "one", tmp_path / "another"]
    for host in hosts:
        host.mkdir()
    # What processes of one machine know of each other they know by a file in its temporary folder.
    workers = [works(serve, TMPDIR=str(host), **shared) for host in hosts]
    server.post("/add/on_loop/a")
    server.await_effect("started", "a")
    (runs,) = pids(server, "started")
    next(each for each in workers if each.pid == runs).kill()
    server.await_effect("started", "a", times=2, seconds=25.0)
    server.open_gate("a")
    server.await_effect("ended", "a")


def test_sigterm_gives_back_and_another_goes_on(serve: Serve, shared: dict[str, str]) -> None:
    server = serve(uvicorn("worked"), **shared, **NO_SERVER).start()
    first = works(serve, POSTLUDE_SHUTDOWN_GRACE="0", **shared)
    server.post("/add/on_loop/a")
    server.await_effect("started", "a")
    first.signal(signal.SIGTERM)
    assert first.wait() == 0, first.text
    works(serve, **shared)
    server.await_effect("started", "a", times=2)
    server.open_gate("a")
    server.await_effect("ended", "a")


def test_of_two_queues_each_worker_takes_its_own(serve: Serve, shared: dict[str, str]) -> None:
    server = serve(uvicorn("worked"), **shared, **NO_SERVER).start()
    reports = works(serve, "--queues", "reports:1", **shared)
    for name in ("a", "b"):
        server.post(f"/add/report/{name}")
    server.post("/add/mail/c")
    server.await_effect("started", "a")
    mail = works(serve, "--queues", "mail", **shared)
    server.await_effect("started", "c")
    assert server.effects("started", "b") == [], "one at a time"
    for name in ("a", "c"):
        server.open_gate(name)
    server.await_effect("started", "b")
    server.open_gate("b")
    assert pids(server, "started") == {reports.pid, mail.pid}


def test_a_child_of_the_server(serve: Serve, shared: dict[str, str]) -> None:
    server: Server = served(serve, **shared)
    server.post("/add/tells_the_pool/a")
    server.await_effect("pool", "a")
    assert pids(server, "pool") != {server.pid}
    server.terminate()

"""The lines of the start come once for each server, however many processes it has."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.scenarios.conftest import Serve
from tests.scenarios.server import APPS, Server, gunicorn, uvicorn
from tests.scenarios.waiting import wait_until

ONCE = {"store: ": 1, "worker: ": 1, "routes: ": 1, "queue: ": 1}


needs_proc = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell of its processes")


def start_lines(server: Server) -> Counter[str]:
    """How often each line was said."""
    return Counter(fact for fact in ONCE for _ in server.says("postlude: ", fact))


def ready(server: Server, processes: int) -> None:
    wait_until(lambda: len(server.says("startup complete")) >= processes, f"{processes} are there")


def children(server: Server) -> list[int]:
    """The processes that answer."""
    task = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return [int(pid) for pid in task.read_text().split()]


def test_four_workers_of_uvicorn(serve: Serve) -> None:
    server = serve(uvicorn("load", "--workers", "4")).start()
    ready(server, 4)
    assert start_lines(server) == ONCE, server.text
    assert server.says("worker: embedded", "in child processes, in each process")
    server.kill()
    server.start()
    ready(server, 8)
    assert start_lines(server) == dict.fromkeys(ONCE, 2), "a new server speaks again"


def test_a_warning_is_said_once_too(serve: Serve) -> None:
    server = serve(uvicorn("load", "--workers", "4"), POSTLUDE_SHUTDOWN="3").start()
    ready(server, 4)
    assert len(server.says("POSTLUDE_SHUTDOWN in the environment is no setting")) == 1


@needs_proc
def test_a_worker_that_replaces_a_silent_one_is_silent(serve: Serve) -> None:
    server = serve(uvicorn("load", "--workers", "2")).start()
    ready(server, 2)
    (silent,) = [pid for pid in workers(server) if not holds_a_server(pid)]
    server.kill_worker(silent)
    ready(server, 3)
    assert start_lines(server) == ONCE, server.text


def workers(server: Server) -> set[int]:
    """Those of its processes that have the store open."""
    return {pid for pid in children(server) if has_open(pid, "jobs.db-workers")}


def has_open(pid: int, name: str) -> bool:
    return any(leads_to(link) == name for link in Path(f"/proc/{pid}/fd").glob("*"))


def leads_to(link: Path) -> str:
    try:
        return link.readlink().name
    except FileNotFoundError:  # it was closed since it was listed
        return ""


def holds_a_server(pid: int) -> bool:
    """Whether the kernel knows a lock of this process at an offset where those of the servers are."""
    locks = [line.split() for line in Path("/proc/locks").read_text("utf-8").splitlines()]
    return any(words[1] == "POSIX" and int(words[4]) == pid and int(words[6]) >= 1 << 62 for words in locks)


@needs_proc
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["plain", "preload"])
def test_four_workers_of_gunicorn(serve: Serve, options: tuple[str, ...]) -> None:
    server = serve(gunicorn("load", "--workers", "4", *options)).start()
    wait_until(lambda: len(workers(server)) == 4, "all four are there")
    server.post("/1")
    server.terminate()
    assert start_lines(server) == ONCE, server.text


def test_two_servers_on_one_file(serve: Serve) -> None:
    """Started by the same process and with the same command, they are two all the same."""
    first = serve(uvicorn("load")).start()
    second = serve(uvicorn("load")).start()
    for server in (first, second):
        ready(server, 1)
        assert start_lines(server) == ONCE, server.text
        assert not server.says("in each process")


def test_a_script_that_asks_for_a_reload(serve: Serve) -> None:
    """`uvicorn.run(…, reload=True)`: nobody waits, and the process after a change speaks again."""
    server = serve((f"{APPS}.started_by_script", "{port}"))
    code = server.folder / "code.py"
    code.write_text("", "utf-8")
    server.start()
    ready(server, 1)
    assert start_lines(server) == ONCE, server.text
    assert server.get("/grace").body == "0.0"
    moment = code.stat().st_mtime
    os.utime(code, (moment + 9, moment + 9))
    ready(server, 2)
    assert start_lines(server) == dict.fromkeys(ONCE, 2), server.text

"""A real server process in a folder of its own, seen from outside: its port, its output, its files and its death."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple, Self

from tests.scenarios.waiting import wait_until

ROOT = Path(__file__).parents[2]
APPS = "tests.scenarios.apps"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: str


class Server:
    """One server, that can be ended and started again in the same folder.

    Args:
        folder: the working directory; the store is in its default place there unless `env` says otherwise.
        command: what to run after `python -m`, or after `python` if it is a file, with `{port}` where the port belongs.
        env: more variables for its environment.
        prefix: what stands before it all, and becomes it.
    """

    def __init__(
        self,
        folder: Path,
        command: tuple[str, ...],
        env: Mapping[str, str] | None = None,
        *,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.command = command
        self.prefix = prefix
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")}
        self.env |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(env or {})}
        self.port = 0
        self.output: list[str] = []
        """Everything that it printed, over all its lives."""
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # Life and death

    def launch(self) -> Self:
        """Start the process, and do not wait for it."""
        assert not self.alive, "it runs already"
        self.port = _free_port()
        command = [part.format(port=self.port) for part in self.command]
        self._process = subprocess.Popen(
            [*self.prefix, sys.executable, *(() if command[0].endswith(".py") else ("-m",)), *command],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that its workers can be ended with it, and nobody else
        )
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout], daemon=True)
        self._reader.start()
        return self

    def start(self, *, seconds: float = 20.0) -> Self:
        """Start the process, and return when it takes connections."""
        for _ in range(3):
            self.launch()
            wait_until(lambda: not self.alive or self.listens(), f"{self.command} listens", seconds=seconds)
            if self.alive:
                return self
            self.kill()
            if not self.says("ddress already in use"):  # somebody else was faster to take the free port
                break
        message = f"{self.command} ended instead of listening:\n{self.text}"
        raise AssertionError(message)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started, as a supervisor does."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL for it and all that it has started; returns when it is gone."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; macOS says it in the second way
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()

    def kill_worker(self, pid: int) -> None:
        """SIGKILL for one of the processes that it has started."""
        assert os.getpgid(pid) == self.pid
        os.kill(pid, signal.SIGKILL)

    def terminate(self, *, seconds: float = 15.0) -> float:
        """SIGTERM; returns the seconds until it had ended."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        self.wait(seconds=seconds)
        return time.monotonic() - began

    def wait(self, *, seconds: float = 15.0) -> int:
        """Return the exit code when it has ended, and all its output has been read."""
        assert self._process is not None
        assert self._reader is not None
        code = self._process.wait(seconds)
        self._reader.join(seconds)
        return code

    # What it says

    def _read(self, stream: IO[str]) -> None:
        with stream:
            self.output.extend(stream)

    @property
    def text(self) -> str:
        return "".join(self.output)

    def says(self, *words: str) -> list[str]:
        """The lines of its output that have all these words."""
        return [line for line in self.output if all(word in line for word in words)]

    # Requests

    def post(self, path: str, *, seconds: float = 15.0) -> Answer:
        return self.request("POST", path, seconds=seconds)

    def get(self, path: str, *, seconds: float = 15.0) -> Answer:
        return self.request("GET", path, seconds=seconds)

    def request(self, method: str, path: str, *, seconds: float = 15.0) -> Answer:
        connection = self.connect(seconds=seconds)
        try:
            connection.request(method, path, headers={"Connection": "close"})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def connect(self, *, seconds: float = 15.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def raw(self, method: str, path: str, *, seconds: float = 15.0) -> socket.socket:
        """A connection on which the request was sent and nothing was read."""
        connection = socket.create_connection(("127.0.0.1", self.port), seconds)
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        return connection

    # Files in its folder

    def open_gate(self, name: str) -> None:
        """Let the tasks with this name end."""
        (self.folder / f"{name}.gate").touch()

    def close_gate(self, name: str) -> None:
        (self.folder / f"{name}.gate").unlink(missing_ok=True)

    def effects(self, event: str, name: str | None = None) -> list[str]:
        """The names, one for each time, that the tasks noted with this event."""
        path = self.folder / "effects.log"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [line[2] for line in lines if line[1] == event and name in {None, line[2]}]

    def processes(self) -> set[str]:
        """The process ids of all who noted an effect."""
        path = self.folder / "effects.log"
        return {line.split()[0] for line in path.read_text().splitlines()} if path.exists() else set()

    def await_effect(self, event: str, name: str, *, times: int = 1, seconds: float = 15.0) -> None:
        wait_until(
            lambda: len(self.effects(event, name)) >= times,
            f"{name} has {event} {times} times; the server said:\n{self.text}",
            seconds=seconds,
        )


def uvicorn(app: str, *options: str) -> tuple[str, ...]:
    """The command that serves one of the applications beside this file."""
    address = ("--host", "127.0.0.1", "--port", "{port}")
    target = app if ":" in app else f"{APPS}.{app}:app"
    return ("uvicorn", target, *address, "--no-access-log", *options)


def gunicorn(app: str, *options: str) -> tuple[str, ...]:
    """The same with gunicorn and its own ASGI worker."""
    own = ("--no-control-socket", "--bind", "127.0.0.1:{port}")
    return ("gunicorn", f"{APPS}.{app}:app", "-k", "asgi", *own, *options)


def gone(pid: int) -> bool:
    """Whether there is no such process any more, or only its exit code."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port

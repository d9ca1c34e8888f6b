"""A uvicorn process that serves the application under load."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from benchmarks.machine import ROOT, CannotRun

if TYPE_CHECKING:
    from pathlib import Path

START_WITHIN = 30.0
STOP_WITHIN = 30.0


class Server:
    """Starts with the block and ends with it.

    Args:
        store: the file for the jobs; None: FastAPI's own background tasks.
        observed: they are FastAPI's own all the same, and what becomes of them is recorded beside that file.
        log: where the server's output goes.
        core: the only core it may use; None: any.
        workers: how many processes serve.
        app: what they serve.
    """

    def __init__(
        self,
        store: Path | None,
        log: Path,
        *,
        core: int | None = None,
        workers: int = 1,
        observed: bool = False,
        app: str = "benchmarks.served:app",
    ) -> None:
        self._app = app
        self._store = store
        self._observed = observed
        self._log = log
        self._core = core
        self._workers = workers
        self._app = app
        self.port = _free_port()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGTERM)

    def start(self) -> float:
        """Return when the port is open: the moment, by the monotonic clock."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")}
        if self._store is not None:
            environment["POSTLUDE_URL"] = f"sqlite:///{self._store}"
        if self._observed:
            environment["POSTLUDE_MODE"] = "observe"
        command = [sys.executable, "-m", "benchmarks.pinned", str(-1 if self._core is None else self._core), "uvicorn"]
        command += [self._app, "--host", "127.0.0.1", "--port", str(self.port), "--no-access-log"]
        command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
        if self._workers > 1:
            command += ["--workers", str(self._workers)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + START_WITHIN
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.002)
            else:
                return time.monotonic()
        self._end(signal.SIGKILL)
        message = f"the server did not come up:\n{self._log.read_text('utf-8', 'replace')[-4000:]}"
        raise CannotRun(message)

    def kill(self) -> float:
        """End all its processes as a crash would: the moment, by the monotonic clock."""
        now = time.monotonic()
        self._end(signal.SIGKILL)
        return now

    def get(self, path: str) -> Any:  # noqa: ANN401 - whatever the endpoint returns
        return self._ask("GET", path)

    def post(self, path: str) -> Any:  # noqa: ANN401
        return self._ask("POST", path)

    def _ask(self, method: str, path: str) -> Any:  # noqa: ANN401
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            message = f"{method} {path} was answered with {answer.status}: {body!r}"
            raise CannotRun(message)
        return json.loads(body)

    def _end(self, number: signal.Signals) -> None:
        if self._process.poll() is not None:
            return
        if number == signal.SIGTERM:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                number = signal.SIGKILL
        if number == signal.SIGKILL:
            # It leads a session of its own, so this reaches its workers and nothing else.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port

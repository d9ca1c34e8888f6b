"""The service as a real uvicorn process, which can be killed and started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NoReturn, Self

from postlude.clock import SystemClock
from postlude.errors import PostludeError

if TYPE_CHECKING:
    from types import TracebackType

    from postlude.cli.demo.folder import Folder

OUTPUT: Final = "server.log"
UVICORN: Final = (sys.executable, "-m", "uvicorn", "--no-access-log")
HOST: Final = "127.0.0.1"
SECONDS_TO_START: Final = 30.0
LINES_SHOWN: Final = 20


class ServerFailed(PostludeError, RuntimeError):
    """The server did not come up, or ended by itself; `output` is the end of what it said."""

    def __init__(self, what: str, output: list[str]) -> None:
        self.what: str = what
        self.output: list[str] = output[-LINES_SHOWN:]
        super().__init__(what)


class Server:
    """One service, in one process after the other; none is left when the context is left.

    Args:
        folder: its working directory: the store, the log and its own output go there.
        durable: whether Postlude is on.
    """

    def __init__(self, folder: Folder, *, durable: bool) -> None:
        self._folder = folder
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self.port: int = _free_port()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._running().pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> float:
        """Start a process; returns when it accepts connections, with the seconds that took.

        Raises:
            ServerFailed: it ended, or took too long.
        """
        began = SystemClock.elapsed()
        with (self._folder.path / OUTPUT).open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, on a module of ours
                [*UVICORN, "postlude.cli.demo.service:app", "--host", HOST, "--port", str(self.port)],
                cwd=self._folder.path,
                env=_environment(durable=self._durable),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the demonstration, which then ends its server
            )
        while not self._accepts():
            self.pause(0.01)
            if SystemClock.elapsed() - began > SECONDS_TO_START:
                self.fail(f"the server did not come up within {SECONDS_TO_START:.0f} seconds")
        return SystemClock.elapsed() - began

    def kill(self) -> None:
        """Send SIGKILL, which nothing can catch or delay; returns when the process is gone. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, seconds: float) -> None:
        """Let the server work for a while.

        Raises:
            ServerFailed: it ended instead.
        """
        try:
            code = self._running().wait(seconds)
        except subprocess.TimeoutExpired:
            return
        self.fail(f"the server ended by itself with exit code {code}")

    def fail(self, what: str) -> NoReturn:
        """Give up, with what the server said last.

        Raises:
            ServerFailed: always.
        """
        raise ServerFailed(what, self._folder.lines(OUTPUT))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self.fail("the server is not running")
        return self._process

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0


def _environment(*, durable: bool) -> dict[str, str]:
    """The environment of the demonstration, without what is meant for somebody's own application and its server."""
    foreign = ("POSTLUDE_", "UVICORN_", "WEB_CONCURRENCY")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}  # noqa: TID251 - passed on, not read
    return inherited if durable else {**inherited, "POSTLUDE_DISABLED": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port

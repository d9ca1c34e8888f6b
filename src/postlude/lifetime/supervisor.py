"""`worker="process"`: the child process that runs a server's jobs, started, watched, and started again.

It is started by `subprocess`, as the children of `executor="process"` are, and imports the application anew. It ends
with its server, however that ends: a closed wire says so, and on Linux the kernel, for one whose threads do not run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from postlude.events import WorkerEnded
from postlude.executors.processes import how_it_ended, importable_from
from postlude.executors.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from postlude.clock import Clock
    from postlude.telling import Events

STEADY_AFTER: Final = 10.0
"""Seconds after which a child that ends is started again at once: it did not end because it cannot run."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds before one is started that follows a shorter life: doubling from the first to the longest."""
ENDS_WITHIN: Final = 6.0
"""Seconds beyond the grace that a child has to end: for last words, its last outcomes, and its own shutdown. Those of
the engine take 5 s at most. After that it is killed, and its jobs are found by others."""

# The path comes first: Postlude itself may have been found by what the application did to it.
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from postlude.standalone.child import main; main()"
)


class Supervisor:
    """Sees that there is a child as long as the server lives.

    Args:
        told: what the child is told first.
        clock: measures how long each has lived.
        events: told when one ends that was not to end.
    """

    def __init__(self, told: Callable[[], Mapping[str, Any]], clock: Clock, events: Events) -> None:
        self._told = told
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._child: _Child | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the child, on the server's loop, and return at once.

        Raises:
            InstallError: it could not find the application.
        """
        told = self._told()
        self._ending.clear()
        self._loop = asyncio.get_running_loop()
        # The kernel tells the child of the end of the thread that started it: this one lives as long as the process.
        self._thread = threading.Thread(target=self._supervise, args=[told], name="postlude-supervisor", daemon=True)
        self._thread.start()

    def begin_stop(self) -> None:
        """Have the child end within its grace, and start no other; from any thread, or a signal handler. Idempotent."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it was closed: the wire is, too, or will be with the process
                loop.call_soon_threadsafe(self._tell_to_stop)

    async def stop(self, seconds: float) -> None:
        """Return when the child has ended; after that time and `ENDS_WITHIN` it is killed. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._tell_to_stop()
        await asyncio.get_running_loop().run_in_executor(None, thread.join, seconds + ENDS_WITHIN)
        with self._lock:
            if self._child is not None:
                self._child.kill()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        self._loop = None

    def _tell_to_stop(self) -> None:
        with self._lock:
            self._ending.set()
            if self._child is not None:
                self._child.tell_to_stop()

    def _supervise(self, told: Mapping[str, Any]) -> None:
        quick = 0
        while not self._ending.is_set():
            began = self._clock.elapsed()
            try:
                how = self._live(told)
            except Exception as error:  # noqa: BLE001 - else no child would ever follow, and nobody would know
                how = f"could not be started, or watched: {type(error).__name__}: {error}"
            if self._ending.is_set():
                return
            quick = 0 if self._clock.elapsed() - began >= STEADY_AFTER else quick + 1
            pause = min(FIRST_PAUSE * 2 ** (quick - 1), LONGEST_PAUSE) if quick else 0.0
            self._events.emit(WorkerEnded(how, pause))
            self._ending.wait(pause)

    def _live(self, told: Mapping[str, Any]) -> str:
        """One life of a child; returns how it ended, for people."""
        try:
            child = _Child(told)
        except OSError as error:
            return f"could not be started: {error}"
        with self._lock:
            self._child = child
            if self._ending.is_set():
                child.tell_to_stop()
        try:
            return child.wait()
        finally:
            with self._lock:
                self._child = None


class _Child:
    """One child process."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        self._wire = Wire(ours)
        with theirs:
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # noqa: SLF001 - as multiprocessing does
            start = ("-P", "-c", _START, str(theirs.fileno()), json.dumps(importable_from()))
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
                    [sys.executable, *flags, *start], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
                )
            except OSError:
                self._wire.close()
                raise
        self._send(told)

    def tell_to_stop(self) -> None:
        self._send({"stop": True})

    def _send(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has ended already, and is waited for
            self._wire.send(message)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> str:
        code = self._process.wait()
        self._wire.close()
        return how_it_ended(code)

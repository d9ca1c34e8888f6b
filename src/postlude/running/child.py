"""What a child of `executor="process"` does: one attempt after the other, until its process closes the wire.

Its main thread runs them, as the main thread of a script does. It ends with the process it belongs to, however that
ends: a closed wire says so, and on Linux the kernel, for a task that keeps Python from everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import logging
import os
import queue
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from postlude.errors import ClaimLost, StoreUnavailable
from postlude.executors import logs
from postlude.executors.inside import enter_child
from postlude.executors.processes import END_WITHIN
from postlude.executors.wire import Wire
from postlude.running.elsewhere import Parcel, entered, job_of, perform
from postlude.stacks import stack_of

if TYPE_CHECKING:
    from uuid import UUID

    from postlude.context import CurrentJob

REPORT_EVERY: Final = 0.25
"""Seconds between two messages with progress, however often the task reports: twice as often as it is written down."""
_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Serve the wire whose file descriptor is the first argument."""
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)  # what a task starts must not keep it open
    for number in (signal.SIGINT, signal.SIGTERM):
        # The process that started this one is told as well, and decides. Not SIG_IGN, which what a task starts would
        # inherit.
        signal.signal(number, lambda *_: None)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    enter_child()
    wire = Wire(end)
    first = wire.receive()
    if first is not None:
        sys.argv[:] = first["argv"]
        logs.set_levels(first["levels"])
        os.nice(first["nice"])  # before there is another thread: on Linux each has a niceness of its own
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody is there to be told
            Attending(wire, first["setup"]).serve()


class Attending:
    """Runs what comes over the wire, and tells what happens in the meantime.

    Args:
        wire: to the process that started this one.
        setup: what it said of the application.
    """

    def __init__(self, wire: Wire, setup: str) -> None:
        self._wire = wire
        self._setup = setup
        self._attempts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._saved: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._current: CurrentJob | None = None
        self._asked = ""
        """The id of a job that is not the current one, of which it was asked where the attempt is."""
        self._saving = threading.Lock()
        """One at a time: the answers come in the order of the questions."""
        self._lock = threading.Lock()
        """What is said of an attempt must not come after its end: it would be taken for the next one's."""
        self._progressed = threading.Event()
        self._over = threading.Event()
        self._logging = Forward(self)

    def serve(self) -> None:
        """Return when the wire is closed, and there is nothing left to do."""
        threads = [
            threading.Thread(target=self._receive, name="postlude-wire", daemon=True),
            threading.Thread(target=self._report, name="postlude-progress", daemon=True),
        ]
        for each in threads:
            each.start()
        while (text := self._attempts.get()) is not None:
            logs.forward_to(self._logging)
            parcel = Parcel.loads(text)
            job = self._current = job_of(parcel, self._progressed.set, self._save)
            if self._asked == parcel.job_id:
                self.tell({"stack": None})
            ended = perform(self._setup, parcel, entered(self._setup, parcel, job))
            job.close()
            logs.forward_to(self._logging)  # the modules that were loaded have set up their own
            self._tell_progress()
            with self._lock:
                self._current = None
                self._wire.send({"ended": ended})
        # What a thread of ours can reach while Python ends is never freed, and some libraries complain of that.
        self._over.set()
        self._progressed.set()
        for each in threads:
            each.join()

    def _receive(self) -> None:
        while (message := self._wire.receive()) is not None:
            if "saved" in message:
                self._saved.put(message["saved"])
            elif "where" in message:
                self._say_where(message["where"])
            else:
                self._attempts.put(message["attempt"])
        if self._current is not None:
            os._exit(1)  # its process is dead, and somebody else does this once more
        # A thread that a task has started may keep it from ending; this needs none of Python's, and says nothing.
        try:
            faulthandler.dump_traceback_later(END_WITHIN, exit=True, file=os.open(os.devnull, os.O_WRONLY))
        finally:
            self._attempts.put(None)

    def _say_where(self, job_id: str) -> None:
        """Tell what the attempt at this job is executing; later, if it has not begun."""
        current = self._current
        if current is None or str(current.id) != job_id:
            self._asked = job_id
        else:
            self.tell({"stack": stack_of(current.id)})

    async def _save(self, job_id: UUID, text: str) -> None:
        refused = await asyncio.to_thread(self._ask_to_save, text)
        if refused is not None:
            kind, message = refused
            raise ClaimLost(job_id) if kind == ClaimLost.__name__ else StoreUnavailable(message)

    def _ask_to_save(self, text: str) -> list[str] | None:
        with self._saving:
            # Nobody answers after the end of the attempt, whose process has then taken up the next one.
            return self._saved.get() if self.tell({"save": text}) else [ClaimLost.__name__, ""]

    def _report(self) -> None:
        while self._progressed.wait() and not self._over.is_set():
            self._progressed.clear()
            self._tell_progress()
            self._over.wait(REPORT_EVERY)

    def _tell_progress(self) -> None:
        with self._lock:
            report = None if self._current is None else self._current.hear()
            if report is not None and report.progress is not None:
                self._wire.send({"progress": report.progress})

    def tell(self, message: dict[str, Any]) -> bool:
        """Say it, if an attempt is under way."""
        with self._lock:
            if self._current is None:
                return False
            self._wire.send(message)
            return True


class Forward(logging.Handler):
    """Hands log records over to where the application has set up its logging."""

    def __init__(self, attending: Attending) -> None:
        super().__init__()
        self._attending = attending

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; one that belongs to no attempt goes where Python writes what nobody handles."""
        try:
            told = self._attending.tell({"log": logs.packed(record)})
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)
        else:
            if not told and logging.lastResort is not None:
                logging.lastResort.handle(record)

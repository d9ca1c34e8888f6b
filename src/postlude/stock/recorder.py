"""What a process has observed, on its way to the file: the request notes it, and a thread writes it."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from postlude import telemetry
from postlude.stock.files import RecordFile
from postlude.stock.record import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from postlude.clock import Clock
    from postlude.stock.record import Event

PAUSE: Final = 0.005
"""Seconds between two writes. What came in since the last one is what a SIGKILL takes of the record."""
MOST_WAITING: Final = 100_000
"""How many events may wait for a disk that does not take them. Those behind are counted, and no more."""
_LAST_WRITE: Final = 2.0
"""Seconds that the end of the process waits for the thread."""


class Recorder:
    """Takes events from any thread, and never waits; for one process.

    Args:
        folder: of the record.
        clock: when events are written.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._clock = clock
        self._pid = os.getpid()
        since = clock.now()
        name = f"{datetime.fromtimestamp(since, UTC):%Y%m%dT%H%M%S.%f}-{self._pid}"
        self._file = RecordFile(folder, name, since)
        self._folder = folder
        self._tally = Tally()
        self._waiting: deque[Event] = deque()
        self._missed = 0
        self._failing = False
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._idle = True
        """Whether the thread, if there is one already, waits for the first event."""
        self._begun = False
        self._guard = threading.Lock()
        """Held to write, and to start the thread."""
        self._numbers = itertools.count(1)

    def note(self, event: Event) -> None:
        """Take an event."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(event)
        else:
            self._missed += 1
        if self._idle:
            self._idle = False
            if self._begun:
                self._wake.set()
            else:
                self._begin()

    def number(self) -> int:
        """A number that no other task of this process has."""
        return next(self._numbers)

    def _begin(self) -> None:
        with self._guard:
            if self._begun:
                return
            self._begun = True
        atexit.register(self.close)
        # An interpreter that is about to end starts no thread; what has come in is then written by `close`.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._run, name="postlude-observe", daemon=True).start()

    def _run(self) -> None:
        while not self._ended.is_set():
            while self.run_once():
                self._ended.wait(PAUSE)
            self._idle = True
            if not self._waiting:  # nothing came in before the last line
                self._wake.wait()
            self._wake.clear()
            self._idle = False

    def run_once(self) -> bool:
        """Write what has come in; whether there was anything."""
        with self._guard:
            events = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if self._missed:
                events.append(("missed", self._missed))
                self._missed = 0
            for event in events:
                self._tally.add(event)
            if events:
                self._write(events)
            return bool(events)

    def _write(self, events: list[Event]) -> None:
        try:
            self._file.write(self._clock.now(), events, self._tally)
        except OSError as error:
            if not self._failing:
                telemetry.warn(f"observing goes on, and cannot be recorded in {self._folder} for now: {error}")
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        """Write what is left, and let go of the file. Idempotent."""
        if self._pid != os.getpid():  # a fork, which ends; what is left here, its parent writes
            return
        atexit.unregister(self.close)
        self._ended.set()
        self._wake.set()
        # A disk that does not answer must not keep the process.
        if self._guard.acquire(timeout=_LAST_WRITE):
            self._guard.release()
            self.run_once()
            self._file.close()

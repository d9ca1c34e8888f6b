"""What a task logged, as it is kept with its job: the newest lines, up to a number and a size."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

MAX_LINES: Final = 1_000
MAX_BYTES: Final = 64 * 1024
"""What is kept of a job over all its attempts; of more, the newest."""


class LogLine(NamedTuple):
    """A record that was logged while a task ran."""

    at: float
    """Seconds since the epoch."""
    level: str
    """The name of the level, such as `WARNING`."""
    logger: str
    message: str
    """With the traceback of the exception that was logged, if one was."""
    attempt: int
    """Which try at the job logged it; the first is 1."""

    @property
    def size(self) -> int:
        """The bytes that it counts for: those of the message and of the logger's name, in UTF-8."""
        return len(self.message.encode()) + len(self.logger.encode())


def newest(lines: Sequence[LogLine]) -> list[LogLine]:
    """Those of the lines, oldest first, that are kept."""
    kept = NewLines()
    for line in lines:
        kept.add(line)
    return kept.take()


class NewLines:
    """The newest lines of an attempt that no store has yet; from any thread."""

    __slots__ = ("_bytes", "_lines")

    lock: ClassVar[AbstractContextManager[bool]] = threading.RLock()
    """One for all: whoever logs has waited for the locks of other handlers before, and holds this one for less. A
    thread can take it twice, since what a signal or the garbage collector runs may log while it has it."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()
        self._bytes = 0

    def add(self, line: LogLine) -> None:
        """Keep a line, and let go of the oldest ones that it leaves no room for."""
        size = line.size
        with self.lock:
            self._lines.append(line)
            self._bytes += size
            while len(self._lines) > MAX_LINES or self._bytes > MAX_BYTES:
                self._bytes -= self._lines.popleft().size

    def take(self) -> list[LogLine]:
        """All of them, oldest first; none is left."""
        with self.lock:
            taken, self._lines, self._bytes = self._lines, deque(), 0
        return list(taken)

    def put_back(self, lines: Sequence[LogLine]) -> None:
        """Lines that were taken and did not get to the store: they come before those that are here."""
        for line in [*lines, *self.take()]:
            self.add(line)


def _renew_lock() -> None:
    """In the child of a fork nobody would let go of a lock that another thread of the parent had."""
    NewLines.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

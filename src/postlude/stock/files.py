"""The files of the record: one for each process, in a folder beside where the store would be.

A file is lines of JSON: first what there is to say of the process, then `[moment, events]` for each time that events
were written. Nothing waits for the disk: what was handed to the system is there when the process is gone, though not
necessarily when the machine is. A process holds a lock on its file for as long as it lives.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from postlude.settings import DEFAULT_URL
from postlude.stock.record import Tally
from postlude.stores import filesystem
from postlude.stores.urls import PREFIX, is_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from postlude.stock.record import Event

GROWS_BY: Final = 1_048_576
"""Bytes of events after which a file is written anew, with what they add up to."""
MOST_FILES: Final = 1000
"""How many are kept: the latest, and those of processes that live."""


def folder_of(url: str) -> Path:
    """Where the record of an application is that would keep its jobs there."""
    file = Path((DEFAULT_URL if is_postgres(url) else url).removeprefix(PREFIX))
    return file.with_name(f"{file.name}-observed").absolute()


def warnings_at(folder: Path) -> tuple[str, ...]:
    """What there is to say of the file system that the record is on: it may go with what it is to tell of."""
    mount = filesystem.mount_under(folder)
    return filesystem.forgets(mount, f"The record of what was observed, {folder},", "it is")


class RecordFile:
    """What one process writes.

    Args:
        folder: made when the first event is written.
        name: that of the file, such that the later process has the greater one.
        since: when the process began to observe; seconds since the epoch.
    """

    def __init__(self, folder: Path, name: str, since: float) -> None:
        self._path = folder / f"{name}.jsonl"
        self._header = {"postlude": 1, "pid": os.getpid(), "since": since}
        self._descriptor: int | None = None
        self._size = self._limit = 0

    def write(self, moment: float, events: Sequence[Event], tally: Tally) -> None:
        """Write what has come in, which is in `tally` already.

        Raises:
            OSError: nothing could be written, or not all; the next write begins a new file, with everything.
        """
        line = _line([moment, events])
        try:
            if self._descriptor is None:
                _make(self._path.parent.parent)
                _make(self._path.parent)
                _prune(self._path.parent)
            if self._descriptor is None or self._size + len(line) > self._limit:
                self._begin(moment, tally)
            else:
                self._size += _write(self._descriptor, line)
        except OSError:
            self.close()
            raise

    def _begin(self, moment: float, tally: Tally) -> None:
        """Put a file that says what the old one does, and less, in its place."""
        text = _line(self._header) + _line([moment, tally.events()])
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(descriptor, text)
            new.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor, self._size, self._limit = descriptor, len(text), len(text) + GROWS_BY

    def close(self) -> None:
        """Let go of it, and so of the proof that the process lives. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _line(value: object) -> bytes:
    # With all but ASCII escaped, so that a path that is no text can be written too.
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _write(descriptor: int, text: bytes) -> int:
    written = os.write(descriptor, text)
    if written < len(text):
        message = f"only {written} of {len(text)} bytes could be written"
        raise OSError(message)
    return written


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What a developer's machine has seen does not belong into anybody's history.
        (folder / ".gitignore").write_text("*\n", "utf-8")


def _prune(folder: Path) -> None:
    for path in _paths(folder)[:-MOST_FILES]:
        with path.open("rb") as file:
            gone = not _is_held(file.fileno())
        if gone:
            path.unlink(missing_ok=True)


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


class Recorded(NamedTuple):
    """What one process has recorded."""

    pid: int
    since: float
    until: float
    """When it last wrote; seconds since the epoch."""
    lives: bool
    tally: Tally


def read(folder: Path) -> Iterator[Recorded]:
    """What each process has recorded, the earliest first; nothing if there is no such folder.

    Raises:
        OSError: a file may not be read.
    """
    for path in _paths(folder):
        found = _read(path)
        if found is not None:
            yield found


def _read(path: Path) -> Recorded | None:
    """What is in a file; None: it was removed, or is none of ours."""
    while True:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            # First the lock, then the lines: a process that is gone by then writes no more of them.
            lives = _is_held(file.fileno())
            if lives or _is_still(path, file.fileno()):
                return _added_up(file, lives=lives)
            # Else its process lives, and has put another in its place.


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_held(descriptor: int) -> bool:
    """Whether another process has the lock. Not for a file of this process: to close it would drop the lock."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # whichever of the two that POSIX allows
        return True
    return False


def _added_up(lines: Iterator[bytes], *, lives: bool) -> Recorded | None:
    header = _parsed(next(lines, b""))
    if not isinstance(header, dict) or header.get("postlude") != 1:
        return None
    tally, until = Tally(), header["since"]
    for line in lines:
        parsed = _parsed(line)
        if parsed is not None:
            until, events = parsed
            for event in events:
                tally.add(event)
    return Recorded(header["pid"], header["since"], until, lives, tally)


def _parsed(line: bytes) -> Any:  # noqa: ANN401 - whatever there is in JSON
    """What a line says; None if it is not whole: the process died over it, or is writing it."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None

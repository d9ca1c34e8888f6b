"""What processes tell each other that share a file: hints, of which any may be lost (clause 41).

Each that listens has a named pipe in a folder beside the file. A pipe needs no port and no short path, and says by
itself whether anybody reads it: what a killed process has left is removed by the next that has something to tell.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from postlude.ids import new_token
from postlude.stores.notifying import Change

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_AGAIN_FOR: Final = 0.01
"""Seconds after a notification in which what else there is to tell is gathered for the next one: each wakes every
worker."""
_LETTERS: Final[dict[Change, bytes]] = {change: change[0].encode() for change in get_args(Change)}
_END: Final = b"."
_MOST: Final = 4096
"""Bytes that are read at a time."""
_SUFFIX: Final = ".pipe"


class Notifications:
    """The pipes beside one file, as one store of this process uses them.

    Args:
        folder: where they are; made by the first that listens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._due: set[Change] = set()
        self._something = threading.Event()
        self._ending = threading.Event()
        self._teller: threading.Thread | None = None
        self._listener: threading.Thread | None = None
        self._own: Path | None = None
        self._end: int | None = None
        """Where it is written to the own pipe, while that is read."""

    def notify(self, change: Change) -> None:
        """Tell the others soon; from any thread."""
        if change in self._due:
            return  # they are told after this moment, and find what was done before it
        with self._lock:
            if self._ending.is_set():
                return
            self._due.add(change)
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell, name="postlude-notify", daemon=True)
                with suppress(RuntimeError):  # the system gives no thread, and the others look by themselves
                    self._teller.start()
        self._something.set()

    def listen(self, heard: Callable[[Change], None]) -> None:
        """Have this called, in a thread of its own, with what others tell from now on."""
        with self._lock:
            if self._listener is not None or self._ending.is_set():
                return
            self._listener = threading.Thread(target=self._hear, args=[heard], name="postlude-listen", daemon=True)
        with suppress(RuntimeError):  # as above
            self._listener.start()

    def close(self) -> None:
        """Tell what there still is to tell, and hear nothing more. Idempotent."""
        with self._lock:
            self._ending.set()
            self._something.set()
            if self._end is not None:
                with suppress(BlockingIOError):  # it is full: there is something to read as well
                    os.write(self._end, _END)

    # In threads of its own

    def _tell(self) -> None:
        while self._something.wait():
            self._something.clear()
            with self._lock:
                due, self._due = self._due, set()
            if due:
                self._tell_others(b"".join(_LETTERS[change] for change in sorted(due)))
            if self._ending.wait(NOT_AGAIN_FOR) and not self._due:
                return

    def _tell_others(self, letters: bytes) -> None:
        with suppress(OSError):  # there is no folder: nobody has ever listened
            for path in [*self._folder.iterdir()]:
                if path.suffix == _SUFFIX and path != self._own:
                    _write(path, letters)

    def _hear(self, heard: Callable[[Change], None]) -> None:
        with suppress(OSError):  # no pipe is to be had there, or it was taken away: this process looks by itself
            pipe = self._make_pipe()
            with self._lock:
                self._own, self._end = pipe.path, pipe.write
            try:
                self._read(pipe.read, heard)
            finally:
                with self._lock:
                    self._end = None
                os.close(pipe.write)
                os.close(pipe.read)
                pipe.path.unlink(missing_ok=True)

    def _make_pipe(self) -> _Pipe:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{new_token():x}"
        made = self._folder / name
        os.mkfifo(made, 0o600)
        # For both, so that it is never at its end while nobody else writes.
        read = os.open(made, os.O_RDWR | os.O_CLOEXEC)
        write = os.open(made, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Only now can it be found: one that nobody reads would be taken for what a dead process has left.
        return _Pipe(made.rename(self._folder / f"{name}{_SUFFIX}"), read, write)

    def _read(self, end: int, heard: Callable[[Change], None]) -> None:
        while not self._ending.is_set():
            letters = os.read(end, _MOST)
            for change, letter in _LETTERS.items():
                if letter in letters and not self._ending.is_set():
                    heard(change)


class _Pipe(NamedTuple):
    """The own one, with file descriptors of its ends."""

    path: Path
    read: int
    write: int


def _write(path: Path, letters: bytes) -> None:
    with suppress(OSError):  # it was removed, or is full: then its reader has enough to look for
        try:
            end = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nobody reads it any more
                path.unlink(missing_ok=True)
            raise
        try:
            os.write(end, letters)
        finally:
            os.close(end)

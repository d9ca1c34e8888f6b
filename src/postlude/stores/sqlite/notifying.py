"""What processes tell each other that share a file: hints, of which any may be lost (clause 41).

Each that listens has a named pipe in a folder beside the file. A pipe needs no port and no short path, and says by
itself whether anybody reads it: what a killed process has left is removed by the next that has something to tell.

The file may be in a folder that others can write to. So the folder of the pipes is entered only if it belongs to the
user of this process, by a descriptor, which leads to the same folder whatever its name is given to; and what is written
to there is a pipe, and no link.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from postlude.ids import new_token
from postlude.stores.notifying import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOT_AGAIN_FOR: Final = 0.01
"""Seconds after a notification in which what else there is to tell is gathered for the next one: each wakes every
worker."""
_LETTERS: Final[dict[Change, bytes]] = {change: change[0].encode() for change in get_args(Change)}
_END: Final = b"."
_MOST: Final = 4096
"""Bytes that are read at a time."""
_SUFFIX: Final = ".pipe"
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW


class Notifications:
    """The pipes beside one file, as one store of this process uses them.

    Args:
        folder: where they are; made by the first that listens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._due: set[Change] = set()
        self._something = threading.Event()
        self._ending = threading.Event()
        self._teller: threading.Thread | None = None
        self._listener: threading.Thread | None = None
        self._own: str | None = None
        self._end: int | None = None
        """Where it is written to the own pipe, while that is read."""

    def notify(self, change: Change) -> None:
        """Tell the others soon; from any thread. Nothing in the child of a fork, which has inherited this."""
        if change in self._due:
            return  # they are told after this moment, and find what was done before it
        if self._process != os.getpid():  # a call of the system, for those alone that find nothing due
            return
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
        with suppress(OSError), _entered(self._folder) as folder:  # there is none: nobody has ever listened
            for name in os.listdir(folder):  # noqa: PTH208 - of a descriptor
                if name.endswith(_SUFFIX) and name != self._own:
                    _write(folder, name, letters)

    def _hear(self, heard: Callable[[Change], None]) -> None:
        # No pipe is to be had there, or it was taken away: this process looks by itself.
        with suppress(OSError, NotImplementedError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with _entered(self._folder) as folder:
                self._hear_in(folder, heard)

    def _hear_in(self, folder: int, heard: Callable[[Change], None]) -> None:
        pipe = _make_pipe(folder)
        with self._lock:
            self._own, self._end = pipe.name, pipe.write
        try:
            self._read(pipe.read, heard)
        finally:
            with self._lock:
                self._end = None
            os.close(pipe.write)
            os.close(pipe.read)
            os.unlink(pipe.name, dir_fd=folder)

    def _read(self, end: int, heard: Callable[[Change], None]) -> None:
        while not self._ending.is_set():
            letters = os.read(end, _MOST)
            for change, letter in _LETTERS.items():
                if letter in letters and not self._ending.is_set():
                    heard(change)


class _Pipe(NamedTuple):
    """The own one, with file descriptors of its ends."""

    name: str
    read: int
    write: int


def folder_of(path: Path) -> Path:
    """Where those listen that have this file open."""
    return Path(f"{path}-listeners")


def warnings_at(folder: Path) -> tuple[str, ...]:
    """What keeps processes from telling each other there, if something does."""
    try:
        with _entered(folder):
            return ()
    except FileNotFoundError:  # the first that listens makes it
        return ()
    except OSError as error:
        warning = (
            f"{folder} is not a folder of the user that this process runs as ({error.strerror}), so the processes on "
            "this store do not tell each other of new jobs there, and find them when they look, once a second. Remove "
            "it, and run all of them as one user."
        )
        return (warning,)


@contextmanager
def _entered(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, which from now on is for nobody but its owner: this user.

    Raises:
        OSError: it is not there, or is somebody else's, or no folder.
    """
    entered = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        status = os.fstat(entered)
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"it belongs to the user {status.st_uid}")
        if status.st_mode & 0o077:
            os.fchmod(entered, 0o700)
        yield entered
    finally:
        os.close(entered)


def _make_pipe(folder: int) -> _Pipe:
    made = f"{new_token():x}"
    name = f"{made}{_SUFFIX}"
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        _remove_unfinished(folder)
        with ExitStack() as undo:
            os.mkfifo(made, 0o600, dir_fd=folder)
            undo.callback(os.unlink, made, dir_fd=folder)
            # For both, so that it is never at its end while nobody else writes.
            read = os.open(made, os.O_RDWR | _FLAGS, dir_fd=folder)
            undo.callback(os.close, read)
            write = os.open(made, os.O_WRONLY | os.O_NONBLOCK | _FLAGS, dir_fd=folder)
            undo.callback(os.close, write)
            # Only now can it be found: one that nobody reads would be taken for what a dead process has left.
            os.rename(made, name, src_dir_fd=folder, dst_dir_fd=folder)
            undo.pop_all()
    finally:
        fcntl.flock(folder, fcntl.LOCK_UN)
    return _Pipe(name, read, write)


def _remove_unfinished(folder: int) -> None:
    """Remove what was left by processes that were killed in `_make_pipe`; whoever is in there holds the lock."""
    for name in os.listdir(folder):
        if not name.endswith(_SUFFIX) and stat.S_ISFIFO(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)


def _write(folder: int, name: str, letters: bytes) -> None:
    with suppress(OSError):  # it was removed, or is full: then its reader has enough to look for
        try:
            end = os.open(name, os.O_WRONLY | os.O_NONBLOCK | _FLAGS, dir_fd=folder)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nobody reads it any more
                os.unlink(name, dir_fd=folder)
            raise
        try:
            if stat.S_ISFIFO(os.fstat(end).st_mode):
                os.write(end, letters)
        finally:
            os.close(end)

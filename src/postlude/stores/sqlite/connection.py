"""Connections to the file: how they are opened, how long they wait for each other, and what their errors mean."""

from __future__ import annotations

import errno
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import apsw

from postlude.errors import NotAPostludeStore, SchemaTooNew, StoreError, StoreLocationError, StoreUnavailable
from postlude.stores.sqlite import location

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 5.0
"""How long a process waits for the others that write the same file."""
FIRST_PAUSE, LONGEST_PAUSE = 0.0003, 0.005
"""Seconds between two looks at a busy file: about one commit, and several."""
_PUT_IT_BACK = "What was confirmed before is in the file that was there: put it back while the application rests."

UNAVAILABLE = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.IOError,
    apsw.FullError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    OSError,
    NotAPostludeStore,
    SchemaTooNew,
)
"""What the file and the machine are to blame for, not the operation. The last two: the file was replaced by another."""


class Patience:
    """Waits while another process writes: in short, nearly even pauses, so that none of several is starved.

    SQLite's own handler doubles its pauses up to a tenth of a second, and whoever has waited longest comes last.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._never = threading.Event()

    def __call__(self, tries: int) -> bool:
        """Whether to try again."""
        if tries == 0:
            self._since = time.perf_counter()
        elif time.perf_counter() - self._since > BUSY_SECONDS:
            return False
        self._never.wait(min(FIRST_PAUSE * 1.2**tries, LONGEST_PAUSE))
        return True


def connect(path: Path, *, vfs: str | None, read_only: bool = False) -> apsw.Connection:
    """Open a file that is there; making it is `location.prepare`'s."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
    connection.set_busy_handler(Patience())
    # FULL: a commit has returned from the disk before it is confirmed. The two others say the same to macOS, whose
    # fsync leaves the data in the disk's own cache.
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = MEMORY")
    # A burst must not leave a write-ahead log of gigabytes behind.
    connection.execute("PRAGMA journal_size_limit = 67108864")
    return connection


def disconnect(connection: apsw.Connection) -> None:
    """Close, whatever state it is in: what was confirmed is on disk, and the rest was never promised."""
    with suppress(apsw.Error):
        connection.close(force=True)


def unavailable(path: Path, error: BaseException, *, did: str) -> StoreUnavailable:
    """The error for those who wait: what happened, and what to do."""
    match error:
        case StoreError():
            cure = _PUT_IT_BACK
        case OSError(errno=errno.ESTALE | errno.ENOENT | errno.ENOTDIR):
            made = "If nothing is there, the next write makes a new, empty store at this path."
            cure = " ".join((_PUT_IT_BACK, made, *_warnings(path)))
        case apsw.FullError() | OSError(errno=errno.ENOSPC | errno.EDQUOT):
            cure = "The disk or its quota is full: free some space."
        case apsw.BusyError() | apsw.LockedError():
            cure = f"Another process has kept it locked for {BUSY_SECONDS:g} s: see which one has the file open."
        case (
            apsw.CantOpenError()
            | apsw.ReadOnlyError()
            | apsw.PermissionsError()
            | OSError(errno=errno.EACCES | errno.EPERM | errno.EISDIR)
        ):
            cure = "It cannot be opened for writing any more: see whether it was moved, or its rights were changed."
        case apsw.CorruptError() | apsw.NotADBError():
            cure = "The file is damaged: put it aside, and restore a copy."
        case _:
            cure = "See the system's log for errors of the disk."
    return StoreUnavailable(
        f"The store {path} did not {did} ({type(error).__name__}: {error}). {cure} "
        "It is tried afresh with the next call; nothing has to be restarted."
    )


def _warnings(path: Path) -> tuple[str, ...]:
    """Of the place where the new store will be: without the volume that was there, it may be one that forgets."""
    try:
        return location.warnings_at(path)
    except StoreLocationError as error:
        return (str(error),)

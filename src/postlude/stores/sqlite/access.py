"""One connection of this process to the file: opened when it is needed, looked after, and closed."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from postlude.stores.sqlite import location
from postlude.stores.sqlite.connection import connect, disconnect

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection


class Replaced(OSError):
    """The path leads to another file than the one that was opened, or to none. Never leaves the store's threads."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ESTALE, "the file was removed or replaced while the store was open", str(path))


class Access:
    """A connection, at most one at a time; it remembers the file from one to the next."""

    def __init__(self, path: Path, *, vfs: str | None, read_only: bool = False) -> None:
        self._path = path
        self._vfs = vfs
        self._read_only = read_only
        self._connection: Connection | None = None
        self._key: location.Key | None = None
        """The file that was opened last."""
        self._noted = False

    def connection(self) -> Connection:
        """The connection, to the file that the path leads to at this moment.

        Raises:
            Replaced: that is not the file that was opened last. It is closed and forgotten: the next call opens what is
                there then.
        """
        if self._connection is None and self._key in {None, location.key_of(self._path)}:
            self._open()
        if self._connection is None or location.key_of(self._path) != self._key:
            # What is committed into a file without a name is gone with the process.
            self.close()
            self._key = None
            raise Replaced(self._path)
        return self._connection

    def _open(self) -> None:
        if self._read_only and not self._path.stat().st_size:
            raise Replaced(self._path)  # nobody has made it ready yet, and there is nothing to read
        # Noted first: from then on nobody opens and closes the file by hand, which would drop SQLite's locks.
        self._key = location.opened(self._path)
        self._noted = True
        try:
            self._connection = connect(self._path, vfs=self._vfs, read_only=self._read_only)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it if it is open; `connection` opens another, to the same file."""
        if self._connection is not None:
            disconnect(self._connection)
            self._connection = None
        if self._noted and self._key is not None:
            location.closed(self._key)
        self._noted = False

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
    """The path leads to another file than the one that is open, or to none. Never leaves the lanes."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ESTALE, "the file was removed or replaced while it was open", str(path))


class Access:
    """A connection, at most one at a time."""

    def __init__(self, path: Path, *, vfs: str | None, read_only: bool = False) -> None:
        self._path = path
        self._vfs = vfs
        self._read_only = read_only
        self._connection: Connection | None = None
        self._key: location.Key | None = None

    def connection(self) -> Connection:
        """The connection, to the file that the path leads to at this moment.

        Raises:
            Replaced: that is not the file that was open; it is closed now.
        """
        if self._connection is None:
            # Noted first: from then on nobody opens and closes the file by hand, which would drop SQLite's locks.
            self._key = location.opened(self._path)
            try:
                self._connection = connect(self._path, vfs=self._vfs, read_only=self._read_only)
            except BaseException:
                self.close()
                raise
        if location.key_of(self._path) != self._key:
            # What is committed into a file without a name is gone with the process.
            self.close()
            raise Replaced(self._path)
        return self._connection

    def close(self) -> None:
        """Close it if it is open; `connection` opens another."""
        if self._connection is not None:
            disconnect(self._connection)
            self._connection = None
        if self._key is not None:
            location.closed(self._key)
            self._key = None

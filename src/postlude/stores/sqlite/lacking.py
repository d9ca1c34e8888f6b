"""What a SQLite file lacks, seen by somebody who does not open the store: for the command line."""

from __future__ import annotations

from pathlib import Path

import apsw

from postlude.stores.sqlite.connection import connect, disconnect, unavailable
from postlude.stores.sqlite.location import APPLICATION_ID, closed, opened
from postlude.stores.sqlite.migrations import MIGRATIONS, Migration, missing, script_of
from postlude.stores.sqlite.store import SQLiteStore


def lacking_in(path: str) -> tuple[str, int, int, str]:
    """Where, at which migration it is, which is the last one, and the SQL of those that are missing."""
    file = Path(path).absolute()
    found: int = 0
    steps: tuple[Migration, ...] = MIGRATIONS
    if file.exists():
        try:
            found, steps = _looked_into(file)
        except apsw.Error as error:
            raise unavailable(file, error, did="say which schema it has") from error
    script = "".join(map(script_of, steps))
    head = f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA journal_mode = wal;\nBEGIN IMMEDIATE;\n"
    return str(file), found, MIGRATIONS[-1].version, f"{head}{script}COMMIT;\n" if script else ""


def _looked_into(file: Path) -> tuple[int, tuple[Migration, ...]]:
    key = opened(file)
    try:
        connection = connect(file, vfs=None)
        try:
            return connection.pragma("user_version"), missing(connection, file)
        finally:
            disconnect(connection)
    finally:
        closed(key)


async def migrate_file(path: str) -> None:
    """Carry them out, as every opening does."""
    store = SQLiteStore(path)
    await store.open()
    await store.close()

"""From what an earlier release left to the schema of this one: forward only, and such that the earlier one works on.

A migration may add tables, indexes, and columns that are empty or have a default. When an older release could do harm
on the result, the migration says from which schema on a release can work there (`needs`), and older ones refuse it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import apsw

from postlude.errors import SchemaTooNew
from postlude.stores.sqlite.connection import BUSY_SECONDS
from postlude.stores.sqlite.location import APPLICATION_ID
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Migration(NamedTuple):
    """One step; its SQL is in the file of its number."""

    version: int
    needs: int
    """The schema that a release must at least know to work on the result."""


MIGRATIONS = (
    Migration(version=1, needs=1),
    Migration(version=2, needs=2),  # a release that knows no limits would start more than they allow
    Migration(version=3, needs=2),
    Migration(version=4, needs=2),
    Migration(version=5, needs=2),
    Migration(version=6, needs=2),
)


def migrate(connection: apsw.Connection, path: Path, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Bring the file to the newest of these versions; safe when several processes start at once.

    Raises:
        SchemaTooNew: a later release changed the file beyond what this one can work with.
    """
    give_up_at = time.perf_counter() + BUSY_SECONDS
    while True:
        try:
            _prepare_file(connection)
            with transaction(connection):
                _migrate(connection, path, migrations)
        except apsw.BusyError:
            # The switch to the write-ahead log does not wait for others by itself, they could wait for each other.
            if time.perf_counter() > give_up_at:
                raise
        else:
            return


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """A transaction that may write from its beginning, so that it never finds at its end that it came too late."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # Some errors have rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _prepare_file(connection: apsw.Connection) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        # First of all, and before the write-ahead log is switched on: so whatever a power cut leaves in the file itself
        # is either nothing or says whose it is.
        with transaction(connection):
            connection.pragma("application_id", APPLICATION_ID)
    if connection.pragma("journal_mode") != "wal":
        connection.pragma("journal_mode", "wal")


def _migrate(connection: apsw.Connection, path: Path, migrations: tuple[Migration, ...]) -> None:
    for migration in missing(connection, path, migrations):
        connection.execute(script_of(migration))


def missing(
    connection: apsw.Connection, path: Path, migrations: tuple[Migration, ...] = MIGRATIONS
) -> tuple[Migration, ...]:
    """Those that were not carried out yet.

    Raises:
        SchemaTooNew: a later release changed the file beyond what this one can work with.
    """
    found = connection.pragma("user_version")
    known = migrations[-1].version
    if found > known:
        needs = connection.execute(sql("needs")).get
        if needs > known:
            raise _too_new(path, found, needs, known)
    return tuple(migration for migration in migrations if migration.version > found)


def script_of(migration: Migration) -> str:
    """All statements of one step."""
    version, needs = map(str, migration)
    note = sql("add_migration").replace("?", version, 1).replace("?", needs, 1).rstrip()
    return f"{sql(f'migrations/{migration.version:04}')}\n{note};\nPRAGMA user_version = {version};\n"


def _too_new(path: Path, found: int, needs: int, known: int) -> SchemaTooNew:
    return SchemaTooNew(
        f"The store {path} has schema {found}, which needs a release that knows schema {needs} or later; "
        f"this one knows {known}. Start the newer release again, or set POSTLUDE_URL to another store."
    )

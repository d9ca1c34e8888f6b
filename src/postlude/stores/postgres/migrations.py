"""From what an earlier release left to the schema of this one: forward only, and such that the earlier one works on.

A migration may add tables, indexes, and columns that are empty or have a default. When an older release could do harm
on the result, the migration says from which schema on a release can work there (`needs`), and older ones refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from postlude.errors import SchemaNotReady, SchemaTooNew
from postlude.stores.postgres.statements import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postlude.stores.postgres.location import Location
    from postlude.stores.postgres.session import Connection


class Migration(NamedTuple):
    """One step; its SQL is in the file of its number."""

    version: int
    needs: int
    """The schema that a release must at least know to work on the result."""


MIGRATIONS: Final = tuple(Migration(version, needs=1) for version in (1, 2, 3, 4, 5))


async def migrate(connection: Connection, location: Location, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema to the newest of these versions; safe when many processes start at once.

    Raises:
        SchemaTooNew: a later release changed it beyond what this one can work with.
        SchemaNotReady: the role may not do that.
    """
    # Only who finds something to do waits for the others that do it. Each step by itself: one that locks the jobs and
    # then the workers would wait for claims that wait for it.
    while await missing(connection, location, migrations):
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(sql("lock_migrations", location.schema), location.schema)
            steps = await missing(connection, location, migrations)
            try:
                if steps:
                    await connection.execute(script_of(steps[0], location.schema))
            except asyncpg.InsufficientPrivilegeError as error:
                raise _not_ready(location, steps, f"this role may not change that ({error})") from error


async def check(connection: Connection, location: Location, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Nothing, if the schema is one that this release works on.

    Raises:
        SchemaTooNew: a later release changed it beyond what this one can work with.
        SchemaNotReady: it is missing, or of an earlier release.
    """
    if steps := await missing(connection, location, migrations):
        raise _not_ready(location, steps, "migrate='never' leaves that to others")


async def missing(
    connection: Connection, location: Location, migrations: Sequence[Migration] = MIGRATIONS
) -> Sequence[Migration]:
    """The migrations that were not carried out yet.

    Raises:
        SchemaTooNew: a later release changed it beyond what this one can work with.
    """
    found, needs = await version_of(connection, location.schema)
    _check(location, found, needs, migrations[-1].version)
    return [migration for migration in migrations if migration.version > found]


def script_of(migration: Migration, schema: str) -> str:
    """All statements of one step; the first one makes the schema, too."""
    create = sql("create_schema", schema) if migration.version == 1 else ""
    note = sql("add_migration", schema).replace("$1", str(migration.version)).replace("$2", str(migration.needs))
    return f"{create}{sql(f'migrations/{migration.version:04}', schema)}\n{note.rstrip()};\n"


async def version_of(connection: Connection, schema: str) -> tuple[int, int]:
    """The newest migration that was carried out, and the schema that a release must know; (0, 0) if there is none."""
    if not await connection.fetchval(sql("has_migrations", schema), schema):
        return 0, 0
    row = await connection.fetchrow(sql("migrations", schema))
    return (row[0], row[1]) if row is not None else (0, 0)


def _not_ready(location: Location, steps: Sequence[Migration], why: str) -> SchemaNotReady:
    found = steps[0].version - 1
    has = f"has schema {location.schema!r} as of migration {found}" if found else f"has no schema {location.schema!r}"
    return SchemaNotReady(
        f"{location.shown} {has}, this release needs migration {steps[-1].version}, and {why}: run `postlude "
        "migrate` with a role that may make tables there, before this release starts."
    )


def _check(location: Location, found: int, needs: int, known: int) -> None:
    if found > known and needs > known:
        message = (
            f"{location.shown} has schema {found}, which needs a release that knows schema {needs} or later; this one "
            f"knows {known}. Start the newer release again, or set POSTLUDE_URL to another store."
        )
        raise SchemaTooNew(message)

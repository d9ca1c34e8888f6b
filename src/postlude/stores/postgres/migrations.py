"""From what an earlier release left to the schema of this one: forward only, and such that the earlier one works on.

A migration may add tables, indexes, and columns that are empty or have a default. When an older release could do harm
on the result, the migration says from which schema on a release can work there (`needs`), and older ones refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.errors import SchemaTooNew
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


MIGRATIONS: Final = (Migration(version=1, needs=1),)


async def migrate(connection: Connection, location: Location, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema to the newest of these versions; safe when many processes start at once.

    Raises:
        SchemaTooNew: a later release changed it beyond what this one can work with.
    """
    found, needs = await version_of(connection, location.schema)
    known = migrations[-1].version
    if found >= known:
        _check(location, found, needs, known)
        return
    async with connection.transaction():
        # Only who finds something to do waits for the others that do it.
        await connection.execute(sql("lock_migrations", location.schema), location.schema)
        found, needs = await version_of(connection, location.schema)
        _check(location, found, needs, known)
        for migration in migrations:
            if migration.version > found:
                if migration.version == 1:
                    await connection.execute(sql("create_schema", location.schema))
                await connection.execute(sql(f"migrations/{migration.version:04}", location.schema))
                await connection.execute(sql("add_migration", location.schema), *migration)


async def version_of(connection: Connection, schema: str) -> tuple[int, int]:
    """The newest migration that was carried out, and the schema that a release must know; (0, 0) if there is none."""
    if not await connection.fetchval(sql("has_migrations", schema), schema):
        return 0, 0
    row = await connection.fetchrow(sql("migrations", schema))
    return (row[0], row[1]) if row is not None else (0, 0)


def _check(location: Location, found: int, needs: int, known: int) -> None:
    if found > known and needs > known:
        message = (
            f"{location.shown} has schema {found}, which needs a release that knows schema {needs} or later; this one "
            f"knows {known}. Start the newer release again, or set POSTLUDE_URL to another store."
        )
        raise SchemaTooNew(message)

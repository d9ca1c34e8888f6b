"""What a schema in PostgreSQL lacks, seen by somebody who does not open the store: for the command line."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from postlude.stores.postgres.connecting import farewell, watch
from postlude.stores.postgres.migrations import (
    CONNECT_WITHIN,
    MIGRATIONS,
    migrate,
    missing,
    version_of,
    whole_script,
)
from postlude.stores.postgres.pooling import connected
from postlude.stores.postgres.trouble import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from postlude.stores.postgres.location import Location


async def lacking_at(location: Location) -> tuple[str, int, int, str]:
    """Where, at which migration it is, which is the last one, and the SQL of those that are missing."""
    async with _connected(location) as connection:
        found, _ = await version_of(connection, location.schema)
        script = await whole_script(connection, await missing(connection, location), location.schema)
    return f"{location.shown}, schema {location.schema!r}", found, MIGRATIONS[-1].version, script


async def migrate_at(location: Location) -> None:
    """Carry them out."""
    async with _connected(location) as connection:
        await migrate(connection, location)


@asynccontextmanager
async def _connected(location: Location) -> AsyncIterator[asyncpg.Connection]:
    with translated(location.shown):
        # To build an index may take long.
        connection = await connected(location.options(), within=CONNECT_WITHIN, answers_within=None)
        try:
            await watch(connection)  # it has nothing to say meanwhile
            yield connection
        finally:
            await farewell(connection)

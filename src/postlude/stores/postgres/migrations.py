"""From what an earlier release left to the schema of this one: forward only, and such that the earlier one works on.

A migration may add tables, indexes, and columns that are empty or have a default. When an older release could do harm
on the result, the migration says from which schema on a release can work there (`needs`), and older ones refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from postlude.clock import pause
from postlude.errors import SchemaNotReady, SchemaTooNew, StoreLocationError
from postlude.stores.postgres.connecting import direct_connection, farewell
from postlude.stores.postgres.pooling import shares_sessions
from postlude.stores.postgres.statements import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postlude.stores.postgres.location import Location
    from postlude.stores.postgres.session import Connection

CONNECT_WITHIN: Final = 10.0
"""Seconds, to see whether an index can be built by the direct way, and for a connection of the command line."""
BUILT_WITHIN: Final = 30 * 86_400.0
"""Seconds. It takes as long as the table is long, and as the oldest transaction in the database stays open."""
_UNDER_WAY: Final = """\
-- An index of these tables is being built just now. Wait for its end, and print this again: these statements would wait
-- for it too, remove it if it is the one that is missing, and build it once more.
"""
LOOK_AGAIN: Final = 0.2
"""Seconds between two looks at whether somebody else has built it."""


class Migration(NamedTuple):
    """One step; its SQL is in the file of its number."""

    version: int
    needs: int
    """The schema that a release must at least know to work on the result."""
    builds: str | None = None
    """The index that it builds of a table that is in use, if any: nobody is kept from writing, by each statement on its
    own, outside of a transaction. The first removes what a build that was cut off has left."""


MIGRATIONS: Final = (
    *(Migration(version, needs=1) for version in (1, 2, 3, 4)),
    Migration(5, needs=1, builds="jobs_of_key"),
)


async def migrate(connection: Connection, location: Location, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema to the newest of these versions; safe when many processes start at once.

    Raises:
        SchemaTooNew: a later release changed it beyond what this one can work with.
        SchemaNotReady: the role may not do that.
    """
    # Only who finds something to do waits for the others that do it.
    while steps := await missing(connection, location, migrations):
        try:
            if _at_once(steps):
                await _together(connection, location, migrations)
            else:
                await _beside(location, migrations)
        except asyncpg.InsufficientPrivilegeError as error:
            raise _not_ready(location, steps, f"this role may not change that ({error})") from error


async def _together(connection: Connection, location: Location, migrations: Sequence[Migration]) -> None:
    """Carry out what is next in one transaction."""
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(sql("lock_migrations", location.schema), location.schema)
        steps = _at_once(await missing(connection, location, migrations))
        if steps:
            await connection.execute("".join(script_of(step, location.schema) for step in steps))


async def _beside(location: Location, migrations: Sequence[Migration]) -> None:
    """Build an index, while everybody else goes on.

    Raises:
        StoreLocationError: there is only a way through a pooler that shares sessions.
    """
    straight = location.straight
    if await shares_sessions(straight.options(), within=CONNECT_WITHIN):
        message = (
            f"{straight.shown} leads through a pooler that gives each transaction another session, and an index has to "
            "be built in one: give POSTLUDE_DIRECT_URL the address of the database itself."
        )
        raise StoreLocationError(message)
    builder = await direct_connection(location)
    try:
        await builder.execute("SET statement_timeout = 0; SET lock_timeout = 0")
        # Asked for again and again: who waited for it in a statement would be waited for by who builds. And it is
        # another lock than that of the other steps, for which others may be waiting in such a way.
        while not await builder.fetchval(sql("try_lock_building", location.schema), location.schema):
            await pause(LOOK_AGAIN)
        # The server goes on to build when the process that asked for it is killed; or a person may have asked for it.
        while await builder.fetchval(sql("is_building", location.schema), location.schema):
            await pause(LOOK_AGAIN)
        steps = await missing(builder, location, migrations)
        if steps and not _at_once(steps):
            for statement in filter(None, (await left_of(builder, steps[0], location.schema)).split(";\n")):
                await builder.execute(statement, timeout=BUILT_WITHIN)
    finally:
        await farewell(builder)  # and the lock falls


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


def _at_once(steps: Sequence[Migration]) -> Sequence[Migration]:
    """Those of the missing steps that are carried out in the next transaction; none, if the next has none.

    All of them where nothing is there yet: nobody is in the way. Else one by itself: one that locks the jobs and then
    the workers would wait for claims that wait for it.
    """
    if steps and steps[0].version == 1:
        return [step._replace(builds=None) for step in steps]
    return [step for step in steps[:1] if step.builds is None]


def script_of(migration: Migration, schema: str) -> str:
    """All statements of one step, each at the end of a line; the first step makes the schema, too."""
    create = sql("create_schema", schema) if migration.version == 1 else ""
    statements = sql(f"migrations/{migration.version:04}", schema)
    if migration.builds is None:
        statements = statements.replace(" CONCURRENTLY", "")
    return f"{create}{statements}\n{_note(migration, schema)}"


async def left_of(connection: Connection, migration: Migration, schema: str) -> str:
    """What of a step that builds an index is left to do: only the note, if it was built by somebody who then died."""
    if await connection.fetchval(sql("is_built", schema), schema, migration.builds):
        return _note(migration, schema)
    return script_of(migration, schema)


def _note(migration: Migration, schema: str) -> str:
    note = sql("add_migration", schema).replace("$1", str(migration.version)).replace("$2", str(migration.needs))
    return f"{note.rstrip()};\n"


async def whole_script(connection: Connection, steps: Sequence[Migration], schema: str) -> str:
    """All that `migrate` would do, for a person to carry out: statements outside of a transaction where it has none."""
    lock = sql("lock_migrations", schema).strip().replace("$1", f"'{schema}'")
    script = ""
    while steps:
        together = _at_once(steps)
        if together:
            statements = "".join(script_of(step, schema) for step in together)
        else:
            statements = await left_of(connection, steps[0], schema)
            if await connection.fetchval(sql("is_building", schema), schema):
                statements = f"{_UNDER_WAY}{statements}"
        script += f"BEGIN;\n{lock};\n{statements}COMMIT;\n" if together else statements
        steps = steps[len(together or steps[:1]) :]
    return script


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

"""A connection with what every statement needs: the schema that the tables are in, and the namespace."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from postlude.stores.postgres.statements import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg
    from asyncpg.pool import PoolConnectionProxy
    from asyncpg.transaction import Transaction


Connection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy"


class Session(NamedTuple):
    """One connection, for the time of one operation."""

    connection: Connection
    schema: str
    namespace: int

    async def rows(self, name: str, *values: object) -> list[asyncpg.Record]:
        """All rows of a statement."""
        return await self.connection.fetch(sql(name, self.schema), *values)

    async def row(self, name: str, *values: object) -> asyncpg.Record | None:
        """Its first row."""
        return await self.connection.fetchrow(sql(name, self.schema), *values)

    async def value(self, name: str, *values: object) -> Any:  # noqa: ANN401 - the types of columns are the schema's
        """The first column of its first row; None if there is none."""
        return await self.connection.fetchval(sql(name, self.schema), *values)

    async def do(self, name: str, *values: object) -> int:
        """Carry out a statement; how many rows it has changed."""
        status: str = await self.connection.execute(sql(name, self.schema), *values)
        return int(status.rpartition(" ")[2])

    async def copy(self, table: str, columns: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Append rows of this namespace, in one statement; `columns` names the part with the columns behind it."""
        names = ["namespace", *sql(columns, self.schema).strip().split(", ")]
        records = [(self.namespace, *row) for row in rows]
        await self.connection.copy_records_to_table(table, records=records, columns=names, schema_name=self.schema)

    def transaction(self) -> Transaction:
        """A transaction in which each statement sees what was committed before it: else a lock would be of no use.

        Nothing can be set in a session that is shared, and the role or the database may have another default.
        """
        return self.connection.transaction(isolation="read_committed")

    async def lock(self, what: Iterable[object]) -> None:
        """Wait until no other transaction holds any of these, and hold them until the end of this one.

        What is read afterwards is what those others have left. Always in the same order, so that no two wait for each
        other here; where more has to be locked later, the database finds it out and the operation is tried again.
        """
        numbers = sorted({_number(self.schema, self.namespace, each) for each in what})
        if numbers:
            await self.rows("lock", numbers)


async def prefer_indexes(connection: Connection) -> None:
    """Have the plans of statements go by indexes, however few jobs there were when they were made.

    A queue is empty at one moment and long at the next, and a plan that was made for the first would go through the
    whole table at the second. So would a bitmap of an index, where the order of that index leads to the few first rows.
    And each is made once for a connection: to make one for the very values takes longer than a claim of one job itself,
    and would come to the same.
    """
    await connection.execute(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan"
    )


def _number(schema: str, namespace: int, what: object) -> int:
    """A number of 64 bits for something that is to be locked; two things with one number only wait for each other."""
    digest = hashlib.blake2b(f"{schema}\0{namespace}\0{what}".encode(), digest_size=8).digest()
    # The negative half: the other one is of workers, whose locks say that they live.
    return int.from_bytes(digest, "big", signed=True) | -(1 << 63)

"""The part of the store for callers who add jobs in transactions of their own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from postlude.errors import StoreError, StoreUnavailable
from postlude.stores.callers import Direct, Outbox
from postlude.stores.jobtexts import job_of
from postlude.stores.postgres import writing
from postlude.stores.postgres.statements import sql

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeVar

    from postlude.stores.postgres.location import Location
    from postlude.stores.postgres.session import Session

    T = TypeVar("T")

_GRANTS: Final = (
    "Grant its role what adding jobs needs: GRANT USAGE ON SCHEMA {schema} TO ...; GRANT INSERT ON {schema}.jobs, "
    "{schema}.outbox TO ..."
)


class ForCallers:
    """Fulfils `stores.callers.CallerStore`."""

    _location: Location
    _direct: Direct | None = None
    """The database stays the same, however often the store is opened."""

    async def _do(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        raise NotImplementedError

    async def is_at(self, path: str) -> bool:  # noqa: ARG002 - the contract's
        """It has no file of its own."""
        return False

    async def direct(self) -> Direct | None:
        """Clause 43."""
        if self._direct is None:
            self._direct = await self._do(partial(_direct, location=self._location))
        return self._direct

    async def outboxes(self) -> Sequence[Outbox]:
        """Clause 42."""
        return await self._do(_outboxes)

    async def put_outbox(self, outbox: Outbox) -> Outbox:
        """Clause 42."""
        return await self._do(lambda session: _put_outbox(session, outbox))

    async def relay(self, *, limit: int) -> int:
        """Clause 43."""
        try:
            return await self._do(lambda session: _relay(session, limit))
        except StoreUnavailable:
            raise
        except StoreError:
            return await self._relay_each(limit)

    async def _relay_each(self, limit: int) -> int:
        """Insert them one by one; what cannot be inserted stays.

        Raises:
            StoreError: nothing else is left.
        """
        moved, seq = 0, 0
        wrong: StoreError | None = None
        while moved < limit and (found := await self._do(partial(_next_left, after=seq))) is not None:
            seq = found
            try:
                moved += await self._do(partial(_relay_one, seq=seq))
            except StoreUnavailable:
                raise
            except StoreError as error:
                message = (
                    f"The store's own outbox: {error}. It stays there: correct the row with the seq {seq} in "
                    f"{self._location.schema}.outbox, or delete it."
                )
                wrong = StoreError(message)
        if wrong is not None and not moved:
            raise wrong
        return moved


async def _direct(session: Session, location: Location) -> Direct:
    head = {"namespace": session.namespace, "database": await session.value("database")}
    schema = location.schema
    return Direct(sql("within", schema), head, location.shown, _GRANTS.format(schema=schema))


async def _outboxes(session: Session) -> Sequence[Outbox]:
    rows = await session.rows("outboxes", session.namespace)
    return [Outbox(*row) for row in rows]


async def _put_outbox(session: Session, outbox: Outbox) -> Outbox:
    await session.do("put_outbox", session.namespace, *outbox)
    row = await session.row("outbox", session.namespace, outbox.path)
    return outbox if row is None else Outbox(*row)


async def _relay(session: Session, limit: int) -> int:
    if not await session.value("is_anything_left", session.namespace):
        return 0  # nearly always, and nothing is written for it
    async with session.transaction():
        rows = await session.rows("take_left", session.namespace, limit)
        rows.sort(key=lambda row: row["seq"])
        await writing.insert_in(session, [job_of(row["job"]) for row in rows])
    return len(rows)


async def _next_left(session: Session, after: int) -> int | None:
    seq: int | None = await session.value("next_left", session.namespace, after)
    return seq


async def _relay_one(session: Session, seq: int) -> int:
    async with session.transaction():
        rows = await session.rows("take_one_left", seq)
        await writing.insert_in(session, [job_of(row["job"]) for row in rows])
    return len(rows)

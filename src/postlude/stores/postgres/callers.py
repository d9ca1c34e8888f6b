"""What callers are told who add jobs in transactions of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.stores.callers import Outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postlude.stores.postgres.session import Session


async def outboxes(session: Session) -> Sequence[Outbox]:
    """Where callers leave jobs in SQLite files of their own."""
    rows = await session.rows("outboxes", session.namespace)
    return [Outbox(row["path"], row["library"]) for row in rows]


async def put_outbox(session: Session, outbox: Outbox) -> Outbox:
    """Write it unless one is known there; returns that."""
    await session.do("put_outbox", session.namespace, outbox.path, outbox.library)
    return outbox._replace(library=await session.value("outbox", session.namespace, outbox.path))

"""Where callers leave jobs in files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.stores.callers import Outbox
from postlude.stores.sqlite.location import key_of
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection


def read(connection: Connection) -> list[Outbox]:
    """All that are known."""
    return [Outbox(*map(str, row)) for row in connection.execute(sql("outboxes"))]


def put(connection: Connection, outbox: Outbox) -> Outbox:
    """Write it unless one is known there; returns that."""
    connection.execute(sql("put_outbox"), outbox)
    return Outbox(*map(str, connection.execute(sql("outbox"), (outbox.path,)).get))


def are_one_file(own: Path, other: Path) -> bool:
    """Whether both paths lead to one file; asked where no event loop waits for the disk."""
    found = key_of(other)
    return found is not None and found == key_of(own)

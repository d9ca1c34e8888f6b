"""What a store is asked for callers who add jobs in transactions of their own; the clauses go on from `notifying.py`.

Callers
    42. **Outboxes.** `put_outbox` remembers where callers leave jobs, for whoever opens the store later, and gives what
        the store knows under that path: the first that was put there.
    43. **Within.** A job that a caller adds as `direct` says, in a transaction on the store's own database, is what it
        would be if it had been inserted when that is committed, and is never there if it is not. With a key among them
        the jobs of a call are inserted by the next `relay` after the commit. In another database the statement changes
        nothing, and says so. `None`: nobody else writes to the store's database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Outbox(NamedTuple):
    """A table in an SQLite file of the application's own, where callers leave jobs in their transactions."""

    path: str
    """Of the file; absolute."""
    library: str
    """The SQLite library that its writers use: `sqlite3` or `apsw`."""
    mark: str = ""
    """Stands beside each job there that belongs to this store: applications may share a file, and not their stores."""


class Direct(NamedTuple):
    """How a caller adds jobs in a transaction on the store's own database."""

    sql: str
    """One statement; `{calls}` stands for its one parameter. Its one row says whether it is the right database."""
    head: Mapping[str, object]
    """What the parameter says beside the jobs; see `jobtexts.text_of`."""
    location: str
    """Where the database is, for people."""
    grants: str
    """What to do if the caller's role may not do it."""


class CallerStore(Protocol):
    """What is asked for callers who add jobs in transactions of their own."""

    async def is_at(self, path: str) -> bool:
        """Whether that is the store's own file, under whatever name."""
        ...

    async def direct(self) -> Direct | None:
        """How jobs are added in a transaction on the store's own database (clause 43)."""
        ...

    async def outboxes(self) -> Sequence[Outbox]:
        """Where callers leave jobs (clause 42)."""
        ...

    async def put_outbox(self, outbox: Outbox) -> Outbox:
        """Remember one; returns the one that is known there (clause 42)."""
        ...

    async def relay(self, *, limit: int) -> int:
        """Insert what callers have left in the store's own database, so many at most; returns how many (clause 43).

        Raises:
            StoreError: nothing is left there but what is no job that can be inserted.
        """
        ...

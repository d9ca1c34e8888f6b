"""How jobs are added in a caller's transaction: straight into the store, or by way of an outbox in the caller's file.

What has to be said is worked out here, step by step, and carried out elsewhere: some callers are awaited and some
block, and a store is always awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from postlude.callers.contract import Row, Statement
from postlude.errors import CallError, StoreError
from postlude.ids import new_token
from postlude.stores.callers import Direct, Outbox
from postlude.stores.jobtexts import text_of
from postlude.stores.outboxtexts import sql

if TYPE_CHECKING:
    from postlude.callers.contract import Caller
    from postlude.job import NewJob
    from postlude.stores.contract import Store

T = TypeVar("T")

_MISSING: Final = frozenset({"3F000", "42P01", "42703"})
"""What PostgreSQL calls a schema, a table or a column that is not there."""
_NOT_ALLOWED: Final = "42501"
Ask: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]
"""A question to the store."""
Steps: TypeAlias = Generator[Statement | Ask, Any, T]
"""What is to be done, one after the other: statements of the caller, which give rows, and questions to the store."""


Know: TypeAlias = Callable[[Outbox], Coroutine[Any, Any, Outbox | None]]
"""Has the store remember an outbox, and gives what it knows there; None: that is the store's own file."""


class ToOutbox(NamedTuple):
    """Jobs go into the outbox of the caller's own file."""

    outbox: Outbox

    def add(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """Write them, into a table that is made if it is missing."""
        add = Statement(sql("add"), text_of(jobs, {"store": self.outbox.mark}))
        try:
            # First of all, and not after a look whether the table is there: a transaction that has only read so far
            # waits for no other writer, but fails.
            yield add
        except Exception as error:
            if "no such table: main.postlude_outbox" not in str(error):
                raise
            yield Statement(sql("create"))
            yield add


class ToStore(NamedTuple):
    """Jobs go into the store, whose database is the caller's."""

    direct: Direct

    def add(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """Write them.

        Raises:
            CallError: the caller is connected to another database, where nothing was written.
            StoreError: the caller's role may not write there.
        """
        # What comes behind a job with a key belongs behind the one that answers it, which is not known yet.
        straight = all(job.terms.key is None for job in jobs)
        text = text_of(jobs, {**self.direct.head, "straight": straight})
        try:
            rows: Sequence[Row] = yield Statement(self.direct.sql, text)
        except Exception as error:
            # Of whichever library: what PostgreSQL itself says is the same in all of them.
            state = _sqlstate(error)
            if state in _MISSING:
                raise self._elsewhere() from error
            if state == _NOT_ALLOWED:
                message = f"within: {error}. {self.direct.grants}"
                raise StoreError(message) from error
            raise
        if not rows[0][0]:
            raise self._elsewhere()

    def _elsewhere(self) -> CallError:
        return CallError(
            f"within: this connection does not lead to the database of the store, {self.direct.location}, and one "
            "transaction cannot span two. Connect to that one, set POSTLUDE_URL to this one, or leave within= out and "
            "enqueue after the commit."
        )


Way: TypeAlias = ToOutbox | ToStore


def way_to(store: Store, know: Know, caller: Caller) -> Steps[Way]:
    """How this caller adds jobs to this store.

    Args:
        store: where the jobs belong.
        know: of outboxes.
        caller: who adds them.

    Raises:
        CallError: it cannot; the message says why, and what to do.
    """
    if caller.dialect == "postgresql":
        direct: Direct | None = yield store.direct
        if direct is None:
            message = (
                "within: this connection is to PostgreSQL, and the jobs are kept in SQLite: one transaction cannot "
                "span the two. Set POSTLUDE_URL to that database, or leave within= out and enqueue after the commit."
            )
            raise CallError(message)
        return ToStore(direct)
    databases: Sequence[Row] = yield Statement(sql("databases"))
    path = next(path for _, name, path in databases if name == "main")
    if not path:
        message = (
            "within: this database is in memory, where no worker can see what is committed. Give it a file; in a test, "
            "one in a temporary folder."
        )
        raise CallError(message)
    known: Outbox | None = yield lambda: know(Outbox(path, caller.library or "", f"{new_token():016x}"))
    if known is None:
        message = (
            f"within: this connection has the store's own file open ({path}), and two SQLite libraries in one process "
            "do not see each other's locks: that loses jobs. Keep your tables in a file of their own, or set "
            "POSTLUDE_URL to another one for the jobs."
        )
        raise CallError(message)
    if known.library != caller.library:
        message = (
            f"within: the outbox in {path} is read by {known.library}, since a connection of that came first, and this "
            f"one is of {caller.library}: two SQLite libraries must not have one file open in one process. Use "
            f"{known.library} for this file, or give each library a file of its own."
        )
        raise CallError(message)
    return ToOutbox(known)


def _sqlstate(error: BaseException) -> str | None:
    """What PostgreSQL calls it, also inside an error of SQLAlchemy's; None: it comes from somewhere else."""
    inner = getattr(error, "orig", None)
    found = getattr(error, "sqlstate", None) or getattr(inner, "sqlstate", None) or getattr(inner, "pgcode", None)
    return found if isinstance(found, str) else None

"""What Postlude asks of a caller's connection: to carry out statements in its transaction, and to tell of commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

Row: TypeAlias = Sequence[Any]
Dialect: TypeAlias = Literal["sqlite", "postgresql"]
Library: TypeAlias = Literal["sqlite3", "apsw"]
"""The SQLite libraries of which a process may have several: what one has open, another must not open."""


class Executes(Protocol):
    """A connection or session, as far as it can be told without the library that it comes from."""

    @property
    def execute(self) -> Callable[..., Any]:
        """Carries out a statement."""
        ...


class Statement(NamedTuple):
    """One statement of SQL."""

    sql: str
    """`{calls}` stands where the parameter does: each library writes that otherwise."""
    parameter: str | None = None

    def written(self, placeholder: str) -> str:
        """The text, with the parameter as a library writes it."""
        return self.sql.replace("{calls}", placeholder)


class _Known(Protocol):
    """What is known of a caller before it is asked anything."""

    @property
    def dialect(self) -> Dialect:
        """Of which kind its database is."""
        ...

    @property
    def library(self) -> Library | None:
        """The library that has the file open; None where the database is no file."""
        ...

    def on_commit(self, hear: Callable[[], None]) -> None:
        """Call this, in any thread, when the transaction is committed, or just before; never, if nothing tells."""
        ...


class BlockingCaller(_Known, Protocol):
    """One whose statements are carried out by the thread that asks for them, which waits."""

    def run(self, statement: Statement) -> Sequence[Row]:
        """Carry it out; returns the rows, none if it has none."""
        ...


class AsyncCaller(_Known, Protocol):
    """One whose statements are awaited, on the event loop that it belongs to."""

    async def run_async(self, statement: Statement) -> Sequence[Row]:
        """Carry it out; returns the rows, none if it has none."""
        ...


Caller: TypeAlias = BlockingCaller | AsyncCaller


def is_async(caller: Caller) -> bool:
    """Whether its statements are awaited."""
    return hasattr(caller, "run_async")

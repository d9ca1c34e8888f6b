"""What a session of SQLAlchemy writes in its own commits, beside what its user writes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from postlude.callers.alchemy import OfSession

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session, SessionTransaction

    from postlude.callers.contract import BlockingCaller

T = TypeVar("T")

_FLUSHES: Final = 100
"""As many as SQLAlchemy makes in a commit, which then says that there is no end to them."""


class _Added(NamedTuple, Generic[T]):
    """Something to be written."""

    thing: T
    savepoint: SessionTransaction | None
    """In which it was added."""
    written_in: SessionTransaction | None = None
    """The savepoint that was the innermost one when it was written, if there was one."""


class AtCommit(Generic[T]):
    """Things that are written when the session commits, and dropped when what they were added in is rolled back.

    Written in the commit and not before, because `AsyncSession` writes nothing without `await`; inside of a commit it
    does. So it works the same for both, and wherever the commit is: in the endpoint, or in a dependency after it.

    Args:
        session: of either kind; of an `AsyncSession` the one inside.
        write: writes things through the session's connection.
        committed: called when they are committed.
        dropped: given what was rolled back, written or not; in the thread that the session is used in.
        left: given, at the end, what no commit came after and nobody rolled back.
    """

    def __init__(
        self,
        session: Session,
        *,
        write: Callable[[BlockingCaller, Sequence[T]], None],
        committed: Callable[[], None],
        dropped: Callable[[Sequence[T]], None],
        left: Callable[[Sequence[T]], None],
    ) -> None:
        self._session = session
        self._write = write
        self._committed = committed
        self._dropped = dropped
        self._left = left
        self._waiting: list[_Added[T]] = []
        self._written: list[_Added[T]] = []
        """In the transaction that is being committed."""
        self._closed: list[tuple[T, SessionTransaction]] = []
        """What came to nothing with a transaction that was not committed; and that."""
        self._releasing: SessionTransaction | None = None
        """A savepoint that is about to end, by its own release or with a commit around it."""
        listeners: Sequence[tuple[str, Callable[..., None]]] = (
            ("before_commit", self._before_commit),
            ("after_commit", self._after_commit),
            ("after_transaction_end", self._after_end),
            ("after_soft_rollback", self._after_rollback),
        )
        self._listeners = listeners
        for name, listener in listeners:
            _events().listen(session, name, listener)

    def add(self, thing: T) -> None:
        """Write it in the next commit."""
        self._waiting.append(_Added(thing, self._session.get_nested_transaction()))

    def end(self, *, failed: bool) -> None:
        """Nothing is written from now on; `failed`: whoever added what waits has come to nothing with it."""
        for name, listener in self._listeners:
            _events().remove(self._session, name, listener)
        if left := [*(thing for thing, _ in self._closed), *(added.thing for added in self._waiting)]:
            (self._dropped if failed else self._left)(left)

    def _before_commit(self, session: Session) -> None:
        _flush(session)  # now, and not by the commit: what is added in it would come too late
        savepoint = session.get_nested_transaction()
        if savepoint is not None and savepoint is not self._releasing:
            # Its release, or a commit around it, which releases it next and comes here no more for itself. All that is
            # written at once has one order, so a release by itself writes nothing.
            self._releasing = savepoint
            return
        self._releasing = None
        waiting, self._waiting = self._waiting, []
        if waiting:
            # First, so that they are dropped if this fails.
            self._written += [added._replace(written_in=savepoint) for added in waiting]
            self._write(OfSession(session), [added.thing for added in waiting])

    def _after_commit(self, session: Session) -> None:
        if not session.in_nested_transaction() and self._written:
            self._written = []
            self._committed()

    def _after_end(self, _: Session, ended: SessionTransaction) -> None:
        if ended is self._releasing:
            self._releasing = None
        if ended.parent is None:
            self._closed += [(added.thing, ended) for added in (*self._written, *self._waiting)]
            self._written, self._waiting = [], []

    def _after_rollback(self, _: Session, ended: SessionTransaction) -> None:
        # Comes behind the end; a session that is merely closed does not come here.
        if ended.nested:
            undone = [added for added in self._written if _is_in(added.written_in, ended)]
            self._written = [added for added in self._written if not _is_in(added.written_in, ended)]
            waiting = [*undone, *self._waiting]
            self._waiting = [added for added in waiting if not _is_in(added.savepoint, ended)]
            self._drop([added.thing for added in waiting if _is_in(added.savepoint, ended)])
        elif ended.parent is None:
            dropped = [thing for thing, transaction in self._closed if transaction is ended]
            self._closed = [each for each in self._closed if each[1] is not ended]
            self._drop(dropped)

    def _drop(self, things: Sequence[T]) -> None:
        if things:
            self._dropped(things)


def _flush(session: Session) -> None:
    """Flush until nothing is left: a listener of one flush may leave something for the next."""
    for _ in range(_FLUSHES):
        session.flush()
        if not (session.new or session.dirty or session.deleted):
            break


def _is_in(savepoint: SessionTransaction | None, outer: SessionTransaction) -> bool:
    """Whether a savepoint is another one, or was set inside of it."""
    while savepoint is not None and savepoint is not outer:
        savepoint = savepoint.parent
    return savepoint is outer


def _events() -> Any:  # noqa: ANN401 - a module
    return sys.modules["sqlalchemy"].event

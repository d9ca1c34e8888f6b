"""What a session of SQLAlchemy writes in its own commits, beside what its user writes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from postlude.callers.alchemy import OfSession

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session, SessionTransaction

    from postlude.callers.contract import BlockingCaller

T = TypeVar("T")


class AtCommit(Generic[T]):
    """Things that are written when the session commits, and dropped when what they were added in is rolled back.

    Written in the commit and not before, because `AsyncSession` writes nothing without `await`; inside of a commit it
    does. So it works the same for both, and wherever the commit is: in the endpoint, or in a dependency after it.

    Args:
        session: of either kind; of an `AsyncSession` the one inside.
        write: writes things through the session's connection.
        committed: called when they are committed.
        dropped: given what was rolled back, written or not; in the thread that the session is used in.
        left: given what was added behind the last commit, at the end.
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
        self._waiting: list[tuple[T, SessionTransaction | None]] = []
        """Each with the savepoint in which it was added."""
        self._written: list[T] = []
        """In the transaction that is being committed."""
        listeners: Sequence[tuple[str, Callable[..., None]]] = (
            ("before_commit", self._before_commit),
            ("after_commit", self._after_commit),
            ("after_soft_rollback", self._after_rollback),
            ("after_transaction_end", self._after_end),
        )
        self._listeners = listeners
        for name, listener in listeners:
            _events().listen(session, name, listener)

    def add(self, thing: T) -> None:
        """Write it in the next commit."""
        self._waiting.append((thing, self._session.get_nested_transaction()))

    def end(self, *, failed: bool) -> None:
        """Nothing is written from now on; `failed`: whoever added what waits has come to nothing with it."""
        for name, listener in self._listeners:
            _events().remove(self._session, name, listener)
        if waiting := self._take_waiting():
            (self._dropped if failed else self._left)(waiting)

    def _before_commit(self, session: Session) -> None:
        if session.in_nested_transaction():
            return  # the end of a savepoint
        things = self._take_waiting()
        if things:
            self._written += things  # first, so that they are dropped if this fails
            self._write(OfSession(session), things)

    def _after_commit(self, session: Session) -> None:
        if not session.in_nested_transaction() and self._written:
            self._written = []
            self._committed()

    def _after_rollback(self, _: Session, ended: SessionTransaction) -> None:
        if ended.nested:
            dropped = [thing for thing, savepoint in self._waiting if _is_in(savepoint, ended)]
            self._waiting = [each for each in self._waiting if not _is_in(each[1], ended)]
            self._drop(dropped)

    def _after_end(self, _: Session, ended: SessionTransaction) -> None:
        if ended.parent is None:
            written, self._written = self._written, []
            self._drop([*written, *self._take_waiting()])

    def _take_waiting(self) -> list[T]:
        waiting, self._waiting = self._waiting, []
        return [thing for thing, _ in waiting]

    def _drop(self, things: Sequence[T]) -> None:
        if things:
            self._dropped(things)


def _is_in(savepoint: SessionTransaction | None, outer: SessionTransaction) -> bool:
    """Whether a savepoint is another one, or was set inside of it."""
    while savepoint is not None and savepoint is not outer:
        savepoint = savepoint.parent
    return savepoint is outer


def _events() -> Any:  # noqa: ANN401 - a module
    return sys.modules["sqlalchemy"].event

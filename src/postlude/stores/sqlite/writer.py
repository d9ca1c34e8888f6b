"""The one connection that writes, and the thread that owns it: whatever has come together goes into one commit."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from postlude.errors import PostludeError
from postlude.stores.contract import Description
from postlude.stores.entries import Sizes
from postlude.stores.liveness import Liveness
from postlude.stores.reasons import there_already
from postlude.stores.sqlite import location, notifying, writing
from postlude.stores.sqlite.access import Access, Replaced
from postlude.stores.sqlite.claiming import enlist
from postlude.stores.sqlite.connection import UNAVAILABLE, unavailable
from postlude.stores.sqlite.departing import moved
from postlude.stores.sqlite.forks import Gate
from postlude.stores.sqlite.migrations import migrate, transaction
from postlude.stores.sqlite.thread import Caught, DatabaseThread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Sequence

    from apsw import Connection

    from postlude.stores.entries import Entry
    from postlude.stores.sqlite.thread import Operation

CAREFUL: dict[Operation, Operation] = {
    writing.insert: writing.insert_carefully,
    writing.settle: writing.settle_carefully,
}
"""What to do instead when a group is done again."""


def call(connection: Connection, payloads: Sequence[Callable[[Connection], Any]]) -> Sequence[Any]:
    """Operations that do not come in numbers: each does its own."""
    return [payload(connection) for payload in payloads]


class Prepared(NamedTuple):
    """What opening the store gives."""

    description: Description
    liveness: Liveness


class Writer:
    """Commits what is submitted, in groups."""

    def __init__(self, path: Path, vfs: str | None, *, leaving: bool = False) -> None:
        self._path = path
        self._leaving = leaving
        self._access = Access(path, vfs=vfs)
        self._liveness: Liveness | None = None
        self.sizes: Sizes = Sizes()
        """Of its commits."""
        self._replaced = False
        """The file that was open is not there any more, and another has to be made ready."""
        gate = Gate(self._access.close, last=True)
        self._thread = DatabaseThread(f"postlude-writer {path.name}", self._process, self._access.close, gate)
        self.submit: Callable[[Operation, object], asyncio.Future[Any]] = self._thread.submit
        self.stop: Callable[[], Coroutine[Any, Any, None]] = self._thread.stop

    def _process(self, entries: list[Entry[Operation]]) -> None:
        if entries[0].operation is prepare:
            with Caught() as caught:
                entries[0].result = self._prepare()
            entries[0].result = self._why_not_open(caught.error) if caught.error else entries[0].result
            return
        try:
            self._commit(entries)
        except UNAVAILABLE as error:
            for entry in entries:
                # One for each: an exception that is raised at several places collects all their tracebacks.
                entry.result = unavailable(self._path, error, did="confirm a write")
                entry.result.__cause__ = error
            if not isinstance(error, apsw.BusyError):
                # A connection that has seen an error of the disk may remember what is not there: begin afresh.
                self._access.close()
            self._replaced |= isinstance(error, Replaced)
        else:
            self.sizes.note(len(entries))

    def _commit(self, entries: list[Entry[Operation]]) -> None:
        if self._replaced:
            self._prepare()
        connection = self._access.connection()
        with Caught() as caught, transaction(connection):
            _apply(connection, entries)
        if isinstance(caught.error, UNAVAILABLE):
            raise caught.error
        if caught.error is not None:
            # Somebody's operation was at fault. It is undone, and must not harm those who shared its commit.
            with transaction(connection):
                for entry in entries:
                    _apply_alone(connection, entry, self._path)

    def _prepare(self) -> Prepared:
        warnings = location.prepare(self._path)
        migrate(self._access.connection(), self._path)
        if not self._leaving and (error := moved(self._access.connection(), self._path)) is not None:
            raise error
        seconds = location.measure_sync(self._path.parent)
        side_file = Path(f"{self._path}-workers")
        if self._liveness is None:
            self._liveness = Liveness(side_file)
        else:
            self._liveness.renew(side_file)
            self._enlist_again(self._liveness)
        self._replaced = False
        warnings += notifying.warnings_at(notifying.folder_of(self._path))
        return Prepared(Description(str(self._path), seconds, warnings), self._liveness)

    def _enlist_again(self, liveness: Liveness) -> None:
        """In a file that was made anew. Without its row, a worker of this process could not announce its stop."""
        connection = self._access.connection()
        with transaction(connection):
            for worker in liveness.workers():
                enlist(connection, liveness, worker)

    def _why_not_open(self, error: BaseException) -> BaseException:
        if isinstance(error, PostludeError) or not isinstance(error, UNAVAILABLE):
            return error
        explained = unavailable(self._path, error, did="open")
        explained.__cause__ = error
        return explained


def prepare(connection: Connection, payloads: Sequence[None]) -> Sequence[Prepared]:
    """Find or make the file; the writer does it before there is a connection."""
    raise NotImplementedError


def _apply(connection: Connection, entries: list[Entry[Operation]]) -> None:
    # All inserts first, so that they fill few statements. What runs side by side has no order that could be broken: a
    # caller that needs one waits for its first operation before it submits the next.
    inserts = [entry for entry in entries if entry.operation is writing.insert]
    others = [entry for entry in entries if entry.operation is not writing.insert]
    for operation, group in groupby([*inserts, *others], key=attrgetter("operation")):
        members = list(group)
        results = operation(connection, [entry.payload for entry in members])
        for entry, result in zip(members, results, strict=True):
            entry.result = result


def _apply_alone(connection: Connection, entry: Entry[Operation], path: Path) -> None:
    operation = CAREFUL.get(entry.operation, entry.operation)
    connection.execute("SAVEPOINT one")
    with Caught() as caught:
        (entry.result,) = operation(connection, [entry.payload])
    if isinstance(caught.error, UNAVAILABLE):
        raise caught.error
    if caught.error is not None:
        entry.result = _explained(caught.error, entry, connection, path)
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")


def _explained(error: BaseException, entry: Entry[Operation], connection: Connection, path: Path) -> BaseException:
    if isinstance(error, apsw.ConstraintError):
        # Of a store whose jobs are moved it is the triggers that refuse.
        explained: BaseException | None = moved(connection, path)
        if explained is None and entry.operation is writing.insert:
            explained = there_already(job.id for job in entry.payload[:3])
        if explained is not None:
            explained.__cause__ = error
            return explained
    return error

"""The end of keeping: jobs that have ended are removed, one by hand or many for their age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.errors import JobNotFound
from postlude.job import JobState
from postlude.policy import Policy
from postlude.stores.contract import Pruned
from postlude.stores.reasons import not_deleted
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.statements import portions, sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from apsw import Connection

    from postlude.stores.sqlite.rows import Row

_OF_A_JOB: Final = ("delete_attempts", "delete_logs", "delete_keys", "delete_aliases", "delete_jobs")


def delete(connection: Connection, job_id: UUID) -> None:
    """Remove it and all that is known of it."""
    found = resolved(connection, job_id)
    row: Row | None = connection.execute(sql("deletable"), (found.bytes,)).fetchone()
    if row is None:
        raise JobNotFound(job_id)
    state, chain = JobState(row[0]), row[1]
    if not state.finished:
        raise not_deleted(found, state)
    if _goes_on(connection, chain):
        raise not_deleted(found, state, chain_goes_on=True)
    _delete(connection, [found.bytes])


class Portion(NamedTuple):
    """What was found in one portion."""

    old: list[bytes]
    """The ids of the jobs that have been kept for long enough."""
    place: int | None


@dataclass(frozen=True, slots=True)
class Pruning:
    """What `prune` is given."""

    keep: Mapping[JobState, float]
    shortest: float
    now: float
    place: int
    limit: int

    def look(self, connection: Connection) -> Portion:
        """Find what is old, without a lock."""
        rows: list[Row] = connection.execute(sql("portion"), (self.place, self.limit)).fetchall()
        # Later jobs were added later: behind one that is too young for all there are only such.
        old_enough = [row for row in rows if row[3] <= self.now - self.shortest]
        more = len(rows) == self.limit and len(old_enough) == len(rows)
        old = [row[1] for row in old_enough if self._is_old(connection, row)]
        return Portion(old, rows[-1][0] + 1 if more else None)

    def __call__(self, connection: Connection) -> Pruned:
        """Find it again, and remove it."""
        found = self.look(connection)
        for ids in portions(found.old):
            _delete(connection, ids)
        return Pruned(len(found.old), found.place)

    def _is_old(self, connection: Connection, row: Row) -> bool:
        _, job_id, state, _, finished_at, text, chain, key = row
        if finished_at is None:
            return False
        kept = Policy.loads(text).kept(JobState(state))
        if finished_at + (self.keep[JobState(state)] if kept is None else kept) > self.now:
            return False
        if key is not None and state == JobState.SUCCEEDED:
            holds = connection.execute(sql("keeps_key"), (job_id, self.now)).fetchone() is not None
            return not holds and not _goes_on(connection, chain)
        return not _goes_on(connection, chain)


def prune_starts(connection: Connection, now: float, limit: int) -> None:
    """Remove them."""
    connection.execute(sql("delete_starts"), (now, limit))


def _goes_on(connection: Connection, chain: bytes | None) -> bool:
    return chain is not None and connection.execute(sql("chain_goes_on"), (chain,)).fetchone() is not None


def _delete(connection: Connection, ids: Sequence[bytes]) -> None:
    for name in _OF_A_JOB:
        connection.execute(sql_for(name, len(ids)), tuple(ids))

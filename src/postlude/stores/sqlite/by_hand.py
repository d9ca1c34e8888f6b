"""What people ask of a job: cancel and retry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from postlude.errors import IllegalTransition, JobNotFound
from postlude.job import Event, JobState, Policy, transition
from postlude.stores.sqlite import chains
from postlude.stores.sqlite.rows import id_of
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from apsw import Connection

    from postlude.stores.sqlite.rows import Row


@dataclass(frozen=True, slots=True)
class Cancelling:
    """What `cancel` is given."""

    job_id: UUID
    reason: str
    now: float

    def __call__(self, connection: Connection) -> JobState:
        """Cancel what waits, and ask those who run it for the rest."""
        (value,) = _found(connection, "state", self.job_id)
        state = JobState(value)
        cancelled = transition(state, Event.CANCEL, job_id=self.job_id)
        if state is JobState.QUEUED:
            chains.cancel_queued(connection, self.job_id, at=self.now, reason=self.reason)
            return cancelled
        connection.execute(sql("request_cancel"), (self.reason, self.job_id.bytes))
        return state


@dataclass(frozen=True, slots=True)
class Retrying:
    """What `retry` is given."""

    job_id: UUID
    now: float

    def __call__(self, connection: Connection) -> None:
        """Queue the job, and behind it what its end had cancelled."""
        value, arguments, after, text, interruptions = _found(connection, "retryable", self.job_id)
        queued = transition(JobState(value), Event.RETRY, job_id=self.job_id)
        if arguments is None:
            self._refuse(value, "It is ephemeral: its arguments never left the process that added it.")
        if after is not None:
            self._look_at_predecessor(connection, UUID(bytes=after), value)
        # As after any interruption: one that was set aside for it must not take others with it (see `Claimed`).
        alone = 0 < interruptions >= Policy.loads(text).max_interruptions - 1
        connection.execute(sql("retry"), (queued, self.now, alone, self.job_id.bytes))
        chains.revive_behind(connection, self.job_id, at=self.now)

    def _look_at_predecessor(self, connection: Connection, after: UUID, state: str) -> None:
        row: Row | None = connection.execute(sql("predecessor"), (after.bytes,)).fetchone()
        if row is not None and row[0] != JobState.SUCCEEDED:
            first = id_of(row[1]) or after
            self._refuse(state, f"Job {after}, before it in its chain, is {row[0]}: retry job {first} first.")

    def _refuse(self, state: str, hint: str) -> None:
        raise IllegalTransition(state, Event.RETRY, job_id=self.job_id, hint=hint)


def _found(connection: Connection, statement: str, job_id: UUID) -> Row:
    row: Row | None = connection.execute(sql(statement), (job_id.bytes,)).fetchone()
    if row is None:
        raise JobNotFound(job_id)
    return row

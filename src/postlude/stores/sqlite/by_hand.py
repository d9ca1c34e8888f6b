"""What people ask: cancel, retry, pause and resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.errors import JobNotFound
from postlude.job import ERASED, Event, JobState, transition
from postlude.policy import Policy
from postlude.stores.predecessors import Predecessor, gone_before
from postlude.stores.reasons import EPHEMERAL_RETRIED, ERASED_RETRIED, not_retried
from postlude.stores.sqlite import chains, keys
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.rows import id_of
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from uuid import UUID

    from apsw import Connection

    from postlude.pauses import Pause
    from postlude.stores.sqlite.rows import Row


def cancel(connection: Connection, job_id: UUID, reason: str, now: float) -> JobState:
    """Cancel what waits, and ask those who run it for the rest."""
    job_id = resolved(connection, job_id)
    (value,) = _found(connection, "state", job_id)
    state = JobState(value)
    cancelled = transition(state, Event.CANCEL, job_id=job_id)
    if state is JobState.QUEUED:
        chains.cancel_queued(connection, job_id, at=now, reason=reason)
        return cancelled
    connection.execute(sql("request_cancel"), (reason, job_id.bytes))
    return state


def retry(connection: Connection, job_id: UUID, now: float, run_at: float | None) -> None:
    """Queue the job, and behind it what its end had cancelled."""
    job_id = resolved(connection, job_id)
    value, arguments, after, text, interruptions, task, key = _found(connection, "retryable", job_id)
    queued = transition(JobState(value), Event.RETRY, job_id=job_id)
    if arguments is None:
        raise not_retried(job_id, value, EPHEMERAL_RETRIED)
    if arguments == ERASED:
        raise not_retried(job_id, value, ERASED_RETRIED)
    gone = _gone_before(connection, job_id, value, id_of(after))
    keyed: list[Row] = [(job_id.bytes, task, key)] if key is not None else []
    roots = [job_id, *gone]
    keyed += chains.keyed_behind(connection, job_id, roots)
    keys.take_again(connection, keyed, now)
    alone = Policy.loads(text).runs_alone(interruptions)
    connection.execute(sql("retry"), (queued, now if run_at is None else run_at, alone, job_id.bytes))
    chains.revive_behind(connection, job_id, roots, at=now)


def pause(connection: Connection, pause: Pause) -> None:
    """Write it down, or its new reason."""
    connection.execute(sql("pause"), pause._asdict())


def resume(connection: Connection, pause: Pause) -> bool:
    """Take it away; returns whether it was there."""
    connection.execute(sql("resume"), pause._asdict())
    return connection.changes() > 0


def _gone_before(connection: Connection, job_id: UUID, state: str, after: UUID | None) -> list[UUID]:
    asking, found = gone_before(job_id, state, after), None
    while True:
        try:
            asked = asking.send(found)
        except StopIteration as end:
            gone: list[UUID] = end.value
            return gone
        row: Row | None = connection.execute(sql("predecessor"), (asked.bytes,)).fetchone()
        found = None if row is None else Predecessor(row[0], id_of(row[1]), bool(row[2]), id_of(row[3]))


def _found(connection: Connection, statement: str, job_id: UUID) -> Row:
    row: Row | None = connection.execute(sql(statement), (job_id.bytes,)).fetchone()
    if row is None:
        raise JobNotFound(job_id)
    return row

"""What is read, on a connection of its own: the workers' questions, and the lists and counts for people."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any
from uuid import UUID

from postlude.job import JobState
from postlude.stores.lanes import Alone, first_moments
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.lanes import all_lanes, read_pauses
from postlude.stores.sqlite.rows import attempt_of, claim_of, record_of
from postlude.stores.sqlite.statements import portions, sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from apsw import Connection

    from postlude.job import Attempt, Claim, Record
    from postlude.pauses import Pause
    from postlude.stores.contract import Filter
    from postlude.stores.liveness import Liveness
    from postlude.stores.sqlite.rows import Row

LATER_THAN_ALL = 2**63 - 1


def to_cancel(connection: Connection, owner: int) -> frozenset[UUID]:
    """Read the ids."""
    return frozenset(UUID(bytes=value) for (value,) in connection.execute(sql("to_cancel"), (owner,)))


def orphans(connection: Connection, liveness: Liveness, limit: int) -> list[Claim]:
    """Read the claims of every owner whose proof of life is gone."""
    claims: list[Claim] = []
    owners: list[Row] = connection.execute(sql("owners")).fetchall()
    for (owner,) in owners:
        if len(claims) < limit and liveness.is_dead(owner):
            rows = connection.execute(sql("claims_of"), (owner, limit - len(claims)))
            claims += map(claim_of, rows)
    return claims


def dead_workers(connection: Connection, liveness: Liveness) -> list[int]:
    """Read the ids of workers whose proof of life is gone."""
    rows: list[Row] = connection.execute(sql("workers")).fetchall()
    return [worker for (worker,) in rows if liveness.is_dead(worker)]


def waiting_tasks(connection: Connection, queues: Collection[str]) -> dict[str, float]:
    """Read under which names jobs are queued, and when the first of each could be claimed."""
    # Each to its end: a statement that is left in the middle would keep the log from ever beginning anew.
    behind: list[Row] = connection.execute(sql("behind")).fetchall()
    alone = [Alone(*row) for row in connection.execute(sql("alone"), (inf,))]
    tasks = (task for (task,) in behind)
    return first_moments(all_lanes(connection), alone, tasks, read_pauses(connection), queues)


def running_by_queue(connection: Connection, owner: int) -> dict[str, int]:
    """Read how many jobs of each queue a worker owns."""
    rows: list[Row] = connection.execute(sql("running_by_queue"), (owner,)).fetchall()
    return dict(rows)


def pauses(connection: Connection) -> Sequence[Pause]:
    """Read what is paused."""
    return read_pauses(connection).all


def get(connection: Connection, job_ids: Sequence[UUID]) -> list[Record]:
    """Read the jobs."""
    ids = [job_id.bytes for job_id in job_ids]
    records = _records(connection, ids)
    if len(records) < len(ids):
        # The rest may have been answered by others.
        found = {record.id.bytes for record in records}
        missing = [job_id for job_id in ids if job_id not in found]
        aliased: list[bytes] = []
        for portion in portions(missing):
            rows: list[Row] = connection.execute(sql_for("aliases", len(portion)), tuple(portion)).fetchall()
            aliased += [job_id for (job_id,) in rows if job_id not in found]
        records += _records(connection, sorted(set(aliased)))
    return records


def _records(connection: Connection, ids: Sequence[bytes]) -> list[Record]:
    records: list[Record] = []
    for portion in portions(ids):
        records += map(record_of, connection.execute(sql_for("get", len(portion)), tuple(portion)))
    return records


def history(connection: Connection, job_id: UUID) -> list[Attempt]:
    """Read the lines."""
    job_id = resolved(connection, job_id)
    return [attempt_of(row) for row in connection.execute(sql("attempts"), (job_id.bytes,))]


_IN_INDEX_BY_STATE = frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED})
_CLAIMED = frozenset({JobState.STAGED, JobState.RUNNING})


def list_jobs(connection: Connection, filter: Filter, limit: int, before: UUID | None) -> list[Record]:  # noqa: A002
    """Read the newest of each state asked for, and of these the newest."""
    place = _place(connection, before)
    if place is None:
        return []
    states: Collection[JobState | None] = filter.states or (None,)
    found: list[Row] = []
    for state in states:
        found += connection.execute(*_listing(filter, state, place, limit)).fetchall()
    found.sort(key=_seq, reverse=True)
    return [record_of(row) for row in found[:limit]]


def _place(connection: Connection, before: UUID | None) -> int | None:
    if before is None:
        return LATER_THAN_ALL
    row: Row | None = connection.execute(sql("place"), (resolved(connection, before).bytes,)).fetchone()
    return None if row is None else row[0]


def _listing(
    filter: Filter,  # noqa: A002 - the contract's word
    state: JobState | None,
    place: int,
    limit: int,
) -> tuple[str, tuple[Any, ...]]:
    values = (place, state, filter.task, limit)
    if filter.chain is not None:
        return sql("list_chain"), (*values, filter.chain.bytes)
    if state in _IN_INDEX_BY_STATE:
        return sql("list_by_state"), values
    if state in _CLAIMED:
        return sql("list_claimed"), values
    return sql("list_newest"), values


def count(connection: Connection, filter: Filter) -> Mapping[JobState, int]:  # noqa: A002 - the contract's word
    """Read how many there are of each state."""
    wanted = filter.states or frozenset(JobState)
    # One transaction: the total and its parts must be of the same moment.
    with connection:
        counts = _counts(connection, filter)
    return {state: counts[state] for state in JobState if state in wanted and counts.get(state)}


def _counts(connection: Connection, filter: Filter) -> dict[JobState, int]:  # noqa: A002 - the contract's word
    chain, task = filter.chain, filter.task
    if chain is not None:
        rows = connection.execute(sql("count_chain"), (chain.bytes, task))
    elif task is not None:
        rows = connection.execute(sql("count_task"), (task,))
    else:
        counts = {JobState(state): count for state, count in connection.execute(sql("count_indexed"))}
        if not filter.states or JobState.SUCCEEDED in filter.states:
            total: int = connection.execute(sql("count_all")).get
            counts[JobState.SUCCEEDED] = total - sum(counts.values())
        return counts
    return {JobState(state): count for state, count in rows}


def _seq(row: Row) -> int:
    seq: int = row[-1]
    return seq

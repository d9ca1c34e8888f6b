"""What is read, on a connection of its own: the workers' questions, and the lists and counts for people."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING
from uuid import UUID

from postlude.stores.lanes import Alone, first_moments
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.lanes import all_lanes, read_pauses
from postlude.stores.sqlite.rows import attempt_of, claim_of, record_of
from postlude.stores.sqlite.statements import portions, sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from apsw import Connection

    from postlude.job import Attempt, Claim, Record
    from postlude.pauses import Pause
    from postlude.stores.liveness import Liveness
    from postlude.stores.sqlite.rows import Row


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

"""The writes of a worker on what it runs: claim, start, report, and its own row."""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postlude.job import Event, JobState, new_token, transition
from postlude.stores.contract import Claimed
from postlude.stores.sqlite.rows import claim_of, dumps
from postlude.stores.sqlite.statements import portions, sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from uuid import UUID

    from apsw import Connection

    from postlude.job import Claim, Progress
    from postlude.stores.sqlite.liveness import Liveness
    from postlude.stores.sqlite.rows import Row


def waiting_names(connection: Connection, tasks: Collection[str]) -> Iterator[tuple[str, float]]:
    """The names among `tasks` for which jobs are queued, each with the moment when its first one is due.

    Both the names asked for and those waiting are sorted, and each step leaps to the next that can be in both: however
    many jobs wait, and under however many names that are not asked for, there are at most `len(tasks)` + 1 steps.
    """
    names = sorted(tasks)
    position = 0
    while position < len(names):
        row = connection.execute(sql("next_waiting_name"), (names[position],)).fetchone()
        if row is None:
            return
        position = bisect_left(names, row[0], position)
        if position < len(names) and names[position] == row[0]:
            yield row[0], row[1]
            position += 1


@dataclass(frozen=True, slots=True)
class Claiming:
    """What `claim` asks for."""

    owner: int
    tasks: Collection[str]
    limit: int
    now: float
    idle: bool

    def __call__(self, connection: Connection) -> Claimed:
        """Take what is due."""
        alone = self._due_alone(connection)
        if alone is not None and self.idle and self.limit > 0:
            return Claimed(self._take(connection, [alone]), alone_waits=False)
        return Claimed(self._take(connection, self._due(connection)), alone_waits=alone is not None)

    def _due_alone(self, connection: Connection) -> int | None:
        rows: list[Row] = connection.execute(sql("alone"), (self.now,)).fetchall()
        return next((seq for _, seq, task in rows if task in self.tasks), None)

    def _due(self, connection: Connection) -> list[int]:
        names = [name for name, first_due in waiting_names(connection, self.tasks) if first_due <= self.now]
        found: list[Row] = []
        for name in names:
            found += connection.execute(sql("due"), (name, self.now, self.limit)).fetchall()
        if len(names) > 1:
            found.sort()
        return [seq for _, seq in found[: self.limit]]

    def _take(self, connection: Connection, rows: list[int]) -> list[Claim]:
        running = transition(JobState.QUEUED, Event.START)
        # One for all: only together with the job's id it has to be unique.
        claim = new_token()
        taken: list[Row] = []
        for portion in portions(rows):
            values = (running, self.owner, claim, self.now, *portion)
            taken += connection.execute(sql_for("claim", len(portion)), values).fetchall()
        # RETURNING keeps no order.
        taken.sort()
        return [claim_of(row) for row in taken]


@dataclass(frozen=True, slots=True)
class Starting:
    """What `start` is given."""

    claims: Sequence[Claim]
    now: float

    def __call__(self, connection: Connection) -> frozenset[UUID]:
        """Record staged attempts as running."""
        running = transition(JobState.STAGED, Event.START)
        refused = set()
        for claim in self.claims:
            started_at = self.now if claim.started_at is None else claim.started_at
            connection.execute(sql("start"), (running, started_at, claim.job_id.bytes, claim.id))
            # One that is running under the same claim was recorded before: said twice, and nothing to refuse.
            if not connection.changes() and not _is_claimed(connection, claim):
                refused.add(claim.job_id)
        return frozenset(refused)


@dataclass(frozen=True, slots=True)
class Reporting:
    """What `report` is given."""

    claims: Mapping[Claim, Progress]

    def __call__(self, connection: Connection) -> frozenset[UUID]:
        """Note the progress."""
        refused = set()
        for claim, progress in self.claims.items():
            connection.execute(sql("report"), (dumps(progress), claim.job_id.bytes, claim.id))
            if not connection.changes():
                refused.add(claim.job_id)
        return frozenset(refused)


@dataclass(frozen=True, slots=True)
class Enlisting:
    """A worker's first write."""

    liveness: Liveness
    worker: int

    def __call__(self, connection: Connection) -> None:
        """Take the proof of life, and only then let the row be seen."""
        self.liveness.hold(self.worker)
        connection.execute(sql("enlist"), (self.worker, os.uname().nodename, os.getpid()))


@dataclass(frozen=True, slots=True)
class OnWorkers:
    """A statement about some workers' rows, by id."""

    statement: str
    workers: Sequence[int]

    def __call__(self, connection: Connection) -> int:
        """Execute it for each; returns how many rows it changed."""
        changed = 0
        for worker in self.workers:
            connection.execute(sql(self.statement), (worker,))
            changed += connection.changes()
        return changed


def _is_claimed(connection: Connection, claim: Claim) -> bool:
    return connection.execute(sql("is_claimed"), (claim.job_id.bytes, claim.id)).fetchone() is not None

"""The writes of a worker on what it runs: claim, start, report, and its own row."""

from __future__ import annotations

import os
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

from postlude.ids import new_token
from postlude.job import Event, JobState, transition
from postlude.stores.contract import Claimed
from postlude.stores.lanes import MOST_EXPIRED, REST, WHOLE_TASK, Due
from postlude.stores.rooms import Rooms, is_bounded
from postlude.stores.sqlite import chains, logs
from postlude.stores.sqlite.adopting import adopt, adopt_one
from postlude.stores.sqlite.lanes import lanes_of, read_pauses
from postlude.stores.sqlite.limiting import NEXT_TEXT, Limiter
from postlude.stores.sqlite.reading import running_by_queue
from postlude.stores.sqlite.rows import claim_of
from postlude.stores.sqlite.statements import portions, sql, sql_for
from postlude.stores.texts import dumps
from postlude.stores.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from apsw import Connection

    from postlude.job import Claim, Report
    from postlude.limits import Limit
    from postlude.pauses import Pauses
    from postlude.stores.lanes import Cursors, Lane
    from postlude.stores.liveness import Liveness
    from postlude.stores.sqlite.rows import Row


_rank = attrgetter("rank")


@dataclass(frozen=True, slots=True)
class Claiming:
    """What `claim` asks for."""

    owner: int
    tasks: Collection[str]
    limits: Mapping[str, Limit]
    limit: int
    now: float
    idle: bool
    cursors: Cursors
    queues: Mapping[str, int | None]

    def __call__(self, connection: Connection) -> Claimed:
        """Take what is due."""
        pauses = read_pauses(connection)
        expired = 0
        while True:
            turns = Turns(self.now, self.limits, self.cursors, NEXT_TEXT)
            limiter = Limiter(connection, turns, pauses)
            running = running_by_queue(connection, self.owner) if is_bounded(self.queues) else {}
            rooms = Rooms(self.queues, running)
            alone = self._due_alone(connection, pauses, limiter, rooms)
            taking_alone = alone is not None and self.limit > 0 and (self.idle or self._expired(alone))
            found = [alone] if alone is not None and taking_alone else self._due(connection, pauses, limiter, rooms)
            fresh = [due for due in found if due.expires_at is None or not self._expired(due)]
            expired += len(found) - len(fresh)
            if len(fresh) < len(found):
                self._cancel_expired(connection, found)
                turns.come_back(self.now)  # others may stand behind them
            if fresh or not found or expired >= MOST_EXPIRED:
                break
        limiter.record(fresh)
        claims = self._take(connection, [due.seq for due in fresh])
        if len(claims) < self.limit:
            limiter.look_behind()
        alone_waits = alone is not None and not taking_alone and not self._expired(alone)
        return Claimed(claims, alone_waits, turns.again_at, turns.held_back or rooms.held_back)

    def _due_alone(self, connection: Connection, pauses: Pauses, limiter: Limiter, rooms: Rooms) -> Due | None:
        rows: list[Row] = connection.execute(sql("alone"), (self.now,)).fetchall()
        for run_at, seq, expires_at, queue, task, partition in rows:
            if task not in self.tasks or pauses.cover(queue, task, partition) or not rooms.allow(queue):
                continue
            due = Due(run_at, seq, expires_at, task, partition)
            if partition is None and task in self.limits:
                due = due._replace(partition=WHOLE_TASK)
                if self.limit > 0:  # otherwise it only looks
                    adopt_one(connection, seq)
            if due.partition is None or limiter.room(task, due.partition) > 0:
                return due
        return None

    def _due(self, connection: Connection, pauses: Pauses, limiter: Limiter, rooms: Rooms) -> list[Due]:
        """What comes first: by priority, then by moment, then by the order of the commits."""
        if self.limit < 1:
            return []
        lanes = [
            lane
            for lane in lanes_of(connection, self.tasks, pauses)
            if lane.first_due <= self.now and rooms.allow(lane.queue)
        ]
        if self.limits:
            lanes, more = adopt(connection, lanes, self.limits, self.now)
            if more:
                limiter.turns.come_back(self.now + REST)
        lanes.sort(key=_rank)
        found: list[Due] = []
        for _, of_rank in groupby(lanes, _rank):
            if len(found) == self.limit:
                break
            found += self._first(connection, list(of_rank), limiter, rooms, self.limit - len(found))
        limiter.turns.took(found)
        return found

    def _first(
        self, connection: Connection, lanes: Sequence[Lane], limiter: Limiter, rooms: Rooms, most: int
    ) -> Sequence[Due]:
        """Up to so many jobs of lanes of one rank."""
        candidates = [
            limiter.due(lane, rooms.most(lane.queue, most))
            if lane.limited
            else self._in_lane(connection, lane, rooms.most(lane.queue, most))
            for lane in lanes
        ]
        if len(lanes) == 1 and not lanes[0].limited and not rooms.bounded:
            return candidates[0]  # nothing to bring into order, and nothing to hold back
        # By what stands first in each, and no lane is put into another order: a partition whose jobs are older than
        # those of others must not have two turns before they have one.
        admit = rooms.within(limiter.turns.admit, lanes, candidates, self.now)
        return list(islice(filter(admit, merge(*candidates)), most))

    def _in_lane(self, connection: Connection, lane: Lane, most: int) -> list[Due]:
        rows = connection.execute(sql("due"), (*lane.place, self.now, most))
        return [Due(run_at, seq, expires_at, lane.task) for run_at, seq, expires_at in rows]

    def _cancel_expired(self, connection: Connection, found: Sequence[Due]) -> None:
        for due in found:
            if self._expired(due):
                job_id = UUID(bytes=connection.execute(sql("id_at"), (due.seq,)).get)
                chains.cancel_expired(connection, job_id, at=self.now)

    def _expired(self, due: Due) -> bool:
        return due.expires_at is not None and due.expires_at <= self.now

    def _take(self, connection: Connection, rows: list[int]) -> list[Claim]:
        running = transition(JobState.QUEUED, Event.START)
        # One for all: only together with the job's id it has to be unique.
        claim = new_token()
        taken: list[Row] = []
        for portion in portions(rows):
            values = (running, self.owner, claim, self.now, *portion)
            taken += connection.execute(sql_for("claim", len(portion)), values).fetchall()
        # RETURNING keeps no order.
        places = {seq: place for place, seq in enumerate(rows)}
        taken.sort(key=lambda row: places[row[1]])
        return [claim_of(row) for row in taken]


def start(connection: Connection, claims: Sequence[Claim], now: float) -> frozenset[UUID]:
    """Record staged attempts as running."""
    running = transition(JobState.STAGED, Event.START)
    refused = set()
    for claim in claims:
        started_at = now if claim.started_at is None else claim.started_at
        connection.execute(sql("start"), (running, started_at, claim.job_id.bytes, claim.id))
        # One that is running under the same claim was recorded before: said twice, and nothing to refuse.
        if not connection.changes() and not _is_claimed(connection, claim):
            refused.add(claim.job_id)
    return frozenset(refused)


def report(connection: Connection, claims: Mapping[Claim, Report]) -> frozenset[UUID]:
    """Note what there is."""
    refused = set()
    for claim, report in claims.items():
        connection.execute(sql("report"), (dumps(report.progress), report.saved, claim.job_id.bytes, claim.id))
        if not connection.changes():
            refused.add(claim.job_id)
        elif report.lines:
            logs.append(connection, claim.job_id, report.lines)
    return frozenset(refused)


def enlist(connection: Connection, liveness: Liveness, worker: int) -> None:
    """Take the proof of life, and only then let the row be seen."""
    liveness.hold(worker)
    connection.execute(sql("enlist"), (worker, os.uname().nodename, os.getpid()))


def on_workers(connection: Connection, statement: str, workers: Sequence[int]) -> int:
    """Execute it for each; returns how many rows it changed."""
    changed = 0
    for worker in workers:
        connection.execute(sql(statement), (worker,))
        changed += connection.changes()
    return changed


def _is_claimed(connection: Connection, claim: Claim) -> bool:
    return connection.execute(sql("is_claimed"), (claim.job_id.bytes, claim.id)).fetchone() is not None

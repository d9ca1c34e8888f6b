"""Claim: which jobs are next, and whose they are from now on."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING

from postlude.ids import new_token
from postlude.job import Event, JobState, transition
from postlude.stores.contract import Claimed
from postlude.stores.lanes import MOST_EXPIRED, REST, WHOLE_TASK, Due
from postlude.stores.postgres import chains
from postlude.stores.postgres.adopting import adopt, adopt_one
from postlude.stores.postgres.lanes import all_lanes, read_pauses
from postlude.stores.postgres.limiting import NEXT_TEXT, Limiter
from postlude.stores.postgres.rows import claim_of
from postlude.stores.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from postlude.job import Claim
    from postlude.limits import Limit
    from postlude.pauses import Pauses
    from postlude.stores.lanes import Cursors, Lane
    from postlude.stores.postgres.session import Session

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

    async def __call__(self, session: Session) -> Claimed:
        """Take what is due."""
        async with session.connection.transaction():
            return await self._claim(session)

    async def _claim(self, session: Session) -> Claimed:
        pauses = await read_pauses(session)
        expired = 0
        while True:
            turns = Turns(self.now, self.limits, self.cursors, NEXT_TEXT)
            limiter = Limiter(session, turns, pauses)
            alone = await self._due_alone(session, pauses, limiter)
            taking_alone = alone is not None and self.limit > 0 and (self.idle or self._expired(alone))
            found = [alone] if alone is not None and taking_alone else await self._due(session, pauses, limiter)
            fresh = [due for due in found if due.expires_at is None or not self._expired(due)]
            expired += len(found) - len(fresh)
            if len(fresh) < len(found):
                await self._cancel_expired(session, found)
                turns.come_back(self.now)  # others may stand behind them
            if fresh or not found or expired >= MOST_EXPIRED:
                break
        await limiter.record(fresh)
        claims = await self._take(session, [due.seq for due in fresh]) if fresh else []
        if len(claims) < self.limit:
            await limiter.look_behind()
        alone_waits = alone is not None and not taking_alone and not self._expired(alone)
        return Claimed(claims, alone_waits, turns.again_at, turns.held_back)

    async def _due_alone(self, session: Session, pauses: Pauses, limiter: Limiter) -> Due | None:
        for run_at, seq, expires_at, queue, task, partition in await session.rows("alone", session.namespace, self.now):
            if task not in self.tasks or pauses.cover(queue, task, partition):
                continue
            due = Due(run_at, seq, expires_at, task, partition)
            if partition is None and task in self.limits:
                due = due._replace(partition=WHOLE_TASK)
                if self.limit > 0:  # otherwise it only looks
                    await adopt_one(session, seq)
            if due.partition is None or await limiter.room(task, due.partition) > 0:
                return due
        return None

    async def _due(self, session: Session, pauses: Pauses, limiter: Limiter) -> list[Due]:
        """What comes first: by priority, then by moment, then by the order of the commits."""
        if self.limit < 1:
            return []
        lanes = [
            lane
            for lane in await all_lanes(session)
            if lane.first_due <= self.now and lane.task in self.tasks and not pauses.cover(lane.queue, lane.task)
        ]
        if self.limits:
            lanes, more = await adopt(session, lanes, self.limits, self.now)
            if more:
                limiter.turns.come_back(self.now + REST)
        lanes.sort(key=_rank)
        found: list[Due] = []
        for _, of_rank in groupby(lanes, _rank):
            if len(found) == self.limit:
                break
            found += await self._first(session, list(of_rank), limiter, self.limit - len(found))
        limiter.turns.took(found)
        return found

    async def _first(self, session: Session, lanes: Sequence[Lane], limiter: Limiter, most: int) -> Sequence[Due]:
        """Up to so many jobs of lanes of one rank."""
        candidates = [
            await (limiter.due(lane, most) if lane.limited else self._in_lane(session, lane, most)) for lane in lanes
        ]
        # By what stands first in each, and no lane is put into another order: a partition whose jobs are older than
        # those of others must not have two turns before they have one.
        return list(islice(filter(limiter.turns.admit, merge(*candidates)), most))

    async def _in_lane(self, session: Session, lane: Lane, most: int) -> list[Due]:
        rows = await session.rows("due", session.namespace, *lane.place, self.now, most)
        return [Due(run_at, seq, expires_at, lane.task) for run_at, seq, expires_at in rows]

    async def _cancel_expired(self, session: Session, found: Sequence[Due]) -> None:
        ids = [row["id"] for row in await session.rows("id_at", [due.seq for due in found if self._expired(due)])]
        await chains.lock_chains(session, ids)
        for job_id in ids:
            if await session.value("state", job_id) == JobState.QUEUED:
                await chains.cancel_expired(session, job_id, at=self.now)

    def _expired(self, due: Due) -> bool:
        return due.expires_at is not None and due.expires_at <= self.now

    async def _take(self, session: Session, seqs: Sequence[int]) -> list[Claim]:
        running = transition(JobState.QUEUED, Event.START)
        # One for all: only together with the job's id it has to be unique.
        rows = await session.rows("claim", running, self.owner, new_token(), self.now, seqs)
        # RETURNING keeps no order.
        places = {seq: place for place, seq in enumerate(seqs)}
        return [claim_of(row) for row in sorted(rows, key=lambda row: places[row["seq"]])]

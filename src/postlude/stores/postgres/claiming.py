"""Claim: which jobs are next, and whose they are from now on."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from postlude.stores.postgres.limiting import NEXT_TEXT, Limiter
from postlude.stores.postgres.looking import look, read_pauses
from postlude.stores.postgres.rows import claim_of
from postlude.stores.rooms import Rooms, is_bounded
from postlude.stores.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import asyncpg

    from postlude.job import Claim
    from postlude.limits import Limit
    from postlude.stores.lanes import Cursors, Lane, Place
    from postlude.stores.postgres.fronts import Fronts
    from postlude.stores.postgres.looking import Look, Sight
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
    sight: Sight
    queues: Mapping[str, int | None]
    token: int = field(default_factory=new_token)
    """The id of the claim, one for all: only together with the job's id it has to be unique."""

    async def __call__(self, session: Session) -> Claimed:
        """Take what is due."""
        cancelled = 0
        seen = self.sight.taken()
        if seen is None or not self._is_plain(seen):
            seen = await look(session, self.fronts)
        while True:
            if not self._is_plain(seen):
                async with session.transaction():
                    return await self._claim(session, seen)
            claims, expired = await self._take_plain(session, seen)
            if expired:
                async with session.transaction():
                    await self._cancel_expired(session, expired)
            cancelled += len(expired)
            if not expired or cancelled >= MOST_EXPIRED:
                # Behind those that have expired others may stand.
                return Claimed(claims, again_at=self.now if cancelled else None)
            seen = await look(session, self.fronts)

    @property
    def fronts(self) -> Fronts:
        """Where looks begin."""
        return self.sight.fronts

    # -- where nothing has a limit, and nothing must run alone

    def _is_plain(self, seen: Look) -> bool:
        lanes = self._lanes(seen)
        simple = not is_bounded(self.queues) and not any(lane.limited or lane.task in self.limits for lane in lanes)
        return simple and self.limit > 0 and not any(job.task in self.tasks for job in seen.alone)

    async def _take_plain(self, session: Session, seen: Look) -> tuple[list[Claim], Sequence[int]]:
        """One statement, and so one commit, for all lanes; or what has to be cancelled first, since it has expired."""
        lanes = self._lanes(seen)
        if not lanes:
            return [], ()
        begin = self.fronts.clock()
        firsts = {lane.place: seen.firsts[lane.place] for lane in lanes}
        columns = map(list, zip(*((*place, *first) for place, first in firsts.items()), strict=True))
        running = transition(JobState.QUEUED, Event.START)
        values = (self.now, self.limit, running, self.owner, self.token)
        rows = await session.rows("take", session.namespace, *columns, *values)
        self.fronts.passed(firsts, self.fronts.clock() - begin)
        if not rows[0]["lives"]:
            return [], ()  # and what is due stays in front of the fronts
        expired: list[int] = rows[0]["expired"]
        if expired:
            return [], expired
        taken = [row for row in rows if row["id"] is not None]
        await self._reached(session, firsts, taken)
        return [claim_of(row, row["run_at"]) for row in taken], ()

    async def _reached(self, session: Session, places: Collection[Place], taken: Sequence[asyncpg.Record]) -> None:
        last = {(row["queue"], row["task"], row["rank"]): (row["run_at"], row["seq"]) for row in taken}
        if len(taken) == self.limit:
            for place, position in last.items():
                self.fronts.reached(place, position, self.now)
            return
        # Where something was seen and nothing was taken others have claimed it, or it was paused since and stays there.
        pauses = await read_pauses(session) if len(last) < len(places) else None
        for place in places:
            if place in last or pauses is None or not pauses.cover(place[0], place[1]):
                self.fronts.reached(place, (self.now, 0), self.now)

    # -- in general

    async def _claim(self, session: Session, seen: Look) -> Claimed:
        expired = 0
        while True:
            turns = Turns(self.now, self.limits, self.cursors, NEXT_TEXT)
            limiter = Limiter(session, turns, seen.pauses)
            rooms = Rooms(self.queues, await self._running(session))
            alone = await self._due_alone(session, seen, limiter, rooms)
            taking_alone = alone is not None and self.limit > 0 and (self.idle or self._expired(alone))
            found = [alone] if alone is not None and taking_alone else await self._due(session, seen, limiter, rooms)
            fresh = [due for due in found if not self._expired(due)]
            expired += len(found) - len(fresh)
            if len(fresh) < len(found):
                await self._cancel_expired(session, [due.seq for due in found if self._expired(due)])
                turns.come_back(self.now)  # others may stand behind them
            if fresh or not found or expired >= MOST_EXPIRED:
                break
            seen = await look(session, self.fronts)
        claims = await self._take(session, fresh) if fresh else []
        if claims:
            await limiter.record(fresh)
        if len(claims) < self.limit:
            await limiter.look_behind()
        alone_waits = alone is not None and not taking_alone and not self._expired(alone)
        return Claimed(claims, alone_waits, turns.again_at, turns.held_back or rooms.held_back)

    async def _running(self, session: Session) -> dict[str, int]:
        """How many jobs of each queue the worker owns, where that matters."""
        rows = await session.rows("running_by_queue", self.owner) if is_bounded(self.queues) else []
        return {row["queue"]: row["running"] for row in rows}

    async def _due_alone(self, session: Session, seen: Look, limiter: Limiter, rooms: Rooms) -> Due | None:
        for run_at, seq, expires_at, queue, task, partition in seen.alone:
            if run_at > self.now or task not in self.tasks or seen.pauses.cover(queue, task, partition):
                continue
            if not rooms.allow(queue):
                continue
            due = Due(run_at, seq, expires_at, task, partition)
            if partition is None and task in self.limits:
                due = due._replace(partition=WHOLE_TASK)
                if self.limit > 0:  # otherwise it only looks
                    await adopt_one(session, seq)
            if due.partition is None or await limiter.room(task, due.partition) > 0:
                return due
        return None

    def _lanes(self, seen: Look) -> list[Lane]:
        """Those asked for in which something is due, and that are not paused."""
        return [
            lane
            for lane in seen.lanes
            if lane.first_due <= self.now
            and lane.task in self.tasks
            and (not self.queues or lane.queue in self.queues)
            and not seen.pauses.cover(lane.queue, lane.task)
        ]

    async def _due(self, session: Session, seen: Look, limiter: Limiter, rooms: Rooms) -> list[Due]:
        """What comes first: by priority, then by moment, then by the order of the commits."""
        if self.limit < 1:
            return []
        lanes = [lane for lane in self._lanes(seen) if rooms.allow(lane.queue)]
        if self.limits:
            lanes, more = await adopt(session, lanes, self.limits, self.now)
            if more:
                limiter.turns.come_back(self.now + REST)
        lanes.sort(key=_rank)
        found: list[Due] = []
        for _, of_rank in groupby(lanes, _rank):
            if len(found) == self.limit:
                break
            found += await self._first(session, list(of_rank), limiter, rooms, self.limit - len(found), seen)
        limiter.turns.took(found)
        return found

    async def _first(
        self, session: Session, lanes: Sequence[Lane], limiter: Limiter, rooms: Rooms, most: int, seen: Look
    ) -> Sequence[Due]:
        """Up to so many jobs of lanes of one rank."""
        candidates = [
            await (
                limiter.due(lane, rooms.most(lane.queue, most))
                if lane.limited
                else self._in_lane(session, lane, rooms.most(lane.queue, most), seen)
            )
            for lane in lanes
        ]
        # By what stands first in each, and no lane is put into another order: a partition whose jobs are older than
        # those of others must not have two turns before they have one.
        admit = rooms.within(limiter.turns.admit, lanes, candidates, self.now)
        picked = list(islice(filter(admit, merge(*candidates)), most))
        seqs = {due.seq for due in picked}
        for lane, dues in zip(lanes, candidates, strict=True):
            if not lane.limited and (last := [due for due in dues if due.seq in seqs][-1:]):
                self.fronts.reached(lane.place, (last[0].run_at, last[0].seq), self.now)
        return picked

    async def _in_lane(self, session: Session, lane: Lane, most: int, seen: Look) -> list[Due]:
        first = seen.firsts[lane.place]
        rows = await session.rows("due", session.namespace, *lane.place, *first, self.now, most)
        return [Due(run_at, seq, expires_at, lane.task) for run_at, seq, expires_at in rows]

    async def _cancel_expired(self, session: Session, seqs: Sequence[int]) -> None:
        ids = [row["id"] for row in await session.rows("id_at", session.namespace, seqs)]
        await chains.lock_chains(session, ids)
        for job_id in ids:
            if await session.value("state", job_id) == JobState.QUEUED:
                await chains.cancel_expired(session, job_id, at=self.now)

    def _expired(self, due: Due) -> bool:
        return due.expires_at is not None and due.expires_at <= self.now

    async def _take(self, session: Session, fresh: Sequence[Due]) -> list[Claim]:
        running = transition(JobState.QUEUED, Event.START)
        seqs = [due.seq for due in fresh]
        rows = await session.rows("claim", running, self.owner, self.token, self.now, seqs, session.namespace)
        # RETURNING keeps no order.
        claims = {row["seq"]: row for row in rows}
        return [claim_of(claims[due.seq], due.run_at) for due in fresh if due.seq in claims]

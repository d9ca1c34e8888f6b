"""The writes that come in numbers: insert, settle, start and report. Each takes several callers' in one commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from asyncpg import UniqueViolationError

from postlude.job import Event, Followers, JobState, transition
from postlude.stores.postgres import chains, keys, logs
from postlude.stores.postgres.rows import columns_of, plain, values_of
from postlude.stores.reasons import there_already
from postlude.stores.texts import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from postlude.job import Claim, NewJob, Report, Settlement
    from postlude.stores.postgres.session import Session

MANY: Final = 10
"""Jobs from which on COPY is faster; it takes one round trip more."""

_NONE: Final[Mapping[UUID, UUID]] = MappingProxyType({})


async def insert(session: Session, payloads: Sequence[Sequence[NewJob]]) -> Sequence[Mapping[UUID, UUID]]:
    """Write the new jobs of all callers.

    Raises:
        StoreError: one of the ids is in the store already.
    """
    try:
        return await _insert_all(session, payloads)
    except UniqueViolationError as error:
        problem = there_already(job.id for some in payloads for job in some[:3])
        if len(payloads) > 1:
            raise problem from error  # each is tried by itself then
        (jobs,) = payloads
        try:
            async with session.transaction():
                await session.lock(keys.locked_for(jobs))
                return [await _insert(session, jobs, carefully=True)]
        except UniqueViolationError as again:
            raise problem from again


async def _insert_all(session: Session, payloads: Sequence[Sequence[NewJob]]) -> Sequence[Mapping[UUID, UUID]]:
    """Write the new jobs of all callers, in as few statements as there can be."""
    jobs = [job for some in payloads for job in _in_chains(some)]
    if all(job.terms.key is None for job in jobs) and not any(True for _ in _late(jobs)):
        await _write(session, jobs)
        return [_NONE] * len(payloads)
    async with session.transaction():
        await session.lock(keys.locked_for(jobs))
        return [await _insert(session, some) for some in payloads]


async def insert_in(session: Session, jobs: Sequence[NewJob]) -> None:
    """Write new jobs of one caller, in the transaction that is open."""
    await session.lock(keys.locked_for(jobs))
    await _insert(session, jobs)


async def _insert(session: Session, jobs: Sequence[NewJob], *, carefully: bool = False) -> Mapping[UUID, UUID]:
    """Write those of one caller; `carefully`: leave those as they are that came with an earlier insert."""
    jobs = _in_chains(jobs)
    written, answered = jobs, _NONE
    await session.lock(("chain", job.chain or after) for job, after in _late(jobs))
    if carefully or any(job.terms.key is not None for job in jobs):
        written, answered = await keys.insert_unique(session, jobs)
    elif jobs:
        await _write(session, jobs)
    for job, after in _late(written):
        await chains.tie_on(session, job, after)
    return answered


async def _write(session: Session, jobs: Sequence[NewJob]) -> None:
    """In one statement; of many rows COPY takes the smaller part of the work, on both sides."""
    if len(jobs) < MANY:
        await session.do("insert", session.namespace, *columns_of(jobs))
    else:
        await session.copy("jobs", "parts/new_columns", [values_of(job) for job in jobs])


def _in_chains(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """The same, where each that has one behind it belongs to a chain: who settles it goes by that."""
    before = {job.after for job in jobs if job.after is not None}
    if not before:
        return jobs
    return [job._replace(chain=job.id) if job.chain is None and job.id in before else job for job in jobs]


def _late(jobs: Sequence[NewJob]) -> Iterable[tuple[NewJob, UUID]]:
    """Those that come behind a job which is not inserted with them."""
    followers = [(job, job.after) for job in jobs if job.after is not None]
    if followers:
        own = {job.id for job in jobs}
        return [(job, after) for job, after in followers if after not in own]
    return ()


async def withdraw(session: Session, jobs: Sequence[NewJob]) -> None:
    """Delete what is still staged under its owner, unless a call that is not named here relies on it (clause 3)."""
    async with session.transaction():
        keyed = [job.id for job in jobs if job.terms.key is not None]
        answering: set[UUID] = set()
        if keyed:
            await session.lock(keys.locked_for(jobs))
            await session.do("delete_own_aliases", keyed)
            answering = {row["job"] for row in await session.rows("answering", keyed)}
        owned = [job for job in jobs if job.owner is not None]
        named = [(job.id, job.owner) for job in owned if job.id not in answering]
        gone = await session.rows("withdraw", [job_id for job_id, _ in named], [owner for _, owner in named])
        if keyed:
            await session.do("let_go_of_keys", [row["id"] for row in gone])
        for job in owned:
            if job.id in answering:
                # From now on it is for whoever claims it, and of those before it some may be gone.
                await session.do("queue_staged", transition(job.state, Event.RELEASE), job.id)
                if job.after is not None:
                    await chains.tie_on(session, job, job.after)


@dataclass(frozen=True, slots=True)
class Settle:
    """What `settle` was given by each of its callers."""

    payloads: Sequence[Sequence[Settlement]]
    _done: set[tuple[UUID, int]] = field(default_factory=set)
    """What is settled, by this try or by one that the database has ended behind it."""

    async def __call__(self, session: Session) -> Sequence[frozenset[UUID]]:
        """End the claims; gives each caller the ids of the refused."""
        settlements = [settlement for payload in self.payloads for settlement in payload]
        # Of those that belong to no chain nothing can follow: one statement, which is its own commit.
        left = self._left(settlements)
        if left and all(map(_is_plain, left)):
            self._done.update(await _succeed(session, left, in_chains=False))
        elif simple := [each for each in left if _is_simple(each)]:
            self._done.update(await _end(session, simple))
        left = self._left(settlements)
        if left:
            async with session.transaction():
                done = await _settle_all(session, left)
            self._done.update(done)
        return [
            frozenset(each.job_id for each in payload if (each.job_id, each.claim) not in self._done)
            for payload in self.payloads
        ]

    def _left(self, settlements: Sequence[Settlement]) -> list[Settlement]:
        return [each for each in settlements if (each.job_id, each.claim) not in self._done]


async def _settle_all(session: Session, settlements: Sequence[Settlement]) -> set[tuple[UUID, int]]:
    plain_ones = [settlement for settlement in settlements if _is_plain(settlement)]
    others = [settlement for settlement in settlements if not _is_plain(settlement)]
    if others:
        await chains.lock_chains(session, (settlement.job_id for settlement in others))
    done = await _succeed(session, plain_ones, in_chains=True) if plain_ones else set()
    if done:
        await chains.advance(session, [job_id for job_id, _ in done])
    for settlement in others:
        if await _settle(session, settlement):
            done.add((settlement.job_id, settlement.claim))
    return done


def _is_plain(settlement: Settlement) -> bool:
    """Whether it says no more than that the task returned, and what."""
    s = settlement
    said = s.state is JobState.SUCCEEDED and s.outcome is None and s.reason is None
    return said and s.progress is None and not s.lines


async def _succeed(session: Session, settlements: Sequence[Settlement], *, in_chains: bool) -> set[tuple[UUID, int]]:
    columns = zip(
        *((s.job_id, s.claim, s.at, s.attempt, s.interruptions, s.started_at, s.result) for s in settlements),
        strict=True,
    )
    rows = await session.rows("succeed", JobState.SUCCEEDED, *map(list, columns), in_chains)
    return {(row["id"], row["claim"]) for row in rows}


def _is_simple(settlement: Settlement) -> bool:
    """Whether nothing is to be written but the job and a line of its history."""
    return not settlement.lines and settlement.then is None


async def _end(session: Session, settlements: Sequence[Settlement]) -> set[tuple[UUID, int]]:
    columns = zip(*((s.job_id, s.claim, s.at, s.outcome, *_settled_values(s)) for s in settlements), strict=True)
    rows = await session.rows("end_many", *map(list, columns))
    return {(row["id"], row["claim"]) for row in rows}


async def _settle(session: Session, settlement: Settlement) -> bool:
    """Settle one of any kind; returns whether its claim was still the job's."""
    s = settlement
    row = await session.row("claimed", s.job_id, s.claim)
    if row is None:
        return False
    if row["cancel_requested"] and not s.state.finished:
        # Asked for while it ran, and it did not hear of it: it must not run again (clause 15).
        cancelled = transition(s.state, Event.CANCEL, job_id=s.job_id)
        s = s._replace(state=cancelled, reason=row["reason"], run_at=None, alone=False)
    await session.do("settle", *_settled_values(s), s.job_id, s.claim)
    if s.outcome is not None:
        line = (s.job_id, s.attempt, s.outcome, s.started_at, s.at, dumps(s.failure), plain(s.reason))
        await session.do("add_attempt", *line)
    if s.lines:
        await logs.append(session, s.job_id, s.lines)
    if s.then is not None:
        await chains.insert_one(session, s.then)
    await _follow(session, s)
    return True


def _settled_values(s: Settlement) -> tuple[Any, ...]:
    return (
        s.state,
        s.at if s.state.finished else None,
        s.attempt,
        s.interruptions,
        s.started_at,
        s.run_at,
        dumps(s.failure),
        plain(s.reason),
        s.alone,
        dumps(s.progress),
        s.result,
    )


async def _follow(session: Session, settlement: Settlement) -> None:
    # An end has its consequence whatever the settlement says of followers: a late call may have tied one on after the
    # settlement was decided.
    s = settlement
    if s.state is JobState.SUCCEEDED:
        await chains.advance(session, [s.job_id])
    elif s.state.finished:
        await chains.end_without_success(session, s.job_id, s.state, at=s.at)
    elif s.followers is Followers.QUEUE:
        await chains.queue_behind(session, s.job_id, at=s.at)


async def start(session: Session, claims: Sequence[Claim], now: float) -> frozenset[UUID]:
    """Record staged attempts as running (clauses 5 and 8)."""
    running = transition(JobState.STAGED, Event.START)
    ids, numbers = [claim.job_id for claim in claims], [claim.id for claim in claims]
    at = [now if claim.started_at is None else claim.started_at for claim in claims]
    started = {row["id"] for row in await session.rows("start", running, ids, numbers, at)}
    if len(started) < len(ids):
        # One that is running under the same claim was recorded before: said twice, and nothing to refuse.
        started |= {row["id"] for row in await session.rows("claimed_now", ids, numbers)}
    return frozenset(job_id for job_id in ids if job_id not in started)


async def report(session: Session, claims: Mapping[Claim, Report]) -> frozenset[UUID]:
    """Note what running attempts have to say (clauses 5 and 38 to 40)."""
    columns = zip(
        *((claim.job_id, claim.id, dumps(said.progress), said.saved) for claim, said in claims.items()), strict=True
    )
    if not claims:
        return frozenset()
    async with session.transaction():
        heard = {row["id"] for row in await session.rows("report", *map(list, columns))}
        for claim, said in claims.items():
            if said.lines and claim.job_id in heard:
                await logs.append(session, claim.job_id, said.lines)
    return frozenset(claim.job_id for claim in claims if claim.job_id not in heard)

"""A store with jobs of every kind, and all that stores hold of their jobs, for tests of the move."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import apsw
import asyncpg

from postlude.job import Event, Progress, Report, Terms
from postlude.limits import Limit, Rate
from postlude.loglines import LogLine
from postlude.pauses import Pause
from postlude.stores.contract import Store
from postlude.stores.moments import ScheduleRow
from tests.stores.making import ask, chain_of, claim_of, ended, keyed, queued, staged
from tests.stores.places import parts_of

LATER = 1e10
"""Seconds since the epoch: a moment that does not come while a test runs."""


async def populate(store: Store, *, seed: int, rounds: int) -> None:
    """Write jobs of every kind, in an order that the seed decides; the worker that owns some of them is dead then."""
    random_ = random.Random(seed)
    owner = await store.enlist()
    kinds = [_plain, _with_terms, _keyed, _waiting_chain, _chain_half_done, _failed_chain, _logged, _limited, _orphans]
    for number in range(rounds):
        for kind in random_.sample(kinds, len(kinds)):
            await kind(store, owner, number)
    await store.pause(Pause("queue", "slow", reason="too much", since=3.0))
    await store.pause(Pause("partition", "app:limited", "acme", since=4.0))
    await store.put_schedules([ScheduleRow("nightly", "app:work", "cron 0 3 * * * in UTC", LATER)])
    await store.dismiss(owner)  # whose jobs keep its row: it looks like one that was killed


async def _plain(store: Store, owner: int, number: int) -> None:
    await store.insert(
        [queued(run_at=LATER + number, origin='{"route":"/"}', policy='{"retries":3}') for _ in range(7)]
    )
    done = staged(owner)
    await store.insert([done])
    await store.settle([ended(claim_of(done), Event.SUCCEED, result='{"a":1}')])


async def _with_terms(store: Store, owner: int, number: int) -> None:
    terms = Terms("mail", -5, LATER + 9, "acme")
    await store.insert([queued(run_at=LATER, terms=terms), queued(run_at=LATER, terms=Terms(expires_at=LATER))])


async def _keyed(store: Store, owner: int, number: int) -> None:
    waiting, succeeded, failed = (f"{name} {number}" for name in ("waiting", "succeeded", "failed"))
    await store.insert([keyed(waiting, run_at=LATER)])
    await store.insert([keyed(waiting)])  # an alias
    for key, event, until in (
        (succeeded, Event.SUCCEED, None),
        (failed, Event.FAIL, None),
        (f"past {number}", Event.SUCCEED, 5.0),
    ):
        job = keyed(key, owner=owner, until=until)
        await store.insert([job])
        await store.settle([ended(claim_of(job), event)])
    await store.insert([keyed(succeeded)])


async def _waiting_chain(store: Store, owner: int, number: int) -> None:
    first = queued(run_at=LATER)
    first = first._replace(chain=first.id)
    second = queued(after=first.id, chain=first.id, run_at=LATER)
    await store.insert([first, second, queued(after=second.id, chain=first.id)])


async def _chain_half_done(store: Store, owner: int, number: int) -> None:
    jobs = chain_of(owner, 3)
    await store.insert(jobs)
    await store.settle([ended(claim_of(jobs[0]), Event.SUCCEED)])
    await store.settle([ended(claim_of(jobs[1]), Event.POSTPONE, run_at=LATER)])


async def _failed_chain(store: Store, owner: int, number: int) -> None:
    jobs = chain_of(owner, 3)
    await store.insert(jobs)
    await store.settle([ended(claim_of(jobs[0]), Event.FAIL)])


async def _logged(store: Store, owner: int, number: int) -> None:
    job = staged(owner)
    await store.insert([job])
    lines = [LogLine(float(n), "INFO", "app", f"line {n}\0é", 1) for n in range(3)]
    await store.report({claim_of(job): Report(Progress(1.0, 2.0, "half"), '{"page":7}', lines)})
    await store.settle([ended(claim_of(job), Event.POSTPONE, run_at=LATER, alone=True, lines=lines[:1])])


async def _limited(store: Store, owner: int, number: int) -> None:
    terms = Terms(partition="acme")
    await store.insert([queued("app:limited", terms=terms), queued("app:limited", terms=terms)])
    limit = Limit(1, Rate(5, 3600.0))
    claimed = await ask(store, owner, tasks=["app:limited"], limits={"app:limited": limit}, now=LATER + 4000 * number)
    await store.settle([ended(claim, Event.SUCCEED) for claim in claimed.claims])


async def _orphans(store: Store, owner: int, number: int) -> None:
    running, again = staged(owner), staged(owner, policy='{"interrupted":"hold"}')
    await store.insert([running, again, staged(owner)])
    await store.start([claim_of(running), claim_of(again)], now=8.0)


class Everything(NamedTuple):
    """The rows of a store, each table as a sorted list of values that are the same in every database."""

    jobs: list[Any]
    attempts: list[Any]
    logs: list[Any]
    keys: list[Any]
    aliases: list[Any]
    pauses: list[Any]
    starts: list[Any]
    schedules: list[Any]


COLUMNS = {
    "jobs": "id, task, state, arguments, created_at, run_at, started_at, finished_at, attempt, interruptions, owner, "
    "claim, chain, after, waiting, alone, cancel_requested, cancelled_by, policy, origin, failure, reason, progress, "
    "queue, rank, expires_at, partition, key, result, saved",
    "attempts": "job, number, outcome, started_at, ended_at, failure, reason",
    "logs": "job, total_lines, total_bytes, lines",
    "keys": "job, task, key, until, replaceable, held",
    "aliases": "id, job",
    "pauses": "kind, name, partition, reason, since",
    "starts": "task, partition, at, id, until",
    "schedules": "name, task, spec, next_at, last_moment, last_job",
}


async def everything(url: str) -> Everything:
    """Read all rows, not through the store."""
    if url.startswith("sqlite:///"):
        database = apsw.Connection(url.removeprefix("sqlite:///"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            rows = {
                name: database.execute(f"SELECT {columns} FROM {name}").fetchall() for name, columns in COLUMNS.items()
            }
        finally:
            database.close()
    else:
        dsn, namespace, _ = parts_of(url)
        connection = await asyncpg.connect(dsn)
        try:
            rows = {name: await _rows(connection, name, namespace) for name in COLUMNS}
        finally:
            await connection.close()
    return Everything(**{name: sorted((_same(row) for row in found), key=repr) for name, found in rows.items()})


async def columns_of_jobs(url: str) -> set[str]:
    """The names of all columns of the jobs."""
    if url.startswith("sqlite:///"):
        database = apsw.Connection(url.removeprefix("sqlite:///"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return {str(row[1]) for row in database.execute("PRAGMA table_info(jobs)").fetchall()}
        finally:
            database.close()
    connection = await asyncpg.connect(url.partition("#")[0])
    try:
        question = "SELECT column_name FROM information_schema.columns WHERE (table_schema, table_name) = ($1, $2)"
        return {row["column_name"] for row in await connection.fetch(question, "postlude", "jobs")}
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, name: str, namespace: str) -> list[Any]:
    number = f"(SELECT id FROM postlude.namespaces WHERE name = '{namespace}')"
    where = {
        "attempts": f"job IN (SELECT id FROM postlude.jobs WHERE namespace = {number})",
        "logs": f"job IN (SELECT id FROM postlude.jobs WHERE namespace = {number})",
        "aliases": f"job IN (SELECT id FROM postlude.jobs WHERE namespace = {number})",
    }.get(name, f"namespace = {number}")
    return await connection.fetch(f"SELECT {COLUMNS[name]} FROM postlude.{name} WHERE {where}")


def _same(row: Any) -> tuple[Any, ...]:
    return tuple(
        value.bytes if hasattr(value, "bytes") else int(value) if isinstance(value, bool) else value for value in row
    )

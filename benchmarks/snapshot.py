"""What a transaction that stays open does to claims on PostgreSQL, and how large the tables become meanwhile.

Jobs are added, claimed, settled and removed as fast as one process can, before, during and after a REPEATABLE READ
transaction is open. POSTLUDE_SNAPSHOT is how long, in seconds: 60 if nobody says otherwise, 1200 in the long form.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from benchmarks.machine import percentile
from benchmarks.rounds import Figure
from benchmarks.servers import postgres
from postlude.ids import new_job_id
from postlude.job import UNFINISHED, JobState, NewJob, Settlement
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.fronts import Fronts
from postlude.stores.postgres.location import Location

if TYPE_CHECKING:
    from benchmarks.rounds import Plan
    from postlude.job import Claim
    from postlude.stores.contract import Store

OPEN_FOR: Final = "POSTLUDE_SNAPSHOT"
LOT: Final = 200
TASK: Final = "benchmarks.chores:nothing_async"
TEXT: Final = '[["user@example.com"],{"message":"some notification"}]'
PARTS: Final = 6
PRUNE_EVERY: Final = 2.0
KEEP: Final = {state: 1.0 for state in JobState if state not in UNFINISHED}


class Part(NamedTuple):
    """What a stretch of time has come to."""

    claims: list[float]
    """Milliseconds of the look and the claim of each turn."""
    jobs: int
    seconds: float
    megabytes: float
    """Of the table with its indexes, at the end."""


class Patient(Fronts):
    """Looks from the beginning whatever it costs, as if there were no fronts."""

    def from_beginning(self) -> bool:
        return True


def measure(plan: Plan) -> list[Figure]:
    seconds = plan.seconds(float(os.environ.get(OPEN_FOR, "60")), 3.0)
    with postgres(plan.folder) as server:
        figures = asyncio.run(_phases(server.dsn, Fronts(), seconds, "from the fronts"))
        if seconds <= 60:  # it becomes slower and slower
            figures += asyncio.run(_phases(server.dsn, Patient(), seconds, "always from the beginning"))
    return figures


async def _phases(dsn: str, fronts: Fronts, seconds: float, how: str) -> list[Figure]:
    schema = f"s{uuid.uuid4().hex[:12]}"
    store = PostgresStore(Location(dsn, schema=schema), fronts=fronts)
    await store.open()
    owner = await store.enlist()
    watcher, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    run = _Run(store, owner, watcher, schema)
    before = [await run.part(seconds / PARTS)]
    async with other.transaction(isolation="repeatable_read"):
        await other.fetchval("SELECT 1")
        during = [await run.part(seconds / PARTS) for _ in range(PARTS)]
    # As autovacuum does it within a minute.
    await watcher.execute(f'VACUUM "{schema}".jobs')
    after = [await run.part(seconds / PARTS) for _ in range(2)]
    await store.dismiss(owner)
    await store.close()
    await watcher.close()
    await other.close()
    phases = (("before", before), (f"open for {seconds:g} s", during), ("after", after))
    return [figure for name, parts in phases for figure in _figures(f"snapshot, {how}, {name}", parts)]


def _figures(name: str, parts: list[Part]) -> list[Figure]:
    p50 = [percentile(part.claims, 0.5) for part in parts]
    note = (
        f"over time: {', '.join(f'{each:.1f}' for each in p50)}; p99 {percentile(parts[-1].claims, 0.99):.1f} at last"
    )
    return [
        Figure(f"{name}, claim of {LOT}, p50", [p50[-1]], "ms", note=note),
        Figure(f"{name}, jobs", [sum(part.jobs for part in parts) / sum(part.seconds for part in parts)], "jobs/s"),
        Figure(
            f"{name}, table and indexes",
            [parts[-1].megabytes],
            "MB",
            note=f"over time: {', '.join(f'{part.megabytes:.0f}' for part in parts)}",
        ),
    ]


class _Run:
    def __init__(self, store: Store, owner: int, watcher: asyncpg.Connection, schema: str) -> None:
        self._store = store
        self._owner = owner
        self._watcher = watcher
        self._table = f'"{schema}".jobs'
        self._pruned_at = time.monotonic()

    async def part(self, seconds: float) -> Part:
        """Work for so long."""
        begin = time.monotonic()
        claims: list[float] = []
        while time.monotonic() < begin + seconds:
            claims.append(await self._turn())
            if time.monotonic() > self._pruned_at + PRUNE_EVERY:
                await self._prune()
        size = await self._watcher.fetchval("SELECT pg_total_relation_size($1::text::regclass)", self._table)
        return Part(claims, LOT * len(claims), time.monotonic() - begin, size / 1e6)

    async def _turn(self) -> float:
        """Add jobs, claim them and settle them; milliseconds of what a worker's turn says to the database."""
        now = time.time()
        await self._store.insert([NewJob(new_job_id(), TASK, TEXT, JobState.QUEUED, now, now) for _ in range(LOT)])
        begin = time.perf_counter()
        waiting = await self._store.waiting_tasks()
        claimed = await self._store.claim(owner=self._owner, tasks=waiting, limit=LOT, now=time.time(), idle=False)
        took = time.perf_counter() - begin
        await self._store.settle([_succeeded(claim) for claim in claimed.claims])
        return 1e3 * took

    async def _prune(self) -> None:
        place: int | None = 0
        while place is not None:
            pruned = await self._store.prune(KEEP, shortest=1.0, now=time.time(), place=place, limit=5_000)
            place = pruned.place
        self._pruned_at = time.monotonic()


def _succeeded(claim: Claim) -> Settlement:
    now = time.time()
    return Settlement(claim.job_id, claim.id, JobState.SUCCEEDED, now, claim.attempt, 0, claim.started_at)

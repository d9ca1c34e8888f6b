"""Clauses 58 to 62."""

import asyncio

import pytest

from postlude.ids import new_job_id
from postlude.job import Event, Terms
from postlude.limits import Limit, Rate
from postlude.statistics import Minute
from postlude.stores.contract import Store
from postlude.stores.seeing import ALWAYS, KEPT, KEPT_MINUTES, LimitUse, RunningJob, Sum, Waiting, WorkerReport
from tests.stores.making import claim_all, claim_of, ended, queued, staged
from tests.stores.places import open_place

NOW = 1_700_000_400.0
"""The beginning of ten minutes, and of a minute."""

REPORT = WorkerReport(
    release="1.2",
    python="3.11",
    runs_jobs=True,
    mode="embedded",
    slots={"loop": 100, "thread": 16},
    free={"loop": 99, "thread": 16},
    running=1,
    jobs=[RunningJob(new_job_id(), "app:work", 5.0, 2)],
    loop_lag=0.25,
    abandoned=3,
    unknown=["app:gone"],
    queues=["mail"],
    counts={"AttemptFailed": 2},
)


async def test_clause_58_what_was_ever_counted_only_grows(store: Store) -> None:
    seeing, far = store.seeing, NOW + 2 * KEPT
    await seeing.add_statistics([Minute(int(NOW), "app:a", {"succeeded": 3})], now=NOW)
    await seeing.add_statistics([Minute(int(far), "app:a", {"succeeded": 1, "run:2": 1})], now=far)
    assert len(await seeing.statistics(since=0.0, step=600)) == 2, "what is older is pruned"
    assert sorted(await seeing.statistics(since=0.0, step=ALWAYS)) == [
        Sum(0, "app:a", "run:2", 1),
        Sum(0, "app:a", "succeeded", 4),
    ]


async def test_clause_58_what_several_have_counted_is_added_up(url: str, store: Store) -> None:
    other = open_place(url)
    await other.open()
    minutes = [
        Minute(int(NOW), "app:a", {"succeeded": 3, "run:2": 3}),
        Minute(int(NOW) + 60, "app:a", {"failed": 1}),
        Minute(int(NOW) + 60, "app:b", {"succeeded": 1}),
    ]
    await asyncio.gather(*(each.seeing.add_statistics(minutes, now=NOW + 70) for each in (store, other, store)))
    assert sorted(await store.seeing.statistics(since=NOW, step=60)) == [
        Sum(NOW, "app:a", "run:2", 9),
        Sum(NOW, "app:a", "succeeded", 9),
        Sum(NOW + 60, "app:a", "failed", 3),
        Sum(NOW + 60, "app:b", "succeeded", 3),
    ]
    assert sorted(await store.seeing.statistics(since=NOW, step=600)) == [
        Sum(NOW, "app:a", "failed", 3),
        Sum(NOW, "app:a", "run:2", 9),
        Sum(NOW, "app:a", "succeeded", 9),
        Sum(NOW, "app:b", "succeeded", 3),
    ]
    assert len(await store.seeing.statistics(since=NOW + 60, step=60)) == 2
    assert sorted(await store.seeing.statistics(since=NOW, step=60, by="task")) == [
        Sum(NOW, "app:a", "failed", 3),
        Sum(NOW, "app:a", "run:2", 9),
        Sum(NOW, "app:a", "succeeded", 9),
        Sum(NOW, "app:b", "succeeded", 3),
    ]
    assert sorted(await store.seeing.statistics(since=NOW, step=60, by="moment")) == [
        Sum(NOW, "", "run:2", 9),
        Sum(NOW, "", "succeeded", 9),
        Sum(NOW + 60, "", "failed", 3),
        Sum(NOW + 60, "", "succeeded", 3),
    ]
    await other.close()


async def test_clause_58_older_ones_are_pruned(store: Store) -> None:
    seeing = store.seeing
    await seeing.add_statistics([Minute(int(NOW), "app:a", {"succeeded": 1})], now=NOW)
    await seeing.add_statistics([], now=NOW + KEPT_MINUTES)
    assert len(await seeing.statistics(since=0, step=60)) == 1
    await seeing.add_statistics([], now=NOW + KEPT_MINUTES + 1)
    assert await seeing.statistics(since=0, step=60) == []
    assert len(await seeing.statistics(since=0, step=600)) == 1
    await seeing.add_statistics([], now=NOW + KEPT + 1)
    assert await seeing.statistics(since=0, step=600) == []


async def test_clause_59_the_last_report(store: Store, owner: int) -> None:
    (silent,) = await store.seeing.workers()
    assert (silent.id, silent.report, silent.reported_at, silent.stopping, silent.alive) == (
        owner,
        None,
        None,
        False,
        True,
    )
    await store.seeing.report_worker(owner, REPORT._replace(running=9), now=NOW - 5)
    await store.seeing.report_worker(owner, REPORT, now=NOW)
    await store.announce_stop(owner)
    (row,) = await store.seeing.workers()
    assert row == silent._replace(report=REPORT, reported_at=NOW, stopping=True)
    assert row.reports
    assert row.owns == 0
    await store.seeing.report_worker(owner + 1, REPORT, now=NOW)
    assert len(await store.seeing.workers()) == 1


async def test_clause_59_how_many_claims_a_worker_has(store: Store, owner: int) -> None:
    other = await store.enlist()
    done, runs = staged(owner), staged(owner)
    await store.insert([done, runs, staged(owner), staged(other), queued("app:other")])
    await store.start([claim_of(runs)], now=NOW)
    await store.settle([ended(claim_of(done), Event.SUCCEED)])
    assert {row.id: row.owns for row in await store.seeing.workers()} == {owner: 2, other: 1}


async def die(store: Store, count: int) -> list[int]:
    """Workers that end with a job on their hands."""
    workers = [await store.enlist() for _ in range(count)]
    await store.announce_stop(workers[-1])
    await store.insert([staged(worker) for worker in workers])
    for worker in workers:
        await store.dismiss(worker)
    return workers


async def rescue(store: Store, owners: list[int]) -> None:
    claims = await store.orphans(limit=99)
    await store.settle([ended(claim, Event.RESCUE) for claim in claims if claim.owner in owners])


async def test_clause_60_a_line_for_each_dead_worker(store: Store) -> None:
    first, second, announced = await die(store, 3)
    rows = {row.id: row for row in await store.seeing.workers()}
    await store.seeing.note_rescued({first: 2, second: 1})
    await store.seeing.note_rescued({first: 5})
    assert await store.bury() == 0
    assert await store.seeing.former_workers() == [], "they own jobs"
    await rescue(store, [first])
    assert await store.bury() == 1
    assert [former.id for former in await store.seeing.former_workers()] == [first]
    await rescue(store, [second, announced])
    assert await store.bury() == 2
    former = {each.id: each for each in await store.seeing.former_workers()}
    assert {each: (former[each].announced, former[each].rescued) for each in (first, second, announced)} == {
        first: (False, 7),
        second: (False, 1),
        announced: (True, 0),
    }
    for each, row in rows.items():
        assert (former[each].host, former[each].pid, former[each].since) == row[1:4]
        assert former[each].gone_at > 1e9
    assert await store.seeing.workers() == []


async def test_clause_60_so_many_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in ("sqlite", "postgres"):
        monkeypatch.setattr(f"postlude.stores.{driver}.seeing.FORMER", 3)
    dead = [(await die(store, 1))[0] for _ in range(5)]
    for owner in dead:
        await rescue(store, [owner])
        assert await store.bury() == 1
    assert [each.id for each in await store.seeing.former_workers()] == dead[:1:-1]


async def test_clause_60_who_was_dismissed_leaves_none(store: Store) -> None:
    await store.dismiss(await store.enlist())
    assert await store.seeing.former_workers() == []


async def test_clause_61_what_waits_by_queue_and_task(store: Store, owner: int) -> None:
    mail = Terms("mail")
    await store.insert([queued(run_at=at) for at in (10.0, 20.0, 300.0)])
    await store.insert([queued(run_at=15.0, terms=Terms(rank=-5))])
    await store.insert([queued("app:other", run_at=400.0, terms=mail)])
    await store.insert([queued("app:limited", run_at=30.0, terms=Terms("mail", partition=each)) for each in ("a", "b")])
    first = queued("app:first", run_at=900.0)
    await store.insert([first, queued("app:second", after=first.id)])
    await store.insert([queued("app:runs", run_at=1.0, terms=mail)])
    await store.claim(owner=owner, tasks=["app:runs"], limit=9, now=5.0, idle=False)
    assert await store.seeing.waiting(now=100.0) == [
        Waiting("", "app:second", behind=1),
        Waiting("default", "app:first", later=1, next_at=900.0),
        Waiting("default", "app:work", due=3, later=1, due_since=10.0, next_at=300.0),
        Waiting("mail", "app:limited", due=2, due_since=30.0),
        Waiting("mail", "app:other", later=1, next_at=400.0),
        Waiting("mail", "app:runs", running=1),
    ]
    few = await store.seeing.waiting(now=100.0, most=2)
    assert few[2] == Waiting("default", "app:work", due=2, later=1, due_since=10.0, next_at=300.0)


async def test_clause_61_what_must_run_alone_waits_too(store: Store, owner: int) -> None:
    await store.insert([queued(run_at=1.0)])
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, Event.RESCUE, alone=True)])
    assert await store.seeing.waiting(now=100.0) == [Waiting("default", "app:work", due=1, due_since=9.0)]


async def test_clause_62_the_use_of_limits(store: Store, owner: int) -> None:
    limits = {"app:limited": Limit(2, Rate(5, 60.0)), "app:idle": Limit(1)}
    await store.insert(
        [queued("app:limited", run_at=1.0, terms=Terms(partition=each)) for each in ("a", "a", "a", "b")]
    )
    claimed = await store.claim(owner=owner, tasks=["app:limited"], limit=9, now=10.0, idle=False, limits=limits)
    assert len(claimed.claims) == 3
    (b,) = [claim for claim in claimed.claims if (await store.get([claim.job_id]))[0].partition == "b"]
    await store.settle([ended(b, Event.SUCCEED)])
    assert await store.seeing.limit_use(limits, now=20.0) == [
        LimitUse("app:limited", "a", running=2, started=2),
        LimitUse("app:limited", "b", running=0, started=1),
    ]
    assert await store.seeing.limit_use(limits, now=100.0) == [LimitUse("app:limited", "a", running=2, started=0)]

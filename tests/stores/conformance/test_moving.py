"""Clauses 44 to 50."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from math import inf
from pathlib import Path
from typing import Any, cast

import pytest

from postlude.clock import SystemClock
from postlude.errors import StoreUnavailable
from postlude.job import Event, JobState, NewJob
from postlude.moving import Move
from postlude.pauses import Pause
from postlude.stores.callers import Outbox
from postlude.stores.contract import Store
from postlude.stores.jobtexts import text_of
from postlude.stores.moments import Firing, ScheduleRow
from postlude.stores.moving import Departure, MoveRefused, Stage, StoreMoved, StoreWithDestination, Whole, somebody_else
from postlude.stores.outboxtexts import sql
from postlude.stores.sqlite import SQLiteStore
from tests.stores.making import chain_of, claim_all, claim_of, ended, keyed, queued, read, staged, states
from tests.stores.menagerie import LATER, columns_of_jobs, everything, populate
from tests.stores.places import open_place

NIGHTLY = ScheduleRow("nightly", "app:work", "cron 0 3 * * * in UTC", 100.0)
DEPARTURE = Departure(uuid.uuid4(), "somewhere")
"""Where no test looks at it again."""


class Quiet:
    """A watch that keeps what it was told."""

    def __init__(self) -> None:
        self.waits: list[int] = []

    def waiting(self, unfinished: int, living: Sequence[str]) -> None:
        self.waits.append(unfinished)

    def carried(self, done: int, total: int) -> None:
        assert 0 <= done <= total


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    """The store that jobs leave."""
    store = SQLiteStore(str(tmp_path / "source.db"), leaving=True)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def destination(url: str) -> AsyncIterator[StoreWithDestination]:
    """The store to which they go, of each kind."""
    store = cast("StoreWithDestination", open_place(url))
    await store.open()
    yield store
    await store.close()


def move_of(source: SQLiteStore, destination: StoreWithDestination, *, portion: int = 3) -> Move:
    return Move(source, destination, "somewhere", SystemClock(), Quiet(), portion=portion)


async def carry(source: SQLiteStore, destination: StoreWithDestination, *, history: bool = False) -> None:
    """Move everything; the counts agree."""
    counts = await move_of(source, destination).run(drain=False, history=history)
    assert [count for count in counts if count.source != count.destination] == []


async def path_of(source: SQLiteStore) -> str:
    return f"sqlite:///{(await source.open()).location}"


# -- 44: held


async def test_clause_44_nothing_is_claimed_nor_staged_and_what_runs_ends(source: SQLiteStore) -> None:
    owner = await source.enlist()
    running, waiting = staged(owner), queued()
    await source.insert([running, waiting])
    await source.source.begin(DEPARTURE, now=1.0)
    assert await claim_all(source, owner) == []
    assert await source.waiting_tasks() == {"app:work": inf}, "and nobody has to look for it again and again"
    with pytest.raises(StoreMoved, match="somewhere"):
        await source.insert([staged(owner)])
    await source.insert([late := queued()])
    assert not await source.settle([ended(claim_of(running), Event.SUCCEED)])
    assert await states(source, [running, waiting, late]) == [JobState.SUCCEEDED, JobState.QUEUED, JobState.QUEUED]


async def test_clause_44_no_process_opens_it_until_it_is_opened_again(source: SQLiteStore) -> None:
    await source.source.begin(DEPARTURE, now=1.0)
    other = open_place(await path_of(source))
    with pytest.raises(StoreMoved, match=r"moved to somewhere.*Set POSTLUDE_URL") as caught:
        await other.open()
    assert caught.value.destination == "somewhere"
    await source.source.reopen(DEPARTURE.move)
    await other.open()
    await other.close()


async def test_clause_44_opened_again_it_is_as_before(source: SQLiteStore) -> None:
    await source.insert([queued()])
    owner = await source.enlist()
    before = await everything(await path_of(source))
    await source.source.begin(DEPARTURE, now=1.0)
    assert await source.source.shut(DEPARTURE.move, now=2.0) == 2.0
    await source.source.reopen(DEPARTURE.move)
    assert await everything(await path_of(source)) == before
    assert await source.source.departure() is None
    assert len(await claim_all(source, owner)) == 1
    await source.insert([holder := keyed("k")])
    assert await source.insert([answered := keyed("k")]) == {answered.id: holder.id}
    outbox = Outbox("/srv/shop.db", "sqlite3", "a mark")
    assert await source.put_outbox(outbox) == outbox


async def test_clause_44_it_is_released_as_long_as_it_is_not_shut(source: SQLiteStore) -> None:
    await source.source.begin(DEPARTURE, now=1.0)
    assert not await source.source.release(uuid.uuid4()), "another move"
    assert await source.source.release(DEPARTURE.move)
    assert not await source.source.release(DEPARTURE.move), "none has begun"
    with pytest.raises(MoveRefused, match="knows nothing of the move any more"):
        await source.source.shut(DEPARTURE.move, now=2.0)
    await source.insert([queued()])
    await source.source.begin(DEPARTURE, now=3.0)
    await source.source.shut(DEPARTURE.move, now=4.0)
    assert not await source.source.release(DEPARTURE.move)


async def test_clause_44_only_one_move_begins(source: SQLiteStore) -> None:
    await source.source.begin(DEPARTURE, now=1.0)
    with pytest.raises(MoveRefused, match="Another process"):
        await source.source.begin(Departure(uuid.uuid4(), "elsewhere"), now=1.0)
    assert await source.source.departure() == DEPARTURE


# -- 45: shut


async def test_clause_45_it_is_not_shut_while_something_is_staged_or_runs(source: SQLiteStore) -> None:
    owner = await source.enlist()
    await source.insert([job := staged(owner)])
    await source.source.begin(DEPARTURE, now=1.0)
    assert await source.source.shut(DEPARTURE.move, now=2.0) is None
    await source.start([claim_of(job)], now=2.0)
    assert await source.source.shut(DEPARTURE.move, now=3.0) is None
    assert await source.source.unfinished() == 1
    await source.settle(
        [ended(claim_of(job)._replace(state=JobState.RUNNING, attempt=1, started_at=2.0), Event.SUCCEED)]
    )
    assert await source.source.shut(DEPARTURE.move, now=4.0) == 4.0
    assert await source.source.shut(DEPARTURE.move, now=5.0) == 4.0, "said twice"


async def test_clause_45_nothing_changes_any_more(source: SQLiteStore) -> None:
    await source.insert([job := queued(), other := queued(), keyed("held")])
    await source.cancel(other.id, reason="no", now=1.0)
    await source.put_schedules([NIGHTLY])
    owner = await source.enlist()
    await source.source.begin(DEPARTURE, now=1.0)
    await source.source.shut(DEPARTURE.move, now=2.0)
    before = await everything(await path_of(source))
    tries: list[Callable[[], Awaitable[object]]] = [
        lambda: source.insert([queued()]),
        lambda: source.insert([keyed()]),
        lambda: source.insert([keyed("held")]),
        lambda: source.put_outbox(Outbox("/srv/shop.db", "sqlite3", "a mark")),
        lambda: source.cancel(job.id, reason="no", now=1.0),
        lambda: source.retry(other.id, now=1.0),
        lambda: source.delete(other.id),
        lambda: source.pause(Pause("queue", "default")),
        lambda: source.put_schedules([NIGHTLY._replace(spec="every 1 s", next_at=500.0)]),
    ]
    for attempt in tries:
        with pytest.raises(StoreMoved):
            await attempt()
    assert await claim_all(source, owner) == []
    assert await everything(await path_of(source)) == before


async def test_clause_45_what_names_another_move_touches_nothing(source: SQLiteStore) -> None:
    await source.source.begin(DEPARTURE, now=1.0)
    stale = uuid.uuid4()
    with pytest.raises(MoveRefused, match="knows nothing of the move any more"):
        await source.source.shut(stale, now=2.0)
    await source.source.shut(DEPARTURE.move, now=3.0)
    await source.source.reopen(stale)
    assert await source.source.departure() == DEPARTURE._replace(shut_at=3.0)
    with pytest.raises(StoreMoved):
        await source.insert([queued()])


# -- 46: what moves


async def test_clause_46_what_has_not_ended_and_what_pruning_would_keep(
    source: SQLiteStore, destination: StoreWithDestination
) -> None:
    owner = await source.enlist()
    waiting, done = queued(), staged(owner)
    chain = chain_of(owner, 2)
    holding, over = keyed("a", owner=owner), keyed("b", owner=owner, until=5.0)
    await source.insert([waiting, done, *chain, holding, over])
    await source.settle([ended(claim_of(job), Event.SUCCEED) for job in (done, chain[0], holding, over)])
    await source.settle([ended(claim_of(chain[1]), Event.RELEASE)])
    await source.dismiss(owner)
    await carry(source, destination)
    there = {record.id for record in await destination.get([job.id for job in (waiting, done, *chain, holding, over)])}
    assert there == {waiting.id, chain[0].id, chain[1].id, holding.id}
    await carry(source, destination, history=True)
    there = {record.id for record in await destination.get([done.id, over.id])}
    assert there == {done.id, over.id}, "the history can come later"


async def test_clause_46_a_chain_comes_as_a_whole(source: SQLiteStore) -> None:
    owner = await source.enlist()
    chains = [chain_of(owner, 4) for _ in range(3)]
    await source.insert([job for jobs in zip(*chains, strict=True) for job in jobs])
    place: int | None = 0
    parcels = []
    while place is not None:
        parcel = await source.source.parcel(history=False, place=place, limit=1, now=1.0)
        parcels.append([job.id for job in parcel.jobs])
        place = parcel.place
    assert [ids for ids in parcels if ids] == [[job.id for job in chain] for chain in chains]


# -- 47: once


async def test_clause_47_a_parcel_is_received_once(source: SQLiteStore, destination: StoreWithDestination) -> None:
    await source.insert([queued(), queued()])
    move = uuid.uuid4()
    parcel = await source.source.parcel(history=False, place=0, limit=1, now=1.0)
    with pytest.raises(MoveRefused, match="knows nothing"):
        await destination.destination.receive(move, Stage.JOBS, 0, parcel, now=1.0)
    await destination.destination.expect(move)
    await destination.destination.receive(move, Stage.JOBS, 0, parcel, now=1.0)
    arrived = (await destination.destination.arrived(move))[Stage.JOBS]
    assert arrived == (parcel.place, {"queued": 1})
    with pytest.raises(MoveRefused, match="Another process"):
        await destination.destination.receive(move, Stage.JOBS, 0, parcel, now=1.0)
    await destination.destination.expect(move)
    assert (await destination.destination.arrived(move))[Stage.JOBS] == arrived, "it was expected already"


async def test_clause_47_what_was_taken_back_arrives_no_more(
    source: SQLiteStore, destination: StoreWithDestination
) -> None:
    await source.insert([job := queued()])
    move, other = uuid.uuid4(), uuid.uuid4()
    parcel = await source.source.parcel(history=False, place=0, limit=9, now=1.0)
    await destination.destination.expect(move)
    assert await destination.destination.take_back(move)
    assert await destination.destination.take_back(move), "said twice"
    with pytest.raises(MoveRefused):
        await destination.destination.receive(move, Stage.JOBS, 0, parcel, now=1.0)
    assert await destination.get([job.id]) == []
    assert not await destination.destination.take_back(other), "not known"
    await destination.destination.expect(other)
    await destination.destination.receive(other, Stage.JOBS, 0, parcel, now=1.0)
    assert not await destination.destination.take_back(other), "they have arrived"


@pytest.mark.parametrize("around", [False, True])
async def test_clause_47_who_comes_back_to_a_move_that_was_taken_back_carries_nothing(
    source: SQLiteStore, destination: StoreWithDestination, monkeypatch: pytest.MonkeyPatch, *, around: bool
) -> None:
    await source.insert([job := queued()])
    await source.pause(Pause("queue", "slow"))
    await destination.destination.expect(DEPARTURE.move)
    await source.source.begin(DEPARTURE, now=1.0)
    await source.source.shut(DEPARTURE.move, now=2.0)
    if around:
        await destination.destination.receive_around(DEPARTURE.move, [], [])
    stale = move_of(source, destination)

    async def undone_meanwhile(*, drain: bool) -> Departure:
        found = await source.source.departure()
        assert found is not None
        assert await move_of(source, destination).undo()
        return found

    monkeypatch.setattr(stale, "_departure", undone_meanwhile)
    with pytest.raises(MoveRefused, match="knows nothing of the move any more"):
        await stale.run(drain=False, history=False)
    assert await destination.get([job.id]) == []
    assert not await destination.pauses()
    assert await source.insert([queued()]) == {}, "it is open as before"


@pytest.mark.parametrize("stage", [Stage.AROUND, Stage.SCHEDULES, Stage.HISTORY])
async def test_clause_47_no_stage_of_what_was_taken_back_arrives(
    source: SQLiteStore, destination: StoreWithDestination, stage: Stage
) -> None:
    there, move = destination.destination, uuid.uuid4()
    await there.expect(move)
    assert await there.take_back(move)
    nothing = await source.source.parcel(history=True, place=0, limit=9, now=1.0)
    receive: dict[Stage, Callable[[], Awaitable[None]]] = {
        Stage.AROUND: lambda: there.receive_around(move, [], []),
        Stage.SCHEDULES: lambda: there.receive_schedules(move, []),
        Stage.HISTORY: lambda: there.receive(move, Stage.HISTORY, 0, nothing, now=1.0),
    }
    with pytest.raises(MoveRefused, match="knows nothing of the move any more"):
        await receive[stage]()


@pytest.mark.parametrize(
    ("side", "step"), [("source", "begin"), ("destination", "receive_around"), ("source", "counts")]
)
async def test_clause_47_cut_off_before_a_job_has_arrived_the_source_is_open_again(
    source: SQLiteStore, destination: StoreWithDestination, monkeypatch: pytest.MonkeyPatch, side: str, step: str
) -> None:
    await source.insert([queued()])
    cut_off(monkeypatch, source.source if side == "source" else destination.destination, step, asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await move_of(source, destination).run(drain=False, history=False)
    assert await source.source.departure() is None
    await source.insert([queued()])


async def test_clause_47_cut_off_later_it_stays_shut(
    source: SQLiteStore, destination: StoreWithDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    await source.insert([queued() for _ in range(5)])
    cut_off(monkeypatch, destination.destination, "receive", asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await move_of(source, destination).run(drain=False, history=False)
    monkeypatch.undo()
    with pytest.raises(StoreMoved):
        await source.insert([queued()])
    await carry(source, destination)


async def test_clause_47_a_destination_that_is_away_leaves_the_source_shut_and_says_so(
    source: SQLiteStore, destination: StoreWithDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = StoreUnavailable("It does not answer.")
    for step in ("receive_around", "take_back"):
        cut_off(monkeypatch, destination.destination, step, away)
    with pytest.raises(StoreUnavailable, match="The source stays closed: run the same command again, or with --undo"):
        await move_of(source, destination).run(drain=False, history=False)
    monkeypatch.undo()
    assert await move_of(source, destination).undo()
    await source.insert([queued()])


async def test_clause_47_who_meets_another_process_takes_nothing_back(
    source: SQLiteStore, destination: StoreWithDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    await source.insert([queued()])
    cut_off(monkeypatch, destination.destination, "receive_around", somebody_else())
    with pytest.raises(MoveRefused, match="Another process"):
        await move_of(source, destination).run(drain=False, history=False)
    monkeypatch.undo()
    await carry(source, destination)


def cut_off(monkeypatch: pytest.MonkeyPatch, end: object, step: str, error: BaseException) -> None:
    """Let a step of one end be carried out, and fail then."""
    carried_out = getattr(type(end), step)

    async def fail(*values: Any, **named: Any) -> None:
        await carried_out(*values, **named)
        raise error

    monkeypatch.setattr(type(end), step, fail)


# -- 48: as it was


async def test_clause_48_every_row_is_what_it_was(
    source: SQLiteStore, destination: StoreWithDestination, url: str
) -> None:
    await populate(source, seed=1, rounds=3)
    move = move_of(source, destination)
    counts = await move.run(drain=False, history=True)
    assert move.rescued == 9
    assert [count for count in counts if count.source != count.destination] == []
    before, after = await everything(await path_of(source)), await everything(url)
    # What holds the source back is its own.
    before = before._replace(pauses=[row for row in before.pauses if row[0] != "store"])
    assert after == before


async def test_clause_48_no_column_is_forgotten(destination: StoreWithDestination, url: str) -> None:
    """One that a migration adds has to be in `Whole`, or a move would lose it."""
    nobody_elses = {"seq", "namespace", "owner", "claim"}
    assert await columns_of_jobs(url) - nobody_elses == set(Whole._fields[: Whole._fields.index("alone") + 1])


async def test_clause_48_what_has_arrived_runs_on(source: SQLiteStore, destination: StoreWithDestination) -> None:
    first = queued()
    first = first._replace(chain=first.id)
    await source.insert([first, second := queued(after=first.id, chain=first.id), queued(run_at=LATER)])
    await source.insert([holder := keyed("k")])
    await source.insert([answered := keyed("k")])
    await carry(source, destination)
    owner = await destination.enlist()
    claims = await claim_all(destination, owner)
    assert [claim.job_id for claim in claims] == [first.id, holder.id]
    assert (await read(destination, answered.id)).id == holder.id
    await destination.settle([ended(claim, Event.SUCCEED) for claim in claims])
    assert [claim.job_id for claim in await claim_all(destination, owner)] == [second.id]
    assert await destination.insert([again := keyed("k")]) == {again.id: holder.id}, "still held"
    await destination.dismiss(owner)


async def test_clause_48_one_that_has_ended_lets_go_of_a_key_that_another_one_holds(
    source: SQLiteStore, destination: StoreWithDestination
) -> None:
    owner = await source.enlist()
    await source.insert([old := keyed("k", owner=owner)])
    await source.settle([ended(claim_of(old), Event.SUCCEED)])
    await source.dismiss(owner)
    await destination.insert([holder := keyed("k")])
    await carry(source, destination)
    assert await destination.insert([again := keyed("k")]) == {again.id: holder.id}
    assert (await read(destination, old)).key == "k"


# -- 49: refused


async def test_clause_49_an_id_that_is_there_already(source: SQLiteStore, destination: StoreWithDestination) -> None:
    jobs = [queued() for _ in range(5)]
    await source.insert(jobs)
    await destination.insert([jobs[4]])
    with pytest.raises(MoveRefused, match=f"Job {jobs[4].id} is at the destination already"):
        await carry(source, destination)
    assert await destination.get([job.id for job in jobs[:4]]) == []
    await source.insert([queued()])  # it is open as before


async def test_clause_49_a_key_that_another_one_holds(source: SQLiteStore, destination: StoreWithDestination) -> None:
    await source.insert([job := keyed("k")])
    await destination.insert([holder := keyed("k")])
    parcel = await source.source.parcel(history=False, place=0, limit=9, now=1.0)
    move = uuid.uuid4()
    await destination.destination.expect(move)
    with pytest.raises(MoveRefused, match=rf"Job {job.id} has the key 'k' .*job {holder.id} holds.*jobs.cancel\(\)"):
        await destination.destination.receive(move, Stage.JOBS, 0, parcel, now=1.0)
    await destination.cancel(holder.id, reason="no", now=1.0)
    await carry(source, destination)
    assert await destination.insert([again := keyed("k")]) == {again.id: job.id}


@pytest.mark.parametrize("look", [True, False])
async def test_clause_49_of_many_problems_the_first_are_named(
    source: SQLiteStore, destination: StoreWithDestination, monkeypatch: pytest.MonkeyPatch, *, look: bool
) -> None:
    jobs = [queued() for _ in range(30)]
    await source.insert(jobs)
    await destination.insert(jobs)
    move = move_of(source, destination, portion=100)
    if not look:

        async def look_ahead() -> None:
            pass

        monkeypatch.setattr(move, "_look_ahead", look_ahead)
    with pytest.raises(MoveRefused) as caught:
        await move.run(drain=False, history=False)
    *named, more = str(caught.value).splitlines()
    assert len(named) == 10
    assert more == "There are more of them."


async def test_clause_49_what_comes_up_meanwhile_opens_the_source_again(
    source: SQLiteStore, destination: StoreWithDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    await source.insert([keyed("k")])
    move = move_of(source, destination)

    async def look_ahead() -> None:
        await destination.insert([keyed("k")])

    monkeypatch.setattr(move, "_look_ahead", look_ahead)
    with pytest.raises(MoveRefused, match="has the key 'k'"):
        await move.run(drain=False, history=False)
    assert await source.source.departure() is None
    await source.insert([queued()])


# -- 50: around them


async def test_clause_50_what_holds_jobs_back_is_there_before_them(
    source: SQLiteStore, destination: StoreWithDestination
) -> None:
    await destination.pause(Pause("queue", "default", reason="ours", since=7.0))
    await source.pause(Pause("queue", "default", reason="theirs", since=1.0))
    await source.pause(Pause("task", "app:work", since=2.0))
    await carry(source, destination)
    assert sorted(await destination.pauses()) == [
        Pause("queue", "default", reason="ours", since=7.0),
        Pause("task", "app:work", since=2.0),
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "left"),
    [
        (None, (200.0, 100.0), (200.0, 100.0)),
        ((300.0, None), (200.0, 100.0), (200.0, 100.0)),
        ((150.0, 50.0), (200.0, 100.0), (200.0, 100.0)),
        ((300.0, 250.0), (200.0, 100.0), (300.0, 250.0)),
        ((300.0, 250.0), (200.0, None), (300.0, 250.0)),
    ],
)
async def test_clause_50_of_a_schedule_the_row_counts_that_has_come_further(
    source: SQLiteStore,
    destination: StoreWithDestination,
    ours: tuple[float, float | None] | None,
    theirs: tuple[float, float | None],
    left: tuple[float, float | None],
) -> None:
    for store, row in ((destination, ours), (source, theirs)):
        if row is not None:
            await put(store, row)
    await carry(source, destination)
    (found,) = await destination.schedules()
    assert (found.next_at, found.last_moment) == left


async def put(store: Store, row: tuple[float, float | None], *, spec: str = NIGHTLY.spec) -> None:
    """A schedule that has come so far."""
    next_at, moment = row
    await store.put_schedules([NIGHTLY._replace(spec=spec, next_at=next_at if moment is None else moment)])
    if moment is not None:
        assert await store.fire(Firing(NIGHTLY.name, spec, moment, next_at, moment, []))


async def test_clause_50_outboxes_come_along(
    source: SQLiteStore, destination: StoreWithDestination, tmp_path: Path
) -> None:
    outbox = Outbox(str(tmp_path / "shop.db"), "sqlite3")
    await source.put_outbox(outbox)
    await carry(source, destination)
    await carry(source, destination)
    assert list(await destination.outboxes()) == [outbox]


@pytest.mark.parametrize("when", ["before", "since"])
async def test_clause_50_what_is_left_in_an_outbox_that_both_know_comes_along(
    source: SQLiteStore,
    destination: StoreWithDestination,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    path, job, ours = str(tmp_path / "shop.db"), queued(), queued()
    await source.put_outbox(Outbox(path, "sqlite3", "source"))
    await destination.put_outbox(Outbox(path, "sqlite3", "destination"))
    leave(path, ours, "destination")
    move = move_of(source, destination)
    if when == "before":
        leave(path, job, "source")
    else:
        receive = destination.destination.receive_around

        async def receive_around(self: object, *values: Any) -> None:
            await receive(*values)
            leave(path, job, "source")

        monkeypatch.setattr(type(destination.destination), "receive_around", receive_around)
    for _ in range(2):
        counts = await move.run(drain=False, history=False)
        assert [count for count in counts if count.source != count.destination] == []
    assert [record.id for record in await destination.get([job.id, ours.id])] == [job.id]
    with closing(sqlite3.connect(path)) as file:
        left = file.execute("SELECT id FROM postlude_outbox").fetchall()
    assert left == [(str(ours.id),)], "which the destination takes itself"


def leave(path: str, job: NewJob, mark: str) -> None:
    """Commit a job in an outbox."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(sql("create"))
        file.execute(sql("add").format(calls="?"), (text_of([job], {"store": mark}),))


async def test_clause_50_a_newer_spec_stays(source: SQLiteStore, destination: StoreWithDestination) -> None:
    await put(source, (200.0, 100.0))
    await put(destination, (300.0, None), spec="every 60.0 s")
    await carry(source, destination)
    (found,) = await destination.schedules()
    assert found == NIGHTLY._replace(spec="every 60.0 s", next_at=300.0)

"""The group commit: what comes together goes into one, and nobody waits for a second one without need."""

import asyncio
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from postlude.job import Event, JobState, NewJob
from postlude.stores.contract import Filter
from postlude.stores.sqlite import SQLiteStore
from postlude.stores.sqlite.statements import LARGEST_PORTION, portions, sql_for
from tests.stores.making import claim_of, ended, queued, staged
from tests.stores.other_process import OtherProcess
from tests.stores.power import Recorder, Sync

_names = count()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder(f"counting-{next(_names)}")
    yield recorder
    recorder.unregister()


def syncs(recorder: Recorder) -> int:
    return recorder.events.count(Sync("jobs.db-wal"))


async def test_many_share_a_commit(recorder: Recorder, tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"), vfs=recorder.name)
    await store.open()
    owner = await store.enlist()
    jobs = [staged(owner) for _ in range(500)]
    before = syncs(recorder)
    await asyncio.gather(*(store.insert([job]) for job in jobs))
    assert syncs(recorder) - before == 1
    await asyncio.gather(*(store.settle([ended(claim_of(job), Event.SUCCEED)]) for job in jobs))
    assert syncs(recorder) - before == 2
    assert await store.count(Filter()) == {JobState.SUCCEEDED: 500}
    await store.close()


async def test_what_comes_during_a_commit_goes_into_the_next(recorder: Recorder, tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"), vfs=recorder.name)
    await store.open()
    reached, go_on = threading.Event(), threading.Event()

    def linger(_: object) -> None:
        reached.set()
        go_on.wait(10)

    first = store._write(linger)
    await asyncio.to_thread(reached.wait, 10)
    before = syncs(recorder)
    later = []
    for _ in range(5):
        later += [asyncio.ensure_future(store.insert([queued()])) for _ in range(10)]
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *later)
    assert syncs(recorder) - before == 1
    await store.close()


async def test_a_call_that_nobody_waits_for_any_more_is_carried_out(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    await store.open()
    jobs = [queued() for _ in range(3)]
    waiting = [asyncio.ensure_future(store.insert([job])) for job in jobs]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(await store.get([job.id for job in jobs])) == 3
    await store.close()


def test_loops_in_many_threads(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    asyncio.run(store.open())
    made: list[NewJob] = []

    async def insert_some() -> None:
        for _ in range(20):
            jobs = [queued(), queued()]
            await asyncio.gather(*(store.insert([job]) for job in jobs))
            made.extend(jobs)

    threads = [threading.Thread(target=lambda: asyncio.run(insert_some())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 240
    assert len(asyncio.run(store.get([job.id for job in made]))) == 240
    asyncio.run(store.close())


def test_a_loop_that_ends_early_harms_nobody(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    asyncio.run(store.open())

    async def leave() -> None:
        store._write(lambda _: None)
        await asyncio.sleep(0)

    for _ in range(20):
        asyncio.run(leave())
        asyncio.run(store.insert([queued()]))
    assert asyncio.run(store.count(Filter())) == {JobState.QUEUED: 20}
    asyncio.run(store.close())


async def test_processes_take_turns(tmp_path: Path) -> None:
    """No one is told of a lock, and no one is starved."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    await store.open()
    with OtherProcess(url) as one, OtherProcess(url) as two, OtherProcess(url) as three:
        others = (one, two, three)
        for other in others:
            other.begin("insert_one_by_one", 100)
        mine = [queued() for _ in range(100)]
        for job in mine:
            await store.insert([job])
        ids = [job_id for other in others for job_id in other.result()]
    assert len(ids) == 300
    assert await store.count(Filter()) == {JobState.QUEUED: 400}
    await store.close()


async def test_the_threads_are_daemons_with_names_and_end(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    others = set(threading.enumerate())
    await store.open()
    mine = set(threading.enumerate()) - others
    assert {thread.name for thread in mine} == {"postlude-writer jobs.db", "postlude-reader jobs.db"}
    assert all(thread.daemon for thread in mine)
    await store.close()
    for thread in mine:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("length", [0, 1, 2, 3, 37, 64, 127, 128, 129, 1000])
def test_portions_are_powers_of_two_and_lose_nothing(length: int) -> None:
    items = list(range(length))
    found = [list(portion) for portion in portions(items)]
    assert [item for portion in found for item in portion] == items
    assert all(len(portion) <= LARGEST_PORTION and len(portion) & len(portion) - 1 == 0 for portion in found)


def test_what_stands_in_braces_is_repeated() -> None:
    assert "IN (?, ?, ?)" in sql_for("get", 3)

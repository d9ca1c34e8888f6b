"""What becomes of calls when the disk or another process is in the way, and that it heals by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import apsw
import pytest

from postlude.errors import StoreUnavailable
from postlude.job import Event, JobState
from postlude.stores.contract import Claimed, Filter
from postlude.stores.sqlite import SQLiteStore
from postlude.stores.sqlite import connection as connections
from tests.stores.making import claim_of, ended, queued, staged

_names = count()


class Ailing(apsw.VFS):
    """A disk that works until it is told not to."""

    def __init__(self) -> None:
        self.name = f"ailing-{next(_names)}"
        self.on_write: Exception | None = None
        self.on_sync: Exception | None = None
        self.on_read: Exception | None = None
        super().__init__(self.name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "AilingFile":  # noqa: N802
        if self.on_write:
            raise apsw.CantOpenError
        return AilingFile(self, name, flags)


class AilingFile(apsw.VFSFile):
    def __init__(self, disk: Ailing, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.disk.on_write:
            raise self.disk.on_write
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self.disk.on_sync:
            raise self.disk.on_sync
        super().xSync(flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if self.disk.on_read:
            raise self.disk.on_read
        return super().xRead(amount, offset)


@pytest.fixture
def disk() -> Iterator[Ailing]:
    disk = Ailing()
    yield disk
    disk.unregister()


@pytest.fixture
async def store(disk: Ailing, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(str(tmp_path / "jobs.db"), vfs=disk.name)
    await store.open()
    yield store
    disk.on_write = disk.on_sync = disk.on_read = None
    await store.close()


async def test_a_full_disk_fails_every_call_and_heals_by_itself(
    store: SQLiteStore, disk: Ailing, tmp_path: Path
) -> None:
    before = queued()
    await store.insert([before])
    disk.on_write = apsw.FullError("database or disk is full")
    for _ in range(3):
        failed = await asyncio.gather(
            *(store.insert([queued()]) for _ in range(5)),
            store.cancel(before.id, reason="x", now=2.0),
            return_exceptions=True,
        )
        assert {type(error) for error in failed} == {StoreUnavailable}
        assert len({id(error) for error in failed}) == len(failed)
    disk.on_write = None
    after = queued()
    await store.insert([after])
    assert await store.count(Filter()) == {JobState.QUEUED: 2}
    assert {record.id for record in await store.list(Filter(), limit=9, before=None)} == {before.id, after.id}


async def test_the_text_for_a_full_disk(store: SQLiteStore, tmp_path: Path) -> None:
    await store._write(lambda connection: connection.pragma("max_page_count", 1))
    with pytest.raises(StoreUnavailable) as raised:
        await store.insert([queued(arguments="x" * 100_000)])
    assert str(raised.value) == (
        f"The store {tmp_path}/jobs.db did not confirm a write (FullError: database or disk is full). "
        "The disk or its quota is full: free some space. "
        "It is tried afresh with the next call; nothing has to be restarted."
    )
    assert isinstance(raised.value.__cause__, apsw.FullError)
    await store.insert([queued(arguments="x" * 100_000)])


async def test_a_sync_that_fails_confirms_nothing(store: SQLiteStore, disk: Ailing) -> None:
    owner = await store.enlist()
    known, unknown = staged(owner), staged(owner)
    await store.insert([known])
    disk.on_sync = apsw.IOError("disk I/O error")
    results = await asyncio.gather(
        store.insert([unknown]), store.settle([ended(claim_of(known), Event.SUCCEED)]), return_exceptions=True
    )
    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert "did not confirm a write (IOError" in str(results[0])
    assert "See the system's log for errors of the disk." in str(results[0])
    disk.on_sync = None
    # Nothing may be assumed of either; both can be put right, as clause 3 says.
    await store.withdraw([unknown])
    await store.settle([ended(claim_of(known), Event.SUCCEED)])
    assert await store.count(Filter()) == {JobState.SUCCEEDED: 1}
    assert await store._read(lambda connection: connection.execute("PRAGMA integrity_check").get) == "ok"


async def test_reading_heals_too(store: SQLiteStore, disk: Ailing) -> None:
    await store.insert([queued()])
    disk.on_read = apsw.IOError("disk I/O error")
    with pytest.raises(StoreUnavailable, match=r"did not answer .*IOError"):
        await store.count(Filter())
    disk.on_read = None
    assert await store.count(Filter()) == {JobState.QUEUED: 1}


async def test_a_process_that_keeps_the_file_locked(
    store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.05)
    other = apsw.Connection(str(tmp_path / "jobs.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"Another process has kept it locked for 0.05 s: see which one"):
        await store.insert([queued()])
    assert await store.count(Filter()) == {}
    other.execute("ROLLBACK")
    other.close()
    await store.insert([queued()])


async def test_a_file_that_was_moved_away(store: SQLiteStore, tmp_path: Path, disk: Ailing) -> None:
    await store.insert([queued()])
    disk.on_write = apsw.IOError("gone")
    with pytest.raises(StoreUnavailable):
        await store.insert([queued()])
    # The connection begins afresh, and finds nothing that it could open.
    with pytest.raises(StoreUnavailable, match="see whether it was moved, or its rights were changed"):
        await store.insert([queued()])


async def test_whatever_a_thread_raises_comes_to_the_caller(store: SQLiteStore) -> None:
    async def outcome(calls: list[asyncio.Future[object]]) -> list[str]:
        return [str(result) for result in await asyncio.gather(*calls, return_exceptions=True)]

    def wrong(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO workers (id, host, pid, started_at) VALUES (1, 'x', 1, 1)")
        raise ZeroDivisionError("mine")

    assert await outcome([store._write(wrong), store._write(lambda _: "fine")]) == ["mine", "fine"]
    assert await outcome([store._read(lambda _: 1 // 0), store._read(lambda _: "fine")]) == [
        "integer division or modulo by zero",
        "fine",
    ]
    # And of the operation that failed nothing is left.
    assert await store._read(lambda connection: connection.execute("SELECT count(*) FROM workers").get) == 0


async def test_a_claim_of_nothing_waits_for_no_writer(store: SQLiteStore, tmp_path: Path) -> None:
    owner = await store.enlist()
    other = apsw.Connection(str(tmp_path / "jobs.db"))
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(2):
        claimed = await store.claim(owner=owner, tasks=["app:work"], limit=0, now=2.0, idle=False)
    assert claimed == Claimed([], alone_waits=False)
    other.close()


async def test_a_worker_that_cannot_be_dismissed_is_dead_all_the_same(store: SQLiteStore, disk: Ailing) -> None:
    owner = await store.enlist()
    job = staged(owner)
    await store.insert([job])
    disk.on_write = apsw.FullError("database or disk is full")
    await asyncio.gather(store.insert([queued()]), return_exceptions=True)
    with pytest.raises(StoreUnavailable):
        await store.dismiss(owner)
    disk.on_write = None
    assert [claim.job_id for claim in await store.orphans(limit=9)] == [job.id]

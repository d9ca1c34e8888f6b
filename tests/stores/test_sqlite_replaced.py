"""The file under a store that is open: not touched by hand meanwhile, and missed when it is removed or replaced."""

import os
from pathlib import Path

import apsw
import pytest

from postlude.errors import NotAPostludeStore, SchemaTooNew, StoreLocationError, StoreUnavailable
from postlude.job import JobState
from postlude.stores import filesystem, open_store
from postlude.stores.contract import Filter
from postlude.stores.sqlite import SQLiteStore
from tests.stores.making import queued, read, staged
from tests.stores.other_process import OtherProcess


def read_locks(path: Path) -> int:
    """How many read locks this process has on the file."""
    inode = str(path.stat().st_ino)
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines() if " -> " not in line]
    return sum(f[3] == "READ" and f[4] == str(os.getpid()) and f[5].endswith(f":{inode}") for f in lines)


def hiccup(_: object) -> None:
    raise apsw.IOError


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux lists locks")
async def test_a_second_store_does_not_drop_the_locks_of_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store, second = SQLiteStore(str(path)), SQLiteStore(str(path))
    await store.open()
    await store.insert([queued()])
    await store.count(Filter())

    with pytest.raises(StoreUnavailable):
        await store._write(hiccup)  # which closes the writer's connection, and leaves the reader's open
    assert read_locks(path) > 0
    # The header is read by hand while the second one is made ready.
    await second.open()
    await second.close()
    assert read_locks(path) > 0
    await store.insert([queued() for _ in range(100)])
    with OtherProcess(f"sqlite:///{path}") as other:
        other.do("enlist")
    await store.insert([queued() for _ in range(100)])
    assert sum((await store.count(Filter())).values()) == 201
    await store.close()


@pytest.mark.parametrize("how", ["removed", "removed with all", "replaced"])
async def test_nothing_is_confirmed_into_a_file_that_is_gone(tmp_path: Path, how: str) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()
    owner = await store.enlist()
    await store.insert([queued()])
    if how == "replaced":
        path.rename(tmp_path / "aside.db")
        elsewhere = open_store(f"sqlite:///{tmp_path}/new.db")
        await elsewhere.open()
        await elsewhere.close()
        (tmp_path / "new.db").rename(path)
    else:
        for name in ["jobs.db"] if how == "removed" else ["jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-workers"]:
            (tmp_path / name).unlink()
    with pytest.raises(StoreUnavailable) as raised:
        await store.insert([queued()])
    assert str(path) in str(raised.value)
    assert "was removed or replaced while the store was open" in str(raised.value)
    assert "the next write makes a new, empty store at this path" in str(raised.value)
    # The next one finds a store made ready anew, where the worker is alive as before.
    job = staged(owner)
    await store.insert([job])
    assert (await read(store, job)).state is JobState.STAGED
    with OtherProcess(f"sqlite:///{path}") as other:
        assert other.do("orphans") == []
        assert other.do("state", str(job.id)) == "staged"
    await store.close()
    with OtherProcess(f"sqlite:///{path}") as other:
        assert other.do("state", str(job.id)) == "staged"


async def test_the_reader_says_so_too(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()
    await store.count(Filter())
    path.unlink()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="did not answer"):
            await store.count(Filter())
    with pytest.raises(StoreUnavailable):
        await store.insert([queued()])
    await store.insert([queued()])
    assert await store.count(Filter()) == {JobState.QUEUED: 1}
    await store.close()


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_it_is_missed_too_when_no_connection_was_open_at_that_moment(tmp_path: Path, how: str) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()
    await store.count(Filter())
    for operation in (store._write, store._read):
        with pytest.raises(StoreUnavailable):  # which closes the connection
            await operation(hiccup)
    path.rename(tmp_path / "aside.db")
    if how == "replaced":
        elsewhere = open_store(f"sqlite:///{path}")
        await elsewhere.open()
        await elsewhere.close()
    with pytest.raises(StoreUnavailable, match="was removed or replaced while the store was open"):
        await store.count(Filter())
    with pytest.raises(StoreUnavailable, match="was removed or replaced while the store was open"):
        await store.insert([queued()])
    await store.insert([queued()])
    assert await store.count(Filter()) == {JobState.QUEUED: 1}
    await store.close()


async def test_the_same_file_is_not_missed_after_it_was_closed(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    await store.open()
    with pytest.raises(StoreUnavailable):
        await store._write(hiccup)
    await store.insert([queued()])
    await store.close()


def foreign(path: Path, what: str) -> None:
    """Put something else there."""
    if what == "a text":
        path.write_bytes(b"not a database " * 20)
    else:
        other = apsw.Connection(str(path))
        other.execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        other.close()


async def moved(folder: Path, other: Path) -> None:
    """Move the store's files to another folder."""
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-workers"):
        (folder / name).replace(other / name)


@pytest.mark.parametrize("what", ["a text", "a database"])
async def test_something_foreign_in_its_place_is_left_untouched_until_it_is_gone(tmp_path: Path, what: str) -> None:
    path, aside = tmp_path / "jobs.db", tmp_path / "aside"
    store = SQLiteStore(str(path))
    await store.open()
    kept = queued()
    await store.insert([kept])
    await store.count(Filter())
    aside.mkdir()
    await moved(tmp_path, aside)
    foreign(path, what)
    theirs = path.read_bytes()
    for _ in range(3):
        # The reader must not open it either: what is open to SQLite, nobody looks at by hand, the writer neither.
        with pytest.raises(StoreUnavailable, match="put it back"):
            await store.count(Filter())
        with pytest.raises(StoreUnavailable, match="put it back") as raised:
            await store.insert([queued()])
    assert isinstance(raised.value.__cause__, NotAPostludeStore)
    assert path.read_bytes() == theirs
    path.unlink()
    (tmp_path / "jobs.db-workers").unlink(missing_ok=True)
    await moved(aside, tmp_path)
    await store.insert([queued()])
    assert (await read(store, kept)).state is JobState.QUEUED
    await store.close()


async def test_a_store_of_a_later_release_in_its_place_is_not_worked_on(tmp_path: Path) -> None:
    path, aside, newer = tmp_path / "jobs.db", tmp_path / "aside", tmp_path / "newer.db"
    store, later = SQLiteStore(str(path)), SQLiteStore(str(newer))
    await store.open()
    await store.count(Filter())
    await later.open()
    await later._write(lambda connection: connection.execute("INSERT INTO migrations (version, needs) VALUES (99, 99)"))
    await later._write(lambda connection: connection.pragma("user_version", 99))
    await later.close()
    aside.mkdir()
    await moved(tmp_path, aside)
    newer.rename(path)
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        await store.insert([queued()])
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="Start the newer release again") as raised:
            await store.insert([queued()])
        assert isinstance(raised.value.__cause__, SchemaTooNew)
    await moved(aside, tmp_path)
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        await store.insert([queued()])
    await store.insert([queued()])
    await store.close()


@pytest.mark.parametrize("instead", ["nothing", "a file"])
async def test_a_folder_that_is_gone_is_named_until_it_is_back(tmp_path: Path, instead: str) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    store = SQLiteStore(str(folder / "jobs.db"))
    await store.open()
    await store.insert([queued()])
    folder.rename(tmp_path / "away")
    if instead == "a file":
        folder.touch()
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        await store.insert([queued()])
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"the folder {folder} does not exist") as raised:
            await store.insert([queued()])
        assert isinstance(raised.value.__cause__, StoreLocationError)
        assert "system's log" not in str(raised.value)
    folder.unlink(missing_ok=True)
    (tmp_path / "away").rename(folder)
    await store.insert([queued()])
    assert await store.count(Filter()) == {JobState.QUEUED: 2}
    await store.close()


async def test_a_reader_that_finds_no_file_does_not_blame_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()
    path.unlink()
    with pytest.raises(StoreUnavailable, match="the next write makes a new, empty store") as raised:
        await store.count(Filter())
    assert isinstance(raised.value.__cause__, FileNotFoundError)
    assert "system's log" not in str(raised.value)
    path.touch()
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        await store.count(Filter())
    await store.close()


async def test_what_is_wrong_with_the_place_of_the_new_store_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()
    for kind, words in (("tmpfs", "its jobs are gone when the machine restarts"), ("nfs", "a network file system")):
        mounts = tmp_path / kind
        mounts.write_text(f"36 35 98:0 / / rw - {kind} none rw\n")
        path.unlink()
        with monkeypatch.context() as patched:
            patched.setattr(filesystem, "MOUNTINFO", str(mounts))
            with pytest.raises(StoreUnavailable, match=words):
                await store.insert([queued()])
        await store.insert([queued()])
    await store.close()


async def test_in_a_new_file_a_stop_can_be_announced_by_the_worker_that_was_in_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()
    owner, gone = await store.enlist(), await store.enlist()
    await store.dismiss(gone)
    path.unlink()
    with pytest.raises(StoreUnavailable):
        await store.announce_stop(owner)
    await store.announce_stop(owner)
    workers = await store._read(lambda connection: (connection.execute("SELECT id, stopping FROM workers").fetchall(),))
    assert workers == ([(owner, 1)],)
    await store.close()

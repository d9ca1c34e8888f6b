"""The file under a store that is open: not touched by hand meanwhile, and missed when it is removed or replaced."""

import os
from pathlib import Path

import apsw
import pytest

from postlude.errors import StoreUnavailable
from postlude.job import JobState
from postlude.stores import open_store
from postlude.stores.contract import Filter
from postlude.stores.sqlite import SQLiteStore
from tests.stores.making import queued, read, staged
from tests.stores.other_process import OtherProcess


def read_locks(path: Path) -> int:
    """How many read locks this process has on the file."""
    inode = str(path.stat().st_ino)
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines() if " -> " not in line]
    return sum(f[3] == "READ" and f[4] == str(os.getpid()) and f[5].endswith(f":{inode}") for f in lines)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux lists locks")
async def test_a_second_store_does_not_drop_the_locks_of_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store, second = SQLiteStore(str(path)), SQLiteStore(str(path))
    await store.open()
    await store.insert([queued()])
    await store.count(Filter())

    def hiccup(_: object) -> None:
        raise apsw.IOError

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
    assert "was removed or replaced while it was open" in str(raised.value)
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

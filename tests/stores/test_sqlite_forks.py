"""A fork with the store open: both sides go on writing, and nothing that was confirmed is lost."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from postlude.errors import StoreClosed, StoreLocationError
from postlude.stores.contract import Filter
from postlude.stores.sqlite import SQLiteStore, forks, location
from tests.stores.making import queued

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def forked(child: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Start a child; it ends with 0 if the coroutine returns."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            threading.Thread(target=lambda: asyncio.run(_to_end(child))).start()
        finally:
            threading.Event().wait(20)
            os._exit(code)
    return process


async def _to_end(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await child()
    except BaseException as error:  # noqa: BLE001 - told to the parent
        os.write(2, f"in the child: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def code_of(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def rows_on_disk(path: Path) -> int:
    program = f"import apsw; print(apsw.Connection({str(path)!r}).execute('select count(*) from jobs').get)"
    return int(subprocess.check_output([sys.executable, "-c", program]))


async def insert(store: SQLiteStore, count: int) -> None:
    for _ in range(count):
        await store.insert([queued()])


def test_what_both_sides_confirmed_is_there_when_the_parent_closes_first(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    written, may_write = os.pipe(), os.pipe()
    with asyncio.Runner() as runner:
        store = SQLiteStore(str(path))
        runner.run(store.open())
        runner.run(insert(store, 1))
        runner.run(store.count(Filter()))

        async def child() -> None:
            own = SQLiteStore(str(path))
            await own.open()
            await insert(own, 50)
            os.write(written[1], b"x")
            os.read(may_write[0], 1)
            await insert(own, 50)
            with pytest.raises(StoreClosed, match="does not survive a fork"):
                await store.insert([queued()])
            os.kill(os.getpid(), 9)

        process = forked(child)
        os.read(written[0], 1)
        runner.run(insert(store, 50))
        assert sum(runner.run(store.count(Filter())).values()) == 101
        runner.run(store.close())
        os.write(may_write[1], b"x")
        assert code_of(process) == -9
    assert rows_on_disk(path) == 151


async def test_from_the_event_loop_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()

    async def child() -> None:
        own = SQLiteStore(str(path))
        await own.open()
        await insert(own, 5)
        await own.close()

    writing = [asyncio.ensure_future(insert(store, 20)) for _ in range(4)]
    processes = []
    for _ in range(5):
        await store.insert([queued()])
        processes.append(forked(child))
    await asyncio.gather(*writing)
    assert [await asyncio.to_thread(code_of, process) for process in processes] == [0] * 5
    assert sum((await store.count(Filter())).values()) == 80 + 5 + 25
    await store.close()


async def test_from_the_writer_itself_the_child_is_refused_the_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()

    async def child() -> None:
        with pytest.raises(StoreLocationError, match="it was opened before the fork that made this process"):
            await SQLiteStore(str(path)).open()
        other = SQLiteStore(f"{path}-other")
        await other.open()
        await insert(other, 1)

    process = await store._write(lambda _: forked(child))
    assert await asyncio.to_thread(code_of, process) == 0
    await insert(store, 1)
    await store.close()
    assert rows_on_disk(path) == 1


async def test_a_fork_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.05)
    path = tmp_path / "jobs.db"
    store = SQLiteStore(str(path))
    await store.open()
    reached, go_on = threading.Event(), threading.Event()

    def linger(_: object) -> None:
        reached.set()
        go_on.wait(10)

    async def child() -> None:
        with pytest.raises(StoreLocationError, match="could not be closed in time"):
            await SQLiteStore(str(path)).open()

    lingering = store._write(linger)
    await asyncio.to_thread(reached.wait, 10)
    process = forked(child)
    go_on.set()
    assert await asyncio.to_thread(code_of, process) == 0
    await lingering
    await insert(store, 1)
    await store.close()


async def test_a_subprocess_leaves_the_connections_open(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "jobs.db"))
    await store.open()
    (before,) = await store._write(lambda connection: (connection,))
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", ""], check=True)
    assert await store._write(lambda connection: connection is before)
    assert location._open_files
    await store.close()

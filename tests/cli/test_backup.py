"""`postlude backup`: a whole copy, also while others write."""

import stat
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from postlude.stores.sqlite.copying import copy_file
from tests.cli.conftest import Desk
from tests.stores.making import queued

COMMAND = Path(sys.executable).with_name("postlude")

WRITER = """
import asyncio, sys
from postlude.stores import open_store
from tests.stores.making import queued

async def write():
    store = open_store(sys.argv[1])
    await store.open()
    while True:
        await store.insert([queued(), queued()])
        print("more", flush=True)

asyncio.run(write())
"""


def jobs_in(file: Path) -> int:
    return int(apsw.Connection(str(file)).execute("SELECT count(*) FROM jobs").get)


def fill(desk: Desk, jobs: int) -> None:
    desk.on_store(lambda store: store.insert([queued() for _ in range(jobs)]))


def test_a_copy_is_whole_and_private(desk: Desk, tmp_path: Path) -> None:
    fill(desk, 3)
    copy = tmp_path / "copy.db"
    done = subprocess.run([COMMAND, "backup", copy, "--url", desk.url], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{copy}: 3 jobs, ")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    restored = Desk(f"sqlite:///{copy}", None)
    assert restored.on_store(lambda store: store.waiting_tasks()) == {"app:work": 1.0}


def test_while_others_write_it_is_as_it_was_at_one_moment(desk: Desk, tmp_path: Path) -> None:
    fill(desk, 1000)
    file, copy = Path(desk.url.removeprefix("sqlite:///")), tmp_path / "copy.db"
    command = [sys.executable, "-c", WRITER, desk.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = writer.stdout
        told: list[int] = []

        def tell(done: int, _: int) -> None:
            told.append(done)
            lines.readline()  # it goes on writing between two portions of the copy

        lines.readline()
        try:
            jobs = copy_file(file, copy, tell)
            lines.readline()
        finally:
            writer.kill()
            drain = threading.Thread(target=lines.read)
            drain.start()
            drain.join(10)
    assert told == sorted(told)
    assert jobs == jobs_in(copy)
    assert jobs % 2 == 0, "a group that was committed together was cut in two"
    assert jobs < jobs_in(file), "nobody wrote meanwhile, so nothing was shown"
    assert apsw.Connection(str(copy)).pragma("integrity_check") == "ok"


def test_what_is_there_is_replaced_only_when_that_is_asked_for(desk: Desk, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    assert f"{copy} is there already" in desk.refuses("backup", str(copy), "--url", desk.url, code=1)
    assert copy.read_text() == "mine"
    assert desk.answers("backup", str(copy), "--url", desk.url, "--force")["jobs"] == 0
    assert jobs_in(copy) == 0


def test_a_place_that_is_none_leaves_nothing_behind(desk: Desk, tmp_path: Path) -> None:
    file = desk.url.removeprefix("sqlite:///")
    assert "is the store itself" in desk.refuses("backup", file, "--url", desk.url, "--force", code=1)
    assert "is a folder: name the file" in desk.refuses("backup", str(tmp_path), "--url", desk.url, code=1)
    missing = tmp_path / "none" / "copy.db"
    assert "could not be copied to" in desk.refuses("backup", str(missing), "--url", desk.url, code=1)
    assert not list(tmp_path.glob("*.part*"))


def test_a_copy_that_is_cut_off_leaves_nothing_behind(desk: Desk, tmp_path: Path) -> None:
    def stop(_: int, __: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_file(Path(desk.url.removeprefix("sqlite:///")), tmp_path / "copy.db", stop)
    assert not [each for each in tmp_path.iterdir() if "copy" in each.name]


def test_postgresql_is_left_to_its_own_tools(desk: Desk) -> None:
    said = desk.refuses("backup", "copy.dump", "--url", "postgresql://host/shop", code=1)
    assert "pg_dump --format=custom --schema=postlude" in said

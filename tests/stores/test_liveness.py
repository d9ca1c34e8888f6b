"""The proof of life through fork, exec and everything that closes descriptors, with real processes."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postlude.errors import StoreClosed
from postlude.stores import liveness, open_store
from postlude.stores.contract import Store
from postlude.stores.liveness import Liveness, new_worker_id
from tests.stores.other_process import OtherProcess

ROOT = Path(__file__).parents[2]
PRELUDE = """
import asyncio, os, sys
from postlude.errors import StoreClosed
from postlude.ids import new_job_id, new_token
from postlude.job import JobState, NewJob
from postlude.stores import open_store

URL = sys.argv[1]

async def stage(store):
    owner = await store.enlist()
    job = NewJob(new_job_id(), "app:work", "[]", JobState.STAGED, 1.0, 1.0, owner=owner, claim=new_token())
    await store.insert([job])
    return str(job.id)

async def opened():
    store = open_store(URL)
    await store.open()
    return store

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def wait():
    sys.stdin.read()
"""


class Script:
    """A process that prints what it did, and then waits."""

    def __init__(self, url: str, program: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(program), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@pytest.fixture
def script(url: str) -> Iterator[Callable[[str], Script]]:
    running: list[Script] = []

    def start(program: str) -> Script:
        running.append(Script(url, program))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.communicate()


async def orphans(store: Store) -> set[str]:
    return {str(claim.job_id) for claim in await store.orphans(limit=99)}


async def test_a_forked_child_outlives_its_parent(store: Store, script: Callable[[str], Script]) -> None:
    """As with a server that opens before it forks: each has its own life, in both directions."""
    parent = script(
        """
        store = asyncio.run(opened())
        mine = asyncio.run(stage(store))
        if os.fork() == 0:
            try:
                asyncio.run(store.count(None))
            except StoreClosed as error:
                refused = str(error)
            say("child", os.getpid(), asyncio.run(stage(asyncio.run(opened()))), "survive a fork" in refused)
            wait()
            os._exit(0)
        say("parent", mine)
        wait()
        """
    )
    said = dict(line.split(" ", 1) for line in (parent.line(), parent.line()))
    child_pid, child_job, refused = said["child"].split()
    assert refused == "True"
    assert await orphans(store) == set()
    parent.process.send_signal(signal.SIGKILL)
    parent.process.wait()
    # The child has inherited the descriptor, and not the lock.
    assert await orphans(store) == {said["parent"]}
    kill(int(child_pid))
    assert await orphans(store) == {said["parent"], child_job}


def kill(pid: int) -> None:
    """End a process that is not a child of this one, and wait until it is gone."""
    handle = os.pidfd_open(pid)
    gone = select.poll()
    gone.register(handle, select.POLLIN)
    os.kill(pid, signal.SIGKILL)
    assert gone.poll(10_000)
    os.close(handle)


async def test_a_child_that_ends_leaves_its_parent_alive(store: Store, script: Callable[[str], Script]) -> None:
    parent = script(
        """
        store = asyncio.run(opened())
        mine = asyncio.run(stage(store))
        pid = os.fork()
        if pid == 0:
            async def all_of_it():
                own = await opened()
                await own.enlist()
                await own.close()
            asyncio.run(all_of_it())
            sys.exit(0)
        os.waitpid(pid, 0)
        say(mine, asyncio.run(stage(store)))
        wait()
        """
    )
    jobs = set(parent.line().split())
    assert len(jobs) == 2
    assert await orphans(store) == set()
    parent.process.kill()
    parent.process.wait()
    assert await orphans(store) == jobs


async def test_workers_forked_after_an_import_each_open_their_own(
    store: Store, script: Callable[[str], Script]
) -> None:
    master = script(
        """
        for _ in range(4):
            if os.fork() == 0:
                say(os.getpid(), asyncio.run(stage(asyncio.run(opened()))))
                wait()
                os._exit(0)
        wait()
        """
    )
    workers = dict(master.line().split() for _ in range(4))
    assert len(workers) == 4
    assert await orphans(store) == set()
    victim, job = next(iter(workers.items()))
    kill(int(victim))
    assert await orphans(store) == {job}


async def test_what_is_executed_instead_is_not_the_worker(store: Store, script: Callable[[str], Script]) -> None:
    """A server that reloads itself by exec keeps its process id, and has lost everything it did."""
    process = script(
        """
        store = asyncio.run(opened())
        say(asyncio.run(stage(store)))
        os.execv(sys.executable, [sys.executable, "-c", "import sys; print('executed', flush=True); sys.stdin.read()"])
        """
    )
    job = process.line()
    assert process.line() == "executed"
    assert await orphans(store) == {job}


async def test_another_program_that_was_started_holds_nothing(store: Store, script: Callable[[str], Script]) -> None:
    process = script(
        """
        import subprocess
        store = asyncio.run(opened())
        job = asyncio.run(stage(store))
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
        say(job, child.pid)
        wait()
        """
    )
    job, child = process.line().split()
    process.process.kill()
    process.process.wait()
    assert await orphans(store) == {job}
    kill(int(child))


async def test_an_inherited_store_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 1)
        with pytest.raises(StoreClosed, match=r"was opened by process .*, and this is process 1: .* in each process"):
            await store.get([])


def test_one_descriptor_for_each_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db-workers"
    first, second = Liveness(path), Liveness(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    third = Liveness(link)
    assert first._file is second._file is third._file
    worker = new_worker_id()
    first.hold(worker)
    for one in (first, second, third):
        one.close()
        one.close()
    again = Liveness(path)
    # It was not closed while a lock was held, and goes on being used.
    assert again._file is first._file
    assert not again.is_dead(worker)
    again.give_up(worker)
    assert again.is_dead(worker)
    again.close()
    assert again._key not in liveness._files


def test_ids_fit_an_offset() -> None:
    assert all(0 < new_worker_id() < 2**62 for _ in range(1000))


async def test_a_store_can_be_opened_twice_in_a_process(url: str, store: Store) -> None:
    second = open_store(url)
    description = await second.open()
    assert await second.open() == description
    await second.close()
    await second.open()
    await second.close()


def test_a_server_that_another_process_speaks_for_does_not_hinder_a_renewal(tmp_path: Path) -> None:
    """The proofs of life go over to the new file, whoever speaks there."""
    mine, worker = Liveness(tmp_path / "before-workers"), new_worker_id()
    mine.hold(worker)
    assert mine.speaks_for("server")
    with OtherProcess(f"sqlite:///{tmp_path}/jobs.db") as other:
        assert other.do("speaks_for", "server")
        mine.renew(tmp_path / "jobs.db-workers")
        assert not mine.speaks_for("server")
    assert mine.speaks_for("server")
    mine.give_up(worker)
    mine.close()

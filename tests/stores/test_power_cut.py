"""What was confirmed is there after a power cut, whatever the disk has forgotten; and the file is never damaged."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import apsw
import pytest

from postlude.errors import PostludeError
from postlude.job import Event, JobState, NewJob
from postlude.stores.sqlite import SQLiteStore, access, location
from postlude.stores.sqlite.connection import connect
from tests.stores.making import chain_of, claim_all, claim_of, ended, queued
from tests.stores.power import Recorder, power_cuts

LONG = '{"a":["' + "x" * 1500 + '"]}'


class Inserted(NamedTuple):
    ids: tuple[UUID, ...]


class Ended(NamedTuple):
    job_id: UUID
    state: JobState


class Run(NamedTuple):
    """What one life of a store has left behind."""

    recorder: Recorder
    chains: list[tuple[UUID, ...]]


_names = count()


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast the disk is does not matter here, and measuring it takes most of the time of an `open`."""
    monkeypatch.setattr(location, "measure_sync", lambda folder: 0.0)


async def live(recorder: Recorder, path: Path, rounds: int) -> Run:
    """Open a new store and work, noting what is confirmed."""
    store = SQLiteStore(str(path), vfs=recorder.name)
    await store.open()
    # Often, so that a short life has many: this is where the log is copied into the file and begins anew.
    await store._write(lambda connection: connection.pragma("wal_autocheckpoint", 25))
    owner = await store.enlist()
    chains: list[tuple[UUID, ...]] = []

    async def insert(jobs: list[NewJob]) -> list[NewJob]:
        jobs = [job._replace(arguments=LONG) for job in jobs]
        ids = tuple(job.id for job in jobs)
        chains.append(ids)
        await store.insert(jobs)
        recorder.promise(Inserted(ids))
        return jobs

    async def settle(job: NewJob, event: Event) -> None:
        settlement = ended(claim_of(job), event)
        assert not await store.settle([settlement])
        recorder.promise(Ended(job.id, settlement.state))

    for number in range(rounds):
        sets = await asyncio.gather(*(insert(chain_of(owner, length)) for length in (1, 2, 3)), insert([queued()]))
        event = Event.FAIL if number % 3 == 0 else Event.SUCCEED
        await asyncio.gather(*(settle(jobs[0], event) for jobs in sets[:3]))
        for claim in await claim_all(store, owner, limit=1):
            await store.settle([ended(claim, Event.SUCCEED)])
            recorder.promise(Ended(claim.job_id, JobState.SUCCEEDED))
    await store.close()
    return Run(recorder, chains)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Run]]:
    recorders = []

    def begin(*, rounds: int, drops_sync_of: str | None = None) -> Run:
        recorder = Recorder(f"recorder-{next(_names)}", drops_sync_of=drops_sync_of)
        recorders.append(recorder)
        folder = tmp_path / "lived"
        folder.mkdir()
        with monkeypatch.context() as patch:
            recorder.watch_folder(patch)
            return asyncio.run(live(recorder, folder / "jobs.db", rounds))

    yield begin
    for recorder in recorders:
        recorder.unregister()


class Inspection:
    """Opens what a power cut has left, in a clean folder, and looks whether it is all there."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self.chains = run.chains

    def __call__(self, files: dict[str, bytes], promised: list[object]) -> None:
        self.folder.mkdir()
        for name, data in files.items():
            (self.folder / name).write_bytes(data)
        asyncio.run(self._open())
        connection = apsw.Connection(str(self.folder / "jobs.db"))
        try:
            assert connection.execute("PRAGMA integrity_check").get == "ok"
            found = {UUID(bytes=job_id): state for job_id, state in connection.execute("SELECT id, state FROM jobs")}
        finally:
            connection.close()
        for what in promised:
            if isinstance(what, Inserted):
                assert all(job_id in found for job_id in what.ids), "a job that was confirmed is gone"
            elif isinstance(what, Ended):
                assert found.get(what.job_id) == what.state, "a settlement that was confirmed is gone"
        for chain in self.chains:
            assert len({job_id in found for job_id in chain}) == 1, "a chain is there in part"
        shutil.rmtree(self.folder)

    async def _open(self) -> None:
        store = SQLiteStore(str(self.folder / "jobs.db"))
        await store.open()
        await store.close()


def test_a_power_cut_loses_nothing_that_was_confirmed(record: Callable[..., Run], tmp_path: Path) -> None:
    run = record(rounds=10)
    cuts = power_cuts(run.recorder.events, seed=1, lucky=1, between=0.02, check=Inspection(tmp_path / "found", run))
    assert cuts > 100


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_a_power_cut_at_any_moment(record: Callable[..., Run], tmp_path: Path, seed: int) -> None:
    run = record(rounds=30)
    cuts = power_cuts(run.recorder.events, seed=seed, lucky=8, between=0.2, check=Inspection(tmp_path / "found", run))
    print(f"{cuts} power cuts")
    assert cuts > 1000


@pytest.mark.parametrize("drops", ["-wal", ""], ids=["of the log", "of the file"])
def test_the_test_can_fail_without_a_sync(record: Callable[..., Run], tmp_path: Path, drops: str) -> None:
    """A disk that confirms without having written, in the one file or the other."""
    run = record(rounds=10, drops_sync_of=drops)
    with pytest.raises((AssertionError, apsw.Error, PostludeError)):
        power_cuts(run.recorder.events, seed=1, lucky=2, between=0.02, check=Inspection(tmp_path / "found", run))


def test_the_test_can_fail_with_synchronous_normal(
    record: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's usual setting with a write-ahead log: it never damages the file, and it forgets."""

    def hasty(path: Path, *, vfs: str | None, read_only: bool) -> apsw.Connection:
        connection = connect(path, vfs=vfs, read_only=read_only)
        connection.pragma("synchronous", 1)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(access, "connect", hasty)
        run = record(rounds=10)
    with pytest.raises(AssertionError, match="that was confirmed is gone"):
        power_cuts(run.recorder.events, seed=1, lucky=0, between=0.02, check=Inspection(tmp_path / "found", run))

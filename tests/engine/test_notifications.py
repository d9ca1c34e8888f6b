"""What a process tells others through its store, and what it does when it hears from them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import postlude.lifetime.starting
import postlude.services.worker
from postlude.job import Event
from postlude.lifetime.process import Process
from postlude.pauses import Pause
from postlude.registry import Registry
from postlude.runtime import Runtime
from postlude.settings import Settings
from postlude.stores import open_store
from postlude.stores.notifying import Change
from tests.engine.fakes import FakeClock, FaultyStore, until
from tests.stores.making import claim_of, ended, queued, staged


async def work() -> None:
    pass


WORK = f"{__name__}:work"


@pytest.fixture
async def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    """One that works, and looks into the queue only when it is told to."""
    monkeypatch.setattr(postlude.services.worker, "POLL", 3600.0)
    store = FaultyStore(open_store(f"sqlite:///{tmp_path / 'jobs.db'}"))
    monkeypatch.setattr(postlude.lifetime.starting, "store_of", lambda _: store)
    settings = Settings(url=f"sqlite:///{tmp_path / 'jobs.db'}", shutdown_grace=0)
    runtime = Runtime(settings, Registry(Path(__file__).parents[2]), FakeClock(), lambda: ())
    process = await runtime.opening.process()
    await process.start()
    await until(lambda: store.calls["waiting_tasks"])
    yield process
    await process.stop(0)


@pytest.fixture
def store(process: Process) -> FaultyStore:
    assert isinstance(process.store, FaultyStore)
    return process.store


async def test_what_another_process_queued_is_claimed_at_once(process: Process, store: FaultyStore) -> None:
    await process.store.insert([queued(WORK)])
    store.tell("queued")
    await until(lambda: store.calls["claim"])


async def test_what_another_process_paused_is_read_at_once(process: Process, store: FaultyStore) -> None:
    await process.store.pause(Pause("queue", "default"))
    before = store.calls["pauses"]
    store.tell("paused")
    await until(lambda: store.calls["pauses"] > before)


async def test_it_tells_what_it_queues_pauses_and_cancels(process: Process, store: FaultyStore) -> None:
    process.wake()
    process.tell("paused")
    process.tell("cancelled")
    assert store.told == ["queued", "paused", "cancelled"]


@pytest.mark.parametrize(("event", "told"), [(Event.RELEASE, ["queued"]), (Event.SUCCEED, [])])
async def test_it_tells_of_a_job_that_goes_back_to_the_queue_and_not_of_one_that_ended(
    process: Process, store: FaultyStore, event: Event, told: list[Change]
) -> None:
    process._told([ended(claim_of(staged(process.owner)), event)])
    assert store.told == told

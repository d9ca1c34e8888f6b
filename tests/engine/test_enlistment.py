"""A process that was given up for dead by others: it ends what it runs, and goes on as another worker."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

import postlude.lifetime.starting
from postlude import JobState, cancel_requested, task
from postlude.calls import Call, CallOptions, Chain
from postlude.clock import SystemClock
from postlude.errors import StoreUnavailable
from postlude.events import OutcomeRefused, StoreFailed, WorkerReplaced
from postlude.lifetime.process import Process
from postlude.registry import Registry
from postlude.runtime import Runtime
from postlude.services.enlistment import Enlistment
from postlude.settings import Settings, WorkerMode
from postlude.stores import open_store
from postlude.stores.contract import Store
from postlude.telling import Events
from tests.engine.fakes import FaultyStore, Heard, until

ROOT = Path(__file__).parents[2]
ran: list[str] = []
go_on = threading.Event()


@pytest.fixture(autouse=True)
def fresh() -> None:
    ran.clear()
    go_on.clear()


class Fickle(FaultyStore):
    """A store whose workers are given up for dead when a test says so."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.given_up: list[Callable[[], None]] = []
        """For each worker that was enlisted, in that order."""

    async def enlist(self, given_up: Callable[[], None] = lambda: None) -> int:
        self.given_up.append(given_up)
        owner: int = await self.__getattr__("enlist")()
        return owner

    def give_up(self) -> None:
        """As it comes: on a thread of the store's own."""
        thread = threading.Thread(target=self.given_up[-1])
        thread.start()
        thread.join()


class Application:
    """An engine on such a store."""

    def __init__(self, folder: Path, worker: WorkerMode, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"sqlite:///{folder / 'jobs.db'}"
        self.store = Fickle(open_store(url))
        self.runtime = Runtime(Settings(url=url, worker=worker, shutdown_grace=0), Registry(ROOT), SystemClock(), list)
        self.heard = Heard(self.runtime.events)
        monkeypatch.setattr(postlude.lifetime.starting, "store_of", lambda _: self.store)

    async def process(self) -> Process:
        return await self.runtime.opening.process()

    async def commit(self, function: Callable[..., object], *args: object) -> Call:
        """Of a request that is still open."""
        call = self.runtime.prepare(function, args, {}, CallOptions())
        await self.runtime.commit(Chain(), [call])
        return call

    async def run(self, function: Callable[..., object], *args: object) -> Call:
        call = await self.commit(function, *args)
        await self.runtime.run([call])
        return call

    async def state(self, job_id: UUID) -> JobState:
        return (await self.store.get([job_id]))[0].state  # type: ignore[no-any-return]

    async def await_state(self, call: Call, state: JobState) -> None:
        while await self.state(call.id) is not state:  # noqa: ASYNC110 - it happens in the store's own thread
            await asyncio.sleep(0.005)


@pytest.fixture
async def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Application]:
    application = Application(tmp_path, "embedded", monkeypatch)
    await (await application.process()).start()
    yield application
    go_on.set()
    await application.runtime.close()


@task(name="coroutine")
async def coroutine(name: str) -> None:
    ran.append(f"{name} started")
    try:
        while not go_on.is_set():  # noqa: ASYNC110 - it is set on any thread
            await asyncio.sleep(0.01)  # a hundred that never rest would leave the store's thread no time
    except asyncio.CancelledError:
        ran.append(f"{name} cancelled")
        raise
    ran.append(f"{name} ended")


@task(name="in_thread")
def in_thread(name: str) -> None:
    ran.append(f"{name} started")
    if ran.count(f"{name} started") == 1:
        while not cancel_requested():
            go_on.wait(0.005)
        ran.append(f"{name} noticed")
        go_on.wait(20)
    ran.append(f"{name} ended")


@task(name="short")
async def short(name: str) -> None:
    ran.append(name)


async def replaced(application: Application, before: int) -> int:
    process = await application.process()
    await until(lambda: process.owner != before)
    return process.owner


@pytest.mark.timeout(30)
async def test_what_runs_is_ended_and_its_job_runs_again(application: Application) -> None:
    before = (await application.process()).owner
    call = await application.run(coroutine, "it")
    await until(lambda: ran == ["it started"])
    application.store.give_up()
    after = await replaced(application, before)
    await until(lambda: ran == ["it started", "it cancelled", "it started"])
    go_on.set()
    await application.await_state(call, JobState.SUCCEEDED)
    (record,) = await application.store.get([call.id])
    assert (record.attempt, record.interruptions) == (1, 0)
    assert application.heard.of(WorkerReplaced) == [WorkerReplaced(before, after)]


@pytest.mark.timeout(30)
async def test_a_thread_is_told_and_what_it_comes_to_later_is_refused(application: Application) -> None:
    """Its job is queued by then, and runs here only after that thread has ended: never twice at once."""
    before = (await application.process()).owner
    call = await application.run(in_thread, "it")
    await until(lambda: ran == ["it started"])
    application.store.give_up()
    await replaced(application, before)
    await until(lambda: "it noticed" in ran)
    worker = (await application.process()).worker
    await until(lambda: worker.taken)
    go_on.set()
    await until(lambda: application.heard.of(OutcomeRefused))
    assert application.heard.of(OutcomeRefused) == [OutcomeRefused(call.id, 1)]
    await application.await_state(call, JobState.SUCCEEDED)
    assert ran == ["it started", "it noticed", "it ended", "it started", "it ended"]


@pytest.mark.timeout(30)
async def test_what_waits_for_a_slot_goes_back_to_the_queue(tmp_path: Path, application: Application) -> None:
    process = await application.process()
    before = process.owner
    calls = [await application.run(coroutine, str(number)) for number in range(101)]
    await until(lambda: len(ran) == 100)
    application.store.give_up()
    await replaced(application, before)
    go_on.set()
    for call in calls:
        await application.await_state(call, JobState.SUCCEEDED)
    assert ran.count("100 started") == 1


@pytest.mark.timeout(30)
async def test_calls_of_a_request_that_was_open_all_the_while_run_once(application: Application) -> None:
    process = await application.process()
    before = process.owner
    call = await application.commit(short, "it")
    application.store.give_up()
    await replaced(application, before)
    await application.await_state(call, JobState.SUCCEEDED)
    await application.runtime.run([call])
    after = await application.run(short, "after")
    await application.await_state(after, JobState.SUCCEEDED)
    assert ran == ["it", "after"]


@pytest.mark.timeout(30)
async def test_what_is_committed_under_an_id_that_is_known_to_be_lost_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others take it for an orphan, and run it."""
    application = Application(tmp_path, "embedded", monkeypatch)
    await application.process()
    application.store.give_up()
    application.store.fail("enlist", StoreUnavailable("not now"))
    call = await application.run(short, "it")
    await application.await_state(call, JobState.QUEUED)
    assert ran == []
    await application.runtime.close()


@pytest.mark.timeout(30)
async def test_while_it_may_have_been_given_up_calls_of_requests_go_through_the_queue(application: Application) -> None:
    process = await application.process()
    first = await application.run(short, "first")
    await application.await_state(first, JobState.SUCCEEDED)
    assert process.worker.taken == 0
    application.store.sure = False
    call = await application.run(short, "it")
    await application.await_state(call, JobState.SUCCEEDED)
    assert (ran, process.worker.taken) == (["first", "it"], 1)


@pytest.mark.timeout(30)
async def test_however_often_it_was_replaced(application: Application) -> None:
    process = await application.process()
    for former in range(2_000):
        process._replaced(former, former + 1)
    process._replaced(2_000, process.owner)
    call = await application.run(short, "it")
    await application.await_state(call, JobState.SUCCEEDED)


@pytest.mark.timeout(30)
async def test_it_is_tried_again_while_the_store_does_not_take_it(application: Application) -> None:
    process = await application.process()
    before = process.owner
    application.store.fail("enlist", StoreUnavailable("not now"))
    application.store.give_up()
    await replaced(application, before)
    assert [event.during for event in application.heard.of(StoreFailed)] == ["enlistment"]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("worker", ["off", "embedded"])
async def test_without_a_worker_the_next_request_sees_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: WorkerMode
) -> None:
    """No lifespan runs, or only others run jobs: its rows must not be taken for those of somebody dead."""
    application = Application(tmp_path, worker, monkeypatch)
    process = await application.process()
    before = process.owner
    application.store.give_up()
    call = await application.commit(short, "it")
    assert process.owner != before
    assert call.claim is not None
    assert call.claim.owner == process.owner
    await application.runtime.close()


@pytest.mark.timeout(30)
async def test_what_a_request_runs_itself_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = Application(tmp_path, "embedded", monkeypatch)
    running = asyncio.ensure_future(application.run(coroutine, "it"))
    await until(lambda: ran == ["it started"])
    application.store.give_up()
    await application.commit(short, "next")
    await until(lambda: "it cancelled" in ran)
    call = await running
    assert await application.state(call.id) is JobState.QUEUED
    await application.runtime.close()


@pytest.mark.timeout(30)
async def test_it_is_done_once_however_many_ask(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    store = Fickle(open_store(url))
    await store.store.open()
    enlistment = Enlistment(cast("Store", store), Events())
    await enlistment.begin()
    store.give_up()
    reached, gate = store.shut("enlist")
    asked = [asyncio.ensure_future(enlistment.replace()) for _ in range(3)]
    await reached.wait()
    elsewhere = asyncio.ensure_future(asyncio.to_thread(asyncio.run, enlistment.replace()))
    gate.set()
    await asyncio.gather(*asked, elsewhere)
    assert store.calls["enlist"] == 2
    assert not enlistment.lost
    await store.store.close()


@pytest.mark.timeout(30)
async def test_it_may_be_given_up_again_before_it_knows_its_new_id(tmp_path: Path) -> None:
    store = Fickle(open_store(f"sqlite:///{tmp_path / 'jobs.db'}"))
    await store.store.open()
    enlistment = Enlistment(cast("Store", store), Events())
    await enlistment.begin()
    store.give_up()
    reached, gate = store.shut("enlist")
    replacing = asyncio.ensure_future(enlistment.replace())
    await reached.wait()
    store.give_up()
    gate.set()
    await replacing
    assert enlistment.lost
    await enlistment.replace()
    assert not enlistment.lost
    await store.store.close()


@pytest.mark.timeout(30)
async def test_whoever_asked_may_be_cancelled_and_it_is_done_all_the_same(tmp_path: Path) -> None:
    store = Fickle(open_store(f"sqlite:///{tmp_path / 'jobs.db'}"))
    await store.store.open()
    events = Events()
    heard = Heard(events)
    enlistment = Enlistment(cast("Store", store), events)
    await enlistment.begin()
    before = enlistment.owner
    store.give_up()
    reached, gate = store.shut("enlist")
    asked = asyncio.ensure_future(enlistment.replace())
    await reached.wait()
    asked.cancel()
    await asyncio.wait({asked})
    gate.set()
    await enlistment.replace()
    await until(lambda: not enlistment.lost)
    assert store.calls["enlist"] == 2, "nobody holds an id that nobody knows"
    assert heard.of(WorkerReplaced) == [WorkerReplaced(before, enlistment.owner)]
    await store.store.close()


@pytest.mark.timeout(30)
async def test_the_loss_of_a_former_id_says_nothing_of_this_one(tmp_path: Path) -> None:
    store = Fickle(open_store(f"sqlite:///{tmp_path / 'jobs.db'}"))
    await store.store.open()
    enlistment = Enlistment(cast("Store", store), Events())
    await enlistment.begin()
    store.give_up()
    await enlistment.replace()
    store.given_up[0]()
    assert not enlistment.lost
    await store.store.close()


async def test_one_that_was_not_given_up_stays_who_it_is(application: Application) -> None:
    process = await application.process()
    before: Any = process.owner
    await process.enlistment.run_once()
    await process.enlistment.replace()
    with suppress(AttributeError):
        assert process.owner == before
    assert application.store.calls["enlist"] == 1

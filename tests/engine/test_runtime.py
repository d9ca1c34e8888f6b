"""The engine of one application: opened once, whoever asks first and however that ends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

import postlude.lifetime.process
import postlude.lifetime.starting
from postlude.calls import Call, CallOptions, Chain
from postlude.errors import NotAPostludeStore, SettingsError, StoreClosed, StoreLocationError, StoreUnavailable
from postlude.events import StoreFailed
from postlude.job import JobState
from postlude.lifetime.opening import Opening
from postlude.lifetime.process import Process
from postlude.registry import Registry
from postlude.runtime import Runtime
from postlude.services.withdrawals import Withdrawals
from postlude.settings import Settings
from postlude.stores import open_store
from postlude.stores.contract import Description, Filter, Store
from tests.engine.fakes import FakeClock, FaultyStore, Heard, turns, until
from tests.stores.making import queued


def no_calls() -> Collection[UUID]:
    return ()


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    settings = Settings(url=f"sqlite:///{tmp_path / 'jobs.db'}")
    runtime = Runtime(settings, Registry(tmp_path), FakeClock(), no_calls)
    yield runtime
    await runtime.stopped()


class Openings:
    """Counts how often a store is made, and holds up its opening until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, held: bool) -> None:
        self.made = 0
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.held = held
        monkeypatch.setattr(postlude.lifetime.starting, "store_of", self._make)

    def _make(self, settings: Settings) -> Store:
        self.made += 1
        store = open_store(settings.url)
        really = store.open

        async def slowly(ahead: Callable[[float], None] = lambda _: None) -> Description:
            self.reached.set()
            await self.go_on.wait()
            return await really(ahead)

        if self.held:
            store.open = slowly  # type: ignore[method-assign]
        return store


async def test_the_store_is_opened_once_for_all_who_ask(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Openings(monkeypatch, held=True)
    asked = [asyncio.ensure_future(runtime.store()) for _ in range(5)]
    await opening.reached.wait()
    opening.go_on.set()
    assert len({id(store) for store in await asyncio.gather(*asked)}) == 1
    assert await runtime.store() is asked[0].result()
    assert opening.made == 1


@pytest.mark.parametrize("who", ["the first", "another"])
async def test_a_request_that_is_cancelled_while_it_waits_for_the_store_fails_no_other(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    opening = Openings(monkeypatch, held=True)
    asked = [asyncio.ensure_future(runtime.store()) for _ in range(3)]
    await opening.reached.wait()
    asked.pop(0 if who == "the first" else 1).cancel()
    await turns()
    opening.go_on.set()
    assert len({id(store) for store in await asyncio.gather(*asked)}) == 1
    assert opening.made == 1


async def test_from_several_threads_at_once(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Openings(monkeypatch, held=False)
    together = threading.Barrier(4, timeout=30)

    def ask() -> Store:
        together.wait()
        return asyncio.run(runtime.store())

    stores = await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(4)))
    assert len({id(store) for store in stores}) == 1
    assert opening.made == 1


async def test_when_the_loop_that_opens_it_ends_those_who_wait_on_others_open_it_themselves(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = Openings(monkeypatch, held=True)
    reached, go_on = threading.Event(), threading.Event()

    async def begin_and_end() -> None:
        asking = asyncio.ensure_future(runtime.store())
        await opening.reached.wait()
        reached.set()
        await asyncio.to_thread(go_on.wait, 30)
        asking.cancel()

    ending = asyncio.ensure_future(asyncio.to_thread(asyncio.run, begin_and_end()))
    await asyncio.to_thread(reached.wait, 30)
    waiting = [asyncio.ensure_future(runtime.store()) for _ in range(2)]
    await turns()
    opening.held = False
    go_on.set()
    await ending
    first, second = await asyncio.gather(*waiting)
    assert first is second
    assert opening.made == 2


@pytest.mark.timeout(60)
async def test_a_loop_that_is_closed_while_it_opens_the_store_keeps_nobody_waiting(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a script does that gives up waiting, and closes its loop without cancelling what runs on it."""
    opening = Openings(monkeypatch, held=True)
    reached, go_on = threading.Event(), threading.Event()

    async def begin() -> None:
        asking = asyncio.ensure_future(runtime.store())
        await opening.reached.wait()
        asking.cancel()
        await asyncio.wait({asking})
        reached.set()
        await asyncio.to_thread(go_on.wait, 30)

    def begin_and_close() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    closing = asyncio.ensure_future(asyncio.to_thread(begin_and_close))
    await asyncio.to_thread(reached.wait, 30)
    waits = asyncio.ensure_future(runtime.store())
    await turns()
    opening.held = False
    go_on.set()
    await closing
    assert await waits is await runtime.store()
    assert opening.made == 2


async def test_a_thread_that_looks_in_the_moment_when_it_has_been_opened_opens_no_second_one(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = Openings(monkeypatch, held=True)
    first = asyncio.ensure_future(runtime.store())
    await opening.reached.wait()
    looked, go_on = threading.Event(), threading.Event()
    looks = vars(Opening)["here"].fget

    def slow_to_go_on(opening: Opening) -> Process | None:
        found: Process | None = looks(opening)
        if threading.current_thread() is not threading.main_thread() and opening.lock.locked():
            looked.set()
            go_on.wait(0.2)  # all of it, where the lock keeps the other one from being done
        return found

    monkeypatch.setattr(Opening, "here", property(slow_to_go_on))
    second = asyncio.ensure_future(asyncio.to_thread(asyncio.run, runtime.store()))
    await asyncio.to_thread(looked.wait, 30)
    opening.go_on.set()
    store = await first
    go_on.set()
    assert await second is store
    assert opening.made == 1


async def test_what_another_thread_has_opened_meanwhile_is_not_lost_by_a_close(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Store] = []

    def meanwhile() -> None:
        thread = threading.Thread(target=lambda: opened.append(asyncio.run(runtime.store())))
        thread.start()
        thread.join(30)

    with monkeypatch.context() as patched:
        patched.setattr(runtime.grace._signals, "stop", meanwhile)
        await runtime.close()
    assert [await runtime.store()] == opened


async def test_when_it_cannot_be_opened_everybody_learns_why_and_may_try_again(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    runtime = Runtime(Settings(url=f"sqlite:///{folder / 'jobs.db'}"), Registry(tmp_path), FakeClock(), no_calls)
    results = await asyncio.gather(*(runtime.store() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreLocationError] * 3
    assert "POSTLUDE_URL" in str(results[0])
    folder.mkdir()
    await runtime.store()
    await runtime.stopped()


async def test_stopped_before_it_was_started_and_twice(runtime: Runtime) -> None:
    await runtime.stopped()
    await runtime.store()
    await runtime.stopped()
    await runtime.stopped()


def test_a_url_that_names_no_store_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"expected sqlite:///relative/jobs\.db with three slashes, .*; got 'redis://cache'"
    ):
        Runtime(Settings(url="redis://cache"), Registry(tmp_path), FakeClock(), no_calls)


# A commit that fails


def work() -> None:
    pass


async def prepared(tmp_path: Path) -> tuple[Runtime, FaultyStore, Callable[[], Call]]:
    settings = Settings(url=f"sqlite:///{tmp_path / 'jobs.db'}")
    runtime = Runtime(settings, Registry(Path(__file__).parents[2]), FakeClock(), no_calls)
    await runtime.store()
    process = runtime.opening.here
    assert process is not None
    faulty = FaultyStore(process.store)
    process.store = cast("Store", faulty)
    process.withdrawals = Withdrawals(process.store)
    return runtime, faulty, lambda: runtime.prepare(work, (), {}, CallOptions())


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreClosed("closed"), RuntimeError("a mistake")])
async def test_after_a_late_commit_that_failed_the_next_call_comes_after_what_is_committed(
    tmp_path: Path, error: Exception
) -> None:
    runtime, faulty, new = await prepared(tmp_path)
    chain, calls = Chain(), [new() for _ in range(5)]
    await runtime.commit(chain, calls[:2])
    before = chain.first, chain.last
    faulty.fail("insert", error)
    with pytest.raises(type(error)):
        await runtime.commit(chain, calls[2:4])
    assert (chain.first, chain.last) == before == (calls[0].id, calls[1].id)
    assert [call.claim is None for call in calls] == [False, False, True, True, True]
    await runtime.commit(chain, calls[4:])
    last = calls[4].claim
    assert last is not None
    assert (last.chain, last.after) == before
    await runtime.close()


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a mistake")])
async def test_a_first_commit_that_failed_leaves_no_chain_behind(tmp_path: Path, error: Exception) -> None:
    runtime, faulty, new = await prepared(tmp_path)
    chain, calls = Chain(), [new(), new()]
    faulty.fail("insert", error)
    with pytest.raises(type(error)):
        await runtime.commit(chain, calls)
    assert (chain.first, chain.last, chain.unconfirmed) == (None, None, ())
    assert [call.claim for call in calls] == [None, None]
    await runtime.close()


async def test_nothing_to_store_is_committed_without_a_store(tmp_path: Path) -> None:
    settings = Settings(url=f"sqlite:///{tmp_path / 'missing' / 'jobs.db'}")
    runtime = Runtime(settings, Registry(tmp_path), FakeClock(), no_calls)
    await runtime.commit(Chain(), [])
    await runtime.commit(Chain(), [runtime.prepare(lambda: None, (), {}, CallOptions())])


async def test_withdrawals_go_on_until_the_store_answers_and_not_after_the_end(tmp_path: Path) -> None:
    runtime, faulty, new = await prepared(tmp_path)
    process = runtime.opening.here
    assert process is not None
    faulty.fail("insert", StoreUnavailable("away"))
    faulty.fail("withdraw", StoreUnavailable("away"), StoreClosed("closed"))
    with pytest.raises(StoreUnavailable):
        await runtime.commit(Chain(), [new()])
    await turns()
    assert process.withdrawals.tasks == (f"{__name__}:work",)
    await process.withdrawals.end(5)
    assert process.withdrawals.tasks == (f"{__name__}:work",)
    calls = faulty.calls["withdraw"]
    process.withdrawals.go_on()
    await process.withdrawals.end(5)
    await turns()
    assert faulty.calls["withdraw"] == calls == 2


# The end of a process whose store does not answer


class Started:
    """A process that works, on a store that can be made to fail, and that is waited for only for a moment."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = FaultyStore(open_store(f"sqlite:///{tmp_path / 'jobs.db'}"))
        settings = Settings(url=f"sqlite:///{tmp_path / 'jobs.db'}", shutdown_grace=0)
        self.runtime = Runtime(settings, Registry(Path(__file__).parents[2]), FakeClock(), no_calls)
        monkeypatch.setattr(postlude.lifetime.starting, "store_of", lambda _: self.store)
        monkeypatch.setattr(postlude.lifetime.process, "SETTLE_WITHIN", 0.05)
        self.heard = Heard(self.runtime.events)

    async def process(self) -> Process:
        await self.runtime.store()
        process = self.runtime.opening.here
        assert process is not None
        await process.start()
        await until(lambda: self.store.calls["waiting_tasks"])
        return process


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    return Started(tmp_path, monkeypatch)


async def test_nothing_new_starts_while_the_announcement_of_the_stop_waits(started: Started) -> None:
    process = await started.process()
    reached, go_on = started.store.shut("announce_stop")
    process.begin_stop(0)
    await reached.wait()
    assert started.store.calls["settle"] == started.store.calls["claim"] == 0, "the announcement is the first in line"
    await process.store.insert([queued(task=f"{__name__}:work")])
    process.wake()
    async with asyncio.timeout(10):
        assert not await process.stop(0)
    assert started.store.calls["claim"] == 0
    go_on.set()
    await turns()


async def test_the_announcement_is_waited_for_before_the_process_leaves(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postlude.lifetime.process, "SETTLE_WITHIN", 30)
    process = await started.process()
    reached, go_on = started.store.shut("announce_stop")
    stopping = asyncio.ensure_future(process.stop(0))
    await reached.wait()
    await asyncio.wait({stopping}, timeout=0.1)
    assert not stopping.done()
    assert started.store.calls["dismiss"] == 0
    go_on.set()
    await stopping
    assert started.store.calls["dismiss"] == 1


@pytest.mark.parametrize("what", ["dismiss", "close"])
async def test_a_leave_that_takes_too_long_goes_on_without_being_waited_for(started: Started, what: str) -> None:
    process = await started.process()
    reached, go_on = started.store.shut(what)
    async with asyncio.timeout(10):
        await process.stop(0)
    assert reached.is_set()
    go_on.set()
    assert process._leaving is not None
    await process._leaving
    assert started.heard == []
    with pytest.raises(StoreClosed):
        await started.store.store.count(Filter(frozenset({JobState.QUEUED})))


async def test_a_store_that_is_something_else_by_now_keeps_no_process_from_ending(started: Started) -> None:
    process = await started.process()
    for operation in ("announce_stop", "dismiss"):
        started.store.fail(operation, NotAPostludeStore("it is a text"))
    await process.stop(0)
    assert started.heard == [StoreFailed("announcing the stop", "it is a text"), StoreFailed("leaving", "it is a text")]
    assert started.store.calls["close"] == 1

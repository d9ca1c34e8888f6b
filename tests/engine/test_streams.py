"""The hub: one look for all who listen, told of what ends here, and ended with the process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID

import pytest

from postlude.client.waiting import Waiters
from postlude.errors import StoreUnavailable
from postlude.events import ServiceFailed, StoreFailed, StoreRecovered
from postlude.ids import new_job_id
from postlude.job import Claim, Event, JobState, Progress, Report
from postlude.loglines import LogLine
from postlude.services import streams
from postlude.services.streams import EVERY, Hub, News
from postlude.stores.contract import Store
from postlude.stores.watching import Glance
from postlude.telling import Events
from tests.engine.fakes import FakeClock, FaultyStore, Heard, turns, until
from tests.stores.making import claim_of, ended, queued, staged


class Bench:
    """A hub on a real store, whose time stands still."""

    def __init__(self, store: Store) -> None:
        self.faulty = FaultyStore(store)
        self.store = cast("Store", self.faulty)
        self.clock = FakeClock()
        self.waiters = Waiters(self.clock)
        self.events = Events()
        self.heard = Heard(self.events)
        self.told_to_end = False
        self.hub = Hub(self._opened, self.waiters, self.clock, self.events, lambda: self.told_to_end)

    async def _opened(self) -> Store:
        return self.store

    @property
    def looks(self) -> int:
        return self.faulty.calls["glances"]

    async def look(self) -> None:
        """The time of the next look has come."""
        looks = self.looks
        self.clock.advance(EVERY)
        (lookout,) = self.hub._lookouts.values()
        lookout.service.wake()
        await until(lambda: self.looks > looks)


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


@pytest.fixture
async def owner(store: Store) -> int:
    return await store.enlist()


async def running(store: Store, owner: int) -> Claim:
    job = staged(owner)
    await store.insert([job])
    claim = claim_of(job)._replace(started_at=2.0)
    await store.start([claim], now=2.0)
    return claim


def line(text: str) -> LogLine:
    return LogLine(2.0, "INFO", "app", text, 1)


class Listening:
    """Somebody who listens in a task of their own."""

    def __init__(self, told: AsyncGenerator[Any, None]) -> None:
        self.news: list[Any] = []
        self._told = told
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async with aclosing(self._told) as told:
            async for news in told:
                self.news.append(news)

    @property
    def states(self) -> list[JobState]:
        return [news.job.state for news in self.news if news.job is not None]

    @property
    def lines(self) -> list[str]:
        return [line.message for news in self.news for line in news.lines]


@pytest.fixture
async def listen() -> AsyncIterator[Callable[[AsyncGenerator[Any, None]], Listening]]:
    made: list[Listening] = []

    def listen(told: AsyncGenerator[Any, None]) -> Listening:
        made.append(Listening(told))
        return made[-1]

    yield listen
    for each in made:
        each.task.cancel()
    ends = await asyncio.gather(*(each.task for each in made), return_exceptions=True)
    assert [end for end in ends if isinstance(end, Exception)] == []


Listen = Callable[[AsyncGenerator[Any, None]], Listening]


async def test_from_the_first_look_to_the_end(bench: Bench, owner: int, listen: Listen) -> None:
    claim = await running(bench.store, owner)
    one = listen(bench.hub.watch(claim.job_id, lines_after=0))
    await until(lambda: one.news)
    await bench.store.report({claim: Report(Progress(1, 2), None, [line("a"), line("b")])})
    await bench.look()
    await until(lambda: len(one.news) == 2)
    assert (one.news[1].job.progress, one.news[1].last_line) == (Progress(1, 2), 2)
    await bench.store.settle([ended(claim, Event.SUCCEED)._replace(lines=[line("c")], result="7")])
    await bench.look()
    await one.task
    assert one.states == [JobState.RUNNING, JobState.RUNNING, JobState.SUCCEEDED]
    assert one.lines == ["a", "b", "c"]
    assert one.news[-1].job.result == "7"


async def test_one_look_for_all(bench: Bench, owner: int, listen: Listen) -> None:
    claims = [await running(bench.store, owner) for _ in range(10)]
    everybody = [listen(bench.hub.watch(claim.job_id)) for claim in claims for _ in range(5)]
    await until(lambda: all(each.news for each in everybody))
    looks = bench.looks
    await bench.store.report({claim: Report(Progress(1)) for claim in claims})
    await bench.look()
    await until(lambda: all(len(each.news) == 2 for each in everybody))
    assert bench.looks == looks + 1


async def test_nothing_is_told_that_has_not_changed(bench: Bench, owner: int, listen: Listen) -> None:
    claim = await running(bench.store, owner)
    one = listen(bench.hub.watch(claim.job_id))
    await until(lambda: one.news)
    for _ in range(3):
        await bench.look()
    assert len(one.news) == 1


async def test_who_comes_later_hears_what_is_known_at_once(bench: Bench, owner: int, listen: Listen) -> None:
    claim = await running(bench.store, owner)
    await bench.store.report({claim: Report(lines=[line("a"), line("b"), line("c")])})
    first = listen(bench.hub.watch(claim.job_id, lines_after=0))
    await until(lambda: first.lines)
    looks = bench.looks
    second, third = (listen(bench.hub.watch(claim.job_id, lines_after=after)) for after in (0, 2))
    await until(lambda: second.lines and third.lines)
    assert (second.lines, third.lines, bench.looks) == (["a", "b", "c"], ["c"], looks)


async def test_who_comes_while_the_end_is_looked_at_gets_the_lines_before_it(
    bench: Bench, owner: int, listen: Listen
) -> None:
    claim = await running(bench.store, owner)
    await bench.store.settle([ended(claim, Event.SUCCEED)._replace(lines=[line("last words")])])
    reached, gate = bench.faulty.shut("glances")
    first = listen(bench.hub.watch(claim.job_id))
    await reached.wait()
    reads = listen(bench.hub.watch(claim.job_id, lines_after=0))
    await turns()
    gate.set()
    await asyncio.gather(first.task, reads.task)
    assert (reads.lines, first.states[-1], reads.states[-1]) == (["last words"], "succeeded", "succeeded")


async def test_lines_only_for_those_who_ask(bench: Bench, owner: int, listen: Listen) -> None:
    claim = await running(bench.store, owner)
    await bench.store.report({claim: Report(Progress(1), None, [line("secret")])})
    asks, does_not = listen(bench.hub.watch(claim.job_id, lines_after=0)), listen(bench.hub.watch(claim.job_id))
    await until(lambda: asks.lines and does_not.news)
    assert does_not.lines == []


async def test_what_ends_here_is_looked_at_at_once_as_long_as_that_is_rare(
    bench: Bench, owner: int, listen: Listen
) -> None:
    ends = 20
    claims = [await running(bench.store, owner) for _ in range(ends)]
    everybody = [listen(bench.hub.watch(claim.job_id)) for claim in claims]
    await until(lambda: all(each.news for each in everybody))
    before = bench.looks
    for claim, listening in zip(claims, everybody, strict=True):
        end = ended(claim, Event.SUCCEED)
        await bench.store.settle([end])
        looks = bench.looks
        bench.waiters.settled([end])
        if before == looks:
            await listening.task  # the first one at once
        await asyncio.sleep(0)
    assert bench.looks - before < 4
    await bench.look()
    await asyncio.gather(*(each.task for each in everybody))


async def test_less_than_one_look_a_second_whatever_comes_and_goes(
    bench: Bench, owner: int, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = await running(bench.store, owner)
    found, looks = await bench.store.glances({claim.job_id: None}), 0

    async def glances(_: object) -> list[Glance]:
        nonlocal looks
        looks += 1
        return found

    monkeypatch.setattr(bench.faulty, "glances", glances, raising=False)
    listen(bench.hub.watch(claim.job_id))
    await turns()
    (lookout,) = bench.hub._lookouts.values()
    for tick in range(400):  # 125 seconds, in which somebody comes and goes and something ends, three times a second
        bench.clock.advance(EVERY / 4)
        comes = listen(bench.hub.watch(new_job_id()))
        bench.waiters.settled([ended(claim, Event.FAIL)])
        if tick % 4 == 3:
            lookout.service.wake()  # it is time
        await turns()
        comes.task.cancel()
    assert 100 <= looks <= 125


async def test_a_job_that_is_not_there_any_more(bench: Bench, listen: Listen) -> None:
    one = listen(bench.hub.watch(new_job_id()))
    await one.task
    assert one.news == []


async def test_all_end_with_the_process(bench: Bench, owner: int, listen: Listen) -> None:
    claim = await running(bench.store, owner)
    one, other = listen(bench.hub.watch(claim.job_id)), listen(bench.hub.share("five", _five))
    await until(lambda: one.news and other.news)
    bench.told_to_end = True
    bench.hub.end()
    await asyncio.gather(one.task, other.task)
    late = listen(bench.hub.watch(claim.job_id))
    await late.task
    assert late.news == []
    bench.told_to_end = False  # it was started again, in the same process
    again = listen(bench.hub.watch(claim.job_id))
    await until(lambda: again.news)


async def _five() -> int:
    return 5


async def test_what_many_look_at_is_read_once(bench: Bench, listen: Listen) -> None:
    values = [1, 1, 2]
    read = 0

    async def overview() -> int:
        nonlocal read
        read += 1
        return values[read - 1]

    everybody = [listen(bench.hub.share("overview", overview)) for _ in range(10)]
    await until(lambda: all(each.news == [1] for each in everybody))
    (lookout,) = bench.hub._lookouts.values()
    for _ in values[1:]:
        bench.clock.advance(EVERY)
        lookout.service.wake()
        await turns()
    await until(lambda: all(each.news == [1, 2] for each in everybody))
    assert bench.looks == 0


async def test_nobody_listens_and_nothing_is_looked_at(bench: Bench, owner: int, listen: Listen) -> None:
    claim = await running(bench.store, owner)
    one = listen(bench.hub.watch(claim.job_id))
    await until(lambda: one.news)
    one.task.cancel()
    await asyncio.gather(one.task, return_exceptions=True)
    (lookout,) = bench.hub._lookouts.values()
    looks = bench.looks
    bench.clock.advance(60)
    assert await lookout.run_once() is None
    assert (bench.looks, lookout._jobs, bench.waiters.nobody) == (looks, {}, True)


async def test_a_store_that_does_not_answer_ends_nobody(
    bench: Bench, owner: int, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postlude.services.service.RETRY_AFTER", 0.0)
    claim = await running(bench.store, owner)
    bench.faulty.fail("glances", StoreUnavailable("gone"), StoreUnavailable("gone"))
    one = listen(bench.hub.watch(claim.job_id))
    await until(lambda: one.news)
    assert one.states == [JobState.RUNNING]
    assert [type(event) for event in bench.heard] == [StoreFailed, StoreRecovered]
    assert bench.heard.of(ServiceFailed) == []


async def test_a_sign_of_life_when_there_is_nothing_new(
    bench: Bench, owner: int, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.01)
    claim = await running(bench.store, owner)
    one = listen(bench.hub.watch(claim.job_id))
    await until(lambda: News() in one.news)


async def test_a_waiting_job_is_watched_as_well(bench: Bench, listen: Listen) -> None:
    job = queued(run_at=9.0)
    await bench.store.insert([job])
    one = listen(bench.hub.watch(job.id))
    await until(lambda: one.news)
    assert isinstance(one.news[0].job.id, UUID)
    assert one.states == [JobState.QUEUED]

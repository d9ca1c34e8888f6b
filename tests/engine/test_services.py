"""The contract of every service: when it takes its turns, what happens when one raises, how it starts and stops."""

import asyncio
from collections.abc import Callable

import pytest

import postlude.services.service
from postlude.errors import StoreUnavailable
from postlude.events import ServiceFailed, StoreFailed, StoreRecovered
from postlude.services.rescue import Rescue
from postlude.services.scheduler import Scheduler
from postlude.services.service import Service, Turn
from postlude.telling import Events
from tests.engine.conftest import Engine
from tests.engine.fakes import Heard, turns


class Turns:
    """Takes note of its turns; each raises or returns what it was told."""

    def __init__(self, *results: float | Exception | None) -> None:
        self.results = list(results)
        self.taken = 0
        self.under_way = asyncio.Event()
        self.go_on: asyncio.Event | None = None

    async def run_once(self) -> float | None:
        self.taken += 1
        self.under_way.set()
        if self.go_on is not None:
            await self.go_on.wait()
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """How long it waited; only a wake-up ends the wait."""
    waited: list[float | None] = []

    async def wait(wake: asyncio.Event, seconds: float | None) -> None:
        waited.append(seconds)
        await wake.wait()

    monkeypatch.setattr(postlude.services.service, "wait", wait)
    return waited


Made = Callable[[Engine], Turn]


def _worker(engine: Engine) -> Turn:
    return engine.worker


def _attempts(engine: Engine) -> Turn:
    return engine.attempts


def _rescue(engine: Engine) -> Turn:
    return Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)


def _scheduler(engine: Engine) -> Turn:
    return Scheduler(engine.store, engine.registry, engine.clock, engine.events, queued=lambda: None)


@pytest.mark.parametrize(
    "make", [_worker, _attempts, _rescue, _scheduler], ids=["worker", "attempts", "rescue", "scheduler"]
)
class TestEveryService:
    async def test_stop_before_start_is_fine(self, engine: Engine, make: Made) -> None:
        service = Service("service", make(engine), engine.events)
        service.wake()
        await service.stop()
        await service.stop()

    async def test_it_starts_stops_twice_and_starts_again(self, engine: Engine, make: Made) -> None:
        service = Service("service", make(engine), engine.events)
        for _ in range(2):
            service.start()
            await turns()
            service.wake()
            await service.stop()
            await service.stop()
            service.wake()
        assert not engine.heard

    async def test_nothing_of_it_goes_on_after_stop(self, engine: Engine, make: Made) -> None:
        before = asyncio.all_tasks()
        service = Service("service", make(engine), engine.events)
        service.start()
        await service.stop()
        assert asyncio.all_tasks() == before

    async def test_its_turn_stands_alone(self, engine: Engine, make: Made) -> None:
        delay = await make(engine).run_once()
        assert delay is None or delay > 0


async def test_it_takes_a_turn_at_once_and_then_whenever_it_is_woken(events: Events, waits: list[float | None]) -> None:
    turn = Turns(0.5, None)
    service = Service("service", turn, events)
    service.start()
    await turns()
    assert (turn.taken, waits) == (1, [0.5])
    service.wake()
    await turns()
    assert (turn.taken, waits) == (2, [0.5, None])
    await service.stop()
    assert turn.taken == 2, "stopping is no reason for a turn"


async def test_a_wake_up_during_a_turn_leads_to_another(events: Events, waits: list[float | None]) -> None:
    turn = Turns()
    turn.go_on = asyncio.Event()
    service = Service("service", turn, events)
    service.start()
    await turn.under_way.wait()
    service.wake()
    turn.go_on.set()
    await turns()
    assert turn.taken == 2
    await service.stop()


async def test_stop_returns_when_the_turn_under_way_has_ended(events: Events) -> None:
    turn = Turns()
    turn.go_on = asyncio.Event()
    service = Service("service", turn, events)
    service.start()
    await turn.under_way.wait()
    stopping = asyncio.ensure_future(service.stop())
    await turns()
    assert not stopping.done()
    turn.go_on.set()
    await stopping
    assert turn.taken == 1


async def test_a_turn_that_raises_is_said_and_the_service_goes_on(events: Events, waits: list[float | None]) -> None:
    heard = Heard(events)
    turn = Turns(ValueError("a mistake of ours"), 3.0)
    service = Service("rescue", turn, events)
    service.start()
    await turns()
    assert waits == [1.0]
    [failed] = heard.of(ServiceFailed)
    assert failed.service == "rescue"
    assert failed.failure.message == "a mistake of ours"
    assert "run_once" in failed.failure.traceback
    service.wake()
    await turns()
    assert waits == [1.0, 3.0]
    await service.stop()


async def test_a_store_that_does_not_answer_is_said_once_and_once_when_it_is_back(
    events: Events, waits: list[float | None]
) -> None:
    heard = Heard(events)
    turn = Turns(StoreUnavailable("disk full"), StoreUnavailable("disk full"), 2.0, 2.0)
    service = Service("worker", turn, events)
    service.start()
    for _ in range(4):
        await turns()
        service.wake()
    await turns()
    assert heard == [StoreFailed("worker", "disk full"), StoreRecovered("worker")]
    assert waits[:4] == [1.0, 1.0, 2.0, 2.0]
    await service.stop()


async def test_time_alone_leads_to_the_next_turn(events: Events) -> None:
    turn = Turns(0.0, 0.0, None)
    service = Service("service", turn, events)
    service.start()
    while turn.taken < 3:
        turn.under_way.clear()
        await turn.under_way.wait()
    await service.stop()

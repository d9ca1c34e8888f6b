"""One process's engine on a real store, with time that stands still."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from postlude.calls import Call, CallOptions, Chain
from postlude.executors.registered import Executors
from postlude.job import Record, Settlement
from postlude.registry import Registry
from postlude.running.attempts import Attempts
from postlude.running.elsewhere import Setup
from postlude.running.places import Places
from postlude.running.settling import Settling
from postlude.services.worker import Worker
from postlude.settings import Concurrency
from postlude.staging import Staging
from postlude.stores import open_store
from postlude.stores.contract import Store
from postlude.telling import Events
from tests.engine.fakes import FakeClock, FaultyStore, Heard

ROOT = Path(__file__).parents[2]


class Engine:
    """The parts of one process, none of them started."""

    def __init__(self, store: Store, owner: int, concurrency: Concurrency) -> None:
        self.faulty = FaultyStore(store)
        self.store = cast("Store", self.faulty)
        self.owner = owner
        self.clock = FakeClock()
        self.events = Events()
        self.heard = Heard(self.events)
        self.settled: list[Settlement] = []
        self.executors = Executors()
        self.registry = Registry(ROOT, executors=self.executors)
        self.staging = Staging(self.registry, self.clock, self.events, strict=False)
        self.overrides: dict[Any, Any] = {}
        self.places = Places.made(concurrency, lambda: self.overrides, Setup(str(ROOT)), self.executors)
        self.settling = Settling(self.store, self.events, self.settled.extend)
        self.attempts = Attempts(
            store=self.store,
            owner=owner,
            settling=self.settling,
            places=self.places,
            clock=self.clock,
            events=self.events,
        )
        self.attempts.queue_is_read = True  # as where its worker has been started
        self.worker = Worker(
            store=self.store,
            owner=owner,
            registry=self.registry,
            attempts=self.attempts,
            settling=self.settling,
            clock=self.clock,
            events=self.events,
        )

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
        return self.staging.prepare(function, args, kwargs, CallOptions())

    async def stage(self, *calls: Call, chain: Chain | None = None) -> None:
        """Commit the calls as those of one request."""
        await self.store.insert(self.staging.stage(chain or Chain(), calls, self.owner))

    async def staged(self, function: Callable[..., Any], *args: Any) -> Call:
        call = self.call(function, *args)
        await self.stage(call)
        return call

    async def queue(self, function: Callable[..., Any], *args: Any) -> Call:
        """Commit a call that belongs to no request."""
        call = self.call(function, *args)
        await self.store.insert(self.staging.queue([call]))
        return call

    async def record(self, call: Call) -> Record:
        return (await self.store.get([call.id]))[0]

    async def records(self, calls: Sequence[Call]) -> list[Record]:
        return [await self.record(call) for call in calls]


@pytest.fixture
def concurrency() -> Concurrency:
    return Concurrency(loop=2, threads=2)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'jobs.db'}")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def engine(store: Store, concurrency: Concurrency) -> AsyncIterator[Engine]:
    engine = Engine(store, await store.enlist(), concurrency)
    yield engine
    engine.places.close()

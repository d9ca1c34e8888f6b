"""What is said of a worker: that it is wedged, and never that work waits."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from postlude.runtime import Runtime
from postlude.standalone.health import LOOP_SILENT_AFTER, STORE_SILENT_AFTER, Health
from tests.engine.fakes import FakeClock


class Engine:
    """As much of one as is looked at."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lease_unknown_for = 0.0
        self.process: Any = SimpleNamespace(
            attempts=SimpleNamespace(worn_out=False),
            worker=SimpleNamespace(looks=0),
            store=SimpleNamespace(silence=lambda: self.lease_unknown_for),
        )
        self.opening = SimpleNamespace(here=self.process)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def health(engine: Engine) -> Health:
    """Of one that has started, whose loop moves when the test calls `_look`."""
    health = Health(cast("Runtime", engine))
    health.running()
    return health


def look(health: Health, engine: Engine, after: float, *, answered: bool = True) -> None:
    engine.clock.advance(after)
    engine.process.worker.looks += answered
    health._look()


async def test_nothing_is_wrong(health: Health, engine: Engine) -> None:
    for _ in range(100):
        look(health, engine, 1.0)
    assert health.report() == ("running", [])
    assert health.report().healthy


async def test_a_loop_that_does_not_move(health: Health, engine: Engine) -> None:
    engine.clock.advance(LOOP_SILENT_AFTER)
    assert health.report().healthy
    engine.clock.advance(7.0)
    assert health.report().problems == ["a task has blocked the event loop for 12 s"]
    look(health, engine, 0.0)
    assert health.report().healthy


async def test_a_store_that_does_not_answer(health: Health, engine: Engine) -> None:
    for _ in range(int(STORE_SILENT_AFTER)):
        look(health, engine, 1.0, answered=False)
    assert health.report().healthy
    look(health, engine, 1.0, answered=False)
    assert health.report().problems == ["the store has not answered for 31 s"]
    assert not health.report().healthy
    look(health, engine, 1.0)
    assert health.report().healthy


async def test_a_lease_that_is_not_extended(health: Health, engine: Engine) -> None:
    engine.lease_unknown_for = STORE_SILENT_AFTER
    assert health.report().healthy
    engine.lease_unknown_for += 1
    (problem,) = health.report().problems
    assert problem == "the lease was not extended for 31 s: other workers may have taken the jobs"


async def test_threads_that_are_stuck(health: Health, engine: Engine) -> None:
    engine.process.attempts.worn_out = True
    look(health, engine, 1.0)
    assert health.report().problems == ["too many threads are stuck in tasks that ran longer than their timeout"]


async def test_one_that_starts_is_not_well_and_one_that_ends_is(engine: Engine) -> None:
    health = Health(cast("Runtime", engine))
    assert health.report() == ("starting", [])
    assert not health.report().healthy
    health.running()
    engine.clock.advance(100.0)
    health.stopping()
    assert health.report() == ("stopping", [])
    assert health.report().healthy

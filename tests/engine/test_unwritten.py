"""What is done and not written yet runs again when the process dies: so nothing begins when there is much of it."""

import asyncio

import pytest

from postlude.calls import Call, Chain
from postlude.running.settling import MOST_UNWRITTEN
from postlude.settings import Concurrency
from tests.engine.conftest import Engine
from tests.engine.fakes import turns, until

SLOTS = 30
JOBS = MOST_UNWRITTEN + 3 * SLOTS

ran: list[int] = []


async def work(number: int) -> None:
    ran.append(number)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def concurrency() -> Concurrency:
    return Concurrency(loop=SLOTS, threads=2)


async def staged(engine: Engine) -> list[Call]:
    """One call of each of many requests."""
    calls = [engine.call(work, number) for number in range(JOBS)]
    await engine.store.insert([job for call in calls for job in engine.staging.stage(Chain(), [call], engine.owner)])
    return calls


async def test_no_more_is_claimed_while_many_outcomes_are_unwritten(engine: Engine) -> None:
    await engine.store.insert(engine.staging.queue([engine.call(work, number) for number in range(JOBS)]))
    _, go_on = engine.faulty.shut("settle")
    while (before := len(ran)) < JOBS:
        await engine.worker.run_once()
        await until(lambda: engine.attempts.idle)
        if len(ran) == before:
            break
    assert MOST_UNWRITTEN <= len(ran) <= MOST_UNWRITTEN + SLOTS
    woken = asyncio.Event()
    engine.attempts.slots.freed = woken.set
    go_on.set()
    await woken.wait()
    while len(ran) < JOBS:
        await engine.worker.run_once()
        await until(lambda: engine.attempts.idle)
    await engine.settling.flush()
    assert len(engine.settled) == JOBS


async def test_calls_of_requests_wait_while_many_outcomes_are_unwritten(engine: Engine) -> None:
    calls = await staged(engine)
    _, go_on = engine.faulty.shut("settle")
    for call in calls:
        engine.attempts.begin(call)
        await turns(3)
    assert MOST_UNWRITTEN <= len(ran) <= MOST_UNWRITTEN + SLOTS
    go_on.set()
    await until(lambda: len(ran) == JOBS)
    assert ran == sorted(ran), "in the order in which they came"
    await engine.settling.flush()
    assert len(engine.settled) == JOBS


async def test_what_has_no_row_waits_for_no_store(engine: Engine) -> None:
    _, go_on = engine.faulty.shut("settle")
    for call in await staged(engine):
        engine.attempts.begin(call)
        await turns(3)
    unsaved = [engine.call(work, -number) for number in range(1, SLOTS + 2)]
    for call in unsaved:
        engine.attempts.begin(call)  # the last one comes behind the others in their line
    await until(lambda: -SLOTS - 1 in ran)
    go_on.set()
    await until(lambda: len(ran) == JOBS + len(unsaved))

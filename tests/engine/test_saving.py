"""A state is saved while the store is away: that is no failure of the task, which waits for as long as it may run."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import postlude.running.oversight
from postlude import current_job, task
from postlude.errors import StoreUnavailable
from postlude.events import AttemptFailed, StoreFailed, StoreRecovered
from postlude.job import JobState
from postlude.settings import Concurrency
from tests.engine import elsewhere_tasks
from tests.engine.conftest import Engine
from tests.engine.fakes import until


@task(timeout=5)
async def saves() -> None:
    await current_job().save({"page": 1})


@task(timeout=5)
def saves_in_a_thread() -> None:
    current_job().blocking.save({"page": 1})


@task(timeout=5)
async def tidies_up() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await current_job().save({"page": 1})


class Always(list[Exception]):
    """An operation that never succeeds again."""

    def pop(self, _: Any = 0) -> Exception:
        return self[0]


@pytest.fixture
def concurrency() -> Concurrency:
    return Concurrency(loop=2, threads=2, processes=1)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it waited each time; hardly any time passes."""
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0.001)

    monkeypatch.setattr(postlude.running.oversight, "pause", pause)
    return waited


@pytest.mark.parametrize("function", [saves, saves_in_a_thread, elsewhere_tasks.saves])
async def test_it_is_saved_when_the_store_is_back(
    engine: Engine, waits: list[float], function: Callable[..., Any]
) -> None:
    engine.faulty.fail("report", *[StoreUnavailable("disk full")] * 6)
    call = await engine.staged(function)
    await engine.attempts.run(call)
    assert (await engine.record(call)).saved == '{"page":1}'
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    during = "saving the state of a task"
    assert engine.heard[:2] == [StoreFailed(during, "disk full"), StoreRecovered(during)], "each is said once"


async def test_that_the_store_is_back_is_said_also_when_whoever_waited_for_it_has_given_up(engine: Engine) -> None:
    engine.faulty.faults["report"] = Always([StoreUnavailable("disk full")])
    call = await engine.staged(saves)
    end = asyncio.ensure_future(engine.attempts.run(call))
    await until(lambda: bool(engine.heard))
    await engine.store.cancel(call.id, reason="enough", now=engine.clock.now())
    engine.attempts.look_for_cancellations()
    await engine.attempts.run_once()
    await end
    engine.faulty.faults.pop("report")
    await engine.attempts.run(await engine.staged(saves))
    during = "saving the state of a task"
    assert [each for each in engine.heard if isinstance(each, StoreFailed | StoreRecovered)] == [
        StoreFailed(during, "disk full"),
        StoreRecovered(during),
    ]


async def test_a_write_that_happened_and_was_not_confirmed_is_written_once_more(engine: Engine) -> None:
    engine.faulty.late_faults["report"] = [StoreUnavailable("confirmed too late")]
    call = await engine.staged(saves)
    await engine.attempts.run(call)
    record = await engine.record(call)
    assert (record.state, record.saved) == (JobState.SUCCEEDED, '{"page":1}')


@pytest.mark.parametrize("function", [saves, saves_in_a_thread, tidies_up])
@pytest.mark.parametrize("told", ["timeout", "cancel", "stop"])
async def test_it_waits_no_longer_than_the_task_may_run(
    engine: Engine, waits: list[float], function: Callable[..., Any], told: str
) -> None:
    """Then it ends as one that could be stopped: by a cancellation, and never with the error of the store."""
    engine.faulty.faults["report"] = Always([StoreUnavailable("disk full")])
    call = await engine.staged(function)
    end = asyncio.ensure_future(engine.attempts.run(call))
    await until(lambda: waits or (function is tidies_up and engine.attempts.running))
    if told == "timeout":
        engine.clock.advance(5)
        await engine.attempts.run_once()
    elif told == "cancel":
        await engine.store.cancel(call.id, reason="enough", now=engine.clock.now())
        engine.attempts.look_for_cancellations()
        await engine.attempts.run_once()
    else:
        await engine.attempts.stop(0)
    await end
    record = await engine.record(call)
    expected: dict[str, tuple[JobState, str | None]] = {
        "timeout": (JobState.FAILED, "TimeoutError: it ran longer than its timeout of 5 s"),
        "cancel": (JobState.CANCELLED, "enough"),
        "stop": (JobState.QUEUED, None),
    }
    assert (record.state, record.reason) == expected[told]
    assert bool(engine.heard.of(AttemptFailed)) is (told == "timeout")

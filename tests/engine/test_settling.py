"""Outcomes reach the disk together, in order, and however long the store takes to come back."""

import asyncio
import gc

import pytest

import postlude.settling
from postlude.errors import StoreClosed, StoreUnavailable
from postlude.events import OutcomeRefused, ServiceFailed, StoreFailed, StoreRecovered
from postlude.execution import decide
from postlude.job import JobState, Settlement, Succeeded
from tests.engine.conftest import Engine
from tests.engine.fakes import turns


async def nothing() -> None:
    pass


async def settlement(engine: Engine) -> Settlement:
    call = await engine.staged(nothing)
    assert call.claim is not None
    return decide(Succeeded(), call.claim, engine.clock.now())


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """How long it waited each time; no time passes."""
    waited: list[float | None] = []

    async def wait(wake: asyncio.Event, seconds: float | None) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(postlude.settling, "wait", wait)
    return waited


async def test_what_ends_while_one_write_is_under_way_goes_into_the_next(engine: Engine) -> None:
    settlements = [await settlement(engine) for _ in range(5)]
    reached, go_on = engine.faulty.shut("settle")
    engine.settling.put(settlements[0])
    await reached.wait()
    for each in settlements[1:]:
        engine.settling.put(each)
    go_on.set()
    await engine.settling.flush()
    assert engine.faulty.calls["settle"] == 2
    assert engine.settled == settlements, "in the order given"
    for record in await engine.store.get([each.job_id for each in settlements]):
        assert record.state is JobState.SUCCEEDED


async def test_it_is_confirmed_when_it_is_on_disk(engine: Engine) -> None:
    confirmed: list[bool] = []
    reached, go_on = engine.faulty.shut("settle")
    engine.settling.put(await settlement(engine), confirmed.append)
    await reached.wait()
    assert confirmed == []
    assert engine.settled == []
    go_on.set()
    await engine.settling.flush()
    assert confirmed == [True]


async def test_a_claim_that_is_no_longer_the_jobs_is_refused_and_said(engine: Engine) -> None:
    good = await settlement(engine)
    stolen = (await settlement(engine))._replace(claim=1)
    confirmed: list[bool] = []
    engine.settling.put(stolen, confirmed.append)
    engine.settling.put(good, confirmed.append)
    await engine.settling.flush()
    assert confirmed == [False, True]
    assert [event.job_id for event in engine.heard.of(OutcomeRefused)] == [stolen.job_id]


async def test_while_the_store_does_not_answer_it_tries_again_ever_more_slowly(
    engine: Engine, waits: list[float | None]
) -> None:
    engine.faulty.fail("settle", *[StoreUnavailable("disk full")] * 7)
    confirmed: list[bool] = []
    first = await settlement(engine)
    engine.settling.put(first, confirmed.append)
    await engine.settling.flush()
    assert confirmed == [True]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert engine.heard == [StoreFailed("settling", "disk full"), StoreRecovered("settling")], "each is said once"
    [record] = await engine.store.get([first.job_id])
    assert record.state is JobState.SUCCEEDED


async def test_what_comes_in_the_meantime_waits_behind(engine: Engine, waits: list[float | None]) -> None:
    engine.faulty.fail("settle", StoreUnavailable("busy"))
    reached, go_on = engine.faulty.shut("settle")
    first, second = await settlement(engine), await settlement(engine)
    engine.settling.put(first)
    await reached.wait()
    engine.settling.put(second)
    go_on.set()
    await engine.settling.flush()
    assert engine.settled == [first, second]


async def test_flush_with_nothing_to_write_returns_at_once(engine: Engine) -> None:
    await engine.settling.flush()
    assert engine.faulty.calls["settle"] == 0


async def test_cancelling_a_flush_cancels_no_write(engine: Engine) -> None:
    reached, go_on = engine.faulty.shut("settle")
    engine.settling.put(await settlement(engine))
    flushing = asyncio.ensure_future(engine.settling.flush())
    await reached.wait()
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    go_on.set()
    await engine.settling.flush()
    assert len(engine.settled) == 1


async def test_what_ends_after_the_store_was_closed_is_left_to_the_rescue_without_noise(engine: Engine) -> None:
    """A thread that outlived the grace: its job is found without an owner when the process is gone."""
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    engine.faulty.fail("settle", StoreClosed("closed"))
    confirmed: list[bool] = []
    engine.settling.put(await settlement(engine), confirmed.append)
    await turns()
    await engine.settling.flush()
    gc.collect()
    assert unhandled == []
    assert confirmed == [False]
    asyncio.get_running_loop().set_exception_handler(None)


async def test_an_error_that_nobody_expected_is_said_and_holds_up_nobody(engine: Engine) -> None:
    confirmed: list[str] = []
    engine.faulty.fail("settle", KeyError("a mistake of ours"))
    first, second = await settlement(engine), await settlement(engine)
    engine.settling.put(first, lambda done: confirmed.append(f"first {done}"))
    await engine.settling.flush()
    engine.settling.put(second, lambda done: confirmed.append(f"second {done}"))
    await engine.settling.flush()
    assert confirmed == ["first False", "second True"]
    [failed] = engine.heard.of(ServiceFailed)
    assert (failed.service, failed.failure.type) == ("settling", "KeyError")

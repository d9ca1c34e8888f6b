"""Outcomes reach the disk together, in order, and however long the store takes to come back."""

import asyncio
import gc
import os

import pytest

import postlude.running.settling
from postlude.errors import StoreClosed, StoreUnavailable
from postlude.events import OutcomeRefused, ServiceFailed, StoreFailed, StoreRecovered
from postlude.executors.contract import failed
from postlude.job import Failed, Failure, JobState, Settlement, Succeeded
from postlude.running.execution import decide
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

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(postlude.running.settling, "pause", pause)
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
    [error] = engine.heard.of(ServiceFailed)
    assert (error.service, error.failure.type) == ("settling", "KeyError")
    [record] = await engine.store.get([first.job_id])
    assert record.state is JobState.FAILED, "it does not seem to run for ever"
    assert record.reason == "what it came to could not be written down; the log of its process says why"


async def test_an_exception_whose_text_is_no_unicode_is_written_down(engine: Engine) -> None:
    call = await engine.staged(nothing)
    assert call.claim is not None
    message = "no such file: " + os.fsdecode(b"caf\xe9.txt") + " \0"
    engine.settling.put(decide(failed(ValueError(message)), call.claim, engine.clock.now()))
    await engine.settling.flush()
    record = await engine.record(call)
    assert record.reason == "ValueError: no such file: caf\\udce9.txt \\x00"
    assert record.failure is not None
    assert record.failure.traceback.endswith("caf\\udce9.txt \\x00\n")
    assert not engine.heard


async def test_an_outcome_that_cannot_be_written_takes_no_other_along(engine: Engine) -> None:
    good = [await settlement(engine) for _ in range(3)]
    call = await engine.staged(nothing)
    assert call.claim is not None
    bad = decide(Failed(Failure("ValueError", "\udce9", "\udce9")), call.claim, engine.clock.now())
    confirmed: list[bool] = []
    for each in (good[0], bad, *good[1:]):
        engine.settling.put(each, confirmed.append)
    await engine.settling.flush()
    assert confirmed == [True, False, True, True]
    assert {one.state for one in await engine.store.get([each.job_id for each in good])} == {JobState.SUCCEEDED}
    record = await engine.record(call)
    assert (record.state, record.failure) == (JobState.FAILED, None)
    assert len(engine.heard.of(ServiceFailed)) == 1


async def test_what_cannot_be_written_in_any_form_is_said_and_holds_up_nobody(engine: Engine) -> None:
    engine.faulty.fail("settle", KeyError("one"), KeyError("two"))
    confirmed: list[bool] = []
    engine.settling.put(await settlement(engine), confirmed.append)
    await engine.settling.flush()
    assert confirmed == [False]
    assert [event.failure.message for event in engine.heard.of(ServiceFailed)] == ["'one'", "'two'"]


async def test_a_write_that_happened_without_being_confirmed_counts(engine: Engine, waits: list[float | None]) -> None:
    engine.faulty.late_faults["settle"] = [StoreUnavailable("confirmed too late")]
    ours, stolen = await settlement(engine), (await settlement(engine))._replace(claim=1)
    confirmed: list[bool] = []
    engine.settling.put(ours, confirmed.append)
    engine.settling.put(stolen, confirmed.append)
    await engine.settling.flush()
    assert confirmed == [True, False]
    assert [event.job_id for event in engine.heard.of(OutcomeRefused)] == [stolen.job_id]


async def test_what_is_put_perhaps_may_be_refused_without_a_word(engine: Engine) -> None:
    confirmed: list[bool] = []
    engine.settling.put((await settlement(engine))._replace(claim=1), confirmed.append, perhaps=True)
    await engine.settling.flush()
    assert confirmed == [False]
    assert not engine.heard


async def test_whoever_raises_when_told_keeps_nobody_else_from_being_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        message = "a mistake of ours"
        raise ValueError(message)

    monkeypatch.setattr(engine.settling, "_settled", broken)
    confirmed: list[bool] = []
    first, second = await settlement(engine), await settlement(engine)
    engine.settling.put(first, broken)
    engine.settling.put(second, confirmed.append)
    await engine.settling.flush()
    assert confirmed == [True]
    assert len(engine.heard.of(ServiceFailed)) == 2

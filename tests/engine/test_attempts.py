"""Who runs when: slots, order, giving back, cancelling and stopping, on a real store with time that stands still."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

import pytest

from postlude import task
from postlude.calls import CallOptions, Chain
from postlude.control import Cancel
from postlude.errors import StoreUnavailable
from postlude.events import (
    AttemptFailed,
    AttemptInterrupted,
    CallsLost,
    EphemeralFailed,
    Event,
    ExecutorFailed,
    OutcomeRefused,
    ServiceFailed,
    StopDelayed,
    StoreFailed,
)
from postlude.executors.contract import CannotStart
from postlude.job import Cancelled, Failed, Interrupted, JobState, Outcome, Settlement, Succeeded
from postlude.running.order import run_in_order
from tests.engine.conftest import Engine
from tests.engine.fakes import turns

ran: list[object] = []
gates: dict[str, asyncio.Event] = {}
thread_gate = threading.Event()


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    ran.clear()
    gates.clear()
    thread_gate.clear()
    yield
    thread_gate.set()


async def note(what: str) -> None:
    ran.append(what)


async def wait_for(name: str) -> None:
    """Note the start, wait for the gate of that name, note the end."""
    ran.append(f"{name} begins")
    await gates.setdefault(name, asyncio.Event()).wait()
    ran.append(f"{name} ends")


async def stubborn() -> None:
    """Does not let itself be cancelled, and fails in the end."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        message = "something else"
        raise ValueError(message) from None


async def fail(what: str) -> None:
    raise ValueError(what)


def in_thread_quickly(what: str) -> None:
    ran.append(what)


def in_thread() -> None:
    ran.append("thread begins")
    thread_gate.wait(30)


@task(interrupted="hold")
async def charge() -> None:
    ran.append("charged")


@task(interrupted="hold")
async def charge_slowly() -> None:
    ran.append("charging")
    await asyncio.Event().wait()


def fail_in_thread() -> None:
    thread_gate.wait(30)
    message = "a real failure"
    raise ValueError(message)


def open_gate(name: str) -> None:
    gates.setdefault(name, asyncio.Event()).set()


# Slots and the line


async def test_a_call_runs_and_its_outcome_is_on_disk(engine: Engine) -> None:
    call = await engine.staged(note, "it")
    assert await engine.attempts.run(call) == Succeeded()
    record = await engine.record(call)
    assert ran == ["it"]
    assert (record.state, record.attempt, record.started_at) == (JobState.SUCCEEDED, 1, engine.clock.now())
    assert engine.attempts.idle


async def test_no_more_run_at_once_than_there_are_slots_and_the_first_in_line_is_next(engine: Engine) -> None:
    calls = [await engine.staged(wait_for, str(number)) for number in range(4)]
    ends = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    await turns()
    assert ran == ["0 begins", "1 begins"]
    assert engine.attempts.slots.free("loop") == 0
    assert engine.attempts.slots.free("thread") == 2, "each kind of place has slots of its own"
    open_gate("1")
    assert await ends[1] == Succeeded()
    await turns()
    assert ran == ["0 begins", "1 begins", "1 ends", "2 begins"]
    for name in "023":
        open_gate(name)
    await asyncio.gather(*ends)
    assert ran.index("2 begins") < ran.index("3 begins")
    assert engine.attempts.slots.free("loop") == 2


async def test_a_free_slot_is_offered_to_the_queue_only_when_nobody_here_waits_for_it(engine: Engine) -> None:
    offered = 0

    def freed() -> None:
        nonlocal offered
        offered += 1

    engine.attempts.slots.freed = freed
    calls = [await engine.staged(wait_for, name) for name in "abc"]
    ends = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    engine.attempts.slots.wanted = True
    await turns()
    open_gate("a")
    await ends[0]
    assert offered == 0, "c took the slot"
    open_gate("b")
    open_gate("c")
    await asyncio.gather(*ends)
    assert offered == 1, "once for each time that it was wanted"


async def test_a_context_variable_set_before_is_seen_also_when_the_call_had_to_wait(engine: Engine) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    async def look() -> None:
        ran.append(variable.get())

    first = [engine.call(partial(wait_for, name)) for name in "ab"]
    for call in first:
        engine.attempts.begin(call)
    variable.set("of the request")
    late = asyncio.get_running_loop().create_future()
    engine.attempts.begin(engine.call(look), late.set_result)
    variable.set("of another")
    await turns()
    open_gate("a")
    open_gate("b")
    await late
    assert "of the request" in ran


# Order


async def test_an_attempt_leaves_nothing_for_the_garbage_collector(engine: Engine) -> None:
    async def attempts(number: int) -> None:
        for _ in range(number):
            for function in (note, in_thread_quickly):
                await engine.attempts.run(await engine.staged(function, "x"))

    async def left_by_attempts() -> int:
        gc.collect()
        await attempts(20)
        return gc.collect()

    await attempts(2)
    gc.disable()
    try:
        # What a test before this one has left behind may end meanwhile, and once; a cycle for each attempt is in all.
        fewest = min([await left_by_attempts() for _ in range(5)])
        assert fewest < 20, "a cycle for each attempt fills the memory until the collector comes"
    finally:
        gc.enable()


async def test_calls_in_order_run_each_after_the_one_before(engine: Engine) -> None:
    calls = [engine.call(wait_for, "a"), engine.call(note, "b"), engine.call(note, "c")]
    await engine.stage(*calls)
    end = asyncio.ensure_future(run_in_order(engine.attempts, calls))
    await turns()
    assert ran == ["a begins"]
    open_gate("a")
    await end
    assert ran == ["a begins", "a ends", "b", "c"]
    assert {record.state for record in await engine.records(calls)} == {JobState.SUCCEEDED}


async def test_the_chain_stops_at_the_first_that_fails(engine: Engine) -> None:
    calls = [engine.call(note, "a"), engine.call(fail, "b"), engine.call(note, "c"), engine.call(note, "d")]
    await engine.stage(*calls)
    await run_in_order(engine.attempts, calls)
    assert ran == ["a"]
    records = await engine.records(calls)
    assert [record.state for record in records] == [
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.CANCELLED,
    ]
    assert records[2].cancelled_by == records[3].cancelled_by == calls[1].id
    assert [event.failure.message for event in engine.heard.of(AttemptFailed)] == ["b"]


async def test_an_ephemeral_call_behind_stored_ones_runs_after_them(engine: Engine) -> None:
    calls = [engine.call(wait_for, "a"), engine.call(lambda: ran.append("lambda"))]
    assert [call.ephemeral for call in calls] == [False, True]
    await engine.stage(*calls)
    end = asyncio.ensure_future(run_in_order(engine.attempts, calls))
    await turns()
    open_gate("a")
    await end
    assert ran == ["a begins", "a ends", "lambda"]
    record = await engine.record(calls[1])
    assert (record.state, record.ephemeral) == (JobState.SUCCEEDED, True)


async def test_an_ephemeral_call_behind_one_that_fails_does_not_run(engine: Engine) -> None:
    calls = [engine.call(fail, "a"), engine.call(lambda: ran.append("lambda"))]
    await engine.stage(*calls)
    await run_in_order(engine.attempts, calls)
    assert ran == []
    assert (await engine.record(calls[1])).cancelled_by == calls[0].id


async def test_ephemeral_calls_alone_keep_their_order_without_a_row(engine: Engine) -> None:
    def broken() -> None:
        message = "unsaved"
        raise ValueError(message)

    calls = [engine.call(lambda: ran.append("first")), engine.call(broken), engine.call(lambda: ran.append("last"))]
    await engine.stage(*calls)
    await run_in_order(engine.attempts, calls)
    assert ran == ["first"]
    assert engine.faulty.calls["settle"] == 0
    [failed] = engine.heard.of(EphemeralFailed)
    assert failed.failure.message == "unsaved"
    [lost] = engine.heard.of(CallsLost)
    assert lost.reason.endswith("broken, which came before, did not succeed")


# Recording


async def test_what_must_not_run_twice_is_recorded_before_it_starts(engine: Engine) -> None:
    reached, go_on = engine.faulty.shut("start")
    call = await engine.staged(charge)
    end = asyncio.ensure_future(engine.attempts.run(call))
    await reached.wait()
    await turns()
    assert ran == [], "a crash now leaves a job that has not started"
    assert not engine.attempts.idle
    go_on.set()
    assert await end == Succeeded()
    assert ran == ["charged"]
    assert (await engine.record(call)).attempt == 1


async def test_what_must_not_run_twice_goes_back_when_its_start_cannot_be_recorded(engine: Engine) -> None:
    engine.faulty.fail("start", StoreUnavailable("disk full"))
    call = await engine.staged(charge)
    assert isinstance(await engine.attempts.run(call), Interrupted)
    assert ran == []
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    assert engine.heard.of(StoreFailed)[0].reason == "disk full"
    assert engine.attempts.slots.free("loop") == 2


async def test_a_short_attempt_costs_two_writes_and_is_never_recorded_as_started(engine: Engine) -> None:
    await engine.attempts.run(await engine.staged(note, "short"))
    assert engine.faulty.calls == {"insert": 1, "settle": 1}


async def test_attempts_that_run_for_a_second_are_recorded_together(engine: Engine) -> None:
    calls = [await engine.staged(wait_for, name) for name in "ab"]
    ends = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    await turns()
    began = engine.clock.now()
    assert await engine.attempts.run_once() == 1.0
    assert engine.faulty.calls["start"] == 0
    engine.clock.advance(1.0)
    await engine.attempts.run_once()
    assert engine.faulty.calls["start"] == 1
    for record in await engine.records(calls):
        assert (record.state, record.attempt, record.started_at) == (JobState.RUNNING, 1, began)
    await engine.attempts.run_once()
    assert engine.faulty.calls["start"] == 1, "once is enough"
    open_gate("a")
    open_gate("b")
    await asyncio.gather(*ends)
    assert [(one.state, one.attempt) for one in await engine.records(calls)] == [(JobState.SUCCEEDED, 1)] * 2


async def test_an_attempt_whose_claim_went_to_another_is_cancelled(engine: Engine) -> None:
    call = await engine.staged(wait_for, "a")
    end = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    assert call.claim is not None
    stolen = call.claim._replace(id=call.claim.id + 1)
    call.claim = stolen
    engine.clock.advance(1.0)
    await engine.attempts.run_once()
    assert await end is None, "what it came to was refused"
    assert ran == ["a begins"]


# Waiting too long


async def test_a_call_that_waits_for_a_slot_for_a_second_is_given_back(engine: Engine) -> None:
    calls = [await engine.staged(wait_for, name) for name in "abc"]
    ends = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    await turns()
    await engine.attempts.run_once()
    assert (await engine.record(calls[2])).state is JobState.STAGED
    engine.clock.advance(1.0)
    await engine.attempts.run_once()
    assert isinstance(await ends[2], Interrupted)
    record = await engine.record(calls[2])
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    open_gate("a")
    open_gate("b")
    await asyncio.gather(*ends)
    assert "c begins" not in ran


async def test_where_nobody_reads_the_queue_a_call_waits_on_for_its_slot(engine: Engine) -> None:
    engine.attempts.queue_is_read = False
    calls = [await engine.staged(wait_for, name) for name in "abc"]
    ends = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    await turns()
    engine.clock.advance(1.0)
    await engine.attempts.run_once()
    for name in "abc":
        open_gate(name)
    await asyncio.gather(*ends)
    assert [record.state for record in await engine.records(calls)] == [JobState.SUCCEEDED] * 3


async def test_a_call_with_ephemeral_ones_behind_it_waits_on(engine: Engine) -> None:
    blockers = [await engine.staged(wait_for, name) for name in "ab"]
    for call in blockers:
        engine.attempts.begin(call)
    chain = [engine.call(note, "stored"), engine.call(lambda: ran.append("lambda"))]
    await engine.stage(*chain)
    end = asyncio.ensure_future(run_in_order(engine.attempts, chain))
    await turns()
    engine.clock.advance(5.0)
    await engine.attempts.run_once()
    assert (await engine.record(chain[0])).state is JobState.STAGED
    open_gate("a")
    open_gate("b")
    await end
    assert ran[-2:] == ["stored", "lambda"]


async def test_what_is_given_back_takes_those_behind_it_along(engine: Engine) -> None:
    for name in "ab":
        engine.attempts.begin(await engine.staged(wait_for, name))
    chain = [engine.call(note, "first"), engine.call(note, "second")]
    await engine.stage(*chain)
    end = asyncio.ensure_future(run_in_order(engine.attempts, chain))
    await turns()
    engine.clock.advance(1.0)
    await engine.attempts.run_once()
    await end
    first, second = await engine.records(chain)
    assert (first.state, first.waiting) == (JobState.QUEUED, False)
    assert (second.state, second.waiting) == (JobState.QUEUED, True)
    open_gate("a")
    open_gate("b")
    await engine.settling.flush()


# Cancelling


async def test_a_running_coroutine_that_is_cancelled_on_request(engine: Engine) -> None:
    call = await engine.staged(wait_for, "a")
    end = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    await engine.store.cancel(call.id, reason="on request", now=engine.clock.now())
    engine.attempts.look_for_cancellations()
    await engine.attempts.run_once()
    assert await end == Cancelled("on request")
    record = await engine.record(call)
    assert record.reason == "on request"
    assert record.state is JobState.CANCELLED
    assert ran == ["a begins"]


async def test_a_look_for_cancellations_that_failed_is_taken_again(engine: Engine) -> None:
    call = await engine.staged(wait_for, "a")
    end = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    await engine.store.cancel(call.id, reason="on request", now=engine.clock.now())
    engine.attempts.look_for_cancellations()
    engine.faulty.fail("get", StoreUnavailable("busy"))
    with pytest.raises(StoreUnavailable):
        await engine.attempts.run_once()
    await engine.attempts.run_once()
    assert await end == Cancelled("on request")


async def test_one_that_is_cancelled_before_its_first_step_never_runs_and_frees_its_slot(engine: Engine) -> None:
    call = await engine.staged(wait_for, "a")
    end: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
    engine.attempts.begin(call, end.set_result)
    engine.attempts._running[call.id].cancel("cancelled on request")
    assert await asyncio.wait_for(end, 5) == Cancelled("cancelled on request")
    assert ran == []
    assert engine.attempts.slots.free("loop") == 2


async def test_one_that_waited_long_and_was_cancelled_meanwhile_does_not_start(engine: Engine) -> None:
    call = await engine.staged(note, "it")
    await engine.store.cancel(call.id, reason="on request", now=engine.clock.now())
    engine.clock.advance(2.0)
    assert await engine.attempts.run(call) == Cancelled("cancelled on request before it started")
    assert ran == []
    assert (await engine.record(call)).state is JobState.CANCELLED


async def test_a_thread_that_is_cancelled_runs_to_its_end_and_that_counts(engine: Engine) -> None:
    call = await engine.staged(in_thread)
    end = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    await engine.store.cancel(call.id, reason="on request", now=engine.clock.now())
    engine.attempts.look_for_cancellations()
    await engine.attempts.run_once()
    thread_gate.set()
    assert await end == Succeeded()
    assert (await engine.record(call)).state is JobState.SUCCEEDED


# Alone


async def test_while_one_must_run_alone_nothing_else_starts(engine: Engine) -> None:
    poison = await engine.staged(wait_for, "poison")
    engine.attempts.begin(poison, alone=True)
    assert engine.attempts.slots.free("loop") == engine.attempts.slots.free("thread") == 0
    other = await engine.staged(note, "other")
    end = asyncio.ensure_future(engine.attempts.run(other))
    await turns()
    assert ran == ["poison begins"]
    open_gate("poison")
    assert await end == Succeeded()
    assert ran == ["poison begins", "poison ends", "other"]


async def test_while_held_nothing_starts_and_when_no_longer_held_everything_does(engine: Engine) -> None:
    engine.attempts.slots.held = True
    ends: list[asyncio.Future[Outcome | None]] = []
    for function in (partial(note, "ephemeral"), note):
        call = engine.call(function, *(["stored"] if function is note else []))
        await engine.stage(call)
        ends.append(asyncio.ensure_future(engine.attempts.run(call)))
    await turns()
    assert ran == []
    engine.attempts.slots.held = False
    await asyncio.wait_for(asyncio.gather(*ends), 5)
    assert ran == ["ephemeral", "stored"]


# Stopping


async def test_stop_gives_back_what_waits_and_lets_end_what_runs(engine: Engine) -> None:
    calls = [await engine.staged(wait_for, name) for name in "abc"]
    ends = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    await turns()
    stopping = asyncio.ensure_future(engine.attempts.stop(30))
    await turns()
    assert not stopping.done()
    open_gate("a")
    open_gate("b")
    assert await stopping == []
    await asyncio.gather(*ends)
    states = [record.state for record in await engine.records(calls)]
    assert states == [JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.QUEUED]
    assert not engine.heard


async def test_what_runs_longer_than_the_grace_is_given_back_and_named(engine: Engine) -> None:
    calls = [await engine.staged(function, *args) for function, args in ((wait_for, ("a",)), (stubborn, ()))]
    ends = [asyncio.ensure_future(engine.attempts.run(call)) for call in calls]
    await turns()
    engine.clock.advance(1.0)
    await engine.attempts.run_once()
    assert {one.state for one in await engine.records(calls)} == {JobState.RUNNING}
    assert await engine.attempts.stop(0) == []
    assert [type(end) for end in await asyncio.gather(*ends)] == [Interrupted, Interrupted]
    for record in await engine.records(calls):
        assert (record.state, record.attempt, record.interruptions) == (JobState.QUEUED, 0, 0)
        assert record.failure is None
    assert not engine.heard.of(AttemptFailed), "it was told to stop: whatever it raised then is no failure"
    [delayed] = engine.heard.of(StopDelayed)
    assert [name.rpartition(":")[2] for name in delayed.tasks] == ["stubborn", "wait_for"]


async def test_a_thread_that_does_not_end_is_returned_by_name_and_keeps_its_claim(engine: Engine) -> None:
    call = await engine.staged(in_thread)
    ended: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
    engine.attempts.begin(call, ended.set_result)
    await turns()
    left = await engine.attempts.stop(0)
    assert [name.rpartition(":")[2] for name in left] == ["in_thread"]
    assert (await engine.record(call)).state is JobState.STAGED
    thread_gate.set()
    assert await ended == Succeeded(), "if the process lives on, what it came to still counts"


async def test_after_stop_a_stored_call_goes_back_at_once_and_an_ephemeral_one_still_runs(engine: Engine) -> None:
    await engine.attempts.stop(0)
    call = await engine.staged(note, "stored")
    assert isinstance(await engine.attempts.run(call), Interrupted)
    assert (await engine.record(call)).state is JobState.QUEUED
    assert await engine.attempts.run(engine.call(lambda: ran.append("lambda"))) == Succeeded()
    assert ran == ["lambda"]


async def test_stop_is_idempotent_and_fine_when_nothing_runs(engine: Engine) -> None:
    assert await engine.attempts.stop(0) == []
    assert await engine.attempts.stop(10) == []
    assert engine.attempts.idle


async def test_an_ephemeral_call_behind_one_that_is_given_back_at_the_stop_ends_with_the_reason(
    engine: Engine,
) -> None:
    chain = [engine.call(wait_for, "a"), engine.call(note, "b"), engine.call(lambda: None), engine.call(note, "d")]
    await engine.stage(*chain)
    end = asyncio.ensure_future(run_in_order(engine.attempts, chain))
    await turns()
    await engine.attempts.stop(0)
    await end
    first, second, ephemeral, last = await engine.records(chain)
    assert (first.state, second.state) == (JobState.QUEUED, JobState.QUEUED)
    assert ephemeral.state is JobState.FAILED
    assert ephemeral.reason == "its process stopped before its turn, and it was not stored, so no other can run it"
    assert (last.state, last.cancelled_by) == (JobState.CANCELLED, ephemeral.id)


async def test_an_unsaved_call_that_waits_when_the_process_stops_is_not_lost_without_a_word(engine: Engine) -> None:
    for name in "ab":
        engine.attempts.begin(await engine.staged(wait_for, name))
    end = asyncio.ensure_future(engine.attempts.run(engine.call(partial(note, "never"))))
    await turns()
    await engine.attempts.stop(0)
    assert await end is None
    [lost] = engine.heard.of(CallsLost)
    assert "stops" in lost.reason


async def test_what_must_not_run_twice_is_set_aside_when_the_stop_cuts_it_off(engine: Engine) -> None:
    calls = [engine.call(charge_slowly), engine.call(note, "behind")]
    await engine.stage(*calls)
    end = asyncio.ensure_future(run_in_order(engine.attempts, calls))
    while not ran:
        await turns(1)
    await engine.attempts.stop(0)
    await end
    await engine.settling.flush()
    held, behind = await engine.records(calls)
    assert (held.state, held.attempt, held.interruptions) == (JobState.FAILED, 1, 1)
    assert held.reason is not None
    assert held.reason.startswith("its process stopped while it ran; held")
    assert behind.cancelled_by == held.id
    [event] = engine.heard.of(AttemptInterrupted)
    assert not event.again
    assert not engine.heard.of(OutcomeRefused)


async def test_what_must_not_run_twice_goes_back_when_the_stop_came_before_its_start(engine: Engine) -> None:
    reached, go_on = engine.faulty.shut("start")
    call = await engine.staged(charge)
    end = asyncio.ensure_future(engine.attempts.run(call))
    await reached.wait()
    stopping = asyncio.ensure_future(engine.attempts.stop(0))
    await turns()
    go_on.set()
    await stopping
    await end
    assert ran == []
    assert ((await engine.record(call)).state, (await engine.record(call)).attempt) == (JobState.QUEUED, 0)


async def test_a_thread_that_fails_after_the_grace_has_failed(engine: Engine) -> None:
    """It cannot be told to stop, so what it raises is its own."""
    call = await engine.staged(fail_in_thread)
    end = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    await engine.attempts.stop(0)
    thread_gate.set()
    assert isinstance(await end, Failed)
    record = await engine.record(call)
    assert (record.state, record.reason) == (JobState.FAILED, "ValueError: a real failure")


async def test_an_ephemeral_call_of_an_open_request_runs_although_the_process_came_to_rest(engine: Engine) -> None:
    engine.attempts.slots.held = True
    await engine.attempts.stop(0)
    run = engine.attempts.run(engine.call(lambda: ran.append("lambda")))
    assert await asyncio.wait_for(run, 5) == Succeeded()
    engine.attempts.slots.held = True
    assert not engine.attempts.slots.held


# What goes wrong


async def test_a_write_that_happened_without_being_confirmed_holds_up_nobody_behind(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pause(seconds: float) -> None:
        await turns(1)

    monkeypatch.setattr("postlude.running.settling.pause", pause)
    engine.faulty.late_faults["settle"] = [StoreUnavailable("confirmed too late")]
    calls = [engine.call(note, "first"), engine.call(note, "second")]
    await engine.stage(*calls)
    await run_in_order(engine.attempts, calls)
    assert ran == ["first", "second"]
    assert {record.state for record in await engine.records(calls)} == {JobState.SUCCEEDED}
    assert not engine.heard.of(OutcomeRefused)


async def test_what_stands_behind_an_outcome_that_was_refused_is_let_go(engine: Engine) -> None:
    calls = [engine.call(wait_for, "a"), engine.call(note, "b"), engine.call(note, "c")]
    await engine.stage(*calls)
    end = asyncio.ensure_future(run_in_order(engine.attempts, calls))
    await turns()
    assert calls[0].claim is not None
    calls[0].claim = calls[0].claim._replace(id=calls[0].claim.id + 1)
    open_gate("a")
    await end
    first, second, third = await engine.records(calls)
    assert first.state is JobState.STAGED, "whoever has it settles it"
    assert (second.state, second.waiting) == (JobState.QUEUED, True)
    assert (third.state, third.waiting) == (JobState.QUEUED, True)


@pytest.mark.parametrize("cancelled", [False, True], ids=["fails", "cancels itself"])
async def test_what_stands_behind_one_without_a_row_that_does_not_succeed_is_cancelled(
    engine: Engine, cancelled: bool
) -> None:
    def broken() -> None:
        ran.append("broken")
        raise Cancel if cancelled else ValueError

    # Committed later than the first, which needed no row while it stood alone.
    calls = [engine.call(broken), engine.call(note, "b"), engine.call(note, "c")]
    await engine.stage(*calls[1:])
    assert not await run_in_order(engine.attempts, calls)
    assert ran == ["broken"]
    records = await engine.records(calls[1:])
    assert [record.state for record in records] == [JobState.CANCELLED, JobState.CANCELLED]
    assert records[0].reason is not None
    assert records[0].reason.endswith("broken, before it in its chain, did not succeed, and was not stored")


async def test_what_was_given_back_with_the_one_before_is_no_news(engine: Engine) -> None:
    chain = [engine.call(wait_for, "a"), engine.call(note, "b")]
    await engine.stage(*chain)
    end = asyncio.ensure_future(run_in_order(engine.attempts, chain))
    await turns()
    await engine.attempts.stop(0)
    await end
    assert {record.state for record in await engine.records(chain)} == {JobState.QUEUED}
    assert not engine.heard.of(OutcomeRefused)


async def test_a_loop_that_ends_interrupts_its_attempts(engine: Engine) -> None:
    """A forced quit cancels every asyncio task: whatever was cut off so has not failed."""
    short, recorded = await engine.staged(wait_for, "short"), await engine.staged(wait_for, "recorded")
    ends = [asyncio.ensure_future(engine.attempts.run(recorded))]
    await turns()
    engine.clock.advance(1.0)
    await engine.attempts.run_once()
    ends.append(asyncio.ensure_future(engine.attempts.run(short)))
    await turns()
    for attempt in engine.attempts._running.values():
        attempt.running.task.cancel()  # type: ignore[union-attr]
    assert [type(end) for end in await asyncio.gather(*ends)] == [Interrupted, Interrupted]
    records = await engine.records([short, recorded])
    assert [(one.state, one.attempt, one.interruptions) for one in records] == [
        (JobState.QUEUED, 0, 0),
        (JobState.QUEUED, 1, 1),
    ]
    assert [event.again for event in engine.heard.of(AttemptInterrupted)] == [True]


async def test_somebody_who_listens_badly_loses_no_outcome(engine: Engine) -> None:
    def broken(event: Event) -> None:
        raise ValueError(event)

    engine.events.subscribe(broken)
    call = await engine.staged(fail, "it")
    assert isinstance(await asyncio.wait_for(engine.attempts.run(call), 5), Failed)
    assert (await engine.record(call)).state is JobState.FAILED


async def test_what_failed_is_settled_before_anybody_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    put = engine.settling.put

    def noted(settlement: Settlement, confirmed: Callable[[bool], None] | None, **how: bool) -> None:
        order.append("settled")
        put(settlement, confirmed, **how)

    monkeypatch.setattr(engine.settling, "put", noted)
    engine.events.subscribe(lambda _: order.append("told"))
    await engine.attempts.run(await engine.staged(fail, "it"))
    assert order == ["settled", "told"]


async def test_a_call_whose_caller_is_gone_ends_all_the_same(engine: Engine) -> None:
    call = await engine.staged(wait_for, "a")
    end = asyncio.ensure_future(engine.attempts.run(call))
    await turns()
    end.cancel()
    open_gate("a")
    await turns()
    await engine.settling.flush()
    assert (await engine.record(call)).state is JobState.SUCCEEDED
    assert not engine.heard.of(ServiceFailed)


async def test_a_call_that_cannot_start_here_goes_back_for_a_moment_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: object) -> None:
        message = "can't start new thread"
        raise CannotStart(message)

    monkeypatch.setattr(engine.places.threads, "begin", begin)
    call, lambda_ = await engine.staged(in_thread), engine.call(lambda: None)
    assert isinstance(await engine.attempts.run(call), Interrupted)
    record = await engine.record(call)
    assert (record.state, record.attempt, record.run_at) == (JobState.QUEUED, 0, engine.clock.now() + 1.0)
    engine.clock.advance(1)
    assert isinstance(await engine.attempts.run(lambda_), Failed)
    assert len(engine.heard.of(ExecutorFailed)) == len(engine.heard.of(EphemeralFailed)) == 1
    assert (engine.attempts.slots.free("thread"), engine.attempts.idle) == (1, True), "one may try again"


async def test_an_executor_that_raises_fails_the_call_and_keeps_its_slot_free(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: object) -> None:
        message = "a mistake of ours"
        raise KeyError(message)

    monkeypatch.setattr(engine.places.threads, "begin", begin)
    assert isinstance(await engine.attempts.run(await engine.staged(in_thread)), Failed)
    assert (engine.attempts.slots.free("thread"), engine.attempts.idle) == (2, True)


async def test_an_empty_context_is_a_context(engine: Engine) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    async def look() -> None:
        ran.append(variable.get())

    call = engine.call(look)
    call.context = Context()
    variable.set("of whoever frees the slot")
    await engine.attempts.run(call)
    assert ran == ["unset"]


@pytest.mark.parametrize("ordered", [True, False])
async def test_independent_calls_do_not_wait_for_one_another(engine: Engine, ordered: bool) -> None:
    options = CallOptions(ordered=ordered)
    prepare: Callable[..., Any] = engine.staging.prepare
    calls = [prepare(fail, ("a",), {}, options), prepare(note, ("b",), {}, options)]
    await engine.stage(*calls, chain=Chain())
    if ordered:
        await run_in_order(engine.attempts, calls)
    else:
        outcomes = await asyncio.gather(*(engine.attempts.run(call) for call in calls))
        assert isinstance(outcomes[0], Failed)
    last = await engine.record(calls[1])
    assert last.state is (JobState.CANCELLED if ordered else JobState.SUCCEEDED)

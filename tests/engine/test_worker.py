"""What a process does with the queue: `Worker.run_once` and `Rescue.run_once` on a real store."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from postlude import task
from postlude.calls import Call, Chain
from postlude.errors import StoreUnavailable
from postlude.events import AttemptFailed, AttemptInterrupted
from postlude.ids import new_job_id
from postlude.job import Interrupted, JobState, NewJob
from postlude.running.execution import decide
from postlude.services.rescue import BATCH, Rescue
from postlude.services.worker import HOLD_FOR, LET_IN_FOR, NAMES_FOR, POLL
from postlude.stores.contract import Filter, Store
from tests.engine.conftest import Engine
from tests.engine.fakes import turns, until

ran: list[object] = []
gate = asyncio.Event()
thread_gate = threading.Event()


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    global gate  # noqa: PLW0603 - an event belongs to the loop of its test
    ran.clear()
    gate = asyncio.Event()
    thread_gate.clear()
    yield
    thread_gate.set()


async def note(what: object) -> None:
    ran.append(what)


async def wait_at_gate(name: str = "waiter") -> None:
    ran.append(f"{name} begins")
    await gate.wait()
    ran.append(f"{name} ends")


def in_thread(what: object) -> None:
    ran.append(what)


def wait_in_thread() -> None:
    thread_gate.wait(30)


async def takes_a_number(number: int) -> None:
    ran.append(number)


@task(interrupted="hold")
async def charge() -> None:
    ran.append("charged")


async def all_settled(engine: Engine) -> None:
    """Return when nothing runs and every outcome is on disk."""
    await until(lambda: engine.attempts.idle)
    await engine.settling.flush()


async def interrupt(engine: Engine, call: Call, times: int) -> None:
    """Give a queued job a past: so many processes died while it ran."""
    for _ in range(times):
        [claim] = (
            await engine.store.claim(
                owner=engine.owner, tasks={call.definition.name}, limit=1, now=engine.clock.now(), idle=True
            )
        ).claims
        await engine.store.settle([decide(Interrupted("its process died"), claim, engine.clock.now())])


async def test_due_jobs_of_both_kinds_are_claimed_and_run(engine: Engine) -> None:
    calls = [await engine.queue(note, "loop"), await engine.queue(in_thread, "thread")]
    assert await engine.worker.run_once() == 0.0, "there may be more"
    assert await engine.worker.run_once() == POLL
    await all_settled(engine)
    assert set(ran) == {"loop", "thread"}
    for record in await engine.records(calls):
        assert (record.state, record.attempt, record.started_at) == (JobState.SUCCEEDED, 1, engine.clock.now())


async def test_an_empty_queue_is_looked_at_without_writing(engine: Engine) -> None:
    assert await engine.worker.run_once() == POLL
    assert engine.faulty.calls == {"pauses": 1, "waiting_tasks": 1}


async def test_no_more_are_claimed_than_there_are_slots(engine: Engine) -> None:
    calls = [await engine.queue(wait_at_gate) for _ in range(5)]
    await engine.worker.run_once()
    await turns()
    states = [record.state for record in await engine.records(calls)]
    assert sorted(states) == [JobState.QUEUED] * 3 + [JobState.RUNNING] * 2
    assert states[:2] == [JobState.RUNNING] * 2, "those that came first"
    woken = asyncio.Event()
    engine.attempts.slots.freed = woken.set
    gate.set()
    await all_settled(engine)
    assert woken.is_set(), "the worker asked to be woken when a slot is free"
    await engine.worker.run_once()
    await all_settled(engine)
    await engine.worker.run_once()
    await all_settled(engine)
    assert {record.state for record in await engine.records(calls)} == {JobState.SUCCEEDED}


async def test_full_claims_ask_for_no_names_again_and_whoever_wakes_the_worker_is_seen(engine: Engine) -> None:
    for number in range(4):
        await engine.queue(takes_a_number, number)
    await engine.worker.run_once()
    await all_settled(engine)
    await engine.worker.run_once()
    await all_settled(engine)
    assert set(ran) == {0, 1, 2, 3}
    assert engine.faulty.calls["waiting_tasks"] == 1
    await engine.queue(in_thread, "new")
    engine.worker.wake()
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran[-1] == "new"


async def test_full_claims_do_not_hide_for_long_what_nobody_has_told_of(engine: Engine) -> None:
    for number in range(2):
        await engine.queue(takes_a_number, number)
    await engine.worker.run_once()
    await all_settled(engine)
    await engine.queue(in_thread, "new")
    assert await engine.worker.run_once() == 0.0, "nothing came of the names it knew"
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran[-1] == "new"


async def test_the_names_are_read_again_when_nothing_is_left_of_those_that_came_back_full(engine: Engine) -> None:
    for number in range(2):
        await engine.queue(takes_a_number, number)
    await engine.worker.run_once()
    await all_settled(engine)
    engine.clock.advance(2 * NAMES_FOR)
    await engine.worker.run_once()
    await engine.queue(in_thread, "new")
    assert await engine.worker.run_once() == 0.0
    await all_settled(engine)
    assert ran[-1] == "new"


async def test_it_returns_when_the_next_job_is_due(engine: Engine) -> None:
    call = engine.call(note, "later")
    [row] = engine.staging.queue([call])
    await engine.store.insert([row._replace(run_at=engine.clock.now() + 0.4)])
    assert await engine.worker.run_once() == pytest.approx(0.4)
    assert ran == []
    engine.clock.advance(0.5)
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran == ["later"]


async def test_a_task_that_nobody_here_knows_stays_in_the_queue_and_holds_up_nobody(engine: Engine) -> None:
    now = engine.clock.now()
    unknown = NewJob(new_job_id(), "renamed:away", '{"args":[],"kwargs":{}}', JobState.QUEUED, now - 10, now - 10)
    await engine.store.insert([unknown])
    call = await engine.queue(note, "known")
    assert await engine.worker.run_once() == 0.0
    assert await engine.worker.run_once() == POLL
    await all_settled(engine)
    assert ran == ["known"]
    assert (await engine.record(call)).state is JobState.SUCCEEDED
    [waits] = await engine.store.get([unknown.id])
    assert (waits.state, waits.attempt) == (JobState.QUEUED, 0)
    assert not engine.heard


async def test_arguments_that_the_function_no_longer_takes_fail_the_job_with_the_reason(engine: Engine) -> None:
    call = engine.call(takes_a_number, 1)
    [row] = engine.staging.queue([call])
    await engine.store.insert([row._replace(arguments='{"args":["one"],"kwargs":{}}')])
    await engine.worker.run_once()
    await engine.settling.flush()
    record = await engine.record(call)
    assert record.state is JobState.FAILED
    assert record.failure is not None
    assert record.failure.type == "postlude.errors.ArgumentsDoNotFit"
    assert "number" in record.failure.message
    assert len(engine.heard.of(AttemptFailed)) == 1
    assert engine.attempts.idle


async def test_a_follower_runs_after_the_success_of_the_one_before(engine: Engine) -> None:
    calls = [engine.call(note, "first"), engine.call(note, "second")]
    rows = engine.staging.stage(Chain(), calls, engine.owner)
    await engine.store.insert([row._replace(state=JobState.QUEUED, owner=None, claim=None) for row in rows])
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran == ["first"]
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran == ["first", "second"]


async def test_a_store_that_does_not_answer_is_left_to_the_service(engine: Engine) -> None:
    await engine.queue(note, "it")
    engine.faulty.fail("claim", StoreUnavailable("busy"))
    with pytest.raises(StoreUnavailable):
        await engine.worker.run_once()
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran == ["it"]


async def test_one_claim_that_cannot_begin_takes_no_other_along(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [await engine.queue(note, "first"), await engine.queue(note, "second")]
    definition = engine.registry.of(note)
    decode = definition.codec.decode

    def decode_once(text: str) -> object:
        monkeypatch.setattr(definition.codec, "decode", decode)
        message = "a mistake of ours"
        raise KeyError(message)

    monkeypatch.setattr(definition.codec, "decode", decode_once)
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran == ["second"]
    assert [record.state for record in await engine.records(calls)] == [JobState.FAILED, JobState.SUCCEEDED]
    [event] = engine.heard.of(AttemptFailed)
    assert (event.job_id, event.failure.type) == (calls[0].id, "KeyError")


async def test_where_no_thread_can_be_started_jobs_go_back_for_a_moment_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    calls = [await engine.queue(in_thread, number) for number in range(2)]
    monkeypatch.setattr(threading.Thread, "start", no_more)
    await engine.worker.run_once()
    await all_settled(engine)
    monkeypatch.undo()
    assert [(one.state, one.attempt) for one in await engine.records(calls)] == [(JobState.QUEUED, 0)] * 2
    engine.clock.advance(1.0)
    for _ in range(2):  # one to see whether it works again
        await engine.worker.run_once()
        await all_settled(engine)
    assert sorted(map(str, ran)) == ["0", "1"]


async def test_a_backlog_of_one_kind_does_not_keep_the_other_waiting(engine: Engine) -> None:
    """Each turn claims once for each executor, so that it ends, and whoever stops the service is heard."""
    for number in range(20):
        await engine.queue(note, number)
    await engine.queue(in_thread, "thread")
    await engine.worker.run_once()
    assert engine.faulty.calls["claim"] == 2
    await all_settled(engine)
    assert "thread" in ran


@task(priority=5, queue="mail", key=lambda what: what)
async def has_terms(what: str) -> None:
    ran.append(what)


async def test_what_has_no_limit_is_counted_for_none_whatever_else_its_task_declares(engine: Engine) -> None:
    call = await engine.queue(has_terms, "it")
    await engine.worker.run_once()
    await all_settled(engine)
    record = await engine.record(call)
    assert (ran, record.state, record.partition) == (["it"], JobState.SUCCEEDED, None)


# One job, once in one process


async def test_a_job_that_still_runs_here_is_not_begun_a_second_time(engine: Engine) -> None:
    """As after somebody else has given it up, queued it, and it is this process that claims it."""
    call = await engine.staged(wait_at_gate)
    engine.attempts.begin(call)
    await turns()
    assert call.claim is not None
    free = engine.attempts.slots.free("loop")
    await engine.store.settle([decide(Interrupted("taken for dead"), call.claim, engine.clock.now())])
    await engine.worker.run_once()
    await turns()
    assert (ran, engine.worker.taken) == (["waiter begins"], 1)
    gate.set()
    await all_settled(engine)
    assert (ran, engine.attempts.slots.free("loop")) == (["waiter begins", "waiter ends"], free + 1)
    assert (await engine.record(call)).state is JobState.QUEUED


# Alone: a job one interruption short of its limit


async def test_a_poisonous_job_runs_when_nothing_else_does_and_nothing_starts_beside_it(engine: Engine) -> None:
    poison = await engine.queue(wait_at_gate, "poison")
    await interrupt(engine, poison, 2)
    busy = await engine.staged(wait_at_gate, "busy")
    engine.attempts.begin(busy)
    await turns()
    await engine.worker.run_once()
    await turns()
    assert ran == ["busy begins"]
    late = await engine.staged(note, "late")
    engine.attempts.begin(late)
    await turns()
    assert "late" not in ran, "the process comes to rest"
    await engine.worker.run_once()
    await turns()
    assert "late" not in ran, "and looking once more changes nothing"
    woken = asyncio.Event()
    engine.attempts.slots.freed = woken.set
    gate.set()
    await turns()
    assert woken.is_set()
    await engine.settling.flush()
    gate.clear()
    await engine.worker.run_once()
    await turns()
    assert ran == ["busy begins", "busy ends", "poison begins"]
    other = await engine.queue(note, "other")
    await engine.worker.run_once()
    await turns()
    assert (await engine.record(other)).state is JobState.QUEUED
    gate.set()
    await all_settled(engine)
    assert ran[3:] == ["poison ends", "late"]
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran[-1] == "other"


async def test_at_rest_nothing_is_taken_beside_the_poisonous_job_that_the_rest_is_for(engine: Engine) -> None:
    poison = await engine.queue(wait_in_thread)
    await interrupt(engine, poison, 2)
    engine.attempts.begin(await engine.staged(wait_at_gate, "busy"))
    await turns()
    await engine.worker.run_once()
    assert engine.attempts.slots.held
    innocent = await engine.queue(note, "innocent")  # "loop" comes before "thread"
    gate.set()
    await all_settled(engine)
    await engine.worker.run_once()
    states = [(record.state, record.attempt) for record in await engine.records([poison, innocent])]
    thread_gate.set()
    await all_settled(engine)
    assert states == [(JobState.RUNNING, 3), (JobState.QUEUED, 0)], "a crash now would be the innocent one's, too"
    await engine.worker.run_once()
    await all_settled(engine)
    assert ran[-1] == "innocent"


async def test_one_that_was_set_aside_and_retried_by_hand_runs_with_nothing_beside_it(engine: Engine) -> None:
    poison = await engine.queue(wait_at_gate, "poison")
    await interrupt(engine, poison, 3)
    assert (await engine.record(poison)).state is JobState.FAILED
    await engine.store.retry(poison.id, now=engine.clock.now())
    await engine.queue(note, "beside it")
    for _ in range(2):
        await engine.worker.run_once()
        await turns()
    assert ran == ["poison begins"]
    gate.set()
    await until(lambda: engine.attempts.idle)
    await engine.worker.run_once()
    await until(lambda: engine.attempts.idle)
    await engine.settling.flush()
    assert ran == ["poison begins", "poison ends", "beside it"]


async def test_the_rest_for_a_poisonous_coroutine_is_kept_while_threads_have_nothing_due(engine: Engine) -> None:
    poison = await engine.queue(wait_at_gate, "poison")
    await interrupt(engine, poison, 2)
    # A thread task is in the queue, but waits for the job before it.
    chain = [engine.call(wait_at_gate, "poison's chain"), engine.call(in_thread, "follower")]
    rows = engine.staging.stage(Chain(), chain, engine.owner)
    later = engine.clock.now() + 100
    await engine.store.insert(
        [row._replace(state=JobState.QUEUED, owner=None, claim=None, run_at=later) for row in rows]
    )
    engine.attempts.begin(await engine.staged(wait_at_gate, "busy"))
    await turns()
    await engine.worker.run_once()
    assert engine.attempts.slots.held
    engine.attempts.begin(await engine.staged(note, "late"))
    await turns()
    assert ran == ["busy begins"]
    gate.set()
    await all_settled(engine)


async def test_a_call_that_begins_while_a_poisonous_job_is_claimed_does_not_run_beside_it(engine: Engine) -> None:
    poison = await engine.queue(wait_at_gate, "poison")
    await interrupt(engine, poison, 2)
    reached, go_on = engine.faulty.shut("claim")
    looking = asyncio.ensure_future(engine.worker.run_once())
    await reached.wait()
    engine.attempts.begin(await engine.staged(wait_at_gate, "request"))
    go_on.set()
    await looking
    await turns()
    assert len(ran) == 1, f"side by side: {ran}"
    gate.set()
    await all_settled(engine)
    await engine.worker.run_once()
    await all_settled(engine)
    assert (await engine.record(poison)).state is JobState.SUCCEEDED
    assert (await engine.record(poison)).interruptions == 2


async def test_what_was_held_goes_on_when_another_process_took_the_poisonous_job(engine: Engine) -> None:
    poison = await engine.queue(wait_at_gate, "poison")
    await interrupt(engine, poison, 2)
    engine.attempts.begin(await engine.staged(wait_at_gate, "busy"))
    await turns()
    await engine.worker.run_once()
    late = await engine.staged(note, "late")
    engine.attempts.begin(late)
    await engine.store.cancel(poison.id, reason="no more", now=engine.clock.now())
    await engine.worker.run_once()
    await turns()
    assert "late" in ran
    gate.set()
    await all_settled(engine)


async def test_the_rest_ends_when_the_job_it_is_for_is_gone_though_others_wait(engine: Engine) -> None:
    poison = await engine.queue(wait_at_gate, "poison")
    await interrupt(engine, poison, 2)
    engine.attempts.begin(await engine.staged(wait_at_gate, "busy"))
    await turns()
    await engine.worker.run_once()
    assert engine.attempts.slots.held
    await engine.queue(note, "other")
    await engine.store.cancel(poison.id, reason="no more", now=engine.clock.now())
    await engine.worker.run_once()
    assert not engine.attempts.slots.held
    await engine.worker.run_once()
    await turns()
    assert "other" in ran
    gate.set()
    await all_settled(engine)


async def test_a_rest_that_does_not_come_lets_others_in_between(engine: Engine) -> None:
    poison = await engine.queue(wait_at_gate, "poison")
    await interrupt(engine, poison, 2)
    engine.attempts.begin(await engine.staged(wait_at_gate, "busy"))
    await turns()
    held: list[bool] = []
    for _ in range(int(2 * (HOLD_FOR + LET_IN_FOR))):
        await engine.worker.run_once()
        held.append(engine.attempts.slots.held)
        engine.clock.advance(1.0)
        if len(held) == HOLD_FOR:
            await engine.queue(note, "other")
    assert held == ([True] * int(HOLD_FOR) + [False] * int(LET_IN_FOR)) * 2
    await turns()
    assert ran == ["busy begins", "other"]
    gate.set()
    await all_settled(engine)
    await engine.worker.run_once()
    await all_settled(engine)
    assert (await engine.record(poison)).state is JobState.SUCCEEDED


# Rescue


@pytest.fixture
async def dead(tmp_path: Path, store: Store) -> int:
    """A worker whose process is gone, as far as the store can tell: it was enlisted elsewhere and gave up its proof."""
    worker = await store.enlist()
    store._now().liveness.give_up(worker)  # type: ignore[attr-defined]
    return worker


async def orphan(engine: Engine, dead: int, call: Call, *, running: bool) -> None:
    await engine.store.insert(engine.staging.stage(Chain(), [call], dead))
    if running:
        assert call.claim is not None
        await engine.store.start([call.claim], now=engine.clock.now())


async def test_orphans_get_another_attempt_and_the_worker_is_told(engine: Engine, dead: int) -> None:
    staged, running = engine.call(note, "staged"), engine.call(note, "running")
    await orphan(engine, dead, staged, running=False)
    await orphan(engine, dead, running, running=True)
    mine = await engine.staged(note, "mine")
    told: list[None] = []
    rescue = Rescue(engine.store, engine.clock, engine.events, queued=lambda: told.append(None))
    assert await rescue.run_once() == 1.0
    assert rescue.rescued == 2
    assert told
    records = await engine.records([staged, running, mine])
    assert [record.state for record in records] == [JobState.QUEUED, JobState.QUEUED, JobState.STAGED]
    assert [record.interruptions for record in records] == [0, 1, 0], "only what was recorded as started counts"
    [heard] = engine.heard.of(AttemptInterrupted)
    assert (heard.job_id, heard.interruptions, heard.again) == (running.id, 1, True)
    assert heard.reason == "its process died"
    assert engine.faulty.calls["bury"] == 1


async def test_what_must_not_run_twice_is_set_aside_if_it_had_started(engine: Engine, dead: int) -> None:
    started, waiting = engine.call(charge), engine.call(charge)
    await orphan(engine, dead, started, running=True)
    await orphan(engine, dead, waiting, running=False)
    rescue = Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)
    await rescue.run_once()
    assert [one.state for one in await engine.records([started, waiting])] == [JobState.FAILED, JobState.QUEUED]
    [heard] = engine.heard.of(AttemptInterrupted)
    assert not heard.again
    assert "interrupted='hold'" in heard.reason


async def test_a_rescue_with_nothing_to_do_settles_nothing(engine: Engine) -> None:
    rescue = Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)
    await rescue.run_once()
    assert engine.faulty.calls == {"orphans": 1, "bury": 1}
    assert rescue.rescued == 0


async def test_what_was_never_stored_ends_before_the_one_before_it_is_queued(engine: Engine, dead: int) -> None:
    chain = [engine.call(note, "stored"), engine.call(lambda: None), engine.call(note, "behind")]
    await engine.store.insert(engine.staging.stage(Chain(), chain, dead))
    rescue = Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)
    await rescue.run_once()
    stored, ephemeral, behind = await engine.records(chain)
    assert (stored.state, ephemeral.state, behind.state) == (JobState.QUEUED, JobState.FAILED, JobState.CANCELLED)
    assert ephemeral.reason == "its process died; it was not stored, so no other process can run it"
    assert behind.cancelled_by == ephemeral.id


async def test_a_dead_worker_that_owned_nothing_is_buried(engine: Engine, dead: int) -> None:
    rescue = Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)
    await rescue.run_once()
    assert await engine.store.bury() == 0, "it has been"


async def test_two_rescuers_count_each_orphan_once(engine: Engine, dead: int) -> None:
    call = engine.call(note, "it")
    await orphan(engine, dead, call, running=True)
    first = Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)
    second = Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)
    await asyncio.gather(first.run_once(), second.run_once())
    assert first.rescued + second.rescued == 1
    assert len(engine.heard.of(AttemptInterrupted)) == 1
    assert (await engine.record(call)).interruptions == 1


async def test_more_orphans_than_fit_into_one_settlement(engine: Engine, dead: int) -> None:
    calls = [engine.call(note, number) for number in range(BATCH + 1)]
    for call in calls:
        call.options = call.options._replace(ordered=False)
    await engine.store.insert(engine.staging.stage(Chain(), calls, dead))
    rescue = Rescue(engine.store, engine.clock, engine.events, queued=lambda: None)
    await rescue.run_once()
    assert rescue.rescued == BATCH + 1
    assert engine.faulty.calls["settle"] == 2
    assert await engine.store.count(Filter()) == {JobState.QUEUED: BATCH + 1}


async def test_when_a_job_of_a_chain_has_ended_the_queue_is_looked_at_for_the_next(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[None] = []
    monkeypatch.setattr(engine.worker._claims, "wake", lambda: woken.append(None))
    calls = [engine.call(note, "first"), engine.call(note, "second")]
    rows = engine.staging.stage(Chain(), calls, engine.owner)
    await engine.store.insert([row._replace(state=JobState.QUEUED, owner=None, claim=None) for row in rows])
    await engine.worker.run_once()
    await all_settled(engine)
    assert len(woken) == 1

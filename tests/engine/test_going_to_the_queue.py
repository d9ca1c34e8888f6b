"""Which calls of a request run at once, and which are claimed like any other job; and what that costs the others."""

from postlude.calls import CallOptions, with_options
from postlude.job import JobState
from postlude.pauses import Pause
from postlude.tasks import task
from tests.engine.conftest import Engine

ran: list[str] = []


async def note(what: str) -> None:
    ran.append(what)


@task(max_running=1)
async def limited(what: str) -> None:
    ran.append(what)


async def test_a_call_without_options_costs_one_insert_and_one_settlement(engine: Engine) -> None:
    engine.worker.start()
    call = engine.call(note, "plain")
    await engine.stage(call)
    await engine.attempts.run(call)
    costs = {name: engine.faulty.calls[name] for name in ("insert", "settle", "get", "claim")}
    await engine.worker.stop(1)
    assert costs == {"insert": 1, "settle": 1, "get": 0, "claim": 0}


async def test_while_it_is_not_known_what_is_paused_nothing_starts_but_from_the_queue(engine: Engine) -> None:
    """The pause is in the store when `pause` returns; a request that comes then must not overtake the reading of it."""
    ran.clear()
    engine.worker.start()
    await engine.worker.stop(1)
    engine.attempts._stopping = engine.worker._stopping = False
    await engine.store.pause(Pause("queue", "default"))
    engine.worker.look_at_pauses()
    call = engine.call(note, "paused")
    await engine.stage(call)
    await engine.attempts.run(call)
    assert (await engine.record(call)).state is JobState.QUEUED
    await engine.worker.run_once()
    assert ran == []


async def test_before_the_first_look_at_what_is_paused_nothing_starts_but_from_the_queue(engine: Engine) -> None:
    """A second process, which was not told of the pause, takes requests before its worker has had its first turn."""
    ran.clear()
    await engine.store.pause(Pause("queue", "default"))
    _, go_on = engine.faulty.shut("pauses")
    engine.worker.start()
    call = engine.call(note, "paused")
    await engine.stage(call)
    await engine.attempts.run(call)
    go_on.set()
    await engine.worker.stop(1)
    assert (ran, (await engine.record(call)).state) == ([], JobState.QUEUED)


async def test_what_is_limited_or_may_be_changed_goes_through_the_queue_where_a_worker_runs(engine: Engine) -> None:
    await engine.worker.run_once()  # it knows what is paused from now on
    engine.worker.start()
    keyed = engine.staging.prepare(note, ("a",), {}, with_options(CallOptions(), key="k"))
    replaceable = engine.staging.prepare(note, ("a",), {}, with_options(CallOptions(), key="l", on_conflict="replace"))
    belongs = engine.attempts.belongs_in_queue
    found = [belongs(call) for call in (engine.call(note, "a"), keyed, replaceable, engine.call(limited, "a"))]
    await engine.worker.stop(1)
    assert found == [False, False, True, True]

"""What one call asks for with `options`: when it is due, and the policy it goes by."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postlude.calls import Call, CallOptions, Chain, with_options
from postlude.errors import CallError, NotStorable
from postlude.events import CallsLost
from postlude.job import Interrupted, JobState
from postlude.policy import Policy
from postlude.retries import RetryPolicy
from postlude.running.execution import decide
from postlude.running.order import run_in_order
from postlude.tasks import task
from tests.engine.conftest import Engine
from tests.engine.fakes import until

ran: list[str] = []
SOON = CallOptions()


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


async def note(what: str) -> None:
    ran.append(what)


@task(retries=2, backoff=7, timeout=60)
async def patient() -> None:
    raise ConnectionError


def prepare(engine: Engine, options: CallOptions, function: Callable[..., Any] = note, *args: Any) -> Call:
    return engine.staging.prepare(function, args, {}, options)


async def at(engine: Engine, seconds: float) -> None:
    """The worker's turns after that time."""
    engine.clock.advance(seconds)
    for _ in range(2):
        await engine.worker.run_once()
        await until(lambda: engine.attempts.idle)
        await engine.settling.flush()


@pytest.mark.parametrize("delayed", [{"delay": 30}, {"delay": timedelta(seconds=30)}, {"run_at": 30}])
async def test_a_call_of_a_request_runs_when_it_is_due(engine: Engine, delayed: dict[str, Any]) -> None:
    if "run_at" in delayed:
        delayed = {"run_at": datetime.fromtimestamp(engine.clock.now() + 30, UTC)}
    call = prepare(engine, with_options(SOON, **delayed), note, "later")
    await engine.stage(call)
    await engine.attempts.run(call)
    record = await engine.record(call)
    assert (record.state, record.run_at, record.attempt) == (JobState.QUEUED, engine.clock.now() + 30, 0)
    await at(engine, 29)
    assert ran == []
    await at(engine, 1)
    assert ran == ["later"]


async def test_one_that_is_due_by_the_time_the_request_is_over_runs_at_once(engine: Engine) -> None:
    call = prepare(engine, with_options(SOON, delay=5), note, "due")
    await engine.stage(call)
    engine.clock.advance(5)
    await engine.attempts.run(call)
    assert ran == ["due"]


async def test_a_call_that_expires_before_its_moment_is_refused(engine: Engine) -> None:
    in_a_minute = datetime.fromtimestamp(engine.clock.now() + 60, UTC)
    with pytest.raises(
        CallError, match=r"the job expires \(expires_after\) before it is due \(run_at\), and never runs"
    ):
        prepare(engine, with_options(SOON, run_at=in_a_minute, expires_after=60), note, "never")
    assert prepare(engine, with_options(SOON, run_at=in_a_minute, expires_after=61), note, "just in time").terms
    with pytest.raises(CallError, match="expires_after must be longer than delay"):
        with_options(with_options(SOON, expires_after=60), delay=60)


async def test_a_moment_that_has_passed_means_now(engine: Engine) -> None:
    call = prepare(engine, with_options(SOON, run_at=datetime(2000, 1, 1, tzinfo=UTC)), note, "now")
    await engine.stage(call)
    await engine.attempts.run(call)
    assert ran == ["now"]


async def test_those_behind_it_in_order_wait_for_it_and_the_others_do_not(engine: Engine) -> None:
    calls = [
        prepare(engine, SOON, note, "first"),
        prepare(engine, with_options(SOON, delay=30), note, "second"),
        prepare(engine, SOON, note, "third"),
    ]
    await engine.stage(*calls)
    assert not await run_in_order(engine.attempts, calls)
    assert ran == ["first"]
    assert [record.waiting for record in await engine.records(calls)] == [False, False, True]
    await at(engine, 29)
    assert ran == ["first"]
    await at(engine, 1)
    assert ran == ["first", "second", "third"]


async def test_one_behind_it_that_is_not_stored_is_lost_and_named(engine: Engine) -> None:
    calls = [prepare(engine, with_options(SOON, delay=30), note, "first"), prepare(engine, SOON, lambda: None)]
    await engine.stage(*calls)
    await run_in_order(engine.attempts, calls)
    (lost,) = engine.heard.of(CallsLost)
    assert lost.reason == "the one before it runs later, and it was not stored, so no other can run it"
    assert (await engine.record(calls[1])).state is JobState.FAILED


async def test_one_whose_process_died_during_the_request_still_runs_when_it_is_due(engine: Engine) -> None:
    call = prepare(engine, with_options(SOON, delay=3600), note, "later")
    dead = engine.staging.stage(Chain(), [call], engine.owner)[0]._replace(owner=12345)
    await engine.store.insert([dead])
    (claim,) = await engine.store.orphans(limit=10)
    await engine.store.settle([decide(Interrupted("its process died"), claim, engine.clock.now())])
    record = await engine.record(call)
    assert (record.state, record.run_at) == (JobState.QUEUED, engine.clock.now() + 3600)


async def test_outside_a_request(engine: Engine) -> None:
    call = prepare(engine, with_options(SOON, delay=30), note, "later")
    await engine.store.insert(engine.staging.queue([call]))
    await at(engine, 29)
    assert ran == []
    await at(engine, 1)
    assert ran == ["later"]


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        ({}, Policy(retries=2, backoff=7.0, timeout=60.0)),
        ({"retries": 5}, Policy(retries=5, backoff=7.0, timeout=60.0)),
        ({"retries": True}, Policy(retries=14, backoff=7.0, timeout=60.0)),
        ({"retries": 0}, Policy(retries=0, backoff=7.0, timeout=60.0)),
        ({"timeout": timedelta(minutes=2)}, Policy(retries=2, backoff=7.0, timeout=120.0)),
        ({"retries": RetryPolicy(backoff=[1, 2])}, Policy(retries=2, backoff=[1.0, 2.0], timeout=60.0)),
        (
            {"retries": RetryPolicy(1)},
            Policy(retries=1, backoff={"first": 10.0, "factor": 2.0, "most": 3600.0, "jitter": 0.1}, timeout=60.0),
        ),
    ],
    ids=str,
)
async def test_a_call_has_the_policy_of_its_task_but_for_what_it_asks(
    engine: Engine, options: dict[str, Any], policy: Policy
) -> None:
    call = prepare(engine, with_options(SOON, **options), patient)
    await engine.stage(call)
    assert Policy.loads((await engine.record(call)).policy) == policy
    await engine.attempts.run(call)
    record = await engine.record(call)
    assert record.state is (JobState.QUEUED if policy.retries else JobState.FAILED)


def test_options_add_up_and_the_last_word_counts() -> None:
    options = with_options(with_options(SOON, delay=5, retries=3), timeout=2, ordered=False)
    assert (options.delay, options.retries, options.timeout, options.ordered) == (5, 3, 2, False)
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    assert with_options(options, run_at=moment).due(0.0) == moment.timestamp()
    assert with_options(with_options(SOON, run_at=moment), delay=5).due(0.0) == 5


@pytest.mark.parametrize("option", [{"delay": 5}, {"run_at": datetime(2030, 1, 1, tzinfo=UTC)}, {"retries": 3}])
async def test_what_only_a_stored_call_can_have_is_refused_for_one_that_is_not(
    engine: Engine, option: dict[str, Any]
) -> None:
    with pytest.raises(NotStorable, match=r"it is a lambda; and (delay or run_at|retries) needs a call that is stored"):
        prepare(engine, with_options(SOON, **option), lambda: None)
    prepare(engine, with_options(SOON, timeout=5, ordered=False), lambda: None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"delay": 5, "run_at": datetime(2030, 1, 1, tzinfo=UTC)}, "delay and run_at both say when: give one of them"),
        ({"delay": -1}, "delay: expected seconds, 0 or more, or a timedelta, got -1"),
        ({"run_at": datetime(2030, 1, 1)}, "run_at: expected a datetime with a zone"),  # noqa: DTZ001 - the mistake
        ({"run_at": 5}, "run_at: expected a datetime with a zone, such as datetime.now(UTC) + timedelta(hours=1), got"),
        ({"retries": -1}, "retries must be a whole number from 0 to 1,000,000, True for 14, or a RetryPolicy, got -1"),
        (
            {"retries": RetryPolicy(1, lambda *_: 1)},
            "a function as backoff, and retry_on, cannot be stored with a call",
        ),
        ({"retries": RetryPolicy(1, retry_on=OSError)}, "declare them with @task"),
        ({"timeout": 0}, "timeout: expected seconds, more than 0, or a timedelta, got 0"),
        ({"if_raised": "always"}, "if_raised: expected one of 'discard', 'keep', 'only', got 'always'"),
        ({"delay": "x", "timeout": "y"}, "got 'x'; timeout: expected"),
        ({"ordered": "no"}, "ordered: expected True or False, got 'no'"),
        ({"retries": 10**30}, "retries must be a whole number from 0 to 1,000,000"),
        ({"retires": None}, "retires is no option: did you mean retries?"),
        (
            {"expires_after": 1, "delay": 5},
            "job expires before it is due, and never runs, got expires_after=1 and delay=5",
        ),
        ({"expires_after": 0}, "expires_after must be longer than delay"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(CallError) as caught:
        with_options(SOON, **options)
    assert str(caught.value).startswith("options: ")
    assert says in str(caught.value)


async def test_a_call_that_asks_for_nothing_costs_nothing_more(engine: Engine) -> None:
    call = prepare(engine, SOON, note, "x")
    jobs = engine.staging.stage(Chain(), [call], engine.owner)
    assert (jobs[0].policy, jobs[0].run_at) == (None, jobs[0].created_at)

"""`durable.jobs`, `enqueue` and `durable.blocking`: what a program does with jobs beside adding them in requests."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from postlude import BackgroundTasks, Job, JobState, Postlude, PostludeError, Retention, task
from postlude.errors import CallError, IllegalTransition, JobNotFound, NotStorable, UnknownValue, WaitTimeout
from postlude.job import Event
from postlude.jobpolicy import JobPolicy
from postlude.testing import worker
from tests.face.conftest import Make, Serve, ended, until
from tests.stores.making import chain_of, claim_of
from tests.stores.making import ended as made_to_end

ran: list[object] = []
thread_gate = threading.Event()
broken = True


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    global broken  # noqa: PLW0603 - what a retry by hand finds mended
    broken = True
    ran.clear()
    thread_gate.clear()
    yield
    thread_gate.set()


def note(what: str, times: int = 1) -> None:
    ran.extend([what] * times)


async def forever() -> None:
    ran.append("begins")
    await asyncio.Event().wait()


def wait_in_thread() -> None:
    ran.append("begins")
    thread_gate.wait(30)


def fail_once() -> None:
    if broken:
        message = "not yet"
        raise ConnectionError(message)
    ran.append("mended")


Running = Callable[..., AbstractAsyncContextManager[Postlude]]


@pytest.fixture
def running(url: str) -> Running:
    """An application with its worker, on the event loop of the test."""

    @asynccontextmanager
    async def running(**options: Any) -> AsyncIterator[Postlude]:
        app = FastAPI()
        durable = Postlude(app, **{"url": url, "shutdown_grace": 0, **options})
        async with app.router.lifespan_context(app):
            incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
            outgoing: asyncio.Queue[Any] = asyncio.Queue()
            serving = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, incoming.get, outgoing.put))
            incoming.put_nowait({"type": "lifespan.startup"})
            assert (await outgoing.get())["type"] == "lifespan.startup.complete"
            yield durable
            incoming.put_nowait({"type": "lifespan.shutdown"})
            await serving

    return running


@pytest.fixture
async def closing(url: str) -> AsyncIterator[Callable[..., Postlude]]:
    """A `Postlude` in a program that serves nothing."""
    made: list[Postlude] = []

    def make(**options: Any) -> Postlude:
        made.append(Postlude(url=url, **options))
        return made[-1]

    yield make
    for durable in made:
        await durable.close()


Closing = Callable[..., Postlude]


# enqueue


async def test_an_enqueued_job_runs_and_can_be_waited_for(running: Running) -> None:
    async with running() as durable:
        job = await durable.enqueue(note, "it", times=2)
        assert job.id.version == 7
        done = await job.wait(timeout=30)
    assert ran == ["it", "it"]
    assert (done.id, done.task, done.state) == (job.id, f"{__name__}:note", JobState.SUCCEEDED)
    assert done.created_at is not None
    assert done.finished_at is not None
    now = datetime.now(UTC)
    assert now - timedelta(minutes=1) < done.created_at <= done.finished_at <= now + timedelta(seconds=1)


async def test_without_a_worker_it_waits_for_one(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "it")
    assert job.state is JobState.QUEUED
    read = await durable.jobs.get(job.id)
    assert (read.state, read.attempts, read.chain, read.waiting) == (JobState.QUEUED, 0, None, False)
    assert ran == []


async def test_many_in_one_commit_by_position_and_by_name(closing: Closing) -> None:
    durable = closing()
    jobs = await durable.enqueue_many(note, [("a",), ["b", 2], {"what": "c", "times": 3}])
    assert len(jobs) == 3
    assert {job.state for job in await durable.jobs.list()} == {JobState.QUEUED}
    assert await durable.enqueue_many(note, []) == []


async def test_many_are_all_or_none(closing: Closing) -> None:
    durable = closing()
    with pytest.raises(CallError, match="times"):
        await durable.enqueue_many(note, [("a",), {"what": "b", "tims": 2}])
    assert await durable.jobs.list() == []


async def test_a_single_string_is_no_set_of_arguments(closing: Closing) -> None:
    with pytest.raises(CallError) as raised:
        await closing().enqueue_many(note, ["abc"])
    assert str(raised.value) == (
        "enqueue_many(note, ...): expected a tuple, list or mapping of arguments for each job, got 'abc'. "
        "A single argument is written ('abc',)."
    )


async def test_what_has_no_order_is_no_set_of_calls(closing: Closing) -> None:
    durable = closing()
    with pytest.raises(CallError) as raised:
        await durable.enqueue_many(note, {("a",)})
    assert str(raised.value) == (
        "enqueue_many(note, ...): the jobs come back in the order of the calls, and a set has none. Write a list, got "
        "{('a',)}."
    )
    with pytest.raises(CallError, match="expected a tuple, list or mapping of arguments for each job"):
        await durable.enqueue_many(note, [{"a"}])


@pytest.mark.parametrize("options", [{"ordered": False}, {"if_raised": "only"}, {"ordered": None}])
async def test_what_only_a_task_of_a_request_can_have_is_refused(closing: Closing, options: dict[str, Any]) -> None:
    durable = closing()
    for face in (durable, durable.blocking):
        with pytest.raises(CallError) as raised:
            face.options(**options)
        assert str(raised.value) == (
            f"options: {next(iter(options))} says how a task stands in its request, and a job that is enqueued belongs "
            "to none: there are delay, expires_after, key, key_period, on_conflict, priority, queue, retries, run_at, "
            "timeout, within."
        )
    with pytest.raises(CallError, match=r"options: retires is no option: did you mean retries\?"):
        durable.options(retires=3)  # type: ignore[call-arg]


async def test_something_else_is_no_set_of_arguments_either(closing: Closing) -> None:
    calls: Any = [5]
    with pytest.raises(CallError) as raised:
        await closing().enqueue_many(note, calls)
    assert "expected a tuple, list or mapping of arguments for each job, got 5." in str(raised.value)


@pytest.mark.parametrize(
    ("function", "args", "error"),
    [
        (note, (object(),), NotStorable),
        (lambda: None, (), NotStorable),
        (note, (), CallError),
        (None, (), CallError),
    ],
)
async def test_what_cannot_be_stored_cannot_be_enqueued(
    closing: Closing, function: Callable[..., Any], args: tuple[Any, ...], error: type[Exception]
) -> None:
    durable = closing()
    with pytest.raises(error) as raised:
        await durable.enqueue(function, *args)
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, PostludeError)
    assert await durable.jobs.list() == []


# get, list, count


async def test_a_job_is_found_by_its_id_as_value_and_as_text(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "it")
    for key in (job.id, str(job.id), str(job.id).upper()):
        assert (await durable.jobs.get(key)).id == job.id


async def test_an_id_that_no_job_has(closing: Closing) -> None:
    durable = closing()
    missing = uuid4()
    jobs = durable.jobs
    for ask in (jobs.get, jobs.cancel, jobs.retry, jobs.delete, jobs.wait, jobs.history, jobs.logs):
        with pytest.raises(JobNotFound) as raised:
            await ask(missing)
        assert isinstance(raised.value, LookupError)
        assert str(raised.value) == (
            f"No job has the id {missing}. It ended and was kept for its time (retention=, by default a day after "
            "success), its request raised, the transaction that it was added within is not committed or was rolled "
            "back, its call could not be stored and ran in the process only (a warning said so), or it is kept in "
            "another store: compare the URL."
        )


async def test_what_is_no_id_at_all(closing: Closing) -> None:
    durable = closing()
    for ask in (durable.jobs.get, durable.jobs.cancel, durable.jobs.retry, durable.jobs.wait, durable.jobs.history):
        with pytest.raises(ValueError, match=r"Expected the id of a job, .* got 'job-1'") as raised:
            await ask("job-1")
        assert isinstance(raised.value, PostludeError)


async def test_lists_by_state_task_and_page(closing: Closing) -> None:
    durable = closing()
    jobs = await durable.enqueue_many(note, [(str(number),) for number in range(5)])
    other = await durable.enqueue(forever)
    await durable.jobs.cancel(jobs[0].id)
    listed = durable.jobs.list
    everything = await listed()
    assert {job.id for job in everything} == {job.id for job in [*jobs, other]}
    assert [job.id for job in everything] == [other.id, *(job.id for job in reversed(jobs))], "newest first"
    assert [job.id for job in await listed(state="cancelled")] == [jobs[0].id]
    assert [job.id for job in await listed(state=JobState.CANCELLED)] == [jobs[0].id]
    assert len(await listed(state=["cancelled", JobState.QUEUED])) == 6
    assert [job.id for job in await listed(task=other.task)] == [other.id]
    assert await listed(task="no:such") == []
    first = await listed(limit=4)
    rest = await listed(limit=4, before=first[-1].id)
    assert [job.id for job in [*first, *rest]] == [job.id for job in everything]
    assert await durable.jobs.count(state=("queued", "failed")) == {JobState.QUEUED: 5, JobState.FAILED: 0}
    assert await durable.jobs.count(task=other.task) == {state: int(state == "queued") for state in JobState}


async def test_lists_by_queue_key_time_and_text(closing: Closing) -> None:
    durable = closing()
    before = datetime.now(UTC)
    mail = await durable.options(queue="mail").enqueue(note, "Hello Anna")
    keyed = await durable.options(key="otto").enqueue(note, "Hello Otto")
    listed = durable.jobs.list
    assert [job.id for job in await listed(queue="mail")] == [mail.id]
    assert [job.id for job in await listed(key="otto")] == [keyed.id]
    assert [job.id for job in await listed(text="hello")] == [keyed.id, mail.id]
    assert [job.id for job in await listed(text="ANNA", state="queued")] == [mail.id]
    assert [job.id for job in await listed(since=before)] == [keyed.id, mail.id]
    assert [job.id for job in await listed(since=timedelta(minutes=1), queue="mail")] == [mail.id]
    assert await listed(until=before) == []
    assert await listed(since=before.timestamp() + 3600) == []
    assert await listed(ended_since=before) == []
    assert await durable.jobs.count(text="hello", state="queued") == {JobState.QUEUED: 2}


async def test_what_is_no_moment_or_no_text(closing: Closing) -> None:
    durable = closing()
    expected = "a datetime with a time zone, a timedelta for how long ago, or seconds since 1970"
    for moment in ("yesterday", datetime(2026, 1, 1), True):  # noqa: DTZ001 - that is what is wrong with it
        with pytest.raises(UnknownValue) as raised:
            await durable.jobs.list(since=moment)  # type: ignore[arg-type]
        assert str(raised.value) == f"since: expected {expected}, got {moment!r}."
    with pytest.raises(UnknownValue, match=r"queue: expected text, got 5\."):
        await durable.jobs.count(queue=5)  # type: ignore[arg-type]
    for name in ("task", "queue", "key", "text"):
        with pytest.raises(UnknownValue, match=rf"{name}: expected text without the character NUL, got 'a\\x00b'\."):
            await durable.jobs.list(**{name: "a\0b"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"staet is no option: did you mean state\?"):
        await durable.jobs.list(staet="queued")  # type: ignore[call-arg]


async def test_a_state_that_there_is_not(closing: Closing) -> None:
    durable = closing()
    for ask in (durable.jobs.list, durable.jobs.count):
        with pytest.raises(ValueError, match=r"Expected one of 'staged', 'queued', .*, got 'done'") as raised:
            await ask(state="done")
        assert isinstance(raised.value, PostludeError)


async def test_a_page_that_makes_no_sense(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "it")
    for limit in (-1, 1.5, "5", True, 10**30):
        with pytest.raises(UnknownValue) as raised:
            await durable.jobs.list(limit=limit)  # type: ignore[arg-type]
        assert str(raised.value) == f"limit: expected a whole number from 0 to 100,000, got {limit!r}."
    with pytest.raises(JobNotFound):
        await durable.jobs.list(before=uuid4())
    assert await durable.jobs.list(before=job.id) == []
    assert await durable.jobs.list(limit=0) == []


async def test_a_task_is_given_by_its_function_too(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "it")
    await durable.enqueue(forever)
    assert [each.id for each in await durable.jobs.list(task=note)] == [job.id]
    assert await durable.jobs.count(task=note, state="queued") == {JobState.QUEUED: 1}


def test_jobs_of_one_chain_and_how_one_reads(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        jobs = [tasks.add_task(note, "a"), tasks.add_task(note, "b")]
        assert repr(jobs[0]) == f"<Job {jobs[0].id} {__name__}:note staged>"
        return [str(job.id) for job in jobs]

    client = TestClient(app)
    first, second = client.post("/").json()
    client.post("/")
    chain = durable.blocking.jobs.list(chain=first)
    assert [str(job.id) for job in chain] == [second, first]
    assert {job.chain for job in chain} == {UUID(first)}
    assert durable.blocking.jobs.count(chain=first, state="succeeded") == {JobState.SUCCEEDED: 2}
    assert durable.blocking.jobs.count(chain=first, task=forever, state="succeeded") == {JobState.SUCCEEDED: 0}
    assert repr(chain[0]) == f"<Job {second} {__name__}:note succeeded>"


# cancel


async def test_a_waiting_job_is_cancelled_at_once(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "never")
    cancelled = await durable.jobs.cancel(job.id, reason="no longer wanted")
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "no longer wanted")
    with pytest.raises(IllegalTransition) as raised:
        await durable.jobs.cancel(job.id)
    assert str(raised.value).startswith(f"Job {job.id} is cancelled, and 'cancel' is not possible then.")


async def test_a_running_coroutine_gets_cancelled_error(running: Running) -> None:
    async with running() as durable:
        job = await durable.enqueue(forever)
        await until(lambda: ran)
        asked = await durable.jobs.cancel(job.id)
        assert asked.cancel_requested or asked.state.finished
        done = await job.wait(timeout=30)
        history = await durable.jobs.history(job.id)
    assert (done.state, done.reason) == (JobState.CANCELLED, "cancelled on request")
    assert [attempt.outcome for attempt in history] == ["cancelled"]


async def test_the_reason_that_was_given_for_a_running_job_is_kept(running: Running) -> None:
    async with running() as durable:
        job = await durable.enqueue(forever)
        await until(lambda: ran)
        await durable.jobs.cancel(job.id, reason="the customer left")
        assert (await job.wait(timeout=30)).reason == "the customer left"


async def test_a_thread_goes_on_to_its_end(running: Running) -> None:
    async with running() as durable:
        job = await durable.enqueue(wait_in_thread)
        await until(lambda: ran)
        await durable.jobs.cancel(job.id)
        thread_gate.set()
        assert (await job.wait(timeout=30)).state is JobState.SUCCEEDED


# retry by hand


async def test_what_failed_runs_again_by_hand_with_its_history(running: Running) -> None:
    global broken  # noqa: PLW0603
    async with running() as durable:
        job = await durable.enqueue(fail_once)
        failed = await job.wait(timeout=30)
        assert (failed.state, failed.reason) == (JobState.FAILED, "ConnectionError: not yet")
        broken = False
        again = await durable.jobs.retry(job.id)
        assert again.state in {JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED}
        done = await job.wait(timeout=30)
        assert (done.state, done.attempts, done.error, done.reason) == (JobState.SUCCEEDED, 2, None, None)
        [attempt] = await job.history()
        assert (attempt.number, attempt.outcome) == (1, "failed")
        assert attempt.failure is not None
        assert attempt.failure.type == "ConnectionError"
        with pytest.raises(IllegalTransition, match="is succeeded, and 'retry' is not possible then"):
            await durable.jobs.retry(job.id)
    assert ran == ["mended"]


def test_a_retry_by_hand_revives_those_that_the_failure_cancelled(make: Make) -> None:
    global broken  # noqa: PLW0603
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(fail_once).id), str(tasks.add_task(note, "behind").id)]

    with TestClient(app) as client:
        ids = client.post("/").json()
        assert [job.state for job in ended(durable, *ids)] == [JobState.FAILED, JobState.CANCELLED]
        with pytest.raises(IllegalTransition) as raised:
            durable.blocking.jobs.retry(ids[1])
        assert ids[0] in str(raised.value)
        broken = False
        durable.blocking.jobs.retry(ids[0])
        assert {job.state for job in ended(durable, *ids)} == {JobState.SUCCEEDED}
    assert ran == ["mended", "behind"]


async def test_behind_one_that_has_not_ended_the_error_says_to_wait_for_that(closing: Closing) -> None:
    """It was cancelled by hand, so its predecessor's retry did not bring it back; to retry that again would fail."""
    durable = closing()
    store = await durable._runtime.store()
    owner = await store.enlist()
    chain = chain_of(owner, 2)
    await store.insert(chain)
    await store.settle([made_to_end(claim_of(chain[0]), Event.RELEASE)])
    await durable.jobs.cancel(chain[1].id)
    with pytest.raises(IllegalTransition) as raised:
        await durable.jobs.retry(chain[1].id)
    assert raised.value.hint == (
        f"Job {chain[0].id}, before it in its chain, is queued and comes first: wait for its end with jobs.wait(), and "
        "retry this one when it has succeeded."
    )
    await durable.jobs.cancel(chain[0].id)
    with pytest.raises(IllegalTransition, match=f"retry job {chain[0].id} first"):
        await durable.jobs.retry(chain[1].id)


async def test_asked_in_the_wrong_state_the_error_says_what_to_do(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "later")
    with pytest.raises(IllegalTransition, match=r"is queued, .* It runs by itself when it is due") as raised:
        await durable.jobs.retry(job.id)
    assert raised.value.hint.endswith("wait for it with jobs.wait().")
    await durable.jobs.cancel(job.id)
    with pytest.raises(IllegalTransition, match=r"nothing of it is left to cancel"):
        await durable.jobs.cancel(job.id)


def test_an_ephemeral_job_cannot_be_retried_and_the_error_says_why(make: Make) -> None:
    app, durable = make()

    def fails() -> None:
        raise ValueError

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(note, "a").id), str(tasks.add_task(fails).id)]

    ids = TestClient(app).post("/").json()
    with pytest.raises(IllegalTransition) as raised:
        durable.blocking.jobs.retry(ids[1])
    assert raised.value.hint == (
        "It is ephemeral: its arguments never left the process that added it. Add the call anew; the warning that was "
        "written when it was added says what would make it storable, so that it could be retried."
    )
    assert str(raised.value) == f"Job {ids[1]} is failed, and 'retry' is not possible then. {raised.value.hint}"


# wait


async def test_a_wait_that_takes_too_long(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "never")
    with pytest.raises(WaitTimeout) as raised:
        await job.wait(timeout=0)
    assert isinstance(raised.value, TimeoutError)
    assert str(raised.value) == (
        f"Job {job.id} was still queued after 0 s. It needs a process that runs jobs: a started server or "
        "`postlude worker`. Wait longer, or look at it later with jobs.get()."
    )


async def test_several_wait_for_one_job(running: Running) -> None:
    async with running() as durable:
        job = await durable.enqueue(wait_in_thread)
        waits = [asyncio.ensure_future(job.wait(timeout=30)) for _ in range(3)]
        await until(lambda: ran)
        waits[0].cancel()
        thread_gate.set()
        for wait in waits[1:]:
            assert (await wait).state is JobState.SUCCEEDED
    assert durable.jobs.waiters.nobody


async def test_another_process_sees_the_end_too(running: Running, closing: Closing) -> None:
    elsewhere = closing()
    async with running():
        job = await elsewhere.enqueue(note, "it")
        assert (await elsewhere.jobs.wait(job.id, timeout=30)).state is JobState.SUCCEEDED


# Reading a job again


async def test_a_handle_knows_its_id_at_once_and_the_rest_when_it_is_read(running: Running) -> None:
    async with running() as durable:
        job = await durable.enqueue(note, "it")
        assert (job.attempts, job.error, job.created_at, job.finished_at) == (0, None, None, None)
        assert (job.policy, job.origin) == (None, {})
        await durable.jobs.wait(job.id, timeout=30)
        assert await job.refresh() is job
        assert (job.state, job.attempts, job.result) == (JobState.SUCCEEDED, 1, None)
        another = await durable.enqueue(note, "it")
        assert await another.wait(timeout=timedelta(seconds=30)) is another
        assert another.state is JobState.SUCCEEDED


@pytest.mark.parametrize("seconds", [-1, "5", float("nan")])
async def test_a_timeout_that_is_none(closing: Closing, seconds: Any) -> None:
    durable = closing()
    job = await durable.enqueue(note, "it")
    for wait in (job.wait(timeout=seconds), durable.jobs.wait(job.id, timeout=seconds)):
        with pytest.raises(UnknownValue) as raised:
            await wait
        assert str(raised.value) == (
            f"timeout: expected seconds, 0 or more, a timedelta, or None to wait for ever, got {seconds!r}."
        )


async def test_a_handle_does_what_jobs_does(closing: Closing) -> None:
    durable = closing()
    job = await durable.enqueue(note, "it")
    assert await job.cancel(reason="no longer wanted") is job
    assert (job.state, job.reason) == (JobState.CANCELLED, "no longer wanted")
    assert await job.retry() is job
    assert job.state is JobState.QUEUED
    await job.cancel()
    await job.delete()
    with pytest.raises(JobNotFound):
        await job.refresh()


async def test_a_call_that_another_job_has_answered_is_that_job_when_it_is_read(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks) -> list[str]:
        job = tasks.options(key="one", delay=60).add_task(note, "it")
        later.append(job)
        return [str(job.id)]

    later: list[Job[None]] = []
    client = TestClient(app)
    (first,), (second,) = client.post("/").json(), client.post("/").json()
    assert first != second
    await later[1].refresh()
    assert str(later[1].id) == first
    await durable.close()


@task(retries=5, timeout=30, interrupted="hold", max_interruptions=2, retention=60, keep_arguments=False)
def with_policy() -> None: ...


@task(name="told of failures, for its policy")
def told(failed: object) -> None: ...


@task(on_failure=told, retention=Retention(succeeded=1, failed=2, cancelled=3))
def telling() -> None: ...


async def test_the_policy_is_shown_with_the_job(closing: Closing) -> None:
    durable = closing()
    job = await (await durable.enqueue(with_policy)).refresh()
    assert job.policy == JobPolicy(
        retries=5,
        retries_left=5,
        timeout=30.0,
        interrupted="hold",
        max_interruptions=2,
        retention=Retention(60.0, 60.0, 60.0),
        keep_arguments=False,
        on_failure=None,
    )
    other = await (await durable.options(timeout=5).enqueue(telling)).refresh()
    assert other.policy == JobPolicy(
        0, 0, 5.0, "rerun", 3, Retention(1, 2, 3), True, "told of failures, for its policy"
    )


@task(retries=2, backoff=3600)
def fails_always() -> None:
    raise ConnectionError


def test_the_retries_that_are_left_are_shown(make: Make) -> None:
    app, durable = make()
    with worker(app) as at_work:
        job = durable.blocking.enqueue(fails_always)
        left = []
        for _ in range(3):
            at_work.run_pending()
            policy = durable.blocking.jobs.get(job.id).policy
            assert policy is not None
            left.append(policy.retries_left)
            at_work.advance(3600)
        ended = durable.blocking.jobs.get(job.id)
        assert (left, ended.attempts, ended.state) == ([2, 1, 0], 3, JobState.FAILED)
        durable.blocking.jobs.retry(job.id)
        at_work.run_all()
        assert durable.blocking.jobs.get(job.id).attempts == 4, "by hand there is one attempt more"


def test_the_origin_is_shown_with_the_job(make: Make) -> None:
    app, durable = make()

    @app.post("/orders/{number}")
    def endpoint(number: int, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(note, "it").id)

    job_id = TestClient(app).post("/orders/7", headers={"x-request-id": "r1"}).json()
    assert durable.blocking.jobs.get(job_id).origin["route"] == "POST /orders/{number}"


# blocking


def test_a_script_that_serves_nothing(url: str) -> None:
    durable = Postlude(url=url)
    job = durable.blocking.enqueue(note, "it")
    many = durable.blocking.enqueue_many(note, [("a",), ("b",)])
    jobs = durable.blocking.jobs
    assert jobs.get(job.id).state is JobState.QUEUED
    assert len(jobs.list(task=job.task)) == 3
    assert jobs.count(state="queued") == {JobState.QUEUED: 3}
    assert jobs.cancel(many[0].id, reason="x").state is JobState.CANCELLED
    assert jobs.retry(many[0].id).state is JobState.QUEUED
    assert jobs.history(job.id) == []
    with pytest.raises(WaitTimeout):
        jobs.wait(job.id, timeout=0)
    durable.blocking.close()
    durable.blocking.close()


def test_a_sync_endpoint_enqueues_and_waits_in_its_thread(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint() -> str:
        job = durable.blocking.enqueue(note, "it")
        return durable.blocking.jobs.wait(job.id, timeout=30).state.value

    with TestClient(app) as client:
        assert client.post("/").json() == "succeeded"
    assert ran == ["it"]


def test_from_many_threads_at_once(url: str) -> None:
    durable = Postlude(url=url)
    threads = [threading.Thread(target=durable.blocking.enqueue, args=(note, str(number))) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert durable.blocking.jobs.count(state="queued") == {JobState.QUEUED: 16}
    durable.blocking.close()


@pytest.mark.parametrize("closed", [True, False])
def test_its_thread_ends_when_it_is_closed_or_gone(url: str, *, closed: bool) -> None:
    before = set(threading.enumerate())
    durable = Postlude(url=url)
    durable.blocking.enqueue(note, "it")
    (thread,) = [one for one in set(threading.enumerate()) - before if one.name == "postlude-blocking"]
    if closed:
        durable.blocking.close()
    else:
        durable.blocking._portal.call(durable.close())
        del durable
        gc.collect()
    thread.join(30)
    assert not thread.is_alive()


async def test_blocking_on_the_thread_of_an_event_loop_is_an_error_that_says_what_to_do(closing: Closing) -> None:
    durable = closing()
    with pytest.raises(PostludeError, match=r"await durable\.enqueue"):
        durable.blocking.enqueue(note, "it")


# if_raised


def test_if_raised_keep_and_only(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/{raises}")
    def endpoint(raises: bool, tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "discard")
        tasks.options(if_raised="keep").add_task(note, "keep")
        tasks.options(if_raised="only").add_task(note, "only")
        if raises:
            raise HTTPException(409)

    with serve(app) as client:
        assert client.post("/false").status_code == 200
        ended(durable, *[str(job.id) for job in durable.blocking.jobs.list()])
        assert ran == ["discard", "keep"]
        ran.clear()
        assert client.post("/true").status_code == 409
        ended(durable, *[str(job.id) for job in durable.blocking.jobs.list()])
        assert ran == ["keep", "only"]


def test_if_raised_with_another_word(make: Make) -> None:
    app, _ = make()
    raised: list[TypeError] = []

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> None:
        try:
            tasks.options(if_raised="always")  # type: ignore[arg-type]
        except TypeError as error:
            raised.append(error)

    TestClient(app).post("/")
    assert str(raised[0]) == "options: if_raised: expected one of 'discard', 'keep', 'only', got 'always'."


# Declared


@task(name="charge-card", interrupted="hold", max_interruptions=1)
def charge(amount: int) -> None:
    ran.append(amount)


async def test_what_a_task_declares_is_stored_with_its_jobs(closing: Closing) -> None:
    durable = closing()
    job: Job[None] = await durable.enqueue(charge, 5)
    assert job.task == "charge-card"
    [record] = await (await durable._runtime.store()).get([job.id])
    assert record.policy == '{"interrupted":"hold","max_interruptions":1}'


def test_a_held_task_runs_like_any_other(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(charge, 5).id)

    with serve(app) as client:
        [job] = ended(durable, client.post("/").json())
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    assert ran == [5]


async def test_the_worker_of_this_process_is_told_at_once_of_a_cancellation(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as durable:
        told: list[str] = []
        monkeypatch.setattr(durable.jobs, "_changed", told.append)
        job = await durable.enqueue(wait_in_thread)
        await until(lambda: ran)
        await durable.jobs.cancel(job.id)
        assert told == ["cancelled"]
        thread_gate.set()
        await job.wait(timeout=30)

"""The public face as a user's type checker sees it. Checked, never run.

A mistake is marked with what both checkers say of it: an unused mark is an error itself, so each must stay a mistake.
"""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, assert_type
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi import BackgroundTasks as Stock

import postlude
from postlude import (
    BackgroundTasks,
    Cancel,
    Concurrency,
    FailedJob,
    Job,
    Jobs,
    JobState,
    Postlude,
    PostludeError,
    Retention,
    Retry,
    RetryPolicy,
    Snooze,
    TransactionTasks,
    Within,
    accepted,
    cancel_requested,
    current_job,
    progress,
    schedule,
    task,
)
from postlude.api import RequestedJob
from postlude.client.bulk import Bulk
from postlude.client.timetable import ScheduleInfo
from postlude.dashboard import Visitor
from postlude.errors import (
    ApplicationNotFound,
    ArgumentsDoNotFit,
    ArgumentsTooLarge,
    CallError,
    ClaimLost,
    IllegalTransition,
    InstallError,
    JobNotFound,
    KeyTaken,
    LoopBlocking,
    NotAPostludeStore,
    NotInTask,
    NotStorable,
    NotSucceeded,
    NotTestable,
    PortNotFree,
    RaisedElsewhere,
    ResultDoesNotFit,
    ResultNotStored,
    ScheduleDeclared,
    ScheduleNotFound,
    SchemaNotReady,
    SchemaTooNew,
    SettingsError,
    StartedInChild,
    StoreClosed,
    StoreError,
    StoreLocationError,
    StoreUnavailable,
    TaskDeclarationError,
    UnknownTask,
    UnknownValue,
    WaitInRequest,
    WaitTimeout,
)
from postlude.events import AttemptEnded, Event
from postlude.executors import Processes
from postlude.job import Attempt, Failure, Progress
from postlude.jobpolicy import JobPolicy
from postlude.loglines import LogLine
from postlude.pauses import Pause
from postlude.retries import Exponential
from postlude.stores.moving import StoreMoved
from postlude.telemetry import JobFields
from postlude.testing import (
    BlockingWorker,
    CapturedCall,
    CapturedCalls,
    Worker,
    assert_enqueued,
    capture,
    isolated,
    raise_failures,
    worker,
)

app = FastAPI()
durable = Postlude(app)
later = Postlude()
later.install(app)
every_option = Postlude(
    None,
    "sqlite:///jobs.db",
    mode="observe",
    worker="off",
    mask=["customer_number"],
    tasks=["app.tasks"],
    allow=("os:remove",),
    carry=[ContextVar[str]("tenant"), "app.context:user"],
    concurrency=Concurrency(loop=10, threads=2, processes=2),
    strict=True,
    ordered=False,
    interrupted="hold",
    on_store_error="run_unsaved",
    retention=Retention(succeeded=60, failed=timedelta(days=1), cancelled=60.5),
    shutdown_grace=timedelta(seconds=2),
)
Postlude(retention=timedelta(days=1), worker="process")


async def later_known() -> str:
    return "secret"


Postlude(
    url="postgresql://pooler/jobs",
    direct_url="postgresql://db/jobs",
    namespace="shop",
    schema="jobs",
    password=lambda: "secret",
    migrate="never",
)
Postlude(url="postgresql://db/jobs", password=later_known)
Postlude(url="postgresql://db/jobs", password=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Postlude(migrate="later")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Postlude(retention="1d")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def make_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=4)


durable.executors.register("pool", ThreadPoolExecutor())
durable.executors.register("made", make_pool, slots=4)
durable.executors.register("gentle", Processes(nice=15), slots=1)
durable.executors.register("wrong", "pool")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Postlude(concurrency=10, shutdown_grace=2.5, url="sqlite:///jobs.db")
Postlude(mode="stock")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Postlude(worker="sometimes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Postlude(interrupted="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Postlude(grace=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Postlude(concurrency="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Tasks


def add(first: int, second: int = 0) -> int:
    return first + second


async def shout(text: str) -> str:
    return text.upper()


def only_by_name(*, number: int) -> None: ...


def anything(*args: object, **kwargs: object) -> list[str]:
    return []


@task
def bare(number: int) -> int:
    return number


@task
async def bare_async(number: int) -> int:
    return number


@task(name="named", formerly="old", executor="thread", interrupted="hold", max_interruptions=1)
def declared(number: int) -> int:
    return number


def tenant_of(tenant: str) -> str:
    return tenant


@task(
    queue="imports",
    priority=5,
    key=tenant_of,
    on_conflict="debounce",
    key_period=timedelta(minutes=5),
    max_running=2,
    rate="100/min",
    partition_by=tenant_of,
    retention=Retention(succeeded=60, failed=timedelta(days=1)),
)
async def limited(tenant: str) -> int:
    return len(tenant)


@task(key="only-one", retention=60, remote=True, name="elsewhere")
def elsewhere(tenant: str) -> bytes:
    raise NotImplementedError


task(priority="high")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(on_conflict="ignore")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(max_running="2")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(rate=100)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(max_runing=2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
task(partition_by="tenant")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def with_terms(tasks: BackgroundTasks) -> None:
    asked = tasks.options(
        expires_after=timedelta(minutes=1),
        queue="imports",
        priority=-1,
        key="k",
        on_conflict="replace",
        key_period=60,
    )
    assert_type(asked.add_task(limited, "acme"), Job[int])
    assert_type(tasks.add_task(elsewhere, "acme"), Job[bytes])
    tasks.options(max_running=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tasks.options(key=tenant_of)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tasks.options(on_conflict="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def with_terms_outside() -> None:
    asked = durable.options(expires_after=5, queue="imports", priority=1, key="k", on_conflict="return", key_period=1)
    assert_type(await asked.enqueue(limited, "acme"), Job[int])
    assert_type(await durable.jobs.pause(task=limited, partition="acme", reason="down"), Pause)
    assert_type(await durable.jobs.pause(queue="imports"), Pause)
    assert_type(await durable.jobs.resume(task="named"), bool)
    assert_type(await durable.jobs.pauses(), Sequence[Pause])
    await durable.jobs.delete("id")
    durable.options(priority="high")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await durable.jobs.pause(limited)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]


@task(formerly=["a", "b"], executor="loop", interrupted="rerun")
async def declared_async(number: int) -> list[int]:
    return [number]


@task(retries=True, backoff=timedelta(seconds=5), retry_on=(OSError, TypeError))
async def tried_again(number: int) -> int:
    return number


@task(retries=RetryPolicy(3, backoff=Exponential(first=1), retry_on=OSError))
def tried_by_policy(number: int) -> int:
    return number


def alarm(failed: FailedJob) -> None:
    assert_type(failed.id, UUID)
    assert_type(failed.task, str)
    assert_type(failed.attempts, int)
    assert_type(failed.error, str | None)
    assert_type(failed.reason, str)
    assert_type(failed.failed_at, datetime)
    failed.task = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def alarm_with_dependency(failed: FailedJob, db: int = Depends(shout)) -> int:
    return db


@task(on_failure=alarm, keep_arguments=False)
def told(number: int) -> int:
    return number


task(on_failure=alarm_with_dependency)
task(on_failure=only_by_name)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
task(on_failure=shout)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
task(on_failure="alarm")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(keep_arguments="no")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def give_up(number: int, error: BaseException) -> float | None:
    return None if isinstance(error, OSError) else number


task(retries=3, backoff=[1, timedelta(seconds=5)])
task(retries=3, backoff=give_up)
task(retries="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(retries=3, backoff="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
task(timeout=5)
task(timeout=timedelta(minutes=1))
task(timeout="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(retries=3, retry_on=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


@schedule("0 9 * * mon-fri", timezone="Europe/Berlin", missed="once", overlap="skip")
@task(retries=3)
def report(day: int = 0) -> int:
    return day


@task
@schedule(every=timedelta(minutes=5), missed="all", overlap="allow", name="often", kwargs={"text": "hello"})
@schedule(every=60.5, missed="skip", kwargs={"text": "hello"})
async def greet(text: str) -> str:
    return text


assert_type(report(1), int)
assert_type(report(), int)
report("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
schedule("0 9 * * *", missed="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
schedule("0 9 * * *", overlap="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
schedule(every="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
schedule(report)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
schedule("0 9 * * *", zone="UTC")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
schedule(every=60)(5)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


async def all_schedules() -> None:
    assert_type(await durable.schedules.run("nightly"), Job[Any])
    assert_type(durable.blocking.schedules.run("nightly"), Job[Any])
    assert_type(await durable.schedules.forget("nightly"), None)
    assert_type(durable.blocking.jobs.retry_many(), Bulk)
    assert_type(await greet("text"), str)
    for each in await durable.schedules.list():
        assert_type(each, ScheduleInfo)
        assert_type(each.declared, bool)
        assert_type(each.next_at, datetime | None)
        assert_type(each.next_runs(5), list[datetime])
        assert_type(each.last_job, UUID | None)
        assert_type(each.spec, str)
        assert_type(each.last_moment, datetime | None)
    assert_type(await durable.enqueue(report, 1), Job[int])
    assert_type(await durable.enqueue(greet, "text"), Job[str])


def inside() -> None:
    job = current_job()
    assert_type(job.id, UUID)
    assert_type(job.attempt, int)
    assert_type(job.origin, Mapping[str, Any])
    assert_type(job.saved, Any)
    job.blocking.save({"page": 1})
    assert_type(cancel_requested(), bool)
    progress(1)
    progress(0.5, 1, "half")
    progress("half")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if job.cancel_requested:
        raise Cancel("why")
    if job.attempt > 1:
        raise Snooze(timedelta(seconds=5))
    raise Retry("why", after=5)


async def inside_and_awaited() -> None:
    assert_type(await current_job().save({"page": 1}), None)


logging.StreamHandler().addFilter(JobFields())
assert_type(bare(1), int)
assert_type(declared(1), int)
assert_type(tried_by_policy(1), int)
bare("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
declared(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
task(executor="process")
task(executor="dask")
task(executor=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(name=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
task(retires=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


class Mailer:
    def send(self, to: str) -> bool:
        return bool(to)

    def __call__(self) -> float:
        return 0.5


# In a request


def helper(tasks: Stock) -> None:
    """Annotated with FastAPI's own class: takes the typed variant too."""
    tasks.add_task(add, 1)


def dependency(tasks: BackgroundTasks) -> BackgroundTasks:
    return tasks.options(ordered=False)


async def with_default(number: int, db: str = Depends(shout)) -> int:
    return number


async def with_annotation(number: int, db: Annotated[str, Depends(shout)]) -> int:
    return number


@app.post("/dependencies")
async def tasks_with_dependencies(tasks: BackgroundTasks) -> None:
    """What is left out is resolved when the task runs; of the two forms checkers know it of the default alone."""
    assert_type(tasks.add_task(with_default, 1), Job[int])
    tasks.add_task(with_default, "1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    tasks.add_task(with_annotation, 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    assert_type(tasks.add_task(report, 1), Job[int])
    assert_type(tasks.add_task(greet, "text"), Job[str])


@app.post("/")
async def endpoint(tasks: BackgroundTasks, stock: Stock, same: BackgroundTasks = Depends(dependency)) -> None:
    helper(tasks)
    helper(stock)
    assert_type(tasks.add_task(add, 1, second=2), Job[int])
    assert_type(tasks.add_task(shout, "text"), Job[str])
    assert_type(tasks.add_task(only_by_name, number=1), Job[None])
    assert_type(tasks.add_task(anything, 1, "2", three=3), Job[list[str]])
    assert_type(tasks.add_task(bare, 1), Job[int])
    assert_type(tasks.add_task(bare_async, 1), Job[int])
    assert_type(tasks.add_task(declared, number=1), Job[int])
    assert_type(tasks.add_task(declared_async, 1), Job[list[int]])
    assert_type(tasks.add_task(Mailer().send, "a@example.com"), Job[bool])
    assert_type(tasks.add_task(Mailer()), Job[float])
    assert_type(tasks.add_task(lambda: 5), Job[int])
    assert_type(tasks.options(ordered=False, if_raised="keep").add_task(add, 1), Job[int])
    assert_type(tasks.options(if_raised="only").options(ordered=True).add_task(shout, "text"), Job[str])
    assert_type(same.add_task(add, 1), Job[int])
    wider: Job[object] = tasks.add_task(add, 1)
    assert_type(wider.id, UUID)

    tasks.add_task(add, "1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    tasks.add_task(add)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    tasks.add_task(add, 1, third=3)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    tasks.add_task(shout, text=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    tasks.add_task(add(1))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    tasks.add_task(None)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert_type(tasks.options(delay=5, retries=True, timeout=timedelta(1)).add_task(add, 1), Job[int])
    assert_type(await durable.options(run_at=datetime.now(UTC)).enqueue(shout, "text"), Job[str])
    assert_type(durable.blocking.options(delay=5, retries=RetryPolicy(1)).enqueue(add, 1), Job[int])
    tasks.options(delay="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with sqlite3.connect("app.db") as own:
        assert_type(await durable.options(within=own).enqueue(shout, "text"), Job[str])
        assert_type(durable.blocking.options(within=own, delay=1).enqueue(add, 1), Job[int])
    durable.options(within="app.db")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    durable.options(ordered=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tasks.options(if_raised="always")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tasks.options(order=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    not_text: Job[str] = tasks.add_task(add, 1)  # type: ignore[call-overload]  # pyright: ignore[reportAssignmentType]
    assert not_text


# Outside a request


async def outside() -> None:
    job = await durable.enqueue(shout, "text")
    assert_type(job, Job[str])
    assert_type(await durable.enqueue(add, 1, second=2), Job[int])
    assert_type(await durable.enqueue(bare_async, number=1), Job[int])
    assert_type(await durable.enqueue_many(add, [(1,), [1, 2], {"first": 1}]), list[Job[int]])
    assert_type(await durable.enqueue_many(shout, [("a",)]), list[Job[str]])
    await durable.enqueue(add, "1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await durable.enqueue(add)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await durable.enqueue_many(add, 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await durable.close()


async def a_job(job: Job[str]) -> None:
    assert_type(job.id, UUID)
    assert_type(job.task, str)
    assert_type(job.state, JobState)
    assert_type(job.state.finished, bool)
    assert_type(job.attempts, int)
    assert_type(job.interruptions, int)
    assert_type(job.error, Failure | None)
    assert_type(job.reason, str | None)
    assert_type(job.result, str)
    assert_type((await job.wait()).result, str)
    assert_type((await durable.enqueue(add, 1)).result, int)
    assert_type((await durable.enqueue(told, 1)).result, int)
    assert_type((await durable.enqueue(declared_async, 1)).result, list[int])
    assert_type(durable.blocking.enqueue(shout, "text").result, str)
    wrong: int = job.result  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    assert wrong
    job.result = "text"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(job.progress, Progress | None)
    assert_type(job.ephemeral, bool)
    assert_type(job.chain, UUID | None)
    assert_type(job.waiting, bool)
    assert_type(job.cancel_requested, bool)
    assert_type(job.cancelled_by, UUID | None)
    assert_type(job.created_at, datetime | None)
    assert_type(job.started_at, datetime | None)
    assert_type(job.finished_at, datetime | None)
    assert_type(await job.wait(timeout=1.0), Job[str])
    assert_type(await job.refresh(), Job[str])
    assert_type(await job.history(), Sequence[Attempt])
    assert_type(await job.logs(), Sequence[LogLine])
    assert_type(job.saved, Any)
    job.state = JobState.FAILED  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def more_of_a_job(job: Job[str]) -> None:
    assert_type(job.queue, str | None)
    assert_type(job.priority, int | None)
    assert_type(job.key, str | None)
    assert_type(job.partition, str | None)
    assert_type(job.run_at, datetime | None)
    assert_type(job.expires_at, datetime | None)
    assert_type(job.origin, Mapping[str, Any])
    policy = job.policy
    assert_type(policy, JobPolicy | None)
    if policy is not None:
        assert_type(policy.retries, int)
        assert_type(policy.retries_left, int)
        assert_type(policy.timeout, float | None)
        assert_type(policy.interrupted, Literal["rerun", "hold"])
        assert_type(policy.max_interruptions, int)
        assert_type(policy.retention, Retention | None)
        assert_type(policy.keep_arguments, bool)
        assert_type(policy.on_failure, str | None)
        policy.retries = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(await job.wait(timeout=timedelta(seconds=5)), Job[str])
    assert_type(await job.cancel(reason="no longer wanted"), Job[str])
    assert_type(await job.retry(), Job[str])
    assert_type(await job.delete(), None)
    await job.wait(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def looks(name: str, jobs: Jobs = Depends()) -> None:
    assert_type(await jobs.get(name), Job[Any])


async def all_jobs(jobs: Jobs) -> None:
    assert_type(await durable.enqueue(looks, "a"), Job[None])
    assert_type(durable.jobs, Jobs)
    one = await jobs.get("01890000-0000-7000-8000-000000000000")
    assert_type(one, Job[Any])
    assert_type(await jobs.get(one.id), Job[Any])
    found = await jobs.list(state="failed", task="main:f", chain=one.id, limit=5, before=one.id)
    assert_type(found, list[Job[Any]])
    await jobs.list(state=["failed", JobState.CANCELLED])
    assert_type(await jobs.count(state=JobState.QUEUED), Mapping[JobState, int])
    assert_type(await jobs.count(task=add, chain=one.id), Mapping[JobState, int])
    await jobs.list(task=add)
    await jobs.list(queue="mail", key="anna", since=timedelta(hours=2), until=datetime.now(UTC), text="refused")
    await jobs.count(ended_since=1.0)
    await jobs.list(since="yesterday")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await jobs.list(task=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await jobs.cancel(one.id, reason="no longer wanted"), Job[Any])
    assert_type(await jobs.retry(one.id), Job[Any])
    assert_type(await jobs.wait(one.id, timeout=5), Job[Any])
    assert_type(await jobs.wait(one.id, timeout=timedelta(seconds=5)), Job[Any])
    assert_type(await jobs.retry_many(rate="50/min", ended_since=timedelta(hours=2), queue="mail"), Bulk)
    assert_type(await jobs.cancel_many(reason="no longer wanted", task=add), Bulk)
    assert_type((await jobs.delete_many(state="cancelled")).done, int)
    assert_type(await jobs.pause(everything=True, reason="incident"), Pause)
    assert_type(await jobs.resume(everything=True), bool)
    await jobs.retry_many(status="failed")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(await jobs.history(one.id), Sequence[Attempt])
    assert_type(await jobs.logs(one.id), Sequence[LogLine])
    await jobs.get(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await jobs.list(state=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def may_see(job: RequestedJob, jobs: Jobs) -> bool:
    assert_type(job, Job[Any])
    assert_type(job.carried, Mapping[str, Any])
    return await jobs.get(job.id) is job


assert_type(durable.router(authorize=may_see), APIRouter)


def whose(job: RequestedJob) -> Visitor | None:
    return Visitor("ada", "view") if job.carried else None


assert_type(durable.router(authorize=whose), APIRouter)
durable.router(authorize="admin")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.include_router(durable.router())


def who_looks(user: Annotated[str, Depends(shout)]) -> Visitor | None:
    return Visitor(user, "view")


app.mount("/postlude", durable.dashboard(authorize=who_looks))
Postlude(FastAPI(), dashboard="/postlude")
durable.dashboard(authorize="act")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Visitor("ada", "admin")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.post("/accepted")
async def accepts(tasks: BackgroundTasks) -> Response:
    accepted(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return accepted(tasks.add_task(add, 1))


def in_a_thread() -> None:
    blocking = durable.blocking
    assert_type(blocking.enqueue(add, 1), Job[int])
    assert_type(blocking.enqueue(shout, "text"), Job[str])
    assert_type(blocking.enqueue_many(add, [(1,)]), list[Job[int]])
    assert_type(blocking.enqueue_many(shout, [("a",)]), list[Job[str]])
    one = blocking.jobs.get("01890000-0000-7000-8000-000000000000")
    assert_type(one, Job[Any])
    assert_type(blocking.jobs.list(state="queued"), list[Job[Any]])
    assert_type(blocking.jobs.count(), Mapping[JobState, int])
    assert_type(blocking.jobs.cancel(one.id), Job[Any])
    assert_type(blocking.jobs.retry(one.id), Job[Any])
    assert_type(blocking.jobs.wait(one.id, timeout=1), Job[Any])
    assert_type(blocking.jobs.history(one.id), Sequence[Attempt])
    assert_type(blocking.jobs.logs(one.id), Sequence[LogLine])
    assert_type(blocking.jobs.count(task=add, chain=one.id), Mapping[JobState, int])
    assert_type(blocking.jobs.list(task=add), list[Job[Any]])
    assert_type(blocking.jobs.wait(one.id, timeout=timedelta(seconds=1)), Job[Any])
    assert_type(blocking.jobs.pause(task=limited, partition="acme", reason="down"), Pause)
    assert_type(blocking.jobs.resume(queue="imports"), bool)
    assert_type(blocking.jobs.pauses(), Sequence[Pause])
    assert_type(blocking.jobs.delete(one.id), None)
    assert_type(blocking.schedules.list(), list[ScheduleInfo])
    blocking.options(ordered=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.close()
    blocking.enqueue(add, "1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def what_is_raised() -> None:
    try:
        in_a_thread()
    except NotStorable as error:
        assert_type(error.argument, str | None)
    except (JobNotFound, WaitTimeout) as error:
        assert_type(error.job_id, UUID)
    except NotSucceeded as error:
        assert_type(error.state, str)
        assert_type(error.reason, str | None)
    except (ResultNotStored, ResultDoesNotFit) as error:
        assert_type(error.reason, str)
    except UnknownTask as error:
        assert_type(error.name, str)
    except PostludeError as error:
        assert_type(error.args, tuple[Any, ...])


def what_errors_carry(
    settings: SettingsError,
    large: ArgumentsTooLarge,
    misfit: ArgumentsDoNotFit,
    illegal: IllegalTransition,
    taken: KeyTaken,
) -> None:
    assert_type(settings.problems, tuple[str, ...])
    assert_type((large.task, large.size, large.limit), tuple[str, int, int])
    assert_type((misfit.task, misfit.argument, misfit.reason), tuple[str, str | None, str])
    assert_type((illegal.state, illegal.event, illegal.hint), tuple[str, str, str])
    assert_type(illegal.job_id, UUID | None)
    assert_type((taken.job_id, taken.key, taken.holder), tuple[UUID, str, UUID])


def what_more_errors_carry(waits: WaitInRequest, lost: ClaimLost, elsewhere: RaisedElsewhere) -> None:
    assert_type((waits.job_id, lost.job_id), tuple[UUID, UUID])
    assert_type((elsewhere.type, elsewhere.message), tuple[str, str])


type_errors: list[type[TypeError]] = [CallError, NotStorable, ArgumentsDoNotFit, ResultDoesNotFit]
value_errors: list[type[ValueError]] = [TaskDeclarationError, UnknownValue, SettingsError, ArgumentsTooLarge]
lookup_errors: list[type[LookupError]] = [
    ApplicationNotFound,
    JobNotFound,
    ResultNotStored,
    ScheduleNotFound,
    UnknownTask,
]
runtime_errors: list[type[RuntimeError]] = [
    InstallError,
    LoopBlocking,
    NotInTask,
    NotTestable,
    ScheduleDeclared,
    StartedInChild,
]
store_errors: list[type[StoreError]] = [
    NotAPostludeStore,
    SchemaNotReady,
    SchemaTooNew,
    StoreClosed,
    StoreLocationError,
    StoreMoved,
    StoreUnavailable,
]
others: list[type[PostludeError]] = [StoreError, CallError, WaitTimeout]
os_errors: list[type[OSError]] = [PortNotFree, StoreLocationError]


assert_type(postlude.__all__, list[str])
assert_type(JobState("queued"), JobState)
assert_type(Concurrency().loop, int)


# Testing


def in_tests() -> None:
    with capture(app) as calls, capture(durable):
        assert_type(calls, CapturedCalls)
        assert_type(calls.assert_enqueued(add, 1, second=2), CapturedCall)
        assert_type(calls.of(add), list[CapturedCall])
        assert_type(calls[0].options.delay, float)
        calls.assert_enqueued(add, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with isolated(app), raise_failures(durable), worker(durable, timeout=timedelta(seconds=5)) as working:
        assert_type(working, BlockingWorker)
        working.advance(timedelta(days=1))
        working.run_pending()
        working.run_all()
        assert_type(assert_enqueued(app, add, 1), Job[int])
        assert_enqueued(app, add)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    capture("app")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def in_async_tests() -> None:
    async with worker(app) as working:
        assert_type(working, Worker)
        await working.advance(60.0)
        await working.run_all()
        assert_type(working.now, datetime)
    assert_type(assert_enqueued(app, shout, "a"), Job[str])


def bound(session: Annotated[str, Depends(shout)], tasks: Annotated[TransactionTasks, Within(shout)]) -> None:
    helped(tasks)
    assert_type(tasks.add_task(add, 1), Job[int])
    assert_type(tasks.options(ordered=False).add_task(shout, session), Job[str])
    tasks.add_task(add, "one")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def helped(tasks: Stock) -> None:
    tasks.add_task(print, "as with FastAPI's own")


# What happens


@durable.on_event
def sink(event: Event) -> None:
    if isinstance(event, AttemptEnded):
        assert_type(event.ran, float)


durable.on_event(print)
durable.on_event(shout)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
app.mount("/metrics", durable.metrics())
assert_type(durable.instrument(), None)

"""What stays of a job when it has ended: its result, its arguments, and who is told of its failure."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from postlude import BackgroundTasks, FailedJob, Job, JobState, Postlude, Retry, task
from postlude.errors import (
    IllegalTransition,
    NotStorable,
    NotSucceeded,
    ResultDoesNotFit,
    ResultNotStored,
    TaskDeclarationError,
)
from tests.face.conftest import Make, Serve, ended, until

ROOT = Path(__file__).parents[2]
ran: list[object] = []
broken = True


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    global broken  # noqa: PLW0603 - what a retry by hand finds mended
    broken = True
    ran.clear()


class Invoice(BaseModel):
    number: int
    lines: list[str] = []


def make_invoice(number: int) -> Invoice:
    return Invoice(number=number, lines=["a", "b"])


async def make_invoice_async(number: int) -> Invoice:
    return Invoice(number=number)


async def count_words(text: str, extra: Annotated[int, Depends(lambda: 1)]) -> int:
    return len(text.split()) + extra


def unannotated(value):  # type: ignore[no-untyped-def]  # noqa: ANN201, ANN001
    return value


def pair():  # type: ignore[no-untyped-def]  # noqa: ANN201
    return 1, 2


def large() -> str:
    return "x" * 300_000


def not_what_it_says() -> int:
    return "five"  # type: ignore[return-value]


def nothing() -> None:
    ran.append("nothing")


def fail() -> int:
    message = "no"
    raise ValueError(message)


@contextlib.asynccontextmanager
async def worker(url: str, **options: Any) -> AsyncIterator[Postlude]:
    """An application with its worker, on the event loop of the test."""
    app = FastAPI()
    durable = Postlude(app, **{"url": url, "shutdown_grace": 0, **options})
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    serving = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, incoming.get, outgoing.put))
    incoming.put_nowait({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    yield durable
    incoming.put_nowait({"type": "lifespan.shutdown"})
    await serving


async def wait_for_all(durable: Postlude, task: str) -> list[Job[Any]]:
    """The jobs of a task when they have ended."""
    return [await job.wait(timeout=30) for job in await durable.jobs.list(task=f"{__name__}:{task}")]


async def wait_for_state(job: Job[Any], state: JobState) -> None:
    """The test's own timeout ends it if it never is."""
    while (await job.refresh()).state is not state:
        pass


# Results


def test_what_a_request_added_has_its_result(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/invoices/{number}")
    async def invoice(number: int, background_tasks: BackgroundTasks) -> list[str]:
        jobs = [background_tasks.add_task(f, number) for f in (make_invoice, make_invoice_async)]
        jobs.append(background_tasks.add_task(count_words, "to be stored"))  # type: ignore[call-overload]
        with pytest.raises(NotSucceeded, match="was staged when it was last read"):
            _ = jobs[0].result
        return [str(job.id) for job in jobs]

    with serve(app) as client:
        first, second, third = ended(durable, *client.post("/invoices/7").json())
    assert first.result == Invoice(number=7, lines=["a", "b"])
    assert second.result == Invoice(number=7)
    assert third.result == 4


async def test_results_of_all_kinds(url: str) -> None:
    async with worker(url) as durable:
        done = await (await durable.enqueue(make_invoice, 7)).wait(timeout=30)
        assert done.result == Invoice(number=7, lines=["a", "b"])
        assert (await done.refresh()).result == done.result
        for value in ({"a": [1, 2.5, None, "x"]}, 0, "", False):
            assert (await (await durable.enqueue(unannotated, value)).wait(timeout=30)).result == value
        assert (await (await durable.enqueue(nothing)).wait(timeout=30)).result is None
        for function, reason in [
            (large, "it takes more than the 262,144 bytes of JSON that a job may keep"),
            (not_what_it_says, "str does not match the annotation int"),
            (pair, "tuple has no form in JSON"),
        ]:
            done = await (await durable.enqueue(function)).wait(timeout=30)
            assert done.state is JobState.SUCCEEDED
            with pytest.raises(ResultNotStored, match=r"has succeeded, but what .* returned was not stored") as raised:
                _ = done.result
            assert (raised.value.job_id, raised.value.reason) == (done.id, reason)


async def test_a_job_that_has_not_succeeded_has_none(url: str) -> None:
    async with worker(url) as durable:
        job = await durable.enqueue(fail)
        with pytest.raises(NotSucceeded, match=r"was queued when it was last read.*await job.wait\(\)"):
            _ = job.result
        done = await job.wait(timeout=30)
        with pytest.raises(NotSucceeded, match=r"is failed \(ValueError: no\), so it has no result") as raised:
            _ = done.result
        assert (raised.value.state, raised.value.reason) == ("failed", "ValueError: no")


@task(name="changing")
def before() -> dict[str, int]:
    return {"a": 1}


async def test_a_task_that_was_changed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(url) as durable:
        done = await (await durable.enqueue(before)).wait(timeout=30)
    monkeypatch.setitem(before.__annotations__, "return", int)
    durable = Postlude(url=url)
    try:
        again = await durable.jobs.get(done.id)
        with pytest.raises(ResultDoesNotFit, match="is not what changing returns: the annotation takes bool or int"):
            _ = again.result
    finally:
        await durable.close()


WAITING = """
import asyncio, sys
from postlude import Postlude

async def main() -> None:
    durable = Postlude(url=sys.argv[1], tasks=sys.argv[2].split())
    for each in sys.argv[3:]:
        job = await durable.jobs.wait(each, timeout=30)
        print(repr(job.result))
    await durable.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("knows_the_task", [True, False])
async def test_another_process_waits_for_it(url: str, tmp_path: Path, knows_the_task: bool) -> None:
    """By its annotation where the task is known, as plain JSON where it is not."""
    async with worker(url) as durable:
        jobs = [await durable.enqueue(gated_invoice, 7), await durable.enqueue(unannotated, [1])]
        known = __name__ if knows_the_task else ""
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WAITING, url, known, *(str(job.id) for job in jobs), cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        await until(lambda: gate)
        gate.pop().set()
        said, errors = await other.communicate()
    first, second = said.decode().splitlines() or [errors.decode(), ""]
    assert first == ("Invoice(number=7, lines=[])" if knows_the_task else "{'number': 7}")
    assert second == "[1]"


gate: list[asyncio.Event] = []


@task(name="gated-invoice")
async def gated_invoice(number: int) -> Invoice:
    gate.append(asyncio.Event())
    await gate[0].wait()
    return Invoice(number=number)


# on_failure


@task(retries=2, backoff=0)
async def alarm(failed: FailedJob) -> None:
    ran.append(failed)
    if len(ran) == 1:
        raise ConnectionError


@task(retries=2, backoff=0, on_failure=alarm)
def charge(card: str) -> str:
    if broken:
        message = f"card {card} was declined"
        raise ValueError(message)
    return card


@task
def plain_alarm(failed) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    ran.append(failed)


@task(on_failure=plain_alarm, interrupted="hold")
async def stops() -> None:
    await asyncio.Event().wait()


@task(on_failure=plain_alarm)
def cannot() -> None:
    raise OSError


async def test_25_fails_for_ever(url: str) -> None:
    """`failed` after its attempts, `on_failure` called once with its own retries, a retry by hand works."""
    global broken  # noqa: PLW0603 - mended
    async with worker(url) as durable:
        done = await (await durable.enqueue(charge, "4711")).wait(timeout=30)
        assert (done.state, done.attempts) == (JobState.FAILED, 3)
        (told,) = await wait_for_all(durable, "alarm")
        assert (told.state, told.attempts) == (JobState.SUCCEEDED, 2)
        first, second = ran
        assert first == second
        assert isinstance(first, FailedJob)
        assert (first.id, first.task, first.attempts) == (done.id, f"{__name__}:charge", 3)
        assert (first.error, first.reason) == ("ValueError", "ValueError: card 4711 was declined")
        assert first.failed_at == done.finished_at
        assert first.failed_at.tzinfo is UTC
        # Once for each failure: it fails again by hand, and is told again.
        again = await (await durable.jobs.retry(done.id)).wait(timeout=30)
        assert again.state is JobState.FAILED
        assert len(await wait_for_all(durable, "alarm")) == 2
        broken = False
        mended = await (await durable.jobs.retry(done.id)).wait(timeout=30)
        assert (mended.state, mended.result) == (JobState.SUCCEEDED, "4711")
        assert len(await durable.jobs.list(task=f"{__name__}:alarm")) == 2
    assert ran.count(first) == 2


async def test_without_an_annotation_it_is_told_the_same(url: str) -> None:
    async with worker(url) as durable:
        done = await (await durable.enqueue(cannot)).wait(timeout=30)
        await wait_for_all(durable, "plain_alarm")
    (told,) = ran
    assert isinstance(told, FailedJob)
    assert told.id == done.id


async def test_nobody_is_told_of_a_job_that_was_cancelled(url: str) -> None:
    async with worker(url) as durable:
        waiting = await durable.options(delay=1000).enqueue(cannot)
        running = await durable.enqueue(stops)
        await durable.jobs.cancel(waiting.id)
        await wait_for_state(running, JobState.RUNNING)
        await durable.jobs.cancel(running.id)
        assert (await running.wait(timeout=30)).state is JobState.CANCELLED
        assert await durable.jobs.list(task=f"{__name__}:plain_alarm") == []


async def test_it_is_told_of_what_is_set_aside(url: str) -> None:
    async with worker(url) as durable:
        job = await durable.enqueue(stops)
        await wait_for_state(job, JobState.RUNNING)
    async with worker(url) as durable:
        assert (await durable.jobs.get(job.id)).state is JobState.FAILED
        await wait_for_all(durable, "plain_alarm")
    (told,) = ran
    assert isinstance(told, FailedJob)
    assert (told.id, told.error, told.attempts) == (job.id, None, 1)
    assert "interrupted='hold'" in told.reason


@pytest.mark.parametrize("empty_place", ["sqlite"], indirect=True)  # where who has died is found at the start itself
async def test_it_survives_the_process_and_needs_no_known_task(url: str, tmp_path: Path) -> None:
    """A process that knows neither the task nor who is told of it finds the held job, and queues who is told."""
    program = """
import asyncio, os, sys
from fastapi import FastAPI
from postlude import Postlude
import tests.face.test_ends as module

async def main() -> None:
    app = FastAPI()
    durable = Postlude(app, url=sys.argv[1])
    async def die() -> None:
        job = await durable.enqueue(module.stops)
        while (await job.refresh()).state != "running":
            await asyncio.sleep(0)
        os._exit(9)
    incoming = asyncio.Queue()
    incoming.put_nowait({"type": "lifespan.startup"})
    started = asyncio.Event()
    async def send(message: object) -> None:
        started.set()
    serving = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, incoming.get, send))
    await started.wait()
    await die()

asyncio.run(main())
"""
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, url, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert await died.wait() == 9
    rescuing = """
import asyncio, sys
from fastapi import FastAPI
from fastapi.testclient import TestClient
from postlude import Postlude

app = FastAPI()
durable = Postlude(app, url=sys.argv[1])
with TestClient(app):
    (held,) = durable.blocking.jobs.list(state="failed")
    (told,) = durable.blocking.jobs.list(state="queued")
    print(held.task, told.task)
"""
    said = await asyncio.create_subprocess_exec(
        sys.executable, "-c", rescuing, url, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, errors = await said.communicate()
    assert out.decode().split() == [f"{__name__}:stops", f"{__name__}:plain_alarm"], errors.decode()
    async with worker(url) as durable:
        await wait_for_all(durable, "plain_alarm")
    assert [type(told) for told in ran] == [FailedJob]


def takes_nothing() -> None: ...


def by_name(*, failed: FailedJob) -> None: ...


def with_dependency(failed: FailedJob, db: int = Depends(lambda: 1)) -> None:
    ran.extend((failed, db))


@task(key="one")
def with_key(failed: FailedJob) -> None: ...


@task(partition_by=lambda failed: failed.task)
def with_partitions(failed: FailedJob) -> None: ...


def of_the_request(request: Request) -> str:
    return request.url.path


def with_request(failed: FailedJob, path: str = Depends(of_the_request)) -> None: ...


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (takes_nothing, r"on_failure=takes_nothing must take one positional argument, a FailedJob"),
        (by_name, r"on_failure=by_name must take one positional argument"),
        ("alarm", r"on_failure must be a function that takes one FailedJob, got 'alarm'"),
        (with_key, r"on_failure=with_key has key=, and each failure is told by a job of its own, without one"),
        (
            with_partitions,
            r"on_failure=with_partitions has partition_by=, and each failure is told by a job of its own",
        ),
        (with_request, r"on_failure=with_request: .*Request"),
    ],
)
def test_who_cannot_be_told_is_refused_where_it_is_declared(handler: Any, reason: str) -> None:
    with pytest.raises(TaskDeclarationError, match=reason):
        task(on_failure=handler)(nothing)


def test_a_failure_that_would_follow_itself_is_refused() -> None:
    def first(failed: FailedJob) -> None: ...

    def second(failed: FailedJob) -> None: ...

    with pytest.raises(TaskDeclarationError, match="on_failure leads back to the task itself"):
        task(on_failure=first)(first)
    task(on_failure=first)(second)
    with pytest.raises(TaskDeclarationError, match="on_failure leads back to the task itself"):
        task(on_failure=second)(first)


@task(on_failure=with_dependency)
def fails_with_dependency() -> None:
    raise OSError


async def test_who_is_told_may_depend_on_something(url: str) -> None:
    async with worker(url) as durable:
        await (await durable.enqueue(fails_with_dependency)).wait(timeout=30)
        await wait_for_all(durable, "with_dependency")
    assert [type(each) for each in ran] == [FailedJob, int]


@task(on_failure=lambda failed: None)
def told_a_lambda() -> None: ...


async def test_who_cannot_be_stored_is_named_when_it_is_used(url: str) -> None:
    durable = Postlude(url=url)
    with pytest.raises(NotStorable, match=r"on_failure=.*<lambda> cannot be stored with it: it is a lambda"):
        await durable.enqueue(told_a_lambda)
    await durable.close()


# keep_arguments


@dataclass
class Secret:
    word: str


@task(keep_arguments=False)
def use(secret: Secret) -> str:
    if broken:
        ran.append(secret.word)
        raise Retry(after=0) if len(ran) < 3 else ValueError
    return "used"


def stored(url: str) -> str:
    with contextlib.closing(sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)) as file:
        return "".join(str(row) for row in file.execute("SELECT * FROM jobs"))


@pytest.mark.parametrize("empty_place", ["sqlite"], indirect=True)  # it looks into the file
@pytest.mark.parametrize("succeeds", [True, False])
async def test_arguments_are_erased_when_the_job_has_ended(url: str, succeeds: bool) -> None:
    global broken  # noqa: PLW0603 - mended
    broken = not succeeds
    async with worker(url) as durable:
        done = await (await durable.enqueue(use, Secret("hunter2"))).wait(timeout=30)
        assert done.state is (JobState.SUCCEEDED if succeeds else JobState.FAILED)
        assert ran == ([] if succeeds else ["hunter2"] * 3), "it had them for every try"
        assert not done.ephemeral
        if not succeeds:
            with pytest.raises(IllegalTransition, match="keep_arguments=False"):
                await durable.jobs.retry(done.id)
        waits = await durable.options(delay=1000).enqueue(use, Secret("waits"))
    rows = stored(url)
    assert "hunter2" not in rows
    assert "waits" in rows
    assert waits.state is JobState.QUEUED


def test_keep_arguments_is_true_or_false() -> None:
    with pytest.raises(TaskDeclarationError, match="keep_arguments must be True or False, got 'no'"):
        task(keep_arguments="no")(nothing)  # type: ignore[call-overload]


def test_immediate_mode_leaves_who_is_told_to_a_worker(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    async def post(background_tasks: BackgroundTasks) -> str:
        return str(background_tasks.add_task(cannot).id)

    before = datetime.now(UTC)
    (failed,) = ended(durable, TestClient(app).post("/").json())
    (told,) = durable.blocking.jobs.list(task=f"{__name__}:plain_alarm")
    assert (failed.state, told.state) == (JobState.FAILED, JobState.QUEUED)
    assert told.created_at is not None
    assert told.created_at >= before
    assert told.id.version == 7
    with TestClient(app):
        ended(durable, str(told.id))
    assert [each.id for each in ran] == [failed.id]  # type: ignore[attr-defined]

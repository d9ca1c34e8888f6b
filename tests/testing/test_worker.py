"""`worker`: jobs run when the test says so, and time passes when the test says so."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Postlude
from postlude.errors import CallError, LoopBlocking
from postlude.testing import BlockingWorker, assert_enqueued, raise_failures, worker
from tests.testing import application
from tests.testing.application import enqueue_next, flaky, hang, hang_in_thread, poll, ran, send, wait_for_another
from tests.testing.conftest import open_files


@pytest.fixture
def working(app: FastAPI) -> Iterator[BlockingWorker]:
    with worker(app) as working:
        yield working


@pytest.mark.parametrize("lifespan", [False, True])
def test_nothing_runs_before_it_is_told_to(app: FastAPI, working: BlockingWorker, *, lifespan: bool) -> None:
    client = TestClient(app)
    started: AbstractContextManager[object] = client if lifespan else nullcontext()
    with started:
        client.post("/send/ada")
        assert assert_enqueued(app, send, "ada", copies=2).state == "queued"
        assert ran == []
        working.run_pending()
        assert ran == [("send", "ada")]
    working.run_all()  # also when the application has stopped
    assert ran == [("send", "ada"), ("send", "later ada")]


def test_a_retry_comes_at_its_moment_and_not_before(app: FastAPI, client: TestClient, working: BlockingWorker) -> None:
    application.fail_times = 2
    client.post("/flaky/1")
    began = working.now
    tries = []
    for seconds in (0, 9.9, 0.1, 59, 1, 1000):
        working.advance(seconds)
        tries.append(len(ran))
    assert tries == [1, 1, 2, 2, 3, 3]
    job = assert_enqueued(app, flaky, 1)
    assert (job.state, job.attempts) == ("succeeded", 3)
    assert job.finished_at == began + timedelta(seconds=70)
    assert working.now == began + timedelta(seconds=1070)


def test_run_all_jumps_from_one_due_moment_to_the_next(client: TestClient, working: BlockingWorker) -> None:
    application.fail_times = 2
    client.post("/flaky/1")
    client.post("/send/ada")
    began = working.now
    working.run_all()
    assert ran == [("try", 1), ("send", "ada"), ("try", 1), ("try", 1), ("send", "later ada")]
    assert working.now == began + timedelta(hours=1)


def test_what_a_job_adds_is_run_with_it(durable: Postlude, working: BlockingWorker) -> None:
    durable.blocking.enqueue(enqueue_next, 3)
    working.run_pending()
    assert ran == [3, 2, 1, 0]
    durable.blocking.enqueue(wait_for_another)
    working.run_pending()
    assert ran[4:] == [("send", "inner"), "outer"]


def test_more_jobs_than_there_are_slots(durable: Postlude, working: BlockingWorker) -> None:
    durable.blocking.enqueue_many(send, [(str(number),) for number in range(50)])
    durable.blocking.enqueue_many(flaky, [(number,) for number in range(250)])
    working.run_pending()
    assert len(ran) == 300
    assert durable.blocking.jobs.count(state="succeeded") == {"succeeded": 300}


def test_real_time_still_ends_a_wait(durable: Postlude, working: BlockingWorker) -> None:
    job = durable.blocking.enqueue(send, "ada")
    with pytest.raises(TimeoutError):
        durable.blocking.jobs.wait(job.id, timeout=0.01)
    assert ran == []


def test_what_fails_for_good_can_be_raised(app: FastAPI, client: TestClient, working: BlockingWorker) -> None:
    application.fail_times = 3
    client.post("/flaky/1")
    with raise_failures(app):
        working.run_pending()  # which is tried again, and has not failed
    with pytest.raises(ConnectionError), raise_failures(app):
        working.run_all()


def test_a_job_that_never_ends_is_named(app: FastAPI, durable: Postlude) -> None:
    with worker(app, timeout=timedelta(seconds=0.5)) as working:
        durable.blocking.enqueue(poll)
        with pytest.raises(AssertionError) as raised:
            working.run_all()
        said, _, job = str(raised.value).partition("\n")
        assert said == (
            "The worker has not come to an end within 0.5 s of real time (worker(..., timeout=)); it had come to "
            f"{working.now:%Y-%m-%d %H:%M:%S} on its own clock. Jobs that have not ended:"
        )
        assert job.startswith("  tests.testing.application:poll() [")
        durable.blocking.jobs.cancel(durable.blocking.jobs.list()[0].id)
        durable.blocking.enqueue(send, "ada")
        working.run_all()  # it can go on
        assert ran == [("send", "ada")]


async def test_a_task_that_hangs_is_named_and_ended(app: FastAPI, durable: Postlude) -> None:
    async with worker(app, timeout=0.2) as working:
        await durable.enqueue(hang)
        with pytest.raises(AssertionError, match=r"application:hang\(\) \[running, attempts: 1\]"):
            await working.run_pending()
        assert ran == ["hangs", "ended"]


def test_a_timeout_of_a_task_passes_in_real_time(durable: Postlude, working: BlockingWorker) -> None:
    job = durable.blocking.options(timeout=0.05).enqueue(hang)
    working.run_pending()
    ended = durable.blocking.jobs.get(job.id)
    assert (ended.state, ended.reason) == ("failed", "TimeoutError: it ran longer than its timeout of 0.05 s")


def test_a_thread_that_hangs_is_named_and_left_alone(app: FastAPI, durable: Postlude) -> None:
    with worker(app, timeout=0.2) as working:
        durable.blocking.enqueue(hang_in_thread)
        with pytest.raises(AssertionError, match=r"application:hang_in_thread\(\) \[running, attempts: 1\]"):
            working.run_pending()
    application.let_go.set()


def test_the_tasks_of_a_request_stay_in_order(client: TestClient, working: BlockingWorker) -> None:
    application.fail_times = 1
    client.post("/in-order")
    working.run_pending()
    assert ran == [("try", 1)]
    working.run_all()
    assert ran == [("try", 1), ("try", 1), ("send", "after it")]


@pytest.mark.parametrize("wrong", [-1, "soon", float("inf")])
def test_what_is_no_duration_is_refused(app: FastAPI, wrong: float) -> None:
    with pytest.raises(CallError, match="timeout: expected seconds"):
        worker(app, timeout=wrong)
    with worker(app) as working, pytest.raises(CallError, match="advance: expected seconds"):
        working.advance(wrong)


async def test_in_an_async_test(app: FastAPI, durable: Postlude) -> None:
    application.fail_times = 1
    async with worker(app) as working:
        began = working.now
        await durable.enqueue(flaky, 1)
        await working.run_pending()
        await working.advance(timedelta(seconds=9))
        assert ran == [("try", 1)]
        await working.run_all()
        assert ran == [("try", 1), ("try", 1)]
        assert working.now == began + timedelta(seconds=10)


async def test_the_blocking_one_is_refused_in_an_async_test(app: FastAPI) -> None:
    with worker(app) as working, pytest.raises(LoopBlocking):
        working.run_pending()


def test_afterwards_its_thread_and_its_files_are_gone(app: FastAPI, client: TestClient) -> None:
    files, threads = open_files(), {*threading.enumerate()}
    with worker(app) as working:
        client.post("/send/ada")
        working.run_all()
        assert {*threading.enumerate()} > threads
    for thread in {*threading.enumerate()} - threads:
        thread.join(10)
    assert {*threading.enumerate()} == threads
    assert open_files() == files
    assert working.now  # which was alive until here, and kept none of it


def test_afterwards_the_time_is_that_of_the_machine(app: FastAPI, durable: Postlude, client: TestClient) -> None:
    with worker(app) as working:
        working.advance(timedelta(days=400))
    before = time.time()
    job = durable.blocking.jobs.get(client.post("/send/ada").json())
    assert job.state == "succeeded"
    assert job.created_at is not None
    assert before <= job.created_at.timestamp() <= time.time()

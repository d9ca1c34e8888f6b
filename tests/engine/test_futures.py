"""`durable.executors.register(...)`: executors of `concurrent.futures`, on a real store."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from postlude.errors import TaskDeclarationError, UnknownTask
from postlude.events import AttemptFailed, ExecutorFailed, ExecutorRecovered
from postlude.executors.registered import Executors, Processes
from postlude.job import JobState, Progress
from tests.engine import elsewhere_tasks as tasks
from tests.engine.conftest import Engine
from tests.engine.fakes import until


def own_processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="users-own") as pool:
        yield pool


@pytest.fixture
def processes() -> Iterator[ProcessPoolExecutor]:
    with own_processes() as pool:
        yield pool


async def test_in_a_thread_pool_the_task_sees_its_very_job(
    engine: Engine, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    engine.executors.register("pool", threads)
    tasks.seen.clear()
    call = await engine.staged(tasks.in_pool, str(tmp_path / "out"))
    await engine.attempts.run(call)
    record = await engine.record(call)
    assert (record.state, record.progress) == (JobState.SUCCEEDED, Progress(1, 2, "in the pool"))
    assert [job.id for job in tasks.seen] == [call.id]


@pytest.mark.parametrize("kind", ["threads", "processes"])
async def test_a_coroutine_with_a_dependency(
    engine: Engine, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine.executors.register("pool", request.getfixturevalue(kind))
    path = tmp_path / "out"
    call = await engine.staged(tasks.in_pool_async, str(path))
    await engine.attempts.run(call)
    assert (await engine.record(call)).state == JobState.SUCCEEDED
    number, _, db = path.read_text().partition(" ")
    assert (int(number) == os.getpid(), db) == (kind == "threads", "a session")


async def test_in_a_process_pool(engine: Engine, processes: ProcessPoolExecutor, tmp_path: Path) -> None:
    engine.executors.register("pool", processes)
    path = tmp_path / "out"
    await engine.attempts.run(await engine.staged(tasks.in_pool, str(path)))
    number, asked = path.read_text().split()
    assert int(number) != os.getpid()
    assert asked == "False"
    call = await engine.queue(tasks.raises_in_pool)
    await engine.worker.run_once()
    await until(lambda: len(engine.settled) == 2)
    record = await engine.record(call)
    assert record.failure is not None
    assert record.failure.type == "tests.engine.elsewhere_tasks.Flaky"
    assert [event.again_in for event in engine.heard.of(AttemptFailed)] == [60]


async def test_a_factory_is_called_once_and_again_when_its_pool_broke(engine: Engine, tmp_path: Path) -> None:
    made: list[ProcessPoolExecutor] = []

    def factory() -> ProcessPoolExecutor:
        made.append(own_processes())
        return made[-1]

    engine.executors.register("pool", factory)
    assert made == []
    path = tmp_path / "out"
    for _ in range(2):
        await engine.attempts.run(await engine.staged(tasks.in_pool, str(path)))
    assert len(made) == 1
    call = await engine.staged(tasks.dies_in_pool)
    await engine.attempts.run(call)
    record = await engine.record(call)
    assert (record.state, record.interruptions) == (JobState.QUEUED, 1)
    call = await engine.staged(tasks.in_pool, str(path))
    await engine.attempts.run(call)
    assert (await engine.record(call)).state == JobState.SUCCEEDED
    assert len(made) == 2
    engine.places.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        made[1].submit(os.getpid)


async def test_what_the_user_made_is_not_shut_down(engine: Engine, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    engine.executors.register("pool", threads)
    await engine.attempts.run(await engine.staged(tasks.in_pool, str(tmp_path / "out")))
    engine.places.close()
    assert threads.submit(os.getpid).result() == os.getpid()


async def test_an_executor_that_takes_no_work_gives_the_job_back(engine: Engine, tmp_path: Path) -> None:
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    engine.executors.register("pool", closed)
    call = await engine.staged(tasks.in_pool, str(tmp_path / "out"))
    await engine.attempts.run(call)
    record = await engine.record(call)
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    assert "took no work" in engine.heard.of(ExecutorFailed)[0].reason


async def test_one_that_is_down_is_tried_now_and_then_by_one_job(engine: Engine, tmp_path: Path) -> None:
    tries: list[float] = []
    pool = ThreadPoolExecutor(1)

    def factory() -> Executor:
        tries.append(engine.clock.elapsed())
        if len(tries) < 5:
            message = "no scheduler"
            raise OSError(message)
        return pool

    engine.executors.register("pool", factory, slots=2)
    began = engine.clock.elapsed()
    calls = [await engine.queue(tasks.in_pool, str(tmp_path / str(number))) for number in range(6)]
    while not engine.heard.of(ExecutorRecovered):
        await engine.worker.run_once()
        await until(lambda: engine.attempts.empty)
        await engine.settling.flush()
        engine.clock.advance(0.5)
    assert [moment - began for moment in tries] == [0, 0, 1, 3, 7], "two at once, and then one after 1, 2 and 4 s"
    assert len(engine.heard.of(ExecutorFailed)) == 1
    while any(record.state is JobState.QUEUED for record in await engine.records(calls)):
        await engine.worker.run_once()
        await until(lambda: engine.attempts.empty)
        await engine.settling.flush()
        engine.clock.advance(0.5)
    assert (engine.attempts.slots.free("pool"), len(engine.heard.of(ExecutorRecovered))) == (2, 1)
    pool.shutdown()


async def test_cancelled_before_it_began(engine: Engine, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    engine.executors.register("pool", threads)
    release = threading.Event()
    threads.submit(release.wait)
    path = tmp_path / "out"
    call = await engine.staged(tasks.in_pool, str(path))
    finished = asyncio.ensure_future(engine.attempts.run(call))
    await until(threads._work_queue.qsize)
    engine.clock.advance(1)
    await engine.attempts.run_once()
    await engine.store.cancel(call.id, reason="enough", now=engine.clock.now())
    engine.attempts.look_for_cancellations()
    await engine.attempts.run_once()
    await finished
    record = await engine.record(call)
    assert (record.state, record.reason, path.exists()) == (JobState.CANCELLED, "enough", False)
    release.set()


async def test_what_has_begun_is_left_alone_at_its_timeout(
    engine: Engine, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    engine.executors.register("pool", threads)
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    call = await engine.staged(tasks.waits_in_pool, str(gate), str(begun))
    finished = asyncio.ensure_future(engine.attempts.run(call))
    await until(begun.exists)
    engine.clock.advance(5)
    await engine.attempts.run_once()
    assert not finished.done()
    gate.touch()
    await finished
    record = await engine.record(call)
    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILED, "TimeoutError")


async def test_slots(engine: Engine, threads: ThreadPoolExecutor) -> None:
    engine.executors.register("pool", threads, slots=3)
    assert engine.attempts.slots.free("pool") == 3
    assert engine.attempts.slots.free("process") == engine.places.concurrency.most_processes


async def test_an_unknown_executor_is_refused_where_a_job_would_need_it(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    with pytest.raises(TaskDeclarationError, match=r"'poll' is not registered here; .*'process'\. Register"):
        engine.call(tasks.misspelt)
    engine.executors.register("pool", threads)
    with pytest.raises(TaskDeclarationError, match="Did you mean 'pool'"):
        engine.call(tasks.misspelt)


async def test_a_worker_without_the_executor_does_not_claim(engine: Engine, threads: ThreadPoolExecutor) -> None:
    name = "tests.engine.elsewhere_tasks:misspelt"
    assert not engine.registry.knows(name)
    with pytest.raises(UnknownTask, match="'poll' is not registered"):
        engine.registry.find(name)
    engine.executors.register("poll", threads)
    assert engine.registry.knows(name)


def not_an_executor() -> None: ...


@pytest.mark.parametrize(
    ("name", "executor", "slots", "message"),
    [
        ("no name", ThreadPoolExecutor, 1, "a name must be an identifier"),
        ("process", not_an_executor, 1, "the name 'process' is taken"),
        ("pool", 3, 1, "expected a concurrent.futures.Executor, or a function without arguments"),
        ("pool", Future, 1, "expected a concurrent.futures.Executor"),
        ("pool", Processes(20), 1, r"Processes\(nice=\) must be a whole number from 0 to 19, got 20"),
        ("pool", not_an_executor, 0, "slots must be a whole number, 1 or more, got 0"),
    ],
)
def test_nonsense_is_refused(name: str, executor: Callable[[], Executor] | Processes, slots: int, message: str) -> None:
    with pytest.raises(TaskDeclarationError, match=message):
        Executors().register(name, executor, slots=slots)


async def test_a_factory_that_makes_something_else(engine: Engine, tmp_path: Path) -> None:
    engine.executors.register("pool", not_an_executor)  # type: ignore[arg-type]
    await engine.attempts.run(await engine.staged(tasks.in_pool, str(tmp_path / "out")))
    assert "its factory must return" in engine.heard.of(ExecutorFailed)[0].reason


async def test_saving_from_a_process_pool_is_refused_with_the_way_out(
    engine: Engine, processes: ProcessPoolExecutor
) -> None:
    engine.executors.register("pool", processes)
    call = await engine.staged(tasks.saves_in_pool)
    await engine.attempts.run(call)
    record = await engine.record(call)
    assert record.failure is not None
    assert "Use executor='process'" in record.failure.message

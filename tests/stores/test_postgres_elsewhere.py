"""What one process does with jobs that another one runs: at once when that is told, and soon when it is not."""

import statistics
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from postlude import Postlude
from postlude.job import JobState
from tests.stores.load import Load, work
from tests.stores.places import new_namespace

SAMPLES = 7


@pytest.fixture(params=["works", "works_deaf"])
def load(request: pytest.FixtureRequest, postgres: str, tmp_path: Path) -> Iterator[Load]:
    """A process that runs what the test adds."""
    dsn, _, namespace = new_namespace(postgres).partition("#")
    with Load(tmp_path, dsn, what=(request.param,), namespace=namespace) as load:
        load.await_lines("up", 1)
        yield load


@pytest.fixture
async def durable(load: Load) -> AsyncIterator[Postlude]:
    durable = Postlude(FastAPI(), load.url, worker="off", tasks=["tests.stores.load"], **load.options)
    yield durable
    await durable._runtime.close()


async def test_a_job_starts_soon_and_at_once_where_it_is_told(durable: Postlude, load: Load) -> None:
    waited = []
    for number in range(SAMPLES):
        job = await durable.enqueue(work, number, 0.0)
        await job.wait(timeout=10)
        assert job.started_at is not None
        assert job.created_at is not None
        waited.append((job.started_at - job.created_at).total_seconds())
    # The one who is not told looks once a second.
    assert statistics.median(waited) < (0.4 if "works" in load.processes else 1.5)


async def test_a_job_that_runs_elsewhere_is_cancelled(durable: Postlude, load: Load) -> None:
    job = await durable.enqueue(work, 1, 600.0)
    load.await_lines("started", 1)
    await job.cancel()
    assert (await job.wait(timeout=10)).state is JobState.CANCELLED
    assert load.numbers("ended") == []


async def test_what_is_paused_and_goes_on(durable: Postlude, load: Load) -> None:
    await durable.jobs.pause(queue="default")
    job = await durable.enqueue(work, 1, 0.0)
    await job.refresh()
    assert job.state is JobState.QUEUED
    await durable.jobs.resume(queue="default")
    await job.wait(timeout=10)
    assert load.numbers("started") == [1]

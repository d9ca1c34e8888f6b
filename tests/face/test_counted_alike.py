"""Prometheus and OpenTelemetry say the same: one service in which everything happens, and both, value by value."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

from postlude import BackgroundTasks, Postlude, Snooze, current_job, task
from postlude.errors import StoreUnavailable
from postlude.job import NewJob
from postlude.stores.sqlite import SQLiteStore
from postlude.telemetry.looking import worker_name
from postlude.telemetry.measures import COMMIT_SIZE, MEASURES
from tests.face.conftest import Make, ended
from tests.scenarios.waiting import wait_until
from tests.stores.making import claim_of, staged

Series = dict[str, float]

NAMES = {measure.opentelemetry: measure.prometheus for measure in MEASURES}
NO_ARGUMENTS = '{"args":[],"kwargs":{}}'
HOLD = '{"interrupted":"hold"}'
begun = threading.Event()
snoozed: list[None] = []


async def fine() -> None: ...


async def unsaved() -> None: ...


def broken() -> None:
    raise ValueError


@task(retries=1, backoff=0.01)
async def second_time() -> None:
    if current_job().attempt == 1:
        raise ConnectionError


async def later() -> None:
    if not snoozed:
        snoozed.append(None)
        raise Snooze(0.01)


async def forever() -> None:
    begun.set()
    await asyncio.Event().wait()


@task(interrupted="hold")
async def held() -> None:
    begun.set()
    await asyncio.Event().wait()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Always a file: the test reaches into its driver."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    begun.clear()
    snoozed.clear()
    reader = InMemoryMetricReader()
    yield reader
    reader.shutdown()


def service(make: Make, reader: InMemoryMetricReader) -> tuple[FastAPI, Postlude]:
    app, durable = make(shutdown_grace=0, on_store_error="run_unsaved")
    app.mount("/metrics", durable.metrics())
    durable.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
    durable.on_event(lambda _: None)  # for whom each attempt has an event, which nobody else counts

    @app.post("/all")
    async def all_kinds(tasks: BackgroundTasks) -> list[str]:
        beside = tasks.options(ordered=False)
        beside.add_task(lambda: None)
        return [str(beside.add_task(each).id) for each in (fine, broken, second_time, later)]

    @app.post("/chain")
    async def chain(tasks: BackgroundTasks) -> str:
        tasks.add_task(lambda: None)
        return str(tasks.add_task(fine).id)

    @app.post("/raises")
    async def raises(tasks: BackgroundTasks) -> None:
        tasks.add_task(fine)
        raise ValueError

    @app.post("/one/{name}")
    async def one(name: str, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task({"forever": forever, "held": held, "unsaved": unsaved}[name]).id)

    return app, durable


async def leave_behind(store: Any) -> list[str]:
    """Jobs of a process that has died: one in the middle of it, one that must not run twice, one that never began."""
    dead = await store.enlist()
    jobs = [
        staged(dead, f"{__name__}:{name}", arguments=NO_ARGUMENTS, policy=policy)
        for name, policy in (("fine", None), ("held", HOLD), ("fine", None))
    ]
    await store.insert(jobs)
    await store.start([claim_of(job) for job in jobs[:2]], now=2.0)
    store._now().liveness.give_up(dead)
    return [str(job.id) for job in jobs]


def drive(client: TestClient, durable: Postlude, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is counted happens, some of it twice."""
    client.post("/raises")
    ids = [*client.post("/all").json(), client.post("/chain").json(), client.post("/chain").json()]
    here = durable._runtime.opening.here
    assert client.portal is not None
    assert here is not None
    ids += client.portal.call(leave_behind, here.store)
    cancelled = client.post("/one/forever").json()
    assert begun.wait(30)
    durable.blocking.jobs.cancel(cancelled)
    ended(durable, *ids, cancelled)
    with monkeypatch.context() as patch:

        async def full(_: SQLiteStore, jobs: Sequence[NewJob]) -> dict[UUID, UUID]:
            message = "disk is full"
            raise StoreUnavailable(message)

        patch.setattr(SQLiteStore, "insert", full)
        client.post("/one/unsaved")
    durable.blocking.jobs.pause(queue="default", reason="for a look")
    durable.blocking.options(delay=1000).enqueue(fine)


def _key(name: str, labels: dict[str, Any]) -> str:
    return f"{name}{{{','.join(f'{label}={labels[label]}' for label in sorted(labels) if label != 'worker')}}}"


def of_prometheus(client: TestClient) -> Series:
    """All that is not 0, of this process where it is of one."""
    return {
        _key(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(client.get("/metrics/").text)
        for sample in family.samples
        if sample.value and sample.labels.get("worker", worker_name()) == worker_name()
    }


def of_opentelemetry(reader: InMemoryMetricReader) -> Series:
    """The same."""
    found: Series = {}
    data = reader.get_metrics_data()
    scopes = [] if data is None else [scope for each in data.resource_metrics for scope in each.scope_metrics]
    for metric in (metric for scope in scopes for metric in scope.metrics):
        for point in metric.data.data_points:
            labels = dict(point.attributes or {})
            bounds, counts = getattr(point, "explicit_bounds", None), getattr(point, "bucket_counts", ())
            if bounds is None:
                found[_key(NAMES[metric.name], labels)] = getattr(point, "value", 0)
                continue
            for bound, number in zip((*bounds, None), accumulate(counts), strict=True):
                le = {"le": "+Inf" if bound is None else f"{bound:g}"}
                found[_key(f"{NAMES[metric.name]}_bucket", labels | le)] = number
    return {name: value for name, value in found.items() if value}


def compare(client: TestClient, durable: Postlude, reader: InMemoryMetricReader, *, without: str = "-") -> Series:
    """What both say, when nothing changes any more; without what has that in its name."""
    seen: list[Series] = []

    def alike() -> bool:
        here = durable._runtime.opening.here
        assert client.portal is not None
        assert here is not None
        client.portal.call(here.recording.write)
        each = of_prometheus(client), of_opentelemetry(reader), of_prometheus(client)
        seen[:] = [{name: value for name, value in one.items() if without not in name} for one in each]
        return seen[0] == seen[1] == seen[2]

    with contextlib.suppress(AssertionError):  # which would not say in what they differ
        wait_until(alike, "both say the same")
    assert seen[0] == seen[1]
    return seen[0]


def test_both_say_the_same(make: Make, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch) -> None:
    app, durable = service(make, reader)
    with TestClient(app, raise_server_exceptions=False) as client:
        drive(client, durable, monkeypatch)
        said = compare(client, durable, reader)
        assert counts(said, "postlude_calls_discarded_total") == {"fine": 1}
        assert counts(said, "postlude_calls_unsaved_total") == {"unsaved": 1}
        assert counts(said, "postlude_calls_ephemeral_total") == {"<lambda>": 3}, "alone, and in two chains"
        attempts = "postlude_attempts_total"
        assert counts(said, attempts, "succeeded") == {"fine": 5, "later": 1, "second_time": 1, "<lambda>": 2}
        assert counts(said, attempts, "failed") == {"broken": 1}
        assert counts(said, attempts, "interrupted") == {"fine": 1, "held": 1}, "and not what never began"
        assert counts(said, attempts, "postponed") == {"later": 1, "second_time": 1}
        assert counts(said, attempts, "cancelled") == {"forever": 1}
        assert said["postlude_worker_commit_size_bucket{le=+Inf}"] > 10
        assert said["postlude_paused{queue=default}"] == 1
        assert not [name for name in said if "AttemptEnded" in name]
        durable.blocking.jobs.resume(queue="default")
        begun.clear()
        client.post("/one/held")
        assert begun.wait(30)
    with TestClient(app) as client:
        # Since a process has the store open, and not since it counts: that is where both begin elsewhere.
        said = compare(client, durable, reader, without=COMMIT_SIZE.prometheus)
        assert counts(said, attempts, "interrupted") == {"fine": 1, "held": 2}, "no failure, though its job has failed"


def counts(said: Series, name: str, outcome: str | None = None) -> dict[str, int]:
    """By task."""
    first = "" if outcome is None else f"outcome={outcome},"
    found: Counter[str] = Counter()
    for key, value in said.items():
        if key.startswith(f"{name}{{{first}task="):
            found[key.rpartition(".")[2].rpartition(":")[2].rstrip("}")] += int(value)
    return found

"""OpenTelemetry metrics of an application: what its process did, and what there is in the store."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from postlude import BackgroundTasks, Snooze, current_job, task
from postlude.telemetry.measures import MEASURES, MOST_VALUES, OTHER, Bounded
from tests.face.conftest import Make, Serve


async def fine() -> None: ...


def broken() -> None:
    raise ValueError


@task(retries=1, backoff=0.01)
async def second_time() -> None:
    if current_job().attempt == 1:
        raise ConnectionError


asked: list[None] = []


async def later() -> None:
    if not asked:
        asked.append(None)
        raise Snooze(0.01)


class Read(dict[str, dict[str, Any]]):
    """The metrics of one collection: by name and labels, the value, or the count of a histogram."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        super().__init__()
        found = reader.get_metrics_data()
        scopes = [] if found is None else [scope for each in found.resource_metrics for scope in each.scope_metrics]
        for metric in (metric for scope in scopes for metric in scope.metrics):
            self[metric.name] = {
                _labels(dict(point.attributes or {})): getattr(point, "value", getattr(point, "count", None))
                for point in metric.data.data_points
            }


def _labels(attributes: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(attributes.items()))


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    yield reader
    reader.shutdown()


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)  # where somebody claims what is tried again
def test_what_this_process_did_is_counted(make: Make, serve: Serve, reader: InMemoryMetricReader) -> None:
    asked.clear()
    app, durable = make()
    durable.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))

    @app.post("/")
    async def endpoint(background: BackgroundTasks) -> list[str]:
        each = [background.options(ordered=False).add_task(one) for one in (fine, fine, broken, second_time, later)]
        background.options(ordered=False).add_task(lambda: None)
        return [str(job.id) for job in each]

    @app.post("/raises")
    async def raises(background: BackgroundTasks) -> None:
        background.add_task(fine)
        message = "no stock"
        raise ValueError(message)

    with serve(app, raise_server_exceptions=False) as client:
        client.post("/raises")
        for job_id in client.post("/").json():
            durable.blocking.jobs.wait(job_id, timeout=10)
        read = Read(reader)
    name = __name__
    attempts = read["postlude.attempts"]
    assert {labels: count for labels, count in attempts.items() if "lambda" not in labels} == {
        f"outcome=succeeded,task={name}:fine": 2,
        f"outcome=failed,task={name}:broken": 1,
        f"outcome=postponed,task={name}:second_time": 1,
        f"outcome=succeeded,task={name}:second_time": 1,
        f"outcome=postponed,task={name}:later": 1,
        f"outcome=succeeded,task={name}:later": 1,
    }
    assert read["postlude.calls.discarded"] == {f"task={name}:fine": 1}
    assert list(read["postlude.calls.ephemeral"].values()) == [1]
    assert read["postlude.run"][f"task={name}:second_time"] == 2
    assert read["postlude.start_latency"][f"task={name}:fine"] == 2
    assert read["postlude.events"]["event=AttemptFailed"] == 2


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)
def test_what_is_in_the_store_is_read(make: Make, serve: Serve, reader: InMemoryMetricReader) -> None:
    app, durable = make()
    durable.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
    durable.blocking.jobs.pause(queue="default", reason="for a look")
    durable.blocking.enqueue(fine)
    with serve(app):
        read = Read(reader)
    assert read["postlude.store_up"] == {"": 1}
    assert read["postlude.jobs"]["state=queued"] == 1
    assert {name for name, value in read["postlude.paused"].items() if value} == {"queue=default"}
    assert read["postlude.waiting"][f"queue=default,task={__name__}:fine,why=due"] == 1


def test_nothing_is_read_of_a_store_that_is_not_open(make: Make, reader: InMemoryMetricReader) -> None:
    """As at the end of the process, when the SDK collects once more: it must not be opened for that."""
    _, durable = make()
    durable.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
    assert Read(reader) == {}
    assert durable._runtime.opening.here is None


async def test_an_event_loop_is_not_kept_waiting(make: Make, reader: InMemoryMetricReader) -> None:
    """Whoever collects on one gets what needs no reading."""
    _, durable = make()
    durable.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
    await durable.enqueue(fine)
    assert Read(reader).keys() == {"postlude.worker.commit_size"}, "which is counted"
    assert "postlude.jobs" in await asyncio.to_thread(Read, reader)
    await durable.close()


def test_the_names_are_those_of_prometheus_on_the_way_there() -> None:
    """As the exporters of OpenTelemetry translate them."""
    for measure in MEASURES:
        name = measure.opentelemetry.replace(".", "_") + ("_seconds" if measure.seconds else "")
        assert measure.prometheus == name + ("_total" if measure.kind == "counter" else "")


def test_a_label_has_so_many_values_and_one_for_the_rest() -> None:
    bounded = Bounded()
    names = [f"main:{number}" for number in range(MOST_VALUES + 5)]
    assert [bounded(name) for name in names] == [*names[:MOST_VALUES], *[OTHER] * 5]
    assert bounded(names[0]) == names[0]

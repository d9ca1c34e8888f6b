"""OpenTelemetry spans of an application: where a call is added, and of each attempt, linked to it."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, get_current_span

from postlude import BackgroundTasks, Cancel, Postlude, current_job, task
from postlude.errors import CallError, InstallError
from tests.face.conftest import Make, Serve

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"x-request-id": "r-1", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}

seen: list[SpanContext] = []
told: list[object] = []


async def look() -> None:
    seen.append(get_current_span().get_span_context())


def look_in_thread() -> None:
    seen.append(get_current_span().get_span_context())


@task(retries=2, backoff=0.01)
async def third_time() -> None:
    if current_job().attempt < 3:
        message = "no route to host"
        raise ConnectionError(message)


async def gives_up() -> None:
    raise Cancel("the order is gone")


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()
    told.clear()


class Traced:
    """An application with a tracer of its own."""

    def __init__(self, make: Make, *tasks: Any, **options: Any) -> None:
        provider, self._exporter = TracerProvider(), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")
        self.app: FastAPI
        self.durable: Postlude
        self.app, self.durable = make({"telemetry": {"tracer_provider": provider}}, **options)
        self.durable.instrument(tracer_provider=provider)

        @self.app.post("/orders/{number}")
        async def endpoint(number: int, background: BackgroundTasks) -> list[str]:
            return [str(background.add_task(each).id) for each in tasks]

    def wait(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self.durable.blocking.jobs.wait(job_id, timeout=10)

    def spans(self, start: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(start)]

    def span(self, start: str) -> ReadableSpan:
        [span] = self.spans(start)
        return span


def context(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("task", [look, look_in_thread])
def test_the_span_of_an_attempt_is_linked_to_where_the_call_was_added(make: Make, serve: Serve, task: Any) -> None:
    traced = Traced(make, task)
    with serve(traced.app) as client:
        ids = client.post("/orders/5", headers=HEADERS).json()
        traced.wait(ids)
    name = f"{__name__}:{task.__name__}"
    created, processed = traced.span("create"), traced.span("process")
    assert (created.name, created.kind) == (f"create {name}", SpanKind.PRODUCER)
    assert context(created).trace_id == int(TRACE, 16), "in the trace of the request"
    assert attributes(created) == {
        "messaging.system": "postlude",
        "messaging.operation.name": "create",
        "messaging.operation.type": "create",
        "messaging.destination.name": name,
        "messaging.message.id": ids[0],
    }
    assert (processed.name, processed.kind) == (f"process {name}", SpanKind["CONSUMER"])
    assert processed.parent is None
    assert linked(processed) == [(context(created).trace_id, context(created).span_id)]
    found = attributes(processed)
    assert found.pop("postlude.start_latency") >= 0
    assert found == {
        "messaging.system": "postlude",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": name,
        "messaging.message.id": ids[0],
        "postlude.attempt": 1,
        "postlude.outcome": "succeeded",
        "postlude.request.id": "r-1",
        "postlude.request.route": "POST /orders/{number}",
        "postlude.request.traceparent": HEADERS["traceparent"],
    }
    assert seen == [context(processed)], "it is the task's current span"
    assert traced.spans("fastapi.background_task") == [], "which would say the same once more"


def test_where_a_call_is_added_is_inside_of_what_adds_it(make: Make, serve: Serve) -> None:
    traced = Traced(make)

    @traced.app.post("/")
    async def endpoint(background: BackgroundTasks) -> None:
        with traced.tracer.start_as_current_span("checkout"):
            background.add_task(look)

    with serve(traced.app) as client:
        client.post("/")
    outer, created = traced.span("checkout"), traced.span("create")
    assert created.parent is not None
    assert created.parent.span_id == context(outer).span_id


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)  # where somebody claims what is tried again
def test_each_attempt_has_a_span_of_its_own(make: Make, serve: Serve) -> None:
    traced = Traced(make, third_time)
    with serve(traced.app) as client:
        traced.wait(client.post("/orders/5").json())
    spans = traced.spans("process")
    assert [attributes(span)["postlude.attempt"] for span in spans] == [1, 2, 3]
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    created = context(traced.span("create"))
    assert [linked(span) for span in spans] == [[(created.trace_id, created.span_id)]] * 3
    assert len({context(span).trace_id for span in spans}) == 3
    [event] = spans[0].events
    said = dict(event.attributes or {})
    assert (event.name, said["exception.type"], said["exception.message"]) == (
        "exception",
        "ConnectionError",
        "no route to host",
    )
    assert "in third_time" in str(said["exception.stacktrace"])
    assert attributes(spans[0])["error.type"] == "ConnectionError"


def test_what_ends_without_a_failure_is_no_error(make: Make, serve: Serve) -> None:
    traced = Traced(make, gives_up)
    with serve(traced.app) as client:
        traced.wait(client.post("/orders/5").json())
    span = traced.span("process")
    assert attributes(span)["postlude.outcome"] == "cancelled"
    assert attributes(span)["postlude.reason"] == "the order is gone"
    assert span.status.status_code is StatusCode.UNSET


def test_a_call_that_cannot_be_stored_is_linked_too(make: Make, serve: Serve) -> None:
    traced = Traced(make, lambda: look_in_thread())  # noqa: PLW0108 - a lambda cannot be stored
    with serve(traced.app) as client:
        client.post("/orders/5")
    created = context(traced.span("create"))
    assert linked(traced.span("process")) == [(created.trace_id, created.span_id)]


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)
def test_what_is_enqueued_is_linked_to_who_enqueued_it(make: Make, serve: Serve) -> None:
    traced = Traced(make)
    with serve(traced.app):
        with traced.tracer.start_as_current_span("import of orders"):
            job = traced.durable.blocking.enqueue(look)
        traced.wait([str(job.id)])
    outer, created = context(traced.span("import")), context(traced.span("create"))
    assert created.trace_id == outer.trace_id
    assert linked(traced.span("process")) == [(created.trace_id, created.span_id)]


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)
def test_a_job_of_a_process_without_spans_is_linked_to_its_request(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    async def endpoint(background: BackgroundTasks) -> list[str]:
        return [str(background.options(delay=0.01).add_task(look).id)]

    with serve(app) as client:
        provider, exporter = TracerProvider(), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        durable._runtime.events.observe(_process_with(provider))  # as if another process ran it
        for job_id in client.post("/", headers=HEADERS).json():
            durable.blocking.jobs.wait(job_id, timeout=10)
    [span] = exporter.get_finished_spans()
    assert linked(span) == [(int(TRACE, 16), 0xB7AD6B7169203331)]


def _process_with(provider: TracerProvider) -> Any:
    from postlude.telemetry.tracing import Tracing  # noqa: PLC0415 - as the application does

    return Tracing(provider, "0").process


tenant: ContextVar[str] = ContextVar("tenant")


async def tell() -> None:
    job = current_job()
    told.append((tenant.get(), dict(job.origin)))


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)  # where somebody claims what comes later
def test_context_variables_come_along_beside_the_span(make: Make, serve: Serve) -> None:
    traced = Traced(make, carry=[tenant])

    @traced.app.post("/")
    async def endpoint(background: BackgroundTasks) -> list[str]:
        tenant.set("acme")
        return [str(background.options(delay=0.01).add_task(tell).id)]

    with serve(traced.app) as client:
        traced.wait(client.post("/", headers=HEADERS).json())
    origin = {"request_id": "r-1", "route": "POST /", "traceparent": HEADERS["traceparent"]}
    assert told == [("acme", origin)]
    created = context(traced.span("create"))
    assert linked(traced.span("process")) == [(created.trace_id, created.span_id)]


async def test_without_an_sdk_nothing_is_stored_and_nothing_harmed(make: Make) -> None:
    _, durable = make()
    durable.instrument()
    job = await durable.enqueue(look)
    [record] = await (await durable._runtime.store()).get([job.id])
    assert record.origin is None
    await durable.close()


def test_to_instrument_twice_is_refused(make: Make) -> None:
    _, durable = make()
    durable.instrument()
    with pytest.raises(CallError, match="this was done already"):
        durable.instrument()


def test_without_the_library_the_cure_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415 - what is changed here

    _, durable = make()
    monkeypatch.delitem(sys.modules, "postlude.telemetry.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(InstallError, match=r"pip install 'postlude\[telemetry\]'"):
        durable.instrument()

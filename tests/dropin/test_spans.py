"""The span that FastAPI gives to a background task, and the context that a task runs in."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Response
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware

from postlude.background import open_call_ids
from postlude.fastapi import install
from tests.dropin.recording import TELEMETRY, RecordingDesk, Server, durable, job, plain, request

newest = pytest.mark.skipif(not TELEMETRY, reason="FastAPI makes no spans in the oldest release")


def _spans(hooked: bool, task: Any, *, base: bool = False, fails: bool = False) -> list[tuple[object, ...]]:
    """Name, parent, function and status of all spans of one request."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - not for the oldest release
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    options: dict[str, Any] = {"telemetry": {"tracer_provider": provider}}
    app = FastAPI(**options)
    if hooked:
        install(app, RecordingDesk())
    if base:
        app.add_middleware(BaseHTTPMiddleware, dispatch=lambda incoming, call_next: call_next(incoming))

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(task)

    if fails:
        with pytest.raises(ValueError, match="x"):
            asyncio.run(Server(app).get())
    else:
        request(app)
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context}
    return sorted(
        (
            span.name,
            names[span.parent.span_id] if span.parent else "",
            str((span.attributes or {}).get("code.function.name")),
            span.status.status_code.name,
        )
        for span in spans
    )


async def _raises() -> None:
    message = "x"
    raise ValueError(message)


@newest
@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("task", [job, plain])
def test_span_of_a_task(task: Any, base: bool) -> None:
    stock = _spans(False, task, base=base)
    assert _spans(True, task, base=base) == stock
    assert [span[0] for span in stock].count("fastapi.background_task") == 1


@newest
def test_span_of_a_task_that_fails() -> None:
    """Marked as an error, as FastAPI marks it."""
    stock = _spans(False, _raises, fails=True)
    spans = _spans(True, _raises, fails=True)
    background = [span for span in spans if span[0] == "fastapi.background_task"]
    assert background == [span for span in stock if span[0] == "fastapi.background_task"]
    assert background[0][-1] == "ERROR"


def test_nothing_around_a_task_without_telemetry() -> None:
    app, desk = durable()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(job)

    request(app)
    assert desk.calls[0].around is None


variable: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("worker", [False, True])
async def test_context_is_that_of_the_request(base: bool, worker: bool) -> None:
    """As with Starlette: what middlewares, dependencies and the endpoint have set, such as ids for the log."""
    app, desk = durable(RecordingDesk(worker=worker))
    if base:
        app.add_middleware(BaseHTTPMiddleware, dispatch=lambda incoming, call_next: call_next(incoming))
    seen: list[str] = []

    def task() -> None:
        seen.append(variable.get())
        variable.set("by a task")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        variable.set("by the endpoint")
        tasks.add_task(task)
        tasks.add_task(task)

    await Server(app).get()
    await desk.idle()
    assert seen == ["by the endpoint"] * 2
    assert len({id(call.context) for call in desk.calls}) == 2


# Which calls are open, seen from inside


def test_open_calls() -> None:
    app, desk = durable()
    seen: list[bool] = []

    def check() -> None:
        seen.append({call.id for call in desk.calls} == set(open_call_ids()))

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(job)
        check()  # in a worker thread

        thread = threading.Thread(target=lambda: seen.append(not open_call_ids()))
        thread.start()  # has a context of its own
        thread.join()
        return Response("x", background=BackgroundTask(check))

    request(app)
    assert seen == [True, True, True]
    assert not open_call_ids()


async def test_no_call_is_open_when_the_request_is_over() -> None:
    """Tasks run in a copy of the request's context."""
    app, _ = durable()
    seen: list[int] = []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(lambda: seen.append(len(open_call_ids())))

    await Server(app).get()
    assert seen == [0]
    assert not open_call_ids()

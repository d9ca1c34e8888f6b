"""A task that logs, in an application whose log and spans are lines of its output."""

import json
import logging
import sys

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from postlude import BackgroundTasks, Postlude
from postlude.telemetry import JobFields
from tests.scenarios.apps.effects import note, pass_gate_async

FIELDS = ("job_id", "task", "attempt", "request_id", "route", "traceparent")


class Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = {name: vars(record)[name] for name in FIELDS}
        return json.dumps({"log": record.getMessage(), **said})


def line_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    links = [f"{link.context.trace_id:032x}-{link.context.span_id:016x}" for link in span.links]
    said = {"id": f"{context.trace_id:032x}-{context.span_id:016x}", "links": links, **(span.attributes or {})}
    return json.dumps({"span": span.name, **said}) + "\n"


handler = logging.StreamHandler(sys.stdout)
handler.addFilter(JobFields())
handler.setFormatter(Lines())
logging.basicConfig(level=logging.INFO, handlers=[handler])
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line_of)))
trace.set_tracer_provider(provider)  # for FastAPI, too

app = FastAPI()
durable = Postlude(app)
durable.instrument()


def anybody() -> str:
    return "view"


app.mount("/metrics", durable.metrics())
app.mount("/postlude", durable.dashboard(authorize=anybody))
app.include_router(durable.router(authorize=anybody))


async def sign_in(name: str, password: str, options: dict[str, str]) -> None:
    logging.getLogger("shop").info("signs in as %s", name)
    note("started", name)
    await pass_gate_async(name)
    assert password.endswith("hunter2"), "the task itself has it"
    assert options["api_key"].endswith("hunter2")
    raise PermissionError


@app.post("/sign-in/{name}")
async def endpoint(name: str, background_tasks: BackgroundTasks) -> str:
    call = background_tasks.add_task(sign_in, name, "a-hunter2", options={"api_key": "b-hunter2"})
    return str(call.id)

"""OpenTelemetry spans: one where a call is added, and one for each attempt, linked to it.

They follow the semantic conventions for messaging. What is sent there goes to a destination, and that is the task: by
its name a worker finds what it may claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span, get_tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from postlude.carry import trace_of, with_trace
from postlude.context import read_origin
from postlude.job import Cancelled, Failed, Interrupted

if TYPE_CHECKING:
    from uuid import UUID

    from opentelemetry.trace import TracerProvider

    from postlude.calls import Call
    from postlude.events import Begun, Told
    from postlude.job import Outcome

_W3C: Final = TraceContextTextMapPropagator()
_OF_ORIGIN: Final = {
    "request_id": "postlude.request.id",
    "route": "postlude.request.route",
    "traceparent": "postlude.request.traceparent",
    "schedule": "postlude.schedule",
}


class Tracing:
    """Makes the spans.

    Args:
        provider: where they go; None: the global one, also if it is set later.
        version: of Postlude.
    """

    def __init__(self, provider: TracerProvider | None, version: str) -> None:
        self._tracer = get_tracer("postlude", version, provider)

    def create(self, call: Call) -> None:
        """Make the span of a call that is being added, in the caller's own, and let it come along with the call."""
        name = call.definition.name
        attributes = _attributes("create", name, call.id)
        span = self._tracer.start_span(f"create {name}", kind=SpanKind.PRODUCER, attributes=attributes)
        headers: dict[str, str] = {}
        _W3C.inject(headers, set_span_in_context(span))
        span.end()
        if headers:
            call.carried = with_trace(call.carried, headers)

    def process(self, begun: Begun) -> Told:
        """Open the span of an attempt, which the task finds as the current one; it ends with the attempt.

        It is the root of a trace of its own, linked to where the call was added: a job may run days after its request,
        and several times.
        """
        origin = read_origin(begun.origin)
        attributes = _attributes("process", begun.task, begun.job_id)
        attributes["postlude.attempt"] = begun.attempt
        if begun.waited is not None:
            attributes["postlude.start_latency"] = begun.waited
        attributes |= {_OF_ORIGIN[name]: str(value) for name, value in origin.items() if name in _OF_ORIGIN}
        added = get_current_span(_W3C.extract(trace_of(begun.origin, begun.carried), Context())).get_span_context()
        span = self._tracer.start_span(
            f"process {begun.task}",
            context=Context(),
            kind=SpanKind["CONSUMER"],
            attributes=attributes,
            links=[Link(added)] if added.is_valid else (),
        )
        # Nothing else of the request's context: what is around its endpoint is over, and is not there in a worker.
        begun.context.run(attach, set_span_in_context(span, Context()))

        def told(outcome: Outcome, _: float) -> None:
            span.set_attribute("postlude.outcome", type(outcome).__name__.lower())
            match outcome:
                case Failed(failure):
                    span.set_attribute("error.type", failure.type)
                    span.add_event(
                        "exception",
                        {
                            "exception.type": failure.type,
                            "exception.message": failure.message,
                            "exception.stacktrace": failure.traceback,
                        },
                    )
                    span.set_status(Status(StatusCode.ERROR, f"{failure.type}: {failure.message}"))
                case Cancelled(reason) | Interrupted(reason):
                    span.set_attribute("postlude.reason", reason)
            span.end()

        return told


def _attributes(operation: str, task: str, job_id: UUID) -> dict[str, Any]:
    return {
        "messaging.system": "postlude",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": task,
        "messaging.message.id": str(job_id),
    }

"""Where what happens goes, beside the log: to a function of the user's, to Prometheus and to OpenTelemetry.

The libraries are imported when they are asked for.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from postlude.errors import CallError, InstallError
from postlude.tasks import is_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import TracerProvider

    from postlude.events import Event
    from postlude.runtime import Runtime
    from postlude.telemetry.prometheus import Metrics

Subscriber = TypeVar("Subscriber", bound="Callable[[Event], object]")


class Sinks:
    """What was asked for in one application.

    Args:
        runtime: its engine.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._instrumented = False

    def subscribe(self, subscriber: Subscriber) -> Subscriber:
        """See `Postlude.on_event`."""
        if not callable(subscriber) or is_async(subscriber):
            message = (
                f"on_event(subscriber): expected a `def` function that takes an event, got {subscriber!r}. One that "
                "has to await hands the event over, as with loop.call_soon_threadsafe(queue.put_nowait, event)."
            )
            raise CallError(message)
        self._runtime.events.subscribe_to_attempts(subscriber)
        return subscriber

    def metrics(self) -> Metrics:
        """See `Postlude.metrics`."""
        try:
            from postlude.telemetry.looking import Look  # noqa: PLC0415 - who asks for none need not pay for it
            from postlude.telemetry.prometheus import Metrics  # noqa: PLC0415 - the client of Prometheus is an extra
        except ImportError as error:
            raise _not_installed("metrics()", "the client of Prometheus", error) from error
        return Metrics(Look(self._runtime.store, self._runtime.views, self._runtime.clock))

    def instrument(self, tracer_provider: TracerProvider | None) -> None:
        """See `Postlude.instrument`."""
        if self._instrumented:
            message = "instrument(): this was done already, and each span would be there twice. Keep one of the calls."
            raise CallError(message)
        try:
            from postlude.telemetry.tracing import Tracing  # noqa: PLC0415 - OpenTelemetry is an extra
        except ImportError as error:
            raise _not_installed("instrument()", "OpenTelemetry", error) from error
        self._instrumented = True
        tracing = Tracing(tracer_provider, version("postlude"))
        self._runtime.adding.staging.bring_along(tracing.create)
        self._runtime.events.observe(tracing.process)


def _not_installed(what: str, library: str, error: ImportError) -> InstallError:
    message = f"{what} needs {library}, and {error.name} is not installed: pip install 'postlude[telemetry]'."
    return InstallError(message)

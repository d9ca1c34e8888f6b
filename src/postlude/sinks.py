"""Where what happens goes, beside the log: to a function of the user's, to Prometheus and to OpenTelemetry.

The libraries are imported when they are asked for.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from postlude.errors import CallError, InstallError
from postlude.loops import running_loop
from postlude.tasks import is_async

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from postlude.client.blocking import Portal
    from postlude.events import Event
    from postlude.lifetime.process import Process
    from postlude.runtime import Runtime
    from postlude.telemetry.looking import Look
    from postlude.telemetry.measures import Reading
    from postlude.telemetry.prometheus import Metrics

Subscriber = TypeVar("Subscriber", bound="Callable[[Event], object]")


class Sinks:
    """What was asked for in one application.

    Args:
        runtime: its engine.
        portal: where those wait that cannot await.
    """

    def __init__(self, runtime: Runtime, portal: Portal) -> None:
        self._runtime = runtime
        self._portal = portal
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
            from postlude.telemetry.prometheus import Metrics  # noqa: PLC0415 - the client of Prometheus is an extra
        except ImportError as error:
            raise _not_installed("metrics()", "the client of Prometheus", error) from error
        return Metrics(self._look())

    def instrument(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        """See `Postlude.instrument`."""
        if self._instrumented:
            message = "instrument(): this was done already, and each span would be there twice. Keep one of the calls."
            raise CallError(message)
        try:
            from postlude.telemetry.looking import worker_name  # noqa: PLC0415 - who asks for none need not pay
            from postlude.telemetry.meters import Meters  # noqa: PLC0415 - OpenTelemetry is an extra
            from postlude.telemetry.tracing import Tracing  # noqa: PLC0415 - as above
        except ImportError as error:
            raise _not_installed("instrument()", "OpenTelemetry", error) from error
        self._instrumented = True
        release, events = version("postlude"), self._runtime.events
        meters = Meters(meter_provider, release, read=self._gauges, worker=worker_name, clock=self._runtime.clock)
        events.subscribe(meters.hear)
        self._runtime.tallies.told = lambda *counted: events.guarded(meters.count, *counted)
        self._tell_of_commits(lambda operations: events.guarded(meters.committed, operations))
        tracing = Tracing(tracer_provider, release)
        self._runtime.adding.staging.bring_along(tracing.create)
        events.observe(tracing.process)

    def _tell_of_commits(self, told: Callable[[int], object]) -> None:
        def tell(process: Process) -> None:
            process.store.commit_sizes.tell(told)

        opening = self._runtime.opening
        opening.opened = tell
        if opening.here is not None:
            tell(opening.here)

    def _gauges(self) -> Sequence[Reading]:
        """What there is in the store, if it is open here; on a thread that has no event loop, as those of SDKs."""
        if self._runtime.opening.here is None or running_loop() is not None:
            return ()
        return self._portal.call(self._look().gauges())

    def _look(self) -> Look:
        from postlude.telemetry.looking import Look  # noqa: PLC0415 - who asks for none need not pay for it

        return Look(self._runtime.store, self._runtime.views, self._runtime.clock)


def _not_installed(what: str, library: str, error: ImportError) -> InstallError:
    message = f"{what} needs {library}, and {error.name} is not installed: pip install 'postlude[telemetry]'."
    return InstallError(message)

"""OpenTelemetry metrics: what happens in this process is counted here, and what there is in the store is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import Observation, get_meter

from postlude.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptInterrupted,
    CallsDiscarded,
    CallsUnsaved,
    EphemeralFailed,
)
from postlude.telemetry.measures import (
    ATTEMPTS,
    DISCARDED,
    EPHEMERAL,
    EVENTS,
    MEASURES,
    OF_WORKER,
    RUN,
    START_LATENCY,
    UNSAVED,
    Bounded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from postlude.clock import Clock
    from postlude.events import Event
    from postlude.telemetry.measures import Measure, Reading

READ_FOR: Final = 1.0
"""Seconds for which what was read is not read again: the gauges of one collection are asked one by one."""
_OUTCOMES: Final = {"succeeded": "succeeded", "cancelled": "cancelled", "snoozed": "postponed"}
"""Of attempts of which nothing but their end is told."""


class Meters:
    """Counts what this process does: the resource says which it is, so that the sum over all is the whole.

    Args:
        provider: where it goes; None: the global one, also if it is set later.
        version: of Postlude.
        read: reads the gauges of the store; in a thread of the SDK. Empty: there is nothing to read just now.
        worker: what this process is called among the workers.
        clock: what time it is.
    """

    def __init__(
        self,
        provider: MeterProvider | None,
        version: str,
        *,
        read: Callable[[], Sequence[Reading]],
        worker: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._read = read
        self._worker = worker
        self._clock = clock
        self._tasks = Bounded()
        self._readings: Sequence[Reading] = ()
        self._read_at = 0.0
        meter = get_meter("postlude", version, provider)
        self._counters = {
            measure: meter.create_counter(measure.opentelemetry, description=measure.text)
            for measure in MEASURES
            if measure.kind == "counter"
        }
        self._histograms = {
            measure: meter.create_histogram(
                measure.opentelemetry,
                unit="s",
                description=measure.text,
                explicit_bucket_boundaries_advisory=measure.bounds,
            )
            for measure in (START_LATENCY, RUN)
        }
        for measure in MEASURES:
            if measure.kind == "gauge":
                self._observe(meter, measure)

    def hear(self, event: Event) -> None:
        """Count what has happened."""
        match event:
            case AttemptEnded(task=task):
                self._ended(event)
            case AttemptFailed(task=task, again_in=again_in):
                self._add(ATTEMPTS, task, outcome="failed" if again_in is None else "postponed")
            case EphemeralFailed(task=task):
                self._add(ATTEMPTS, task, outcome="failed")
            case AttemptInterrupted(task=task):
                self._add(ATTEMPTS, task, outcome="interrupted")
            case CallsDiscarded(tasks=tasks):
                for task in tasks:
                    self._add(DISCARDED, task)
            case CallsUnsaved(tasks=tasks):
                for task in tasks:
                    self._add(UNSAVED, task)
            case _:
                pass
        if not isinstance(event, AttemptEnded):
            self._counters[EVENTS].add(1, {"event": type(event).__name__})

    def _ended(self, event: AttemptEnded) -> None:
        if event.outcome == "interrupted":
            return  # given back, as if it had not been
        labels = {"task": self._tasks(event.task)}
        if event.waited is not None:
            self._histograms[START_LATENCY].record(event.waited, labels)
        self._histograms[RUN].record(event.ran, labels)
        if event.outcome in _OUTCOMES:
            self._add(ATTEMPTS, event.task, outcome=_OUTCOMES[event.outcome])
        if not event.stored:
            self._add(EPHEMERAL, event.task)

    def _add(self, measure: Measure, task: str, **labels: str) -> None:
        self._counters[measure].add(1, {"task": self._tasks(task), **labels})

    # What is read

    def _observe(self, meter: Meter, measure: Measure) -> None:
        def look(_: CallbackOptions) -> Iterable[Observation]:
            return self._observations(measure)

        unit = "s" if measure.seconds else ""
        meter.create_observable_gauge(measure.opentelemetry, [look], unit=unit, description=measure.text)

    def _observations(self, measure: Measure) -> Iterable[Observation]:
        own = self._worker()
        for reading in self._current():
            if reading.measure is not measure:
                continue
            labels = reading.labels
            if measure in OF_WORKER:
                if labels[0] != own:
                    continue
                labels = labels[1:]
            yield Observation(reading.value, dict(zip(measure.labels, labels, strict=True)))

    def _current(self) -> Sequence[Reading]:
        if not self._readings or self._clock.elapsed() - self._read_at >= READ_FOR:
            self._readings = self._read()
            self._read_at = self._clock.elapsed()
        return self._readings

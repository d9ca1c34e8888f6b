"""OpenTelemetry metrics: what happens in this process is counted here, and what there is in the store is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import Observation, get_meter

from postlude.telemetry.measures import (
    COMMIT_SIZE,
    COUNTED_EVENTS,
    EVENTS,
    MEASURES,
    OF_WORKER,
    RUN,
    START_LATENCY,
    Bounded,
    counted_as,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from postlude.clock import Clock
    from postlude.events import Event
    from postlude.telemetry.measures import Measure, Reading

READ_FOR: Final = 1.0
"""Seconds for which what was read is not read again: the gauges of one collection are asked one by one."""


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
                unit="s" if measure.seconds else "",
                description=measure.text,
                explicit_bucket_boundaries_advisory=measure.bounds,
            )
            for measure in MEASURES
            if measure.kind == "histogram"
        }
        for measure in MEASURES:
            if measure.kind == "gauge":
                self._observe(meter, measure)

    def hear(self, event: Event) -> None:
        """Count an event."""
        name = type(event).__name__
        if name in COUNTED_EVENTS:
            self._counters[EVENTS].add(1, {"event": name})

    def count(self, task: str, counted: str, waited: float | None, took: float | None) -> None:
        """Count what was counted of a task; see `Tallies.told`."""
        label = self._tasks(task)
        measure, values = counted_as(label, counted)
        self._counters[measure].add(1, dict(zip(measure.labels, values, strict=True)))
        for histogram, seconds in ((START_LATENCY, waited), (RUN, took)):
            if seconds is not None:
                self._histograms[histogram].record(seconds, {"task": label})

    def committed(self, operations: int) -> None:
        """Count a commit that so many operations have shared; in any thread."""
        self._histograms[COMMIT_SIZE].record(operations)

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

"""`/metrics` for Prometheus: an ASGI application to be mounted."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from postlude.telemetry.measures import MEASURES, OF_WORKER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence

    from prometheus_client.metrics_core import Metric

    from postlude.telemetry.looking import Look
    from postlude.telemetry.measures import Measure, Reading

    Message = MutableMapping[str, Any]

_KINDS: Final[Mapping[str, Callable[..., CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class Metrics:
    """Answers every scrape with what the store says just then, so whichever process is asked, all say the same.

    Args:
        look: reads it.
    """

    adds_no_tasks: Final = True
    """So that nothing is said of it at the start, where applications are named whose tasks are not durable."""

    def __init__(self, look: Look) -> None:
        self._look = look

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer a request; a WebSocket is refused."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Read(families(await self._look.readings())))
        await make_asgi_app(registry)(scope, receive, send)


class _Read(Collector):
    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def families(readings: Sequence[Reading]) -> list[Metric]:
    """The readings by their measures; one without any is there by its name and its text."""
    made = {measure: _family(measure) for measure in MEASURES}
    for reading in readings:
        family = made[reading.measure]
        if isinstance(family, HistogramMetricFamily):
            up_to = [*(f"{bound:g}" for bound in reading.measure.bounds), "+Inf"]
            family.add_metric(reading.labels, list(zip(up_to, accumulate(reading.buckets), strict=True)), None)
        else:
            family.add_metric(reading.labels, reading.value)
    return list(made.values())


def _family(measure: Measure) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    labels = ("worker", *measure.labels) if measure in OF_WORKER else measure.labels
    return _KINDS[measure.kind](measure.prometheus, measure.text, labels=labels)

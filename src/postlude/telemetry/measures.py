"""What is measured: one table, of which Prometheus, OpenTelemetry, the dashboard of Grafana and its alerts are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from postlude.events import AttemptEnded, Event
from postlude.statistics import BOUNDS
from postlude.stores.entries import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_VALUES: Final = 100
"""Different values that a label has at most: a queue for each customer must not become a time series for each."""
OTHER: Final = "(other)"
"""What the others are called, all together."""


class Measure(NamedTuple):
    """Something that is measured."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    text: str
    seconds: bool = False
    """Whether it is a time; else it is a number of things."""
    bounds: tuple[float, ...] = ()
    """Of a histogram: up to what each bucket reaches, that itself included. There is one more, for what is above."""

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus, which is also what becomes of that in OpenTelemetry on the way there."""
        unit, total = "_seconds" if self.seconds else "", "_total" if self.kind == "counter" else ""
        return f"postlude_{self.name.replace('.', '_')}{unit}{total}"

    @property
    def opentelemetry(self) -> str:
        """Its name in OpenTelemetry."""
        return f"postlude.{self.name}"


ATTEMPTS: Final = Measure(
    "attempts",
    "counter",
    ("task", "outcome"),
    "Attempts by what they came to: succeeded, failed for good, cancelled, interrupted, or postponed for another one.",
)
DISCARDED: Final = Measure("calls.discarded", "counter", ("task",), "Calls not run, since their request raised.")
EPHEMERAL: Final = Measure("calls.ephemeral", "counter", ("task",), "Calls run unstored, since they cannot be stored.")
UNSAVED: Final = Measure(
    "calls.unsaved", "counter", ("task",), "Calls run unstored, since the store did not take them."
)
EVENTS: Final = Measure("events", "counter", ("event",), "What happened, by the names of postlude.events.")
START_LATENCY: Final = Measure(
    "start_latency",
    "histogram",
    ("task",),
    "From the moment at which a job was due to its start.",
    seconds=True,
    bounds=BOUNDS,
)
RUN: Final = Measure(
    "run", "histogram", ("task",), "From the start of an attempt to its end.", seconds=True, bounds=BOUNDS
)

JOBS: Final = Measure("jobs", "gauge", ("state",), "Jobs in the store, counted up to 10,000 in each state.")
WAITING: Final = Measure(
    "waiting", "gauge", ("queue", "task", "why"), "Queued jobs: due, later, or behind another one of their chain."
)
RUNNING: Final = Measure("running", "gauge", ("queue", "task"), "Jobs that run.")
OLDEST: Final = Measure(
    "oldest_due", "gauge", ("queue",), "For how long the first due job of a queue has been that.", seconds=True
)
PAUSED: Final = Measure("paused", "gauge", ("queue",), "Whether a queue is paused.")
WORKERS: Final = Measure("workers", "gauge", ("state",), "Workers: running, idle, stopping, silent or dead.")
NEEDS: Final = Measure("needs", "gauge", ("kind",), "How many things need a person; `postlude status` names them.")
STORE_UP: Final = Measure("store_up", "gauge", (), "Whether the store could be read just now.")
SLOTS: Final = Measure("worker.slots", "gauge", ("executor",), "Attempts that a worker takes at once.")
FREE: Final = Measure("worker.free_slots", "gauge", ("executor",), "How many of its slots are free.")
LOOP_LAG: Final = Measure(
    "worker.loop_lag", "gauge", (), "The longest that its event loop kept others waiting lately.", seconds=True
)
COMMIT_SIZE: Final = Measure(
    "worker.commit_size",
    "histogram",
    (),
    "Operations that shared a commit, of the process that answers: the calls of a request, or outcomes.",
    bounds=SIZES,
)
ABANDONED: Final = Measure("worker.abandoned_threads", "gauge", (), "Threads whose tasks went on after their timeout.")

OF_STORE: Final = (
    *(ATTEMPTS, DISCARDED, EPHEMERAL, UNSAVED, START_LATENCY, RUN),
    *(JOBS, WAITING, RUNNING, OLDEST, PAUSED, WORKERS, NEEDS, STORE_UP),
)
"""The same whichever process is asked."""
OF_WORKER: Final = (EVENTS, SLOTS, FREE, LOOP_LAG, ABANDONED, COMMIT_SIZE)
"""Of one process each."""
MEASURES: Final = (*OF_STORE, *OF_WORKER)

OUTCOMES: Final = ("succeeded", "failed", "cancelled", "interrupted", "postponed")
"""What attempts come to."""
OF_CALLS: Final = {"discarded": DISCARDED, "ephemeral": EPHEMERAL, "unsaved": UNSAVED}
"""Of `statistics.MEASURES` those that are no outcome of an attempt."""
COUNTED_EVENTS: Final = tuple(sorted(kind.__name__ for kind in get_args(Event) if kind is not AttemptEnded))
"""The events that `EVENTS` count: the end of an attempt is one only where somebody hears it, and `ATTEMPTS` have it."""


def counted_as(task: str, counted: str) -> tuple[Measure, tuple[str, ...]]:
    """The measure, and its labels, of something that was counted of a task.

    Args:
        task: as its label has it.
        counted: one of `statistics.MEASURES`.
    """
    measure = OF_CALLS.get(counted)
    return (ATTEMPTS, (task, counted)) if measure is None else (measure, (task,))


class Reading(NamedTuple):
    """What one measure is, just now, for some values of its labels."""

    measure: Measure
    labels: tuple[str, ...]
    """In the order of the measure's; before them the worker, if it is of one."""
    value: float = 0.0
    buckets: tuple[int, ...] = ()
    """Of a histogram: a count for each of the measure's bounds, and one for what is above the last."""


class Bounded:
    """Values of one label in one process: the first ones that come, and one for all that come after those."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._known: set[str] = set()
        self._most = most

    def __call__(self, value: str) -> str:
        """The value, or `OTHER`."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


def kept(values: Iterable[str]) -> frozenset[str]:
    """Of the values of a label those that get a time series of their own: the same ones in every process."""
    return frozenset(sorted(set(values))[:MOST_VALUES])

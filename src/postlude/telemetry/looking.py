"""What there is to measure in the store: read for whoever asks, the same in every process."""

from __future__ import annotations

import operator
import os
from collections import Counter
from typing import TYPE_CHECKING, Final, get_args

from postlude.errors import StoreError
from postlude.stores.seeing import ALWAYS
from postlude.telemetry.measures import (
    ABANDONED,
    COMMIT_SIZE,
    COUNTED_EVENTS,
    EVENTS,
    FREE,
    JOBS,
    LOOP_LAG,
    MOST_VALUES,
    NEEDS,
    OF_CALLS,
    OLDEST,
    OTHER,
    OUTCOMES,
    PAUSED,
    RUN,
    RUNNING,
    SLOTS,
    START_LATENCY,
    STORE_UP,
    WAITING,
    WORKERS,
    Reading,
    counted_as,
    kept,
)
from postlude.views.needs import NeedKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from postlude.clock import Clock
    from postlude.stores.contract import Store
    from postlude.stores.seeing import Sum, WorkerReport
    from postlude.telemetry.measures import Measure
    from postlude.views import QueuesView, Views

WORKER_STATES: Final = ("running", "idle", "stopping", "silent", "dead")
_HISTOGRAMS: Final = {"start": START_LATENCY, "run": RUN}


def totals(sums: Sequence[Sum]) -> list[Reading]:
    """What was counted since the store is there."""
    tasks = kept(each.task for each in sums)
    names = {each.task if each.task in tasks else OTHER for each in sums}
    # Of a series that begins with its first event no alert would hear of that event.
    counts: Counter[tuple[Measure, tuple[str, ...]]] = Counter()
    counts.update({counted_as(name, counted): 0 for name in names for counted in (*OUTCOMES, *OF_CALLS)})
    histograms: dict[tuple[Measure, str], list[int]] = {}
    for _, name, counted, times in sums:
        task = name if name in tasks else OTHER
        kind, _, bucket = counted.partition(":")
        if bucket:
            measure = _HISTOGRAMS.get(kind)
            if measure is not None and int(bucket) <= len(measure.bounds):  # else a later release has counted it
                buckets = histograms.setdefault((measure, task), [0] * (len(measure.bounds) + 1))
                buckets[int(bucket)] += times
        else:
            counts[counted_as(task, kind)] += times
    return [
        *(Reading(measure, labels, times) for (measure, labels), times in counts.items()),
        *(Reading(measure, (task,), buckets=tuple(each)) for (measure, task), each in histograms.items()),
    ]


def worker_name(host: str | None = None, pid: int | None = None) -> str:
    """What a process is called; this one, if nothing is given."""
    return f"{os.uname().nodename if host is None else host}:{os.getpid() if pid is None else pid}"


class Look:
    """Reads everything anew, each time.

    Args:
        store: gives the store, opened in this process.
        views: what is shown of it.
        clock: what time it is.
    """

    def __init__(self, store: Callable[[], Awaitable[Store]], views: Views, clock: Clock) -> None:
        self._store = store
        self._views = views
        self._clock = clock

    async def readings(self) -> list[Reading]:
        """What everything is; only `STORE_UP`, with 0, if the store cannot be read."""
        return await self._read(counted=True)

    async def gauges(self) -> list[Reading]:
        """The same without what was counted since the store is there."""
        return await self._read(counted=False)

    async def _read(self, *, counted: bool) -> list[Reading]:
        try:
            store = await self._store()
            sums = totals(await store.seeing.statistics(since=0.0, step=ALWAYS)) if counted else []
            this = Reading(COMMIT_SIZE, (worker_name(),), buckets=tuple(store.commit_sizes.counts))
            return [Reading(STORE_UP, (), 1), *sums, *await self._now(), this]
        except StoreError:
            return [Reading(STORE_UP, (), 0)]

    async def _now(self) -> list[Reading]:
        views = self._views
        counts, queues = await views.counts(), await views.queues()
        workers, needs = (await views.workers()).workers, Counter(need.kind for need in await views.needs())
        states = Counter(worker.state for worker in workers)
        # By their names: a process that was given up and went on has a row for each of its lives. The newest is last.
        reports = {worker_name(row.host, row.pid): row.report for row in (each.row for each in workers) if row.alive}
        newest = list(reports.items())[-MOST_VALUES:]
        return [
            *(Reading(JOBS, (state.value,), number) for state, number in counts.states.items()),
            *self._of_queues(queues),
            *(Reading(WORKERS, (state,), states[state]) for state in WORKER_STATES),
            *(Reading(NEEDS, (kind,), needs[kind]) for kind in get_args(NeedKind)),
            *(each for name, report in newest if report is not None for each in _of_worker(name, report)),
        ]

    def _of_queues(self, view: QueuesView) -> Iterable[Reading]:
        queues = kept(queue.name for queue in view.queues)
        tasks = kept(each.task for queue in view.queues for each in queue.tasks)
        found: dict[tuple[Measure, tuple[str, ...]], float] = {}

        def add(measure: Measure, *labels: str, value: float, with_: Callable[[float, float], float]) -> None:
            found[measure, labels] = with_(found.get((measure, labels), 0.0), value)

        now = self._clock.now()
        for queue in view.queues:
            name = queue.name if queue.name in queues else OTHER
            oldest = 0.0 if queue.oldest_due is None else max(0.0, now - queue.oldest_due)
            add(OLDEST, name, value=oldest, with_=max)
            add(PAUSED, name, value=float(queue.paused is not None), with_=max)
            for each in queue.tasks:
                task = each.task if each.task in tasks else OTHER
                for why, number in (("due", each.due), ("later", each.later), ("behind", each.behind)):
                    add(WAITING, name, task, why, value=number, with_=operator.add)
                add(RUNNING, name, task, value=each.running, with_=operator.add)
        return (Reading(measure, labels, value) for (measure, labels), value in found.items())


def _of_worker(worker: str, report: WorkerReport) -> list[Reading]:
    executors = kept(report.slots)
    return [
        Reading(LOOP_LAG, (worker,), report.loop_lag),
        Reading(ABANDONED, (worker,), report.abandoned),
        *(Reading(SLOTS, (worker, name), report.slots[name]) for name in sorted(executors)),
        *(Reading(FREE, (worker, name), report.free.get(name, 0)) for name in sorted(executors)),
        *(Reading(EVENTS, (worker, event), report.counts.get(event, 0)) for event in COUNTED_EVENTS),
    ]

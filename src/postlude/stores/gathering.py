"""What the drivers share of `stores.seeing`: reports as texts, statistics by stretches, what waits put together."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from postlude.stores.seeing import ALWAYS, KEPT, KEPT_MINUTES, LimitUse, RunningJob, Waiting, WorkerReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from postlude.statistics import Minute

STEPS: Final = {60: KEPT_MINUTES, 600: KEPT}
"""Seconds of a stretch, and for how many seconds its sums are kept."""
MOST_PARTITIONS: Final = 20
"""Of each task with limits, those that are used most."""


def report_text(report: WorkerReport) -> str:
    """A report as JSON; a later release may add names."""
    jobs = [(str(job.job_id), *job[1:]) for job in report.jobs]
    return json.dumps(report._replace(jobs=jobs)._asdict(), separators=(",", ":"))  # type: ignore[arg-type] # as lists


def report_of(text: str | None) -> WorkerReport | None:
    """The report that `report_text` wrote, by this release or another; None where a name is missing."""
    if text is None:
        return None
    found: dict[str, Any] = json.loads(text)
    jobs = [RunningJob(UUID(job[0]), *job[1:4]) for job in found.get("jobs", ())]
    known = {name: found[name] for name in WorkerReport._fields if name in found}
    try:
        return WorkerReport(**{**known, "jobs": jobs})
    except TypeError:  # an earlier release did not say it
        return None


def by_stretch(minutes: Sequence[Minute]) -> Counter[tuple[int, int, str, str]]:
    """What is added to each row: by step, beginning of the stretch, task and measure; in the order of the rows."""
    sums: Counter[tuple[int, int, str, str]] = Counter()
    for minute in minutes:
        for measure, times in minute.counts.items():
            for step in STEPS:
                sums[step, minute.moment // step * step, minute.task, measure] += times
            sums[ALWAYS, 0, minute.task, measure] += times
    return Counter(dict(sorted(sums.items())))


class Gathered:
    """What waits, gathered piece by piece."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Waiting] = {}

    def add(self, queue: str, task: str, **numbers: int) -> None:
        """Count these in addition."""
        waiting = self._of(queue, task)
        self._found[queue, task] = waiting._replace(
            **{name: getattr(waiting, name) + number for name, number in numbers.items()}
        )

    def first(self, queue: str, task: str, *, due_since: float | None = None, next_at: float | None = None) -> None:
        """Note when one was due, or is: the earliest counts."""
        waiting = self._of(queue, task)
        self._found[queue, task] = waiting._replace(
            due_since=_earlier(waiting.due_since, due_since), next_at=_earlier(waiting.next_at, next_at)
        )

    def all(self, most: int) -> list[Waiting]:
        """All of it, by queue and task, each number up to `most`."""
        return [
            found._replace(due=min(found.due, most), later=min(found.later, most), behind=min(found.behind, most))
            for _, found in sorted(self._found.items())
        ]

    def _of(self, queue: str, task: str) -> Waiting:
        return self._found.get((queue, task)) or Waiting(queue, task)


def uses(task: str, running: Iterable[tuple[str, int]], started: Iterable[tuple[str, int]]) -> list[LimitUse]:
    """The use of the limits of one task, by partition."""
    runs, starts = dict(running), dict(started)
    return [LimitUse(task, each, runs.get(each, 0), starts.get(each, 0)) for each in dict.fromkeys([*runs, *starts])]


def _earlier(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)

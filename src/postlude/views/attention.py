"""What needs a person, found in what the store says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.job import JobState
from postlude.pauses import Pauses
from postlude.views.needs import Need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from postlude.job import Record
    from postlude.pauses import Pause
    from postlude.stores.seeing import Sum, Waiting, WorkerReport, WorkerRow
    from postlude.views.places import ScheduleView

SILENT_AFTER: Final = 25.0
"""Seconds by which a report may be late before its worker is said to be silent."""
_NEXT_WITHIN: Final = 5.0
"""Seconds between the reports of a release that does not say when the next one comes."""
LATE_AFTER: Final = 300.0
"""Seconds for which a job may be due before that needs a person."""
LAGGING: Final = 1.0
"""Seconds that an event loop may keep others waiting."""
LATELY: Final = 86400.0
"""Seconds for which a failure is a late one."""
MOST_FAILED: Final = 200
"""Failures that are looked at."""


class Facts(NamedTuple):
    """What was read of the store at a moment."""

    now: float
    waiting: Sequence[Waiting]
    workers: Sequence[WorkerRow]
    pauses: Sequence[Pause]
    failed: Sequence[Record]
    """Those that failed lately, newest first, at most `MOST_FAILED`."""
    schedules: Sequence[ScheduleView]
    day: Sequence[Sum]
    """What was counted in the last day."""
    knows: Callable[[str], bool]
    """Whether this process knows a task."""

    @property
    def living(self) -> list[WorkerReport]:
        """What the workers say that live, run jobs, and go on doing so.

        One that has said nothing runs no jobs: a worker says so when it begins, and a command or a script never does.
        """
        rows = (row for row in self.workers if row.alive and not row.stopping)
        return [row.report for row in rows if row.report is not None and row.report.runs_jobs]

    @property
    def mute(self) -> int:
        """How many live of a release that says nothing of itself: they may run jobs, and of any task."""
        return sum(row.alive and not row.stopping and not row.reports for row in self.workers)

    @property
    def reports(self) -> list[WorkerReport]:
        """What the living workers have said lately."""
        rows = (row for row in self.workers if row.alive and not is_silent(row, self.now))
        return [row.report for row in rows if row.report is not None]

    def unresolvable(self) -> set[str]:
        """The tasks with jobs that wait, and that no living worker knows."""
        names = {each.task for each in self.waiting if each.due or each.later or each.behind}
        if self.mute or not self.living:
            names = {name for name in names if not self.knows(name)}
        return {name for name in names if all(name in report.unknown for report in self.living)}


def is_silent(row: WorkerRow, now: float) -> bool:
    """Whether a worker has said nothing for a while, and would have."""
    next_within = _NEXT_WITHIN if row.report is None else row.report.next_within
    return row.reported_at is not None and now - row.reported_at > next_within + SILENT_AFTER


def problems_of(row: WorkerRow, now: float) -> list[str]:
    """What is wrong with a worker, in sentences."""
    problems = []
    report = row.report
    if row.alive and row.reported_at is not None and is_silent(row, now):
        problems.append(f"It has not reported for {now - row.reported_at:.0f} s.")
    if report is None:
        return problems
    if report.loop_lag > LAGGING:
        problems.append(f"Its event loop kept everything else waiting for {report.loop_lag:.1f} s.")
    if report.abandoned:
        problems.append(f"{report.abandoned} of its threads go on with tasks that ran longer than their timeout.")
    return problems


def needs_in(facts: Facts) -> list[Need]:
    """What needs a person, the grave ones first."""
    found = [
        *_no_worker(facts),
        *_unresolvable(facts),
        *_unsaved(facts),
        *_held(facts),
        *_failed(facts),
        *_late(facts),
        *_schedules(facts),
        *_stuck(facts),
        *_paused(facts),
    ]
    return sorted(found, key=lambda need: not need.grave)


def _no_worker(facts: Facts) -> Iterator[Need]:
    due = sum(each.due for each in facts.waiting)
    if due and not facts.living and not facts.mute:
        since = min((each.due_since for each in facts.waiting if each.due_since is not None), default=None)
        text = f"{_jobs(due)} could run, and no worker is alive."
        yield Need("no_worker", text, "postlude worker main:app", count=due, since=since, grave=True)


def _unresolvable(facts: Facts) -> Iterator[Need]:
    for task in sorted(facts.unresolvable()):
        count = sum(each.due + each.later + each.behind for each in facts.waiting if each.task == task)
        text = f"{_jobs(count)} of {task} wait, and no living worker knows a task of that name."
        yield Need("unresolvable", text, f"postlude jobs list --task {task}", task=task, count=count, grave=True)


def _unsaved(facts: Facts) -> Iterator[Need]:
    count = sum(each.times for each in facts.day if each.measure == "unsaved")
    if count:
        text = f"{count:,} calls ran in the last day without being stored, because the store did not take them."
        yield Need("unsaved", text, "postlude check", count=count, grave=True)


def _held(facts: Facts) -> Iterator[Need]:
    yield from _by_task(
        [record for record in facts.failed if is_held(record)],
        "held",
        "{jobs} of {task} {was} set aside after interruptions: run again, or not, is for a person to say.",
    )


def _failed(facts: Facts) -> Iterator[Need]:
    yield from _by_task(
        [record for record in facts.failed if not is_held(record)], "failed", "{jobs} of {task} failed in the last day."
    )


def is_held(record: Record) -> bool:
    """Whether a job was set aside after an interruption, in place of having failed by itself."""
    return record.state is JobState.FAILED and record.failure is None and record.interruptions > 0


def _by_task(records: Sequence[Record], kind: str, text: str) -> Iterator[Need]:
    counts = Counter(record.task for record in records)
    for task, count in counts.most_common():
        since = min(record.finished_at or record.created_at for record in records if record.task == task)
        said = text.format(jobs=_jobs(count), task=task, was="was" if count == 1 else "were")
        command = f"postlude jobs list --state failed --task {task}"
        held = kind == "held"
        yield Need("held" if held else "failed", said, command, task=task, count=count, since=since, grave=held)


def _late(facts: Facts) -> Iterator[Need]:
    """Where workers live and something has been due for long; not for what is paused."""
    pauses, unresolvable = Pauses(facts.pauses), facts.unresolvable()
    for each in facts.waiting if facts.living or facts.mute else ():
        if each.due_since is None or facts.now - each.due_since <= LATE_AFTER or each.task in unresolvable:
            continue
        if not pauses.cover(each.queue, each.task):
            minutes = (facts.now - each.due_since) / 60
            text = f"{_jobs(each.due)} of {each.task} in queue {each.queue} could run, the first for {minutes:.0f} min."
            command = "postlude queues list"
            yield Need("waiting", text, command, task=each.task, queue=each.queue, count=each.due, since=each.due_since)


def _schedules(facts: Facts) -> Iterator[Need]:
    for each in facts.schedules:
        if each.refused:
            text = f"Schedule {each.info.name!r}: {each.problem}"
            yield Need("schedule", text, "postlude schedules list", schedule=each.info.name, task=each.info.task)


def _stuck(facts: Facts) -> Iterator[Need]:
    for row in facts.workers:
        problems = problems_of(row, facts.now) if row.alive else ()
        if problems:
            yield Need("stuck", f"Worker {row.pid} on {row.host}: {' '.join(problems)}", "postlude workers")


def _paused(facts: Facts) -> Iterator[Need]:
    for pause in facts.pauses:
        name = pause.name
        why = "" if pause.reason is None else f": {pause.reason}"
        if pause.kind == "queue":
            text, command = f"Queue {name} is paused{why}.", f"postlude queues resume {name}"
            yield Need("paused", text, command, queue=name, since=pause.since)
        elif pause.kind == "all":
            yield Need("paused", f"Everything is paused{why}.", "postlude resume --all", since=pause.since)
        elif pause.kind == "store":
            yield Need("paused", f"Nothing starts: the store is paused{why}.", "postlude move", since=pause.since)
        else:
            part = "" if pause.kind == "task" else f" for {pause.partition!r}"
            which = "" if pause.kind == "task" else f" --partition {pause.partition!r}"
            text, command = f"Task {name} is paused{part}{why}.", f"postlude resume --task {name}{which}"
            only = None if pause.kind == "task" else pause.partition
            yield Need("paused", text, command, task=name, partition=only, since=pause.since)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"

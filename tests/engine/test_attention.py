"""What needs a person, and what numbers come to: from what a store says, without one."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from postlude.job import Failure, JobState, Record
from postlude.limits import Limit
from postlude.pauses import Pause
from postlude.registry import Registry
from postlude.statistics import BOUNDS, MEASURES
from postlude.stores.seeing import LimitUse, Sum, Waiting, WorkerReport, WorkerRow
from postlude.views import Counts, Need
from postlude.views.attention import LATE_AFTER, SILENT_AFTER, Facts, is_held, needs_in, problems_of
from postlude.views.counting import points_of, rates_of
from postlude.views.places import ScheduleView
from postlude.views.queues import queues_view

NOW = 1_700_000_000.0
REPORT = WorkerReport("1", "3", True, "worker", {}, {}, 0, [], 0.0, 0)
SILENT = REPORT.next_within + SILENT_AFTER
"""Seconds after its last report."""
WORKER = WorkerRow(1, "web", 17, 0.0, stopping=False, reported_at=NOW, report=REPORT)
DUE = Waiting("mail", "app:f", due=2, due_since=NOW - LATE_AFTER - 1)


def facts(**other: Any) -> Facts:
    """With one worker that lives, and nothing to do."""
    nothing = Facts(NOW, [], [WORKER], [], [], [], [], lambda _: True)
    return nothing._replace(**other)


def kinds(found: Facts) -> list[str]:
    return [need.kind for need in needs_in(found)]


def worker(**other: Any) -> WorkerRow:
    return WORKER._replace(**other)


def says(**other: Any) -> WorkerRow:
    return WORKER._replace(report=REPORT._replace(**other))


@pytest.mark.parametrize(
    ("workers", "found"),
    [
        ([WORKER], ["waiting"]),
        ([worker(stopping=True)], ["no_worker"]),
        ([worker(alive=False)], ["no_worker"]),
        ([worker(report=None)], ["no_worker"]),
        ([says(runs_jobs=False)], ["no_worker"]),
        ([says(unknown=["app:f"])], ["unresolvable"]),
        ([says(unknown=["app:f"]), says(unknown=[])], ["waiting"]),
        ([worker(reported_at=NOW - SILENT - 1)], ["waiting", "stuck"]),
        ([worker(reported_at=NOW - SILENT)], ["waiting"]),
    ],
)
def test_who_there_is_for_what_is_due(workers: Sequence[WorkerRow], found: list[str]) -> None:
    assert kinds(facts(waiting=[DUE], workers=workers)) == found


def test_without_a_worker_it_counts_what_this_process_knows() -> None:
    assert kinds(facts(waiting=[DUE], workers=[], knows=lambda _: False)) == ["no_worker", "unresolvable"]


@pytest.mark.parametrize(
    ("pause", "found"),
    [
        (Pause("queue", "mail"), []),
        (Pause("queue", "other"), ["waiting"]),
        (Pause("task", "app:f"), []),
        (Pause("all", ""), []),
        (Pause("store", ""), []),
        (Pause("partition", "app:f", "7"), ["waiting"]),
    ],
)
def test_what_is_paused_is_not_late(pause: Pause, found: list[str]) -> None:
    assert kinds(facts(waiting=[DUE], pauses=[pause])) == [*found, "paused"]


def test_what_is_due_for_less_is_not_late() -> None:
    assert kinds(facts(waiting=[DUE._replace(due_since=NOW - LATE_AFTER)])) == []


def test_each_pause_is_named_with_what_ends_it() -> None:
    pauses = [
        Pause("queue", "mail", reason="too much"),
        Pause("task", "app:f"),
        Pause("partition", "app:f", "7"),
        Pause("all", "", reason="a deploy"),
        Pause("store", ""),
    ]
    assert [(need.text, need.command) for need in needs_in(facts(pauses=pauses))] == [
        ("Queue mail is paused: too much.", "postlude queues resume mail"),
        ("Task app:f is paused.", "postlude resume --task app:f"),
        ("Task app:f is paused for '7'.", "postlude resume --task app:f --partition '7'"),
        ("Everything is paused: a deploy.", "postlude resume --all"),
        ("Nothing starts: the store is paused.", "postlude move"),
    ]


def record(**other: Any) -> Record:
    job: dict[str, Any] = dict.fromkeys(Record._fields) | {"id": UUID(int=1), "task": "app:f", "state": JobState.FAILED}
    return Record(**(job | {"interruptions": 0, "created_at": NOW - 9, "finished_at": NOW - 5} | other))


FAILURE = Failure("ValueError", "no", "")


@pytest.mark.parametrize(
    ("other", "held"),
    [
        ({"interruptions": 1}, True),
        ({"interruptions": 1, "failure": FAILURE}, False),
        ({"interruptions": 0}, False),
        ({"interruptions": 1, "state": JobState.CANCELLED}, False),
    ],
)
def test_what_was_set_aside_has_not_failed_by_itself(other: dict[str, Any], held: bool) -> None:
    assert is_held(record(**other)) is held


def test_failures_are_told_by_task_the_most_first_and_what_is_grave_before_them() -> None:
    failed = [record(failure=FAILURE, task="app:a"), *[record(failure=FAILURE, task="app:b")] * 2]
    found = needs_in(facts(failed=[*failed, record(interruptions=1, task="app:c", finished_at=NOW - 7)]))
    assert [(need.kind, need.task, need.count, need.grave) for need in found] == [
        ("held", "app:c", 1, True),
        ("failed", "app:b", 2, False),
        ("failed", "app:a", 1, False),
    ]
    assert found[0].since == NOW - 7
    assert found[0].text.startswith("1 job of app:c was set aside after interruptions")


def test_what_ran_unsaved_needs_somebody() -> None:
    day = [Sum(0, "app:f", "unsaved", 1), Sum(0, "app:g", "unsaved", 2), Sum(0, "app:f", "ephemeral", 4)]
    (need,) = needs_in(facts(day=day))
    assert (need.kind, need.count, need.grave) == ("unsaved", 3, True)


def test_a_schedule_that_is_only_not_declared_here_needs_nobody() -> None:
    refused, elsewhere = (
        ScheduleView(cast("Any", SimpleNamespace(name=name, task="app:f")), [], "it goes on.", refused=refused)
        for name, refused in (("mine", True), ("theirs", False))
    )
    (need,) = needs_in(facts(schedules=[refused, elsewhere]))
    assert (need.kind, need.schedule, need.text) == ("schedule", "mine", "Schedule 'mine': it goes on.")


def test_the_problems_of_a_worker() -> None:
    assert problems_of(says(loop_lag=1.0), NOW) == []
    assert problems_of(says(loop_lag=1.1), NOW) == ["Its event loop kept everything else waiting for 1.1 s."]
    assert problems_of(says(abandoned=2), NOW) == [
        "2 of its threads go on with tasks that ran longer than their timeout."
    ]
    assert kinds(facts(workers=[says(abandoned=2)])) == ["stuck"]
    assert kinds(facts(workers=[worker(alive=False, report=REPORT._replace(abandoned=2))])) == [], "it is gone"


def test_of_the_silent_nothing_is_believed() -> None:
    silent = worker(reported_at=NOW - SILENT - 1)
    found = facts(workers=[WORKER, silent])
    assert found.reports == [REPORT]
    assert found.living == [REPORT, REPORT], "but it lives"


# -- numbers


def test_a_percentile_is_the_end_of_its_bucket() -> None:
    times = {"run:0": 50, "run:2": 41, "run:3": 4, f"run:{len(BOUNDS)}": 5}
    run = rates_of([Sum(0, "f", bucket, number) for bucket, number in times.items()]).run
    assert (run.p50, run.p95, run.p99) == (BOUNDS[0], BOUNDS[3], BOUNDS[-1])
    assert rates_of([]).run.p50 is None


def test_the_failure_rate_is_of_what_ended_by_itself() -> None:
    counts = {"succeeded": 6, "failed": 2, "cancelled": 5, "interrupted": 7, "postponed": 9}
    rates = rates_of([Sum(0, "f", measure, times) for measure, times in counts.items()])
    assert rates.counts.keys() == {*MEASURES}
    assert (rates.ended, rates.failure_rate) == (8, 0.25)
    assert rates_of([]).failure_rate is None


@pytest.mark.parametrize(("span", "step", "number"), [("hour", 60, 60), ("day", 600, 144)])
def test_a_chart_ends_with_what_is_now(span: str, step: int, number: int) -> None:
    last = NOW // step * step
    sums = [Sum(moment, "f", "succeeded", 1) for moment in (last, last - (number - 1) * step, last - number * step)]
    points = points_of(sums, NOW, span)
    assert [points[0].at, points[-1].at, len(points)] == [last - (number - 1) * step, last, number]
    assert [points[0].rates.ended, points[-1].rates.ended] == [1, 1]
    assert sum(point.rates.ended for point in points) == 2, "and not what was before"


def test_numbers_of_which_there_may_be_more() -> None:
    counts = Counts({JobState.QUEUED: 10_000, JobState.FAILED: 3}, frozenset({JobState.QUEUED}))
    assert [counts.text(), counts.text(JobState.QUEUED), counts.text(JobState.FAILED)] == ["10,003+", "10,000+", "3"]
    assert counts.text(JobState.RUNNING) == "0"


def test_a_need_is_not_grave_by_itself() -> None:
    assert not Need("failed", "1 job failed.", "postlude jobs list").grave


def test_the_page_of_the_queues() -> None:
    waiting = [
        Waiting("mail", "app:f", due=10_000, running=2, due_since=5.0),
        Waiting("mail", "app:g", later=1, due_since=3.0),
        Waiting("", "app:f", behind=3),
    ]
    pauses = [Pause("queue", "idle"), Pause("partition", "app:f", "7")]
    use = [LimitUse(task="app:f", partition=partition, running=1, started=0) for partition in "78"]
    view = queues_view(Registry(None), waiting, pauses, {"app:f": Limit(2), "app:g": Limit(2)}, use)
    queues = {each.name: each for each in view.queues}
    assert {"default", "idle", "mail"} <= queues.keys()
    mail, idle = queues["mail"], queues["idle"]
    assert (mail.due, mail.later, mail.running, mail.oldest_due, mail.more) == (10_000, 1, 2, 3.0, True)
    assert (idle.due, idle.oldest_due, idle.more, idle.paused) == (0, None, False, pauses[0])
    assert [(each.task, each.partition, each.paused is not None) for each in view.limits] == [
        ("app:f", "7", True),
        ("app:f", "8", False),
        ("app:g", "", False),
    ]
    assert view.behind == 3

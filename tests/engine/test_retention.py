"""How long jobs are kept: what users may write, what it comes to, and what is stored of it."""

from datetime import timedelta
from typing import Any

import pytest

from postlude.job import JobState
from postlude.policy import Policy
from postlude.registry import Registry
from postlude.retention import Retention, retention_of
from postlude.tasks import shortest_retention, task

DAY = 86_400.0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (60, (60.0, 60.0, 60.0)),
        (0, (0.0, 0.0, 0.0)),
        (timedelta(hours=1), (3600.0, 3600.0, 3600.0)),
        (Retention(), (DAY, 30 * DAY, 30 * DAY)),
        (Retention(succeeded=timedelta(days=2), failed=5), (2 * DAY, 5.0, 30 * DAY)),
    ],
    ids=repr,
)
def test_one_duration_counts_for_every_end(given: Any, kept: tuple[float, ...]) -> None:
    retention = retention_of(given)
    assert retention is not None
    ends = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
    assert retention.seconds() == dict(zip(ends, kept, strict=True))


@pytest.mark.parametrize(
    "given",
    [-1, timedelta(-1), True, "1d", None, float("inf"), float("nan"), Retention(failed=-1), Retention(succeeded=True)],
    ids=repr,
)
def test_what_makes_no_sense(given: Any) -> None:
    assert retention_of(given) is None


@pytest.mark.parametrize(
    ("given", "stored"),
    [(None, None), (60, 60.0), (Retention(1, 1, 1), 1.0), (Retention(1, 2, 3), [1.0, 2.0, 3.0])],
    ids=repr,
)
def test_what_a_task_keeps_is_stored_with_its_jobs(given: Any, stored: Any) -> None:
    def own() -> None: ...

    policy = Registry(None).of(task(retention=given)(own)).policy
    assert policy.retention == stored
    assert Policy.loads(policy.dumps()) == policy


def test_by_how_it_ended() -> None:
    policy = Policy(retention=[1.0, 2.0, 3.0])
    ends = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
    assert [policy.kept(state) for state in ends] == [1.0, 2.0, 3.0]
    assert [Policy(retention=7.0).kept(state) for state in ends] == [7.0] * 3
    assert [Policy().kept(state) for state in ends] == [None] * 3


def test_the_shortest_that_a_task_declares_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pruning looks at nothing younger, so none may be left out, also of those that nobody has used yet."""
    monkeypatch.setattr("postlude.tasks.retentions", set[float]())
    assert shortest_retention() is None
    task(retention=timedelta(days=90))(long)
    task(retention=Retention(succeeded=30))(short)
    assert shortest_retention() == 30.0


def short() -> None: ...


def long() -> None: ...

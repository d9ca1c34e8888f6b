"""What is shown of a job, a task, a queue and a schedule: from what a store has of them, without one."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from postlude import schedule, task
from postlude.clock import SystemClock
from postlude.job import ERASED, Failure, JobState, Record
from postlude.masking import MASKED, Masking
from postlude.pauses import Pause
from postlude.registry import Registry
from postlude.views import Views
from postlude.views.jobs import JobView
from postlude.views.overview import Rates
from postlude.views.places import TaskView
from postlude.views.queues import queues_view
from postlude.views.records import LONGEST_NOTE, All, Known, view_of
from postlude.views.tasks import About
from postlude.views.tasks import view_of as task_view

S = JobState
KNOWN = Known(Registry(None), Masking())
CALL = '{"args":[],"kwargs":{}}'
NO = Failure("ValueError", "no\nand no", "Traceback")


def shown(state: JobState, **other: Any) -> JobView:
    job: dict[str, Any] = dict.fromkeys(Record._fields) | {"id": UUID(int=1), "task": "app:f", "arguments": CALL}
    numbers = {"attempt": 1, "interruptions": 0, "created_at": 1.0, "run_at": 1.0, "cancel_requested": False}
    return view_of(All(Record(**(job | numbers | {"state": state} | other)), [], [], []), KNOWN)


@pytest.mark.parametrize(
    ("state", "other", "can"),
    [
        (S.STAGED, {}, {"cancel"}),
        (S.QUEUED, {}, {"cancel"}),
        (S.RUNNING, {}, {"cancel"}),
        (S.RUNNING, {"cancel_requested": True}, set()),
        (S.SUCCEEDED, {}, {"delete"}),
        (S.FAILED, {}, {"delete", "retry"}),
        (S.CANCELLED, {}, {"delete", "retry"}),
        (S.CANCELLED, {"cancel_requested": True}, {"delete", "retry"}),
        (S.FAILED, {"arguments": None}, {"delete"}),
        (S.FAILED, {"arguments": ERASED}, {"delete"}),
    ],
)
def test_what_can_be_done_with_a_job(state: JobState, other: dict[str, Any], can: set[str]) -> None:
    assert shown(state, **other).can == can


@pytest.mark.parametrize(
    ("state", "other", "note"),
    [
        (S.FAILED, {"failure": NO, "reason": "it has"}, "ValueError: no"),
        (S.FAILED, {"failure": NO._replace(message=" \n")}, "ValueError"),
        (S.FAILED, {"reason": "gone too often"}, "gone too often"),
        (S.QUEUED, {"failure": NO}, "ValueError: no"),
        (S.QUEUED, {}, None),
        (S.CANCELLED, {"failure": NO, "reason": "enough"}, "enough"),
        (S.CANCELLED, {"failure": NO}, None),
        (S.SUCCEEDED, {"failure": NO, "reason": "it was postponed"}, None),
        (S.CANCELLED, {"reason": "x" * LONGEST_NOTE}, "x" * LONGEST_NOTE),
        (S.CANCELLED, {"reason": "x" * (LONGEST_NOTE + 1)}, "x" * (LONGEST_NOTE - 1) + "…"),
    ],
)
def test_why_a_job_is_where_it_is(state: JobState, other: dict[str, Any], note: str | None) -> None:
    assert shown(state, **other).row.note == note


@pytest.mark.parametrize(
    ("state", "spans"),
    [
        (S.QUEUED, []),
        (S.RUNNING, [(2, "running", 5.0, None)]),
        (S.SUCCEEDED, [(2, "succeeded", 5.0, 7.0)]),
        (S.FAILED, []),
    ],
)
def test_the_last_attempt_is_in_the_timeline_before_it_is_history(state: JobState, spans: list[Any]) -> None:
    view = shown(state, attempt=2, started_at=5.0, finished_at=7.0 if state.finished else None)
    assert [(each.number, each.outcome, each.started_at, each.ended_at) for each in view.spans] == spans


@pytest.mark.parametrize(
    ("started_at", "finished_at", "seconds"), [(5.0, 7.0, 2.0), (5.0, 4.0, 0.0), (5.0, None, None), (None, 7.0, None)]
)
def test_how_long_it_took(started_at: float | None, finished_at: float | None, seconds: float | None) -> None:
    assert shown(S.FAILED, started_at=started_at, finished_at=finished_at).row.seconds == seconds


def test_of_two_secrets_the_longer_one_is_masked_first() -> None:
    """Or what it has more than the other would be left of it."""
    arguments = {"password": "hunter2", "secret": "hunter2-and-more", "token": "and hunter2-and-more"}
    view = shown(S.CANCELLED, arguments=json.dumps({"args": [], "kwargs": arguments}), reason="hunter2-and-more!")
    assert view.reason == f"{MASKED}!"


# -- tasks


@task(name="models:pay", queue="money", keep_arguments=False)
def pay(order: int, token: str = "t-4711", *, why: str = "") -> None:
    """Take the money.

    Once, and from who owes it.
    """


@task(name="models:rest", max_running=2)
def rest() -> None: ...


NONE = cast("Rates", object())


def of_task(function: Any, *pauses: Pause) -> TaskView:
    registry = Registry(None)
    return task_view(registry.of(function).name, registry, About({}, {}, [], pauses, (), NONE))


def test_what_a_task_declares() -> None:
    view = of_task(pay)
    assert view.signature == "(order: int, token: str = …, *, why: str = …) -> None"
    assert view.summary == "Take the money."
    assert view.limit is None
    assert dict(view.options) == {
        "executor": "thread",
        "queue": "money",
        "interrupted": "rerun",
        "max_interruptions": "3",
        "keep_arguments": "no",
    }
    view = of_task(rest)
    assert view.summary is None
    assert view.limit is not None
    assert "keep_arguments" not in dict(view.options)


def test_the_pauses_of_a_task_are_its_own_and_those_of_its_partitions() -> None:
    own = [Pause("task", "models:pay"), Pause("partition", "models:pay", "7")]
    others = [Pause("queue", "models:pay"), Pause("task", "models:rest"), Pause("all", "")]
    assert of_task(pay, *own, *others).pauses == own


# -- queues and schedules


class OfOneTask(Registry):
    """Whatever else this process has declared."""

    def names(self) -> set[str]:
        return {"models:pay"}


def test_a_queue_is_shown_though_nothing_waits_in_it() -> None:
    queues = {each.name: each for each in queues_view(OfOneTask(None), [], [], {}, []).queues}
    assert queues.keys() == {"default", "money"}
    assert (queues["money"].due, queues["money"].more, queues["money"].paused) == (0, False, None)


@pytest.mark.parametrize(
    ("name", "declared", "problem", "refused"),
    [
        ("in the code", True, "", False),
        ("in the code", False, "the code declares it with another line", True),
        ("of another", False, "the code of this process does not declare it", False),
    ],
)
async def test_why_a_schedule_is_not_fired(name: str, declared: bool, problem: str, refused: bool) -> None:
    schedule("0 3 * * *", name="in the code")(rest)
    info = SimpleNamespace(name=name, declared=declared, next_runs=lambda _: [])

    async def infos() -> list[Any]:
        return [info]

    unused = cast("Any", None)
    schedules = cast("Any", SimpleNamespace(list=infos))
    (view,) = await Views(unused, Registry(None), SystemClock(), Masking(), schedules).schedules()
    assert (view.problem is None, view.refused) == (declared, refused)
    assert (view.problem or "").startswith(problem)

"""`postlude jobs`, `queues`, `pause`, `schedules`, `workers`, `status` and `export`, on a store of each kind."""

import json
import time
import uuid
from collections.abc import Sequence
from itertools import pairwise

import pytest

from postlude.client import Jobs
from postlude.errors import StoreUnavailable
from postlude.job import Event, Failure, JobState, NewJob
from postlude.stores.contract import Store
from postlude.stores.seeing import WorkerReport
from tests.cli.conftest import APP, Desk
from tests.stores.making import claim_of, ended, queued, staged

WICKED = Failure("shop.Refused", "no \x1b[31mred\x1b[0m ink, password=hunter2", "Traceback:\n  \x1b]0;title\x07 here\n")


def add_failed(desk: Desk, number: int, at: float = 1_700_000_000.0) -> list[NewJob]:
    """Jobs that have failed."""

    async def add(store: Store) -> list[NewJob]:
        owner = await store.enlist()
        jobs = [
            staged(
                owner, "shop.send", created_at=at, arguments='{"args":[],"kwargs":{"to":"ada","password":"hunter2"}}'
            )
            for _ in range(number)
        ]
        await store.insert(jobs)
        await store.settle([ended(claim_of(job), Event.FAIL, at=at + 1, failure=WICKED) for job in jobs])
        await store.dismiss(owner)
        return jobs

    return desk.on_store(add)


def states(desk: Desk, jobs: Sequence[NewJob]) -> set[JobState]:
    return {desk.record(str(job.id)).state for job in jobs}


def test_jobs_are_listed_and_gone_through(either: Desk) -> None:
    jobs = add_failed(either, 3)
    either.on_store(lambda store: store.insert([queued("other")]))
    first = either.answers("jobs", "list", "--app", APP, "--task", "shop.send", "--limit", "2")
    second = either.answers(
        "jobs", "list", "--app", APP, "--task", "shop.send", "--limit", "2", "--place", first["older"]
    )
    found = [each["id"] for each in [*first["jobs"], *second["jobs"]]]
    assert sorted(found) == sorted(str(job.id) for job in jobs)
    assert second["older"] is None
    assert first["jobs"][0]["created_at"] == "2023-11-14T22:13:20Z"
    shown = either.says("jobs", "list", "--app", APP, "--state", "failed", "--state", "queued")
    assert [shown.count(word) for word in ("failed", "queued", "hunter2", "\x1b")] == [3, 1, 0, 0]


def test_one_job_is_shown_whole_and_masked(either: Desk) -> None:
    (job,) = add_failed(either, 1)
    shown = either.says("jobs", "get", str(job.id), "--app", APP)
    told = either.answers("jobs", "get", str(job.id), "--app", APP)
    for words in (shown, json.dumps(told)):
        assert "hunter2" not in words
        assert "\x1b" not in words
    assert r"\x1b]0;title\x07 here" in shown, "what a terminal would obey is shown"
    assert told["arguments"] == {"to": "ada", "password": "[masked]"}
    assert (told["state"], told["error_type"], len(told["spans"])) == ("failed", "shop.Refused", 1)
    assert f"postlude jobs retry {job.id}" in shown


def test_one_job_is_steered_by_its_id(either: Desk) -> None:
    (job,) = add_failed(either, 1)
    name = str(job.id)
    assert either.says("jobs", "retry", name, "--url", either.url) == "1 job queued again.\n"
    assert "is queued, and 'retry' is not possible then" in either.refuses("jobs", "retry", name, code=1)
    assert either.says("jobs", "cancel", name, "--reason", "enough") == "1 job cancelled, or asked to end.\n"
    assert either.record(name).reason == "enough"
    assert either.says("jobs", "delete", name) == "1 job deleted.\n"
    assert "No job has the id" in either.refuses("jobs", "get", name, code=3)
    actions = [line.action for line in either.on_store(lambda store: store.gate.audit(limit=9))]
    assert actions == ["delete", "cancel", "retry"]


@pytest.mark.parametrize(("text", "count"), [("args", 0), ("hunter2", 0), ("ADA", 3)])
def test_it_is_done_to_those_that_were_counted(either: Desk, text: str, count: int) -> None:
    """Also by a text that stands only where nobody sees it: in what is masked, or around the arguments."""
    jobs = add_failed(either, 3)
    words = ("jobs", "delete", "--text", text)
    assert either.says(*words, "--dry-run").startswith(f"{count} jobs to delete")
    assert either.answers(*words, "--yes") == {"done": count, "left": 0, "why": None}
    assert len(either.answers("jobs", "list")["jobs"]) == len(jobs) - count


def test_many_jobs_are_counted_and_asked_about(either: Desk) -> None:
    jobs = add_failed(either, 3)
    words = ("jobs", "retry", "--failed-since", "2023-01-01", "--rate", "1/min")
    assert "3 jobs to retry, in " in either.says(*words, "--dry-run")
    done = either.run(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Nobody is there to be asked: add --yes." in done.stderr
    assert states(either, jobs) == {JobState.FAILED}
    assert either.answers(*words, "--yes") == {"done": 3, "left": 0, "why": None}
    moments = sorted(either.record(str(job.id)).run_at for job in jobs)
    assert [round(after - before) for before, after in pairwise(moments)] == [60, 60]
    assert either.answers("jobs", "cancel", "--task", "shop.send", "--yes")["done"] == 3
    assert either.answers("jobs", "delete", "--state", "cancelled", "--yes")["done"] == 3
    assert either.answers("jobs", "list")["jobs"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retry",), "Say which jobs: by their ids, or by options."),
        (("cancel", str(uuid.uuid4()), "--task", "x"), "Give the ids of jobs, or options that say which: not both."),
        (("retry", str(uuid.uuid4()), "--rate", "1/s"), "--rate is for jobs that are meant by options"),
        (("retry", "--state", "failed", "--rate", "often", "--yes"), "rate: expected such as"),
        (("delete", "--state", "queued", "--yes"), "state: expected one or several of"),
        (("list", "--state", "sad"), "got 'sad'"),
        (("list", "--since", "soon"), "--since: expected how long ago"),
        (("get", "7"), "Expected the id of a job"),
        (("wait", str(uuid.uuid4()), "--timeout", "soon"), "--timeout: expected a duration"),
    ],
)
def test_what_makes_no_sense_is_said(desk: Desk, words: tuple[str, ...], said: str) -> None:
    assert said in desk.refuses("jobs", *words, "--url", desk.url, code=2)


def test_queues_and_everything_are_paused_and_resumed(either: Desk) -> None:
    either.on_store(lambda store: store.insert([queued("shop.send")]))
    said = either.says("queues", "pause", "default", "--reason", "deploy")
    assert said == "Queue default is paused; what runs goes on.\n"
    assert either.says("pause", "--all") == "Everything is paused; what runs goes on.\n"
    either.says("pause", "--task", "shop.send", "--partition", "7")
    shown = either.says("queues", "list")
    assert "deploy" in shown
    assert "everything: paused since" in shown
    queues = {each["name"]: each for each in either.answers("queues", "list")["queues"]}
    assert (queues["default"]["due"], queues["default"]["paused"]["reason"]) == (1, "deploy")
    assert either.says("resume", "--all") == "Everything goes on.\n"
    assert either.answers("queues", "resume", "default") == {"resumed": True}
    assert either.says("queues", "resume", "default") == "Queue default was not paused.\n"
    assert "Expected" in either.refuses("pause", code=2)


def test_status_ends_with_what_needs_a_person(either: Desk) -> None:
    assert "Nothing needs a person." in either.says("status")
    either.on_store(lambda store: store.insert([queued("shop.send")]))
    assert "Needs a person" in either.says("status", code=1)
    told = either.answers("status", code=1)
    assert told["counts"]["states"]["queued"] == 1
    assert told["needs"][0]["command"].startswith("postlude ")


def test_workers_and_schedules_and_tasks_are_shown(either: Desk) -> None:
    assert either.says("workers") == "No worker is there.\n"
    assert either.answers("schedules", "list", "--app", APP) == []
    tasks = {each["name"]: each for each in either.answers("tasks", "list", "--app", APP)}
    assert {"shop.send", "shop.report", "shop.paint", "kiosk:plain_words"} <= tasks.keys()
    assert "queue mail" in either.says("tasks", "list", "--app", APP)


def test_a_process_that_only_stores_jobs_has_no_free_slots(either: Desk) -> None:
    only_stores = WorkerReport("1", "3", False, "off", {"loop": 100}, {"loop": 100}, 0, [], 0.0, 0)

    async def report(store: Store) -> None:
        await store.seeing.report_worker(await store.enlist(), only_stores, now=time.time())

    either.on_store(report)
    said = either.says("workers")
    assert "none: it only stores jobs" in said
    assert "loop 100" not in said


def test_jobs_are_exported_as_lines(either: Desk) -> None:
    jobs = add_failed(either, 2)
    lines = [json.loads(line) for line in either.says("export", "--app", APP, "--full").splitlines()]
    assert {each["id"] for each in lines} == {str(job.id) for job in jobs}
    assert lines[0]["arguments"] == {"to": "ada", "password": "[masked]"}
    assert either.says("export", "--state", "queued") == ""


def test_what_was_done_is_written_down_also_when_it_is_cut_off(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their ids as by options: two of three were deleted when the store did not answer any more."""
    jobs = add_failed(desk, 3)
    delete, left = Jobs.delete, [2]

    async def until_it_breaks(self: Jobs, job_id: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            message = "The disk is full."
            raise StoreUnavailable(message)
        await delete(self, job_id)

    monkeypatch.setattr(Jobs, "delete", until_it_breaks)
    ids = [str(job.id) for job in jobs]
    assert "The disk is full." in desk.refuses("jobs", "delete", *ids, code=5)
    assert "The disk is full." in desk.refuses("jobs", "delete", ids[2], code=5)
    (line,) = desk.on_store(lambda store: store.gate.audit(limit=9))
    assert (line.action, line.target) == ("delete", "some jobs, until it was cut off")
    assert json.loads(line.details or "") == {"ids": ids}

"""`postlude jobs`, `queues`, `pause`, `schedules`, `workers`, `status` and `export`, on a store of each kind."""

import json
import time
import uuid
from collections.abc import Sequence
from itertools import pairwise

import pytest

from postlude.cli.opened import Opened
from postlude.client.jobs import Jobs
from postlude.errors import JobNotFound, StoreUnavailable
from postlude.job import Event, Failure, JobState, NewJob
from postlude.scheduling import schedule as declare
from postlude.stores.contract import Store
from postlude.stores.seeing import WorkerReport
from postlude.views import JobView, Views
from tests.cli.conftest import APP, Desk
from tests.stores.making import claim_of, ended, queued, staged

WICKED = Failure(
    "shop.Refused",
    "no \x1b[31mred\x1b[0m ink, password=hunter2",
    "Traceback:\n  \x1b]0;title\x07 \u202ehere\u2066\n",
)


def sweep() -> None: ...


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
    assert r"\x1b]0;title\x07 \u202ehere\u2066" in shown, "what a terminal would obey is shown"
    assert told["arguments"] == {"to": "ada", "password": "[masked]"}
    assert (told["state"], told["error_type"], len(told["spans"])) == ("failed", "shop.Refused", 1)
    assert f"postlude jobs retry {job.id}" in shown


def test_what_waits_is_shown_with_its_moment_and_its_chain(desk: Desk) -> None:
    first = queued("shop.paint")
    second = queued("shop.send", after=first.id, chain=first.id, run_at=1e9)
    first = first._replace(chain=first.id)
    desk.on_store(lambda store: store.insert([first, second]))
    shown = desk.says("jobs", "get", str(second.id))
    for words in ("2001-09-0", "They are not in the form that Postlude writes.", f"  {first.id} queued shop.paint"):
        assert words in shown
    assert f"> {second.id} queued shop.send, waits for the one before" in shown


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
        (("retry", "--text", "ada", "--rate", "1/s", "--yes"), "--rate does not go with --text"),
        (("delete", "--state", "queued", "--yes"), "state: expected one or several of"),
        (("list", "--state", "sad"), "got 'sad'"),
        (("list", "--app", APP), "Give --app or --url"),
        (("list", "--since", "soon"), "--since: expected how long ago"),
        (("get", "7"), "Expected the id of a job"),
        (("wait", str(uuid.uuid4()), "--timeout", "soon"), "--timeout: expected a duration"),
    ],
)
def test_what_makes_no_sense_is_said(desk: Desk, words: tuple[str, ...], said: str) -> None:
    assert said in desk.refuses("jobs", *words, "--url", desk.url, code=2)


def test_queues_and_everything_are_paused_and_resumed(either: Desk) -> None:
    either.on_store(lambda store: store.insert([queued("shop.send")]))
    said = either.says("queues", "pause", "default", "--reason", "deploy\n\tat noon")
    assert said == "Queue default is paused; what runs goes on.\n"
    assert either.says("pause", "--all") == "Everything is paused; what runs goes on.\n"
    either.says("pause", "--task", "shop.send", "--partition", "7")
    shown = either.says("queues", "list")
    assert "deploy at noon" in shown, "a row is one line"
    assert "everything: paused since" in shown
    queues = {each["name"]: each for each in either.answers("queues", "list")["queues"]}
    assert (queues["default"]["due"], queues["default"]["paused"]["reason"]) == (1, "deploy\n\tat noon")
    since = "1970-01-01T00:00:01Z"
    assert (queues["default"]["oldest_due"], queues["default"]["tasks"][0]["due_since"]) == (since, since)
    assert either.says("resume", "--all") == "Everything goes on.\n"
    assert either.answers("queues", "resume", "default") == {"resumed": True}
    assert either.says("queues", "resume", "default") == "Queue default was not paused.\n"
    assert "Expected" in either.refuses("pause", code=2)
    actions = [line.action for line in either.on_store(lambda store: store.gate.audit(limit=9))]
    assert actions == ["resume", "resume", "pause", "pause", "pause"], "what was not paused is not noted"


def test_what_waits_is_counted_up_to_a_number_and_beside_the_limits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postlude.views.queues.MOST", 2)
    first = queued("shop.paint")
    behind = queued("shop.send", after=first.id, chain=first.id)
    desk.on_store(lambda store: store.insert([first, queued("shop.paint"), behind]))
    shown = desk.says("queues", "list", "--app", APP)
    for words in ("2+", "1 more wait for the job before them in their chain.", "2 at once"):
        assert words in shown


def test_status_ends_with_what_needs_a_person(either: Desk) -> None:
    assert "Nothing needs a person." in either.says("status")
    either.on_store(lambda store: store.insert([queued("shop.send")]))
    said, told = either.says("status", code=1), either.answers("status", code=1)
    assert "Needs a person" in said
    assert f"{told['needs'][0]['text']} [{told['needs'][0]['command']}]" in said
    assert told["counts"]["states"]["queued"] == 1
    assert told["needs"][0]["command"].startswith("postlude ")


def test_a_schedule_is_shown_and_run_now(either: Desk) -> None:
    declare("30 2 * * *", name="nightly")(sweep)
    (shown,) = either.answers("schedules", "list", "--app", APP, "--runs", "2")
    assert (shown["name"], len(shown["next_runs"])) == ("nightly", 2)
    assert "30 2 * * *" in shown["spec"]
    job = either.answers("schedules", "run", "nightly", "--app", APP)
    assert (job["state"], either.record(job["id"]).task) == ("queued", shown["task"])
    (line,) = either.on_store(lambda store: store.gate.audit(limit=9))
    assert (line.action, line.target, json.loads(line.details or "")) == ("run", "nightly", {"job": job["id"]})
    assert "nightly" in either.refuses("schedules", "run", "nightl", "--app", APP, code=3)
    assert "This needs the application" in either.refuses("schedules", "run", "nightly", "--url", either.url, code=2)


def test_a_schedule_that_is_run_now_is_waited_for_if_that_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    declare("30 2 * * *", name="nightly")(sweep)
    waited: list[str] = []

    async def wait_and_tell(_: Opened, job_id: uuid.UUID, seconds: float | None) -> int:
        assert seconds is None
        waited.append(str(job_id))
        return 1

    monkeypatch.setattr("postlude.cli.schedules.wait_and_tell", wait_and_tell)
    assert desk.says("schedules", "run", "nightly", "--app", APP, "--wait", code=1) == ""
    assert [each["id"] for each in desk.answers("jobs", "list")["jobs"]] == waited


def test_tables_are_not_made_by_looking_for_them(postgres: str) -> None:
    desk = Desk(postgres, None)
    for _ in range(2):
        done = desk.run("status", POSTLUDE_SCHEMA="never_made")
        assert (done.exit_code, done.stdout) == (5, ""), done.stderr


def test_workers_and_schedules_and_tasks_are_shown(either: Desk) -> None:
    assert either.says("workers") == "No worker is there.\n"
    assert either.answers("schedules", "list", "--app", APP) == []
    tasks = {each["name"]: each for each in either.answers("tasks", "list", "--app", APP)}
    assert {"shop.send", "shop.report", "shop.paint", "kiosk:plain_words"} <= tasks.keys()
    assert "queue mail, retries 3" in either.says("tasks", "list", "--app", APP)


def test_a_process_that_only_stores_jobs_has_no_free_slots(either: Desk) -> None:
    only_stores = WorkerReport("1", "3", False, "off", {"loop": 100}, {"loop": 100}, 0, [], 0.0, abandoned=2)

    async def report(store: Store) -> None:
        await store.seeing.report_worker(await store.enlist(), only_stores, now=time.time())

    either.on_store(report)
    said = either.says("workers")
    assert "none: it only stores jobs" in said
    assert "loop 100" not in said
    assert "2 of its threads go on with tasks that ran longer" in said


def test_jobs_are_exported_as_lines(either: Desk) -> None:
    jobs = add_failed(either, 2)
    lines = [json.loads(line) for line in either.says("export", "--app", APP, "--full").splitlines()]
    assert {each["id"] for each in lines} == {str(job.id) for job in jobs}
    assert lines[0]["arguments"] == {"to": "ada", "password": "[masked]"}
    assert either.says("export", "--state", "queued") == ""


def test_what_is_exported_is_what_is_listed_without_what_is_gone_by_then(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = add_failed(desk, 2)
    listed = desk.answers("jobs", "list", "--app", APP)["jobs"]
    assert [json.loads(line) for line in desk.says("export", "--app", APP).splitlines()] == listed
    job = Views.job

    async def deleted_since(self: Views, job_id: uuid.UUID) -> JobView:
        if job_id == gone.id:
            raise JobNotFound(job_id)
        return await job(self, job_id)

    monkeypatch.setattr(Views, "job", deleted_since)
    (line,) = desk.says("export", "--app", APP, "--full").splitlines()
    assert json.loads(line)["id"] == str(kept.id)


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

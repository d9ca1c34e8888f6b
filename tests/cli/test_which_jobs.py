"""Which jobs a command is about, who is asked before it changes them, and with which code it ends."""

import uuid
from typing import NamedTuple

import pytest

from postlude.clock import SystemClock
from postlude.ids import job_id_at, new_token
from postlude.job import DEFAULT_QUEUE, Event, JobState, Key, NewJob, Terms
from postlude.stores.contract import Store
from tests.cli.conftest import APP, Desk, Person, new_desk
from tests.cli.test_jobs_commands import add_failed
from tests.stores.making import claim_of, ended, queued, staged

HOUR = 3600.0


class Kept(NamedTuple):
    """A job, with how many hours ago it was added, and how it ended."""

    task: str
    added: float
    end: Event | None = None
    ended: float = 0.0
    queue: str = DEFAULT_QUEUE
    key: str | None = None

    def made(self, owner: int, now: float) -> NewJob:
        terms = Terms(self.queue, key=None if self.key is None else Key(self.key))
        at = now - self.added * HOUR
        job = queued(self.task) if self.end is None else staged(owner, self.task)
        return job._replace(id=job_id_at(int(at * 1e9), new_token()), terms=terms, created_at=at)


KEPT = {
    "sent": Kept("shop.send", 50, Event.SUCCEED, 1),
    "refused": Kept("shop.send", 50, Event.FAIL, 1, queue="mail"),
    "refused long ago": Kept("shop.send", 50, Event.FAIL, 30, key="ada"),
    "withdrawn": Kept("shop.report", 50, Event.CANCEL, 1, queue="mail", key="eve"),
    "waiting": Kept("shop.gone", 1),
}


class Shelf(NamedTuple):
    desk: Desk
    names: dict[str, str]
    """Of the jobs, by their ids."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A store in which nothing is changed."""

    async def fill(store: Store) -> dict[str, str]:
        owner, now = await store.enlist(), SystemClock().now()
        jobs = {name: each.made(owner, now) for name, each in KEPT.items()}
        await store.insert(list(jobs.values()))
        ends = [(jobs[name], each.end, now - each.ended * HOUR) for name, each in KEPT.items() if each.end is not None]
        await store.settle([ended(claim_of(job), end, at=at) for job, end, at in ends])
        return {str(job.id): name for name, job in jobs.items()}

    desk = new_desk(f"sqlite:///{tmp_path_factory.mktemp('shelf')}/jobs.db")
    return Shelf(desk, desk.on_store(fill))


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ("", {*KEPT}),
        ("--state failed --state queued", {"refused", "refused long ago", "waiting"}),
        ("--task shop.report", {"withdrawn"}),
        ("--task shop.send", {"sent", "refused", "refused long ago"}),
        ("--task shop.gone", {"waiting"}),  # which the application does not have any more
        ("--queue mail", {"refused", "withdrawn"}),
        ("--key ada", {"refused long ago"}),
        ("--since 2h", {"waiting"}),
        ("--until 2h", {*KEPT} - {"waiting"}),
        ("--failed-since 2h", {"refused"}),
        ("--failed-since 2d --task shop.send --queue default", {"refused long ago"}),
    ],
)
def test_options_mean_the_jobs_for_which_all_of_them_hold(shelf: Shelf, options: str, meant: set[str]) -> None:
    found = shelf.desk.answers("jobs", "list", "--app", APP, *options.split())["jobs"]
    assert {shelf.names[each["id"]] for each in found} == meant


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("retry --since 3d", 2),
        ("retry --since 3d --state cancelled", 1),
        ("cancel --since 3d", 1),
        ("cancel --until 2h", 0),
        ("delete --since 3d", 4),
        ("delete --queue mail --failed-since 2h", 1),
    ],
)
def test_without_a_state_those_are_meant_for_which_it_is_usual(shelf: Shelf, command: str, number: int) -> None:
    assert shelf.desk.answers("jobs", *command.split(), "--dry-run") == {"jobs": number, "more": False}


@pytest.mark.parametrize("line", ["", "\n", "n\n", "yellow\n"])
def test_whoever_does_not_say_yes_has_said_no(desk: Desk, line: str) -> None:
    add_failed(desk, 2)
    done = desk.run("jobs", "delete", "--state", "failed", person=Person(line))
    assert (done.exit_code, done.stdout) == (1, "")
    asked = " ".join(done.stderr.split())
    assert asked.startswith("2 jobs to delete, in ")
    assert asked.endswith(". Go on? [y/N]")
    assert len(desk.answers("jobs", "list")["jobs"]) == 2


@pytest.mark.parametrize("line", ["y\n", "YES\n"])
def test_yes_is_said_of_those_that_were_counted(desk: Desk, line: str) -> None:
    """What fails while the question stands is left alone."""
    add_failed(desk, 2)
    later: list[NewJob] = []
    person = Person(line, meanwhile=lambda: later.extend(add_failed(desk, 1, SystemClock().now())))
    done = desk.run("jobs", "delete", "--state", "failed", person=person)
    assert (done.exit_code, done.stdout) == (0, "2 jobs deleted.\n"), done.stderr
    assert [each["id"] for each in desk.answers("jobs", "list")["jobs"]] == [str(job.id) for job in later]


def test_of_no_job_nobody_is_asked(desk: Desk) -> None:
    assert desk.says("jobs", "delete", "--queue", "none") == "0 jobs deleted.\n"


def test_those_that_could_not_be_are_counted_and_the_first_of_them_explained(either: Desk) -> None:
    async def add_two_of_one_key(store: Store) -> NewJob:
        terms, owner = Terms(key=Key("k")), await store.enlist()
        failed = staged(owner, terms=terms)
        await store.insert([failed])
        await store.settle([ended(claim_of(failed), Event.FAIL)])
        await store.insert([queued(terms=terms)])
        return failed

    (job,) = add_failed(either, 1)
    waits = queued()
    either.on_store(lambda store: store.insert([waits]))
    ids = [str(each) for each in (job.id, waits.id, uuid.uuid4(), either.on_store(add_two_of_one_key).id)]
    done = either.run("jobs", "retry", *ids)
    assert (done.exit_code, done.stdout) == (1, "1 job queued again.\n")
    assert f"3 jobs could not be. Job {waits.id} is queued, and 'retry' is not possible then" in done.stderr
    assert either.record(ids[0]).state is JobState.QUEUED


def test_ids_are_read_before_the_first_job_is_changed(desk: Desk) -> None:
    (job,) = add_failed(desk, 1)
    assert "Expected the id of a job" in desk.refuses("jobs", "delete", str(job.id), "7", code=2)
    assert desk.record(str(job.id)).state is JobState.FAILED

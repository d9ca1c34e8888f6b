"""At most one job of a task at a time has a key, as the requests that add them see it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import BackgroundTasks, Concurrency, JobState, Postlude, task
from postlude.job import WhenTaken
from postlude.testing import worker
from tests.face.conftest import Make, Serve, ended
from tests.face.holding import let_go, ran, started

pytestmark = pytest.mark.usefixtures("from_nothing")


def note(what: str) -> None:
    ran.append(what)


@task(key=lambda event: event)
def handle(event: str) -> str:
    """A webhook."""
    ran.append(event)
    return f"handled {event}"


@task(key=lambda what: what)
def hold(what: str, *, fails: bool = False) -> None:
    ran.append(what)
    started.set()
    assert let_go.wait(30)
    if fails:
        raise ValueError(what)


def hold_the_first(what: str) -> None:
    ran.append(what)
    if what == "first":
        started.set()
        assert let_go.wait(30)


def webhook(make: Make, **options: Any) -> tuple[FastAPI, Postlude]:
    app, durable = make(**options)

    @app.post("/{event}")
    def receive(event: str, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(handle, event).id)

    return app, durable


@pytest.mark.usefixtures("no_errors")
def test_36_the_same_webhook_three_times_is_one_job(make: Make, serve: Serve) -> None:
    app, durable = webhook(make)
    with serve(app) as client:
        ids = [client.post("/evt-1").json() for _ in range(3)]
        other = client.post("/evt-2").json()
        assert len({*ids, other}) == 4, "each answer has an id of its own"
        jobs = ended(durable, *ids)
        ended(durable, other)
        assert {str(job.id) for job in jobs} == {ids[0]}
        assert {job.result for job in jobs} == {"handled evt-1"}
        assert {str(durable.blocking.jobs.get(one).id) for one in ids} == {ids[0]}
        assert str(durable.blocking.jobs.get(client.post("/evt-1").json()).id) == ids[0], "also after it has succeeded"
        assert len(durable.blocking.jobs.list()) == 2
    assert sorted(ran) == ["evt-1", "evt-2"]


@pytest.mark.usefixtures("no_errors")
def test_36_while_the_first_still_runs(make: Make) -> None:
    app, durable = make()

    @app.post("/")
    def receive(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(hold, "evt-1").id)

    with TestClient(app) as client:
        first = client.post("/").json()
        assert started.wait(10)
        later = [client.post("/").json() for _ in range(2)]
        with ThreadPoolExecutor(2) as waiting:
            found = [waiting.submit(durable.blocking.jobs.wait, one, timeout=30) for one in later]
            let_go.set()
            assert {str(each.result().id) for each in found} == {first}
    assert ran == ["evt-1"]


def test_sixteen_requests_at_once_give_one_job(make: Make, serve: Serve) -> None:
    app, durable = webhook(make)
    with serve(app) as client, ThreadPoolExecutor(16) as clients:
        ids = list(clients.map(lambda _: client.post("/evt-1").json(), range(16)))
        (only,) = {job.id for job in ended(durable, *ids)}
        assert str(only) in ids
        assert [job.id for job in durable.blocking.jobs.list()] == [only]
    assert ran == ["evt-1"]


def test_twice_in_one_request(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(handle, "evt-1").id) for _ in range(2)]

    with serve(app) as client:
        first, second = client.post("/").json()
        assert [str(job.id) for job in ended(durable, first, second)] == [first, first]
    assert ran == ["evt-1"]


def test_a_job_that_has_failed_gives_its_key_back(make: Make, serve: Serve) -> None:
    app, durable = make()
    let_go.set()

    @app.post("/{fails}")
    def endpoint(fails: bool, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(hold, "evt-1", fails=fails).id)

    with serve(app) as client:
        failed = client.post("/true").json()
        ended(durable, failed)
        second = client.post("/false").json()
        ended(durable, second)
        assert [durable.blocking.jobs.get(one).state for one in (failed, second)] == [
            JobState.FAILED,
            JobState.SUCCEEDED,
        ]


def test_a_key_is_for_what_can_be_stored(make: Make, serve: Serve) -> None:
    app, _ = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        with pytest.raises(Exception, match="it is a lambda; and key needs a call that is stored"):
            tasks.options(key="k").add_task(lambda: None)
        return "refused"

    with serve(app) as client:
        assert client.post("/").json() == "refused"


# In order behind a call that another job answers


def behind_a_taken_key(make: Make) -> tuple[FastAPI, Postlude]:
    app, durable = make()

    @app.post("/hold/{fails}")
    def first(fails: bool, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(hold, "a", fails=fails).id)

    @app.post("/behind")
    def second(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(hold, "a").id), *(str(tasks.add_task(note, what).id) for what in "bc")]

    @app.post("/ephemeral-behind")
    def third(tasks: BackgroundTasks) -> list[str]:
        ids = [str(tasks.add_task(hold, "a").id)]
        ids.append(str(tasks.add_task(lambda: ran.append("ephemeral")).id))
        return [*ids, str(tasks.add_task(note, "c").id)]

    return app, durable


@pytest.mark.usefixtures("no_errors")
def test_what_is_behind_it_runs_when_the_holder_has_succeeded(make: Make) -> None:
    app, durable = behind_a_taken_key(make)
    with TestClient(app) as client:
        client.post("/hold/false")
        assert started.wait(10)
        ids = client.post("/behind").json()
        assert ran == ["a"]
        let_go.set()
        assert [job.state for job in ended(durable, *ids)] == [JobState.SUCCEEDED] * 3
    assert ran == ["a", "b", "c"]


def test_what_is_behind_it_is_cancelled_with_the_holder(make: Make) -> None:
    app, durable = behind_a_taken_key(make)
    with TestClient(app) as client:
        client.post("/hold/true")
        assert started.wait(10)
        ids = client.post("/behind").json()
        let_go.set()
        jobs = ended(durable, *ids)
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.CANCELLED, JobState.CANCELLED]
    assert ran == ["a"]


def test_behind_a_holder_that_has_succeeded_it_runs_at_once(make: Make, serve: Serve) -> None:
    app, durable = behind_a_taken_key(make)
    let_go.set()
    with serve(app) as client:
        ended(durable, client.post("/hold/false").json())
        assert [job.state for job in ended(durable, *client.post("/behind").json())] == [JobState.SUCCEEDED] * 3
    assert ran == ["a", "b", "c"]


def test_an_ephemeral_call_behind_a_holder_that_has_succeeded_runs(make: Make, serve: Serve) -> None:
    app, durable = behind_a_taken_key(make)
    let_go.set()
    with serve(app) as client:
        ended(durable, client.post("/hold/false").json())
        assert [job.state for job in ended(durable, *client.post("/ephemeral-behind").json())] == [
            JobState.SUCCEEDED
        ] * 3
    assert ran == ["a", "ephemeral", "c"]


def test_an_ephemeral_call_behind_a_holder_that_runs_is_lost_and_named(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody could run it when the holder has succeeded, perhaps in another process."""
    app, durable = behind_a_taken_key(make)
    with TestClient(app) as client:
        client.post("/hold/false")
        assert started.wait(10)
        ids = client.post("/ephemeral-behind").json()
        let_go.set()
        jobs = ended(durable, *ids)
    assert [job.state for job in jobs] == [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
    assert str(jobs[1].reason).startswith("another job answers in place of the one before it, and it was not stored")
    assert any("another job answers in place" in record.getMessage() for record in caplog.records)
    assert ran == ["a"]


def test_behind_the_same_key_twice_in_one_request(make: Make, serve: Serve) -> None:
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        ids = [tasks.add_task(handle, "evt-1").id for _ in range(2)]
        ids.append(tasks.add_task(lambda: ran.append("ephemeral")).id)
        return [str(one) for one in [*ids, tasks.add_task(note, "last").id]]

    with serve(app) as client:
        jobs = ended(durable, *client.post("/").json())
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 4
    assert ran == ["evt-1", "ephemeral", "last"]


def test_what_is_not_in_order_with_it_runs_whatever_becomes_of_it(make: Make, serve: Serve) -> None:
    app, durable = make()
    let_go.set()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        free = tasks.options(ordered=False)
        return [str(free.add_task(handle, "evt-1").id), str(free.add_task(note, "beside").id)]

    with serve(app) as client:
        for _ in range(2):
            ended(durable, *client.post("/").json())
    assert sorted(ran) == ["beside", "beside", "evt-1"]


# Changed while it waits


def reindexing(make: Make, on_conflict: WhenTaken, **options: Any) -> tuple[FastAPI, Postlude]:
    app, durable = make(**options)

    @app.post("/hold")
    def first(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(hold, "held").id)

    @app.post("/{version}")
    def endpoint(version: str, tasks: BackgroundTasks, delay: float | None = None) -> str:
        return str(tasks.options(key="k", on_conflict=on_conflict, delay=delay).add_task(note, version).id)

    return app, durable


def due_in(durable: Postlude, job_id: str, since: datetime) -> float:
    """Seconds from then on."""
    run_at = durable.blocking.jobs.get(job_id).run_at
    assert run_at is not None
    return round((run_at - since).total_seconds(), 3)


@pytest.mark.parametrize(("on_conflict", "due"), [("replace", 30), ("debounce", 70)])
def test_requests_change_the_arguments_of_a_job_that_waits(make: Make, on_conflict: WhenTaken, due: float) -> None:
    """The last ones count; its moment is that of the first request, or is put off by each."""
    app, durable = reindexing(make, on_conflict)
    with worker(app) as at_work, TestClient(app) as client:
        began = at_work.now
        ids = []
        for version, delay in ((1, 30), (2, 30), (3, 50)):
            ids.append(client.post(f"/{version}?delay={delay}").json())
            at_work.advance(10)
        assert len(set(ids)) == 3
        assert {str(durable.blocking.jobs.get(one).id) for one in ids} == {ids[0]}
        assert {due_in(durable, one, began) for one in ids} == {due}
        at_work.run_all()
        assert (ran, round((at_work.now - began).total_seconds(), 3)) == (["3"], due)
        later = client.post("/4").json()
        at_work.run_all()
    assert ran == ["3", "4"], "it had ended, so this one is a job of its own"
    assert later not in ids


@pytest.mark.parametrize("on_conflict", ["replace", "debounce"])
def test_requests_change_what_waits_behind_a_full_slot(make: Make, on_conflict: WhenTaken) -> None:
    """With the worker in the same process, which has the call of the first request at hand and must not run that."""
    app, durable = reindexing(make, on_conflict, concurrency=Concurrency(threads=1))
    with TestClient(app) as client:
        held = client.post("/hold").json()
        assert started.wait(10)
        ids = [client.post(f"/{version}").json() for version in (1, 2, 3)]
        let_go.set()
        jobs = ended(durable, held, *ids)
    assert {str(job.id) for job in jobs[1:]} == {ids[0]}
    assert ran == ["held", "3"]


@pytest.mark.parametrize("on_conflict", ["replace", "debounce"])
def test_a_request_that_comes_while_the_job_runs_adds_another(make: Make, on_conflict: WhenTaken) -> None:
    app, durable = make()

    @app.post("/{what}")
    def endpoint(what: str, tasks: BackgroundTasks) -> str:
        return str(tasks.options(key="k", on_conflict=on_conflict).add_task(hold_the_first, what).id)

    with TestClient(app) as client:
        first = client.post("/first").json()
        assert started.wait(10)
        second = client.post("/second").json()
        assert [str(job.id) for job in ended(durable, second)] == [second]
        assert durable.blocking.jobs.get(first).state in {JobState.STAGED, JobState.RUNNING}
        let_go.set()
        ended(durable, first)
    assert ran == ["first", "second"]


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize("on_conflict", ["replace", "debounce"])
def test_where_no_worker_runs_a_job_that_was_changed_waits_for_one(make: Make, on_conflict: WhenTaken) -> None:
    """The request has the call with the former arguments at hand; the new work is in the queue, and is done once."""
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        keyed = tasks.options(key="k", on_conflict=on_conflict)
        ids = [keyed.add_task(note, version).id for version in ("1", "2")]
        return [str(one) for one in [*ids, tasks.add_task(note, "behind").id]]

    ids = TestClient(app).post("/").json()
    assert (ran, {durable.blocking.jobs.get(one).state for one in ids}) == ([], {JobState.QUEUED})
    with TestClient(app):
        assert [str(job.id) for job in ended(durable, *ids)] == [ids[0], ids[0], ids[2]]
    assert ran == ["2", "behind"]


@pytest.mark.usefixtures("no_errors")
def test_where_no_worker_runs_a_job_that_nobody_changed_runs_in_its_request(make: Make) -> None:
    app, durable = reindexing(make, "replace")
    client = TestClient(app)
    for version in ("1", "2"):
        (job,) = ended(durable, client.post(f"/{version}").json())
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    assert ran == ["1", "2"]


@pytest.mark.usefixtures("no_errors")
def test_a_request_of_a_process_that_runs_no_tasks_may_change_its_own_job(make: Make) -> None:
    app, durable = make(worker="off")

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        keyed = tasks.options(key="k", on_conflict="replace")
        ids = [keyed.add_task(note, version).id for version in ("1", "2")]
        return [str(one) for one in [*ids, tasks.options(ordered=False).add_task(note, "beside").id]]

    with TestClient(app) as client:
        ids = client.post("/").json()
        assert {durable.blocking.jobs.get(one).state for one in ids} == {JobState.QUEUED}
    assert ran == []


def test_a_call_that_was_answered_is_not_said_to_be_lost(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Its job runs, or has run, whatever becomes of the call before it in its request."""
    app, durable = make()
    let_go.set()

    @app.post("/first")
    def first(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(handle, "evt-1").id)

    @app.post("/second")
    def second(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(hold, "a", fails=True).id), str(tasks.add_task(handle, "evt-1").id)]

    with TestClient(app) as client:
        ended(durable, client.post("/first").json())
        jobs = ended(durable, *client.post("/second").json())
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.SUCCEEDED]
    assert [record.getMessage() for record in caplog.records if "did not succeed" in record.getMessage()] == []

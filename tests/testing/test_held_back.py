"""What limits, pauses, keys and schedules mean for the worker of tests."""

from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import BackgroundTasks, JobState, Postlude, schedule, task
from postlude.testing import worker

durable = Postlude()
app = FastAPI()
durable.install(app)
ran: list[str] = []


@task(rate="1/min")
def call_api(what: str) -> None:
    ran.append(what)


@task(max_running=1, partition_by=lambda tenant: tenant)
def import_for(tenant: str) -> None:
    ran.append(tenant)


@task
def rebuild(what: str) -> None:
    ran.append(what)


def each_minute() -> None:
    ran.append("minute")


@app.post("/call")
def call(tasks: BackgroundTasks) -> None:
    for what in "abc":
        tasks.options(ordered=False).add_task(call_api, what)


def test_a_rate_is_kept_by_the_clock_that_is_moved() -> None:
    ran.clear()
    with worker(app) as at_work:
        TestClient(app).post("/call")
        at_work.run_pending()
        assert ran == ["a"]
        at_work.advance(59)
        assert ran == ["a"]
        at_work.advance(1)
        assert ran == ["a", "b"]
        at_work.run_all()
        assert ran == ["a", "b", "c"]


def test_what_is_paused_waits_and_the_others_go_on() -> None:
    ran.clear()
    with worker(app) as at_work:
        durable.blocking.jobs.pause(task=import_for, partition="acme", reason="their API is down")
        for tenant in ("acme", "zeta", "acme"):
            durable.blocking.enqueue(import_for, tenant)
        at_work.run_all()
        assert ran == ["zeta"]
        assert durable.blocking.jobs.resume(task=import_for, partition="acme")
        at_work.run_all()
        assert ran == ["zeta", "acme", "acme"]


def test_a_debounced_call_runs_once_when_no_other_has_come_for_so_long() -> None:
    ran.clear()
    with worker(app) as at_work:
        options = durable.blocking.options(key="index", on_conflict="debounce", delay=10)
        first = options.enqueue(rebuild, "one")
        at_work.advance(6)
        second = options.enqueue(rebuild, "two")
        at_work.advance(6)
        assert ran == []
        at_work.advance(4)
        assert ran == ["two"]
        assert second.id == first.id
        assert durable.blocking.jobs.get(first.id).state is JobState.SUCCEEDED


def test_a_schedule_fires_at_each_moment_that_is_gone_to() -> None:
    schedule(every=60)(each_minute)
    ran.clear()
    with worker(app) as at_work:
        at_work.run_pending()
        at_work.advance(180)
    assert ran == ["minute"] * 3

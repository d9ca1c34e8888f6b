"""Expiry, priority, pauses, limits, deletion and keeping, as an application sees them; time is moved by the tests."""

import asyncio
import sys
import threading
from datetime import timedelta
from enum import Enum
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import BackgroundTasks, Concurrency, JobState, Postlude, task
from postlude.errors import CallError, IllegalTransition, JobNotFound, NotStorable
from postlude.retention import Retention
from postlude.services.prune import PAUSE, Prune
from postlude.stores import open_store
from postlude.testing import worker
from postlude.testing.engine import clock_of, engine_of
from postlude.testing.working import StandingClock
from tests.engine.fakes import FakeClock
from tests.face.conftest import Make, Serve, ended
from tests.face.holding import let_go, ran, started
from tests.ids import lasting
from tests.scenarios.waiting import wait_until

pytestmark = pytest.mark.usefixtures("from_nothing")


class Tenant(Enum):
    ACME = "acme"
    ZETA = "zeta"


def note(what: str) -> None:
    ran.append(what)


def refuse(what: str) -> None:
    raise ValueError(what)


def hold() -> None:
    started.set()
    assert let_go.wait(30)


@task(queue="mail-out")
def send(what: str) -> None:
    ran.append(what)


@task(partition_by=lambda tenant: tenant)
def import_for(tenant: Tenant) -> None:
    ran.append(tenant.value)


@task(remote=True, name="render of another image")
def render(what: str) -> str:
    raise NotImplementedError


@task(retention=Retention(succeeded=60, failed=timedelta(hours=1)))
def kept_shortly(*, fails: bool = False) -> None:
    if fails:
        raise ValueError


def app_with(durable: Postlude, app: FastAPI) -> None:
    @app.post("/note/{what}")
    def add_note(what: str, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(note, what).id)

    @app.post("/send/{what}")
    def add_send(what: str, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(send, what).id)

    @app.post("/import/{tenant}")
    def add_import(tenant: Tenant, tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(import_for, tenant).id)

    @app.post("/hold")
    def add_hold(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(hold).id)

    @app.post("/expiring/{seconds}")
    def add_expiring(seconds: float, tasks: BackgroundTasks) -> str:
        return str(tasks.options(expires_after=seconds).add_task(note, "too late").id)


def created(durable: Postlude, job_id: str) -> float:
    """When it was; seconds since the epoch."""
    moment = durable.blocking.jobs.get(job_id).created_at
    assert moment is not None
    return moment.timestamp()


# Expiry and priority


def test_a_call_that_expired_behind_a_full_slot_never_runs(make: Make) -> None:
    app, durable = make(concurrency=Concurrency(threads=1))
    app_with(durable, app)
    clock = StandingClock()
    with clock_of(engine_of(app)).replaced_by(clock), TestClient(app) as client:
        client.post("/hold")
        assert started.wait(10)
        expired = client.post("/expiring/0.05").json()
        note_id = client.post("/note/in time").json()
        clock.move_to(clock.now() + 0.05)
        let_go.set()
        ended(durable, note_id)
        (job,) = ended(durable, expired)
    assert (job.state, job.attempts) == (JobState.CANCELLED, 0)
    assert "expired" in str(job.reason)
    assert ran == ["in time"]


def test_what_waits_too_long_is_cancelled_and_what_is_behind_it_too(make: Make) -> None:
    app, durable = make()
    with worker(app) as at_work:
        durable.blocking.jobs.pause(queue="mail-out")
        job = durable.blocking.options(expires_after=timedelta(minutes=1)).enqueue(send, "late")
        in_time = durable.blocking.options(expires_after=60, delay=59).enqueue(note, "in time")
        at_work.advance(120)
        durable.blocking.jobs.resume(queue="mail-out")
        at_work.run_pending()
        assert durable.blocking.jobs.get(job.id).state is JobState.CANCELLED
        assert durable.blocking.jobs.get(in_time.id).state is JobState.SUCCEEDED
    assert ran == ["in time"]


def test_the_largest_priority_comes_first(make: Make) -> None:
    app, durable = make(concurrency=Concurrency(threads=1))
    with worker(app) as at_work:
        for what, priority in (("plain", None), ("last", -100), ("first", 100), ("plain too", 0)):
            durable.blocking.options(priority=priority).enqueue(note, what)
        at_work.run_all()
    assert ran == ["first", "plain", "plain too", "last"]


# Pauses


@pytest.mark.parametrize(
    ("paused", "held", "free"),
    [
        ({"queue": "mail-out"}, "/send/a", "/note/b"),
        ({"task": send}, "/send/a", "/note/b"),
        ({"task": f"{__name__}:send"}, "/send/a", "/note/b"),
        ({"task": import_for, "partition": "acme"}, "/import/acme", "/import/zeta"),
        ({"task": import_for, "partition": Tenant.ACME}, "/import/acme", "/import/zeta"),
        ({"queue": "default"}, "/note/a", "/send/b"),
        ({"everything": True}, "/note/a", None),
    ],
    ids=lasting,
)
def test_what_is_paused_waits_until_it_is_resumed(
    make: Make, paused: dict[str, object], held: str, free: str | None
) -> None:
    """From the moment on when `pause` has returned, for what requests add too."""
    app, durable = make()
    app_with(durable, app)
    jobs = durable.blocking.jobs
    with TestClient(app) as client:
        pause = jobs.pause(**paused, reason="their API is down")  # type: ignore[arg-type]
        assert list(jobs.pauses()) == [pause]
        assert (pause.reason, pause.since > 0) == ("their API is down", True)
        waiting = [client.post(held).json() for _ in range(3)]
        if free is not None:
            ended(durable, client.post(free).json())
        assert {jobs.get(one).state for one in waiting} <= {JobState.QUEUED, JobState.STAGED}
        assert len(ran) == (free is not None)
        assert jobs.resume(**paused) is True  # type: ignore[arg-type]
        assert jobs.resume(**paused) is False  # type: ignore[arg-type]
        assert {job.state for job in ended(durable, *waiting)} == {JobState.SUCCEEDED}
        assert list(jobs.pauses()) == []


def test_what_waited_in_line_when_its_queue_was_paused_does_not_start(make: Make) -> None:
    app, durable = make(concurrency=Concurrency(threads=1))
    app_with(durable, app)
    jobs = durable.blocking.jobs
    with TestClient(app) as client:
        client.post("/hold")
        assert started.wait(10)
        held = client.post("/send/a").json()
        jobs.pause(queue="mail-out")
        let_go.set()
        ended(durable, client.post("/note/b").json())
        assert ran == ["b"]
        jobs.resume(queue="mail-out")
        ended(durable, held)
    assert ran == ["b", "a"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"queue": "mail-out", "task": send},
        {"partition": "acme"},
        {"queue": "mail-out", "partition": "acme"},
        {"queue": "mail-out", "everything": True},
        {"everything": True, "partition": "acme"},
    ],
    ids=lasting,
)
def test_what_does_not_say_what_to_pause(make: Make, given: dict[str, object]) -> None:
    _, durable = make()
    for act in (durable.blocking.jobs.pause, durable.blocking.jobs.resume):
        with pytest.raises(
            CallError, match="Expected queue=, or task=, or task= and partition= together, or everything=True"
        ):
            act(**given)  # type: ignore[arg-type]


def test_a_queue_that_is_nearly_known_is_not_paused_in_its_place(make: Make) -> None:
    _, durable = make()
    with pytest.raises(CallError, match="queue 'mail-ot' is nearly the queue 'mail-out': did you mean that"):
        durable.blocking.jobs.pause(queue="mail-ot")


def test_what_can_be_no_partition(make: Make) -> None:
    _, durable = make()
    with pytest.raises(CallError, match=r"partition: expected what the task's partition_by gives, got \['acme'\]"):
        durable.blocking.jobs.pause(task=import_for, partition=["acme"])


def test_a_partition_of_a_task_that_has_none_is_not_paused(make: Make) -> None:
    _, durable = make()
    for act in (durable.blocking.jobs.pause, durable.blocking.jobs.resume):
        for given in (send, f"{__name__}:send"):
            with pytest.raises(CallError) as raised:
                act(task=given, partition=1)
            assert str(raised.value) == (
                f"partition='1': {__name__}:send has no partitions. Declare them with @task(partition_by=...), or "
                "leave partition out to pause the whole task."
            )
    assert list(durable.blocking.jobs.pauses()) == []


def test_a_partition_of_a_stub_can_be_paused(make: Make) -> None:
    """What its partitions are is known where it runs."""
    _, durable = make()
    durable.blocking.jobs.pause(task=render, partition="acme")
    assert [each.partition for each in durable.blocking.jobs.pauses()] == ["acme"]
    assert durable.blocking.jobs.resume(task=render, partition="acme")


def test_a_partition_of_the_time_before_a_deploy_can_be_paused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app, durable = make()
    with worker(app) as at_work:
        held = durable.blocking.enqueue(import_for, Tenant.ACME)
        definition = engine_of(app).registry.of(import_for)
        monkeypatch.setattr(definition, "terms", definition.terms._replace(partition_by=None))
        durable.blocking.jobs.pause(task=import_for, partition="acme")
        at_work.run_pending()
        assert durable.blocking.jobs.get(held.id).state is JobState.QUEUED
        durable.blocking.jobs.resume(task=import_for, partition="acme")
        at_work.run_pending()
    assert ran == ["acme"]


def test_a_misspelt_task_is_not_paused_in_its_place(make: Make) -> None:
    _, durable = make()
    for act in (durable.blocking.jobs.pause, durable.blocking.jobs.resume):
        with pytest.raises(CallError) as raised:
            act(task="render of another imag")
        assert str(raised.value) == (
            "task='render of another imag': it is not known here, since no imported module declares it (name the "
            "module in Postlude(app, tasks=[...])), and no job of it is in the store. Did you mean 'render of another "
            "image'? If only other programs have it, declare it here with @task(name='render of another imag', "
            "remote=True)."
        )


def test_a_task_that_only_other_programs_have_is_paused_if_the_store_has_jobs_of_it(make: Make, url: str) -> None:
    _, durable = make()
    name = f"{__name__}:note"
    durable.blocking.enqueue(note, "it")
    stranger = Postlude(url=url)
    stranger._registry.root = None  # whose code is elsewhere
    known = sys.modules.pop(__name__)
    try:
        with pytest.raises(CallError, match="no job of it is in the store"):
            stranger.blocking.jobs.pause(task=f"{name}_other")
        assert stranger.blocking.jobs.pause(task=name).name == name
        assert stranger.blocking.jobs.resume(task=name) is True
        assert stranger.blocking.jobs.resume(task=name) is False
    finally:
        sys.modules[__name__] = known
        stranger.blocking.close()


# Code that lives elsewhere


def test_27_a_stub_is_left_for_others(make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    app, durable = make()
    left = threading.Event()
    monkeypatch.setattr(durable.jobs.waiters, "settled", lambda _: left.set())

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(render, "page").id), str(tasks.add_task(note, "behind").id)]

    with serve(app) as client:
        first, behind = client.post("/").json()
        assert left.wait(10)
        for one in (first, behind):
            waiting = durable.blocking.jobs.get(one)
            assert (waiting.state.finished, waiting.attempts) == (False, 0)
        assert durable.blocking.jobs.get(first).state is JobState.QUEUED
    assert ran == []


def test_a_stub_cannot_be_called_with_what_cannot_be_stored(make: Make, serve: Serve) -> None:
    app, _ = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        with pytest.raises(NotStorable, match="remote needs a call that is stored"):
            tasks.add_task(render, threading.Lock())  # type: ignore[call-overload]
        return "refused"

    with serve(app) as client:
        assert client.post("/").json() == "refused"


# Deleted and kept


def test_delete(make: Make) -> None:
    app, durable = make()
    jobs = durable.blocking.jobs
    with worker(app) as at_work:
        job = durable.blocking.enqueue(note, "a")
        with pytest.raises(IllegalTransition):
            jobs.delete(job.id)
        at_work.run_all()
        jobs.delete(str(job.id))
        with pytest.raises(JobNotFound):
            jobs.get(job.id)
        with pytest.raises(JobNotFound):
            jobs.delete(job.id)


def test_a_deleted_holder_gives_its_key_back_and_its_other_ids_lead_nowhere(make: Make) -> None:
    app, durable = make()
    jobs = durable.blocking.jobs
    with worker(app) as at_work:
        keyed = durable.blocking.options(key="k")
        first = keyed.enqueue(note, "a")
        at_work.run_all()
        assert keyed.enqueue(note, "b").id == first.id
        jobs.delete(first.id)
        assert keyed.enqueue(note, "c").id != first.id
        at_work.run_all()
    assert ran == ["a", "c"]


def test_a_key_is_free_again_when_its_period_is_over(make: Make) -> None:
    app, durable = make()
    with worker(app) as at_work:
        keyed = durable.blocking.options(key="k", key_period=timedelta(minutes=10))
        first = keyed.enqueue(note, "a")
        at_work.advance(599)
        assert keyed.enqueue(note, "b").id == first.id
        at_work.advance(1)
        assert keyed.enqueue(note, "c").id != first.id
        at_work.run_all()
    assert ran == ["a", "c"]


def test_jobs_are_pruned_when_they_were_kept_for_their_time(make: Make, url: str) -> None:
    app, durable = make()
    with TestClient(app):
        own, failed = durable.blocking.enqueue(kept_shortly), durable.blocking.enqueue(kept_shortly, fails=True)
        plain = durable.blocking.enqueue(note, "plain")
        jobs = ended(durable, *(str(job.id) for job in (own, failed, plain)))
    ids = [job.id for job in jobs]
    left = asyncio.run(left_after(url, ids, since=created(durable, str(jobs[2].id)), seconds=(59, 10, 3600, 86_400)))
    assert left == [ids, ids[1:], ids[2:], []]


def test_a_process_prunes_by_itself(make: Make) -> None:
    """Soon after it has started, what was kept for its time is gone, and nothing else is."""
    app, durable = make()
    with TestClient(app):
        jobs = (durable.blocking.enqueue(function, "it") for function in (note, refuse))
        succeeded, failed = ended(durable, *(str(job.id) for job in jobs))
    other, its = make(retention=Retention(succeeded=0, failed=3600))
    with TestClient(other):
        wait_until(lambda: not its.blocking.jobs.count(state=succeeded.state)[succeeded.state], "it is pruned")
        assert [job.id for job in its.blocking.jobs.list()] == [failed.id]


async def left_after(url: str, ids: list[UUID], *, since: float, seconds: tuple[float, ...]) -> list[list[UUID]]:
    """Which of these jobs are there after so many more seconds each, when old ones were pruned."""
    store = open_store(url)
    await store.open()
    try:
        clock = FakeClock()
        clock.time = since
        prune = Prune(store, clock, Retention(), lambda: 60.0)
        left = []
        for step in seconds:
            clock.advance(step)
            while await prune.run_once() == PAUSE:
                pass
            there = {record.id for record in await store.get(ids)}
            left.append([one for one in ids if one in there])
        assert prune.pruned == len(ids) - len(left[-1])
        return left
    finally:
        await store.close()

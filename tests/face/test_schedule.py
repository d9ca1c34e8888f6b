"""`@schedule` as users write it: what it refuses, where it may stand, what the start says, and `durable.schedules`."""

import logging
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from types import FunctionType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi import Depends, Request
from fastapi.testclient import TestClient

from postlude import schedule, scheduling, task
from postlude.errors import ScheduleDeclared, ScheduleNotFound, TaskDeclarationError
from postlude.services.scheduler import Scheduler
from tests.face.conftest import Make

MODULE = __name__


def work() -> None: ...


def other() -> None: ...


async def needs(number: int, *, text: str = "") -> None: ...


def connection() -> str:
    return "open"


def with_dependency(db: str = Depends(connection)) -> None: ...


def url_of(request: Request) -> str:
    return str(request.url)


def with_request(url: str = Depends(url_of)) -> None: ...


@task(name="bare")
def bare() -> None: ...


class Mailer:
    def send(self) -> None: ...


# What it is put on


def test_the_function_is_returned_as_it_is() -> None:
    assert schedule(every=60)(work) is work


@pytest.mark.parametrize("above", [True, False])
def test_above_or_below_task(above: bool, make: Make) -> None:
    def declare(function: Any) -> None:
        steps = [task(name="named"), schedule(every=60)]
        for step in steps if above else reversed(steps):
            function = step(function)

    _, durable = make()
    declared: dict[str, Any] = {}
    try:
        exec("def fresh(): ...", {"__name__": MODULE}, declared)
        globals()["fresh"] = declared["fresh"]
        declare(declared["fresh"])
        (name,) = scheduling.scheduled_tasks(durable._registry)
    finally:
        globals().pop("fresh", None)
    assert name == "named every 60.0 s"


def test_several_on_one_function(make: Make) -> None:
    schedule(every=60)(schedule("0 9 * * mon-fri")(schedule(every=60, name="again", kwargs={})(work)))
    _, durable = make()
    assert sorted(scheduling.scheduled_tasks(durable._registry)) == [
        "again",
        f"{MODULE}:work cron 0 9 * * mon-fri in UTC",
        f"{MODULE}:work every 60.0 s",
    ]


def test_a_module_that_is_imported_anew_declares_anew() -> None:
    schedule(every=60, name="one")(work)
    anew = FunctionType(work.__code__, {}, "work")
    anew.__module__, anew.__qualname__ = MODULE, "work"
    schedule(every=90, name="one")(anew)
    assert scheduling.declared["one"].schedule.every == 90


def test_dependencies_are_no_arguments() -> None:
    schedule(every=60)(with_dependency)
    assert len(scheduling.declared) == 1


def test_its_arguments_are_copied() -> None:
    kwargs = {"number": 1}
    schedule(every=60, kwargs=kwargs)(needs)
    kwargs["number"] = 2
    (declared,) = scheduling.declared.values()
    assert declared.kwargs == {"number": 1}


# What it refuses

REFUSED: list[tuple[Callable[[], Any], str]] = [
    (schedule, "give a cron line such as '0 9 * * mon-fri', or every="),
    (lambda: schedule("0 9 * * *", every=60), "give either a cron line or every=, got both"),
    (lambda: schedule("0 9 * *"), "a cron line has five fields"),
    (lambda: schedule("0 25 * * *"), "is not understood"),
    (lambda: schedule("0 0 30 2 *"), "never comes"),
    (lambda: schedule("0 9 * * *", timezone="Europe/Berlim"), "did you mean 'Europe/Berlin'?"),
    (lambda: schedule(every=0), "every must be seconds or a timedelta, from 1 second"),
    (lambda: schedule(every=60, missed="never"), "missed must be 'once', 'skip' or 'all', got 'never'"),  # type: ignore[arg-type]
    (lambda: schedule(every=60, missed="all"), "Write overlap='allow' too"),
    (lambda: schedule(every=60, name=""), "a name must be a non-empty string, got ''"),
    (lambda: schedule(every=60, name=5), "a name must be a non-empty string, got 5"),  # type: ignore[arg-type]
    (lambda: schedule(work), "a cron line is text such as '0 9 * * mon-fri', got <function work"),  # type: ignore[arg-type]
    (lambda: schedule(every=60)(needs), "A schedule calls it with kwargs={...} and nothing else: give the rest"),
    (lambda: schedule(every=60, kwargs={"numbr": 1})(needs), "unexpected 'numbr': did you mean 'number'?"),
    (lambda: schedule(every=60, kwargs={"number": object()})(needs), "'number' of needs cannot be stored"),
    (lambda: schedule(every=60, kwargs={"number": "1" * 2_000_000})(with_anything), "bytes as JSON"),
    (lambda: schedule(every=60)(lambda: None), "no other process can find the function, since it is a lambda"),
    (lambda: schedule(every=60)(Mailer().send), "it is a method of one Mailer object"),
    (lambda: schedule(every=60)(Mailer.send), "missing 'self'"),
    (lambda: schedule(every=60)(with_request), "with_request"),
    (lambda: schedule(every=60)(None), "Expected a function, got None"),  # type: ignore[type-var]
]


def with_anything(number: Any) -> None: ...


@pytest.mark.parametrize(("declare", "said"), REFUSED, ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_nonsense_is_refused_where_it_is_declared(declare: Callable[[], Any], said: str) -> None:
    with pytest.raises(TaskDeclarationError) as raised:
        declare()
    assert said in str(raised.value)
    assert not scheduling.declared


def test_two_with_one_name() -> None:
    schedule(every=60, name="report")(work)
    with pytest.raises(TaskDeclarationError) as raised:
        schedule(every=90, name="report")(other)
    assert str(raised.value) == (
        f"Two schedules are named 'report': on {MODULE}:work and on {MODULE}:other. "
        "Give each a name of its own with @schedule(..., name=...)."
    )
    with pytest.raises(TaskDeclarationError, match="Two schedules are named 'report'"):
        schedule(every=90, name="report")(work)
    schedule(every=60, kwargs={"number": 1})(needs)
    with pytest.raises(TaskDeclarationError, match=r"Two schedules are named .*needs every 60"):
        schedule(every=60, kwargs={"number": 2})(needs)


def test_a_name_that_is_the_default_of_another(make: Make) -> None:
    schedule(every=90)(bare)
    schedule(every=60, name="bare every 90.0 s")(other)
    _, durable = make()
    with pytest.raises(TaskDeclarationError, match="Two schedules are named"):
        scheduling.scheduled_tasks(durable._registry)


def test_a_partial_is_refused_at_the_start(make: Make) -> None:
    schedule(every=60)(partial(needs, 1))
    app, _ = make()
    with pytest.raises(TaskDeclarationError, match="it is a partial"), TestClient(app):
        pass


# The start


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("schedule")]


def test_the_start_says_how_many_there_are(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "postlude")
    schedule(every=timedelta(days=365), name="yearly")(work)
    schedule(every=timedelta(days=366), name="later")(work)
    app, _ = make()
    with TestClient(app):
        pass
    assert lines(caplog) == ["schedules: 2, the next one is 'yearly' at 2026-12-18 00:00:00 UTC"]
    caplog.clear()
    del scheduling.declared["yearly"]
    app, _ = make()
    with TestClient(app):
        pass
    (line,) = lines(caplog)
    assert line.startswith("schedules: 1, the next one is 'later' at ")
    assert line.endswith("; in the store, and not in this code as it is: 'yearly'")


def test_without_any_the_start_says_nothing_of_them(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "postlude")
    app, _ = make()
    with TestClient(app):
        pass
    assert lines(caplog) == []


def test_it_runs_where_the_worker_does_and_nowhere_else(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Scheduler] = []
    begin = Scheduler.begin

    async def note(scheduler: Scheduler) -> None:
        begun.append(scheduler)
        await begin(scheduler)

    monkeypatch.setattr(Scheduler, "begin", note)
    for worker in ("off", "embedded"):
        assert not begun
        app, _ = make(worker=worker)
        with TestClient(app):
            pass
    assert begun


async def test_modules_of_tasks_are_imported_and_their_schedules_known(make: Make) -> None:
    module = "tests.scenarios.apps.late_tasks"
    sys.modules.pop(module, None)
    _, durable = make(tasks=[module])
    (nightly,) = await durable.schedules.list()
    assert (nightly.name, nightly.task) == ("nightly", f"{module}:clean_up")
    await durable.close()


# durable.schedules


async def test_a_schedule_shows_when_it_comes_next(make: Make) -> None:
    schedule("30 2 * * *", timezone="Europe/Berlin", name="nightly", missed="skip")(work)
    _, durable = make()
    (nightly,) = await durable.schedules.list()
    assert nightly.declared
    assert nightly.schedule is not None
    assert nightly.schedule.missed == "skip"
    assert (nightly.spec, nightly.last_moment, nightly.last_job) == ("cron 30 2 * * * in Europe/Berlin", None, None)
    first, *rest = nightly.next_runs(400)
    assert first == nightly.next_at
    assert first.tzinfo == ZoneInfo("Europe/Berlin")
    assert len(rest) == 399
    assert {f"{run:%H:%M}" for run in rest} == {"02:30", "03:00"}, "there is one night without that time in it"
    assert nightly.next_runs(0) == []
    await durable.close()


async def test_what_it_shows_comes_from_the_store(make: Make) -> None:
    schedule(every=60, name="often")(work)
    schedule(every=60, name="gone")(other)
    app, durable = make()
    with TestClient(app):
        pass
    del scheduling.declared["gone"]
    _, durable = make()
    gone, often = await durable.schedules.list()
    assert (gone.name, gone.declared, gone.next_at, gone.next_runs(3)) == ("gone", False, None, [])
    assert often.declared
    assert isinstance(often.next_at, datetime)
    scheduling.declared.clear()
    schedule(every=90, name="often")(work)
    _, often = await durable.schedules.list()
    assert (often.spec, often.declared) == ("every 60.0 s", False), "another version of the code has it"
    await durable.close()


async def test_one_that_is_not_in_the_code_any_more_can_be_forgotten(make: Make) -> None:
    schedule(every=60, name="often")(work)
    schedule(every=60, name="gone")(other)
    app, durable = make()
    with TestClient(app):
        pass
    with pytest.raises(ScheduleDeclared, match="'gone' is declared by this code"):
        await durable.schedules.forget("gone")
    del scheduling.declared["gone"]
    _, durable = make()
    with pytest.raises(ScheduleNotFound, match=r"named 'gon'\. Did you mean 'gone'\?"):
        await durable.schedules.forget("gon")
    await durable.schedules.forget("gone")
    assert [each.name for each in await durable.schedules.list()] == ["often"]
    await durable.close()


async def test_one_is_run_now_beside_its_moments(make: Make) -> None:
    schedule("0 9 * * *", timezone="Europe/Berlin", name="nightly", kwargs={"number": 7})(needs)
    _, durable = make(worker="off")
    before = await durable.schedules.list()
    first, second = await durable.schedules.run("nightly"), await durable.schedules.run("nightly")
    assert first.id != second.id, "also while another is unfinished"
    assert await durable.schedules.list() == before
    job = await first.refresh()
    assert (job.task, job.state, job.origin["schedule"]) == (f"{MODULE}:needs", "queued", "nightly")
    moment = datetime.fromisoformat(job.origin["moment"])
    assert (moment, moment.utcoffset()) == (job.run_at, moment.astimezone(ZoneInfo("Europe/Berlin")).utcoffset())
    with pytest.raises(
        ScheduleNotFound, match=r"The code here, .* has no schedule named 'nightl'\. Did you mean 'nightly'\?"
    ):
        await durable.schedules.run("nightl")
    await durable.close()


def test_one_is_run_now_without_await(make: Make) -> None:
    schedule(every=86_400, name="often")(nothing_to_do)
    app, durable = make()
    with TestClient(app):
        job = durable.blocking.schedules.run("often")
        assert durable.blocking.jobs.wait(job.id, timeout=30).state == "succeeded"


def test_schedules_are_forgotten_without_await(make: Make) -> None:
    _, durable = make()
    with pytest.raises(ScheduleNotFound):
        durable.blocking.schedules.forget("gone")


def test_schedules_are_listed_without_await(make: Make) -> None:
    _, durable = make()
    schedule(every=60, name="often")(nothing_to_do)
    (info,) = durable.blocking.schedules.list()
    assert (info.name, info.spec, info.declared) == ("often", "every 60.0 s", True)
    assert durable.blocking.options(priority=1).schedules.list() == [info]


def nothing_to_do() -> None: ...

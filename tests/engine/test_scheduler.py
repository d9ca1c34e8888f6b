"""The service that fires schedules, on real stores, with time that passes as fast as it can."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import postlude.services.service
from postlude import schedule, scheduling, task
from postlude.errors import StoreUnavailable, TaskDeclarationError
from postlude.events import ClockSetBack, MomentSkipped, MomentsMissed, ScheduleTaken, ServiceFailed
from postlude.job import JobState, Record
from postlude.schedules import GRACE
from postlude.services.scheduler import LOOK_EVERY, Scheduler
from postlude.services.service import Service
from postlude.stores import open_store
from postlude.stores.contract import Filter, Store
from postlude.stores.moments import ScheduleRow
from tests.engine.conftest import Engine
from tests.engine.fakes import turns
from tests.stores.making import keyed as job_with_key

MINUTE = 60.0
HOUR = 3600.0
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


def work() -> None: ...


def other_work() -> None: ...


@task(name="greet", retries=2)
async def greet(name: str = "you") -> None: ...


@task(name="greet once", key=lambda: "greeting")
async def greet_once() -> None: ...


class World:
    """A process's scheduler beside its engine; `passing` lets it go on by itself until a moment."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = engine.clock
        self.clock.time = NOON
        self.woken = 0
        self.scheduler = self.another()

    def another(self) -> Scheduler:
        """As another process has, which runs the code as it is declared now."""
        engine = self.engine
        return Scheduler(engine.store, engine.registry, engine.clock, engine.events, queued=self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def turn_at(self, moment: float) -> float:
        self.clock.time = moment
        delay = await self.scheduler.run_once()
        assert delay is not None
        return delay

    async def jobs(self) -> list[Record]:
        return (await self.engine.store.list(Filter(), limit=5000, before=None))[::-1]

    async def moments(self) -> list[float]:
        return [job.run_at for job in await self.jobs()]

    async def row(self) -> ScheduleRow:
        (row,) = await self.engine.store.schedules()
        return row


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


Pass = Callable[[float], Awaitable[None]]


@pytest.fixture
async def passing(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pass]:
    """Run the service from the moment that it is to the one that is given; waiting is what makes time pass."""
    until = 0.0
    arrived = asyncio.Event()

    async def wait(wake: asyncio.Event, seconds: float | None) -> None:
        if seconds is not None and world.clock.time + seconds <= until:
            world.clock.advance(seconds)
            return
        arrived.set()
        await wake.wait()

    async def run_until(moment: float) -> None:
        nonlocal until
        until = moment
        service.start()
        await arrived.wait()

    monkeypatch.setattr(postlude.services.service, "wait", wait)
    service = Service("scheduler", world.scheduler, world.engine.events)
    yield run_until
    await service.stop()


# A task whose key or partition cannot be worked out


def no_key(name: str) -> str:
    if name in refused:
        raise ConnectionError(name)
    return name


refused: set[str] = set()


@task(name="keyed by name", key=no_key)
def keyed(name: str = "") -> None: ...


@pytest.mark.parametrize("kwargs", [{"name": ""}, {"name": "down"}, {}])
async def test_what_no_moment_could_make_a_job_of_is_refused_where_it_begins(
    world: World, kwargs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.refused", {"down"})
    schedule(every=MINUTE, kwargs=kwargs)(keyed)
    with pytest.raises(TaskDeclarationError) as raised:
        await world.scheduler.begin()
    said = "@schedule on keyed by name: the task's key or partition_by cannot be worked out for "
    assert str(raised.value).startswith(f"{said}kwargs={kwargs!r}: ")


async def test_one_that_cannot_be_worked_out_later_holds_up_neither_the_others_nor_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(every=MINUTE, kwargs={"name": "down"}, name="a")(keyed)
    schedule(every=MINUTE, name="b")(work)
    await world.turn_at(NOON)
    monkeypatch.setattr(f"{__name__}.refused", {"down"})
    await world.turn_at(NOON + MINUTE)
    (job,) = await world.jobs()
    assert job.task.endswith(":work")
    (event,) = world.engine.heard.of(ServiceFailed)
    assert (event.service, event.failure.type) == ("schedule 'a'", "ConnectionError")
    await world.turn_at(NOON + MINUTE + 1)
    assert len(world.engine.heard.of(ServiceFailed)) == 1, "once for each moment"
    refused.clear()
    await world.turn_at(NOON + 2 * MINUTE)
    assert [each.key for each in await world.jobs() if each.task == "keyed by name"] == ["down"]


# One job for each moment


async def test_each_moment_makes_a_queued_job(world: World) -> None:
    schedule("*/5 * * * *", timezone="Europe/Berlin", name="often", kwargs={"name": "me"})(greet)
    assert await world.turn_at(NOON + 1) == LOOK_EVERY
    assert await world.jobs() == []
    assert await world.turn_at(NOON + 299) == 1.0, "it is back when the moment comes"
    await world.turn_at(NOON + 300.25)
    (job,) = await world.jobs()
    assert (job.task, job.state, job.created_at, job.run_at) == ("greet", JobState.QUEUED, NOON + 300.25, NOON + 300)
    assert job.arguments is not None
    assert json.loads(job.arguments) == {"args": [], "kwargs": {"name": "me"}}
    assert job.policy == '{"retries":2}'
    assert json.loads(str(job.origin)) == {"schedule": "often", "moment": "2026-06-01T14:05:00+02:00"}
    assert world.woken == 1
    assert await world.row() == ScheduleRow(
        "often", "greet", "cron */5 * * * * in Europe/Berlin", NOON + 600, NOON + 300, job.id
    )


async def test_the_default_name_has_the_task_and_the_spec(world: World) -> None:
    for declare in (schedule("0 9 * * mon-fri"), schedule(every=60)):
        declare(greet)
    await world.scheduler.begin()
    names = [row.name for row in await world.engine.store.schedules()]
    assert names == ["greet cron 0 9 * * mon-fri in UTC", "greet every 60.0 s"]


async def test_the_worker_runs_what_is_made(world: World, passing: Pass) -> None:
    schedule(every=60)(greet)
    await passing(NOON + 61)
    await world.engine.worker.run_once()
    await world.engine.attempts.stop(5)
    await world.engine.settling.flush()
    assert [job.state for job in await world.jobs()] == [JobState.SUCCEEDED]


async def test_without_schedules_the_store_is_left_alone(world: World) -> None:
    assert await world.turn_at(NOON) == LOOK_EVERY
    world.engine.faulty.calls.clear()
    assert await world.turn_at(NOON + 30) == LOOK_EVERY
    assert not world.engine.faulty.calls


async def test_a_schedule_that_is_imported_later_is_noticed(world: World) -> None:
    await world.turn_at(NOON)
    schedule(every=60)(work)
    await world.turn_at(NOON + 30)
    await world.turn_at(NOON + 60)
    assert await world.moments() == [NOON + 60]


async def test_a_period_counts_since_the_epoch_whenever_it_was_declared(world: World, passing: Pass) -> None:
    world.clock.time = NOON + 7
    schedule(every=timedelta(minutes=10), overlap="allow")(work)
    await passing(NOON + HOUR)
    assert await world.moments() == [NOON + 600 * n for n in range(1, 7)]


# Nights when the clocks change

SPRING = {"Europe/Berlin": datetime(2026, 3, 29), "America/New_York": datetime(2026, 3, 8)}  # noqa: DTZ001 - zone below
AUTUMN = {"Europe/Berlin": datetime(2026, 10, 25), "America/New_York": datetime(2026, 11, 1)}  # noqa: DTZ001


async def the_night(world: World, passing: Pass, line: str, zone: str, day: datetime) -> list[datetime]:
    """From midnight to six: the moments of the jobs, in that zone."""
    world.clock.time = day.replace(tzinfo=ZoneInfo(zone)).timestamp() - 1
    schedule(line, timezone=zone, overlap="allow")(work)
    await passing(day.replace(hour=6, tzinfo=ZoneInfo(zone)).timestamp())
    jobs = await world.jobs()
    assert all(job.created_at - job.run_at < 1e-3 for job in jobs), "each at its moment"
    assert not world.engine.heard
    return [datetime.fromtimestamp(job.run_at, ZoneInfo(zone)) for job in jobs]


@pytest.mark.parametrize("zone", SPRING)
@pytest.mark.parametrize(("days", "hours"), [(SPRING, 5), (AUTUMN, 7)], ids=["spring", "autumn"])
async def test_35_every_minute_of_the_night_makes_one_job(
    world: World, passing: Pass, zone: str, days: dict[str, datetime], hours: int
) -> None:
    moments = [run.timestamp() for run in await the_night(world, passing, "* * * * *", zone, days[zone])]
    assert len(moments) == hours * 60 + 1
    assert {after - before for before, after in pairwise(moments)} == {MINUTE}


@pytest.mark.parametrize("zone", SPRING)
async def test_35_half_past_two_where_there_is_none_comes_at_three(world: World, passing: Pass, zone: str) -> None:
    (run,) = await the_night(world, passing, "30 2 * * *", zone, SPRING[zone])
    assert f"{run:%H:%M}" == "03:00"


@pytest.mark.parametrize(("zone", "line"), [("Europe/Berlin", "30 2 * * *"), ("America/New_York", "30 1 * * *")])
async def test_35_half_past_in_the_hour_that_passes_twice_comes_once(
    world: World, passing: Pass, zone: str, line: str
) -> None:
    (run,) = await the_night(world, passing, line, zone, AUTUMN[zone])
    assert (run.minute, run.fold) == (30, 0), "the first time"


async def test_35_half_past_two_in_new_york_is_after_that_hour(world: World, passing: Pass) -> None:
    (run,) = await the_night(world, passing, "30 2 * * *", "America/New_York", AUTUMN["America/New_York"])
    assert f"{run:%H:%M %Z}" == "02:30 EST"


# Several processes


async def test_35_four_processes_make_one_job_for_each_moment(world: World, tmp_path: Path) -> None:
    """Each with a store of its own on the same file, all looking at the same moment."""
    schedule("* * * * *", timezone="Europe/Berlin", overlap="allow")(work)
    async with AsyncExitStack() as stack:
        processes = [await process(world, tmp_path, stack) for _ in range(4)]
        for second in range(0, 1800, 20):
            world.clock.time = NOON + second
            await asyncio.gather(*(scheduler.run_once() for scheduler in processes))
    assert await world.moments() == [NOON + MINUTE * n for n in range(1, 30)]


@pytest.mark.parametrize(
    ("day", "hours", "half_past"),
    [
        (SPRING["Europe/Berlin"], ["00", "01", "03", "04", "05"], "03:00 CEST"),
        (AUTUMN["Europe/Berlin"], ["00", "01", "02", "02", "03", "04", "05"], "02:30 CEST"),
    ],
    ids=["spring", "autumn"],
)
async def test_35_four_processes_in_the_night_when_the_clocks_change(
    world: World, tmp_path: Path, day: datetime, hours: list[str], half_past: str
) -> None:
    """Each moment of both schedules makes one job, in the order in which the four come to look at the clock."""
    berlin = ZoneInfo("Europe/Berlin")
    schedule("0 * * * *", timezone="Europe/Berlin", overlap="allow")(work)
    schedule("30 2 * * *", timezone="Europe/Berlin", overlap="allow")(other_work)
    world.clock.time = day.replace(tzinfo=berlin).timestamp() - 1
    until = day.replace(hour=5, minute=59, tzinfo=berlin).timestamp()
    async with AsyncExitStack() as stack:
        processes = [await process(world, tmp_path, stack) for _ in range(4)]
        while world.clock.time < until:
            await asyncio.gather(*(scheduler.run_once() for scheduler in processes))
            processes.append(processes.pop(0))  # another is the first to look
            world.clock.advance(50)
    jobs = await world.jobs()
    made = {
        name: [datetime.fromtimestamp(job.run_at, berlin) for job in jobs if job.task.endswith(f":{name}")]
        for name in ("work", "other_work")
    }
    assert [f"{moment:%H}" for moment in made["work"]] == hours
    assert {after.timestamp() - before.timestamp() for before, after in pairwise(made["work"])} == {HOUR}
    assert [f"{moment:%H:%M %Z}" for moment in made["other_work"]] == [half_past]
    assert not world.engine.heard


async def process(world: World, folder: Path, stack: AsyncExitStack) -> Scheduler:
    store: Store = open_store(f"sqlite:///{folder / 'jobs.db'}")
    await store.open()
    stack.push_async_callback(store.close)
    engine = world.engine
    return Scheduler(store, engine.registry, engine.clock, engine.events, queued=lambda: None)


async def test_one_that_comes_too_late_makes_nothing_and_says_nothing(world: World) -> None:
    schedule(every=60)(work)
    await world.turn_at(NOON)
    reached, go_on = world.engine.faulty.shut("fire")
    late = asyncio.create_task(world.turn_at(NOON + 60))
    await reached.wait()
    world.engine.faulty.gates.clear()
    world.scheduler = world.another()
    await world.turn_at(NOON + 60)
    go_on.set()
    assert await late == LOOK_EVERY
    assert await world.moments() == [NOON + 60]
    assert world.woken == 1


async def test_a_step_that_was_not_confirmed_is_not_taken_twice(world: World) -> None:
    schedule(every=60)(work)
    await world.turn_at(NOON)
    world.engine.faulty.late_faults["fire"] = [StoreUnavailable("no answer")]
    with pytest.raises(StoreUnavailable):
        await world.turn_at(NOON + 60)
    await world.turn_at(NOON + 61)
    assert await world.moments() == [NOON + 60]


# Code that changes


def redeclare(spec: dict[str, Any]) -> None:
    scheduling.declared.clear()
    schedule(spec.pop("cron", None), name="report", overlap="allow", **spec)(work)


async def test_a_changed_schedule_comes_at_its_new_moment(world: World) -> None:
    redeclare({"cron": "0 3 * * *"})
    await world.turn_at(NOON)
    redeclare({"every": 60})
    world.scheduler = world.another()
    await world.turn_at(NOON + 30)
    assert (await world.row()).next_at == NOON + 60


async def test_an_unchanged_one_keeps_the_moment_that_was_missed(world: World) -> None:
    redeclare({"every": HOUR})
    await world.turn_at(NOON)
    redeclare({"every": HOUR})
    world.scheduler = world.another()
    await world.turn_at(NOON + 1.5 * HOUR)
    assert await world.moments() == [NOON + HOUR]


async def test_the_version_that_was_started_last_has_the_schedule(world: World) -> None:
    redeclare({"every": 60})
    old = world.scheduler
    await world.turn_at(NOON)
    redeclare({"every": 90})
    new = world.scheduler = world.another()
    for second in range(0, 361, 10):
        for scheduler in (old, new):
            world.scheduler = scheduler
            await world.turn_at(NOON + 1 + second)
    assert await world.moments() == [NOON + 90 * n for n in range(1, 5)]


@pytest.mark.parametrize("period", [60, 90])
async def test_a_schedule_that_other_code_has_taken_is_said_once(world: World, period: float) -> None:
    """Another application on the same store may have one of the same name: without a word one of the two vanished."""
    schedule(every=60, name="nightly")(work)
    await world.turn_at(NOON)
    here = world.scheduler
    scheduling.declared.clear()
    schedule(every=period, name="nightly")(other_work)
    world.scheduler = world.another()
    for second in (1, 11, 21):
        await world.turn_at(NOON + second)
    assert not world.engine.heard, "who has it says nothing"
    world.scheduler = here
    for second in (2, 12, 22):
        await world.turn_at(NOON + second)
    assert world.engine.heard == [ScheduleTaken("nightly", f"every {period}.0 s", f"{__name__}:other_work")]


async def test_a_version_that_is_gone_gives_it_back(world: World) -> None:
    """As when a deploy fails: the processes of the version before go on, and none of them is started again."""
    redeclare({"every": 60})
    await world.turn_at(NOON)
    redeclare({"cron": "3 * * * *"})
    await world.another().begin()
    for second in range(0, 421, 10):
        await world.turn_at(NOON + second)
    assert (await world.row()).spec == "every 60.0 s"
    assert await world.moments() == [NOON + 300, NOON + 360, NOON + 420], "a minute after 12:03, when nobody came"


async def test_two_versions_make_one_job_for_a_moment_that_both_have(world: World) -> None:
    """Between the look of the new version and its write, the old one fires the moment that both have next."""
    redeclare({"every": 60})
    await world.turn_at(NOON)
    old = world.scheduler
    redeclare({"every": 30})
    new = world.another()
    world.clock.time = NOON + 59
    reached, go_on = world.engine.faulty.shut("put_schedules")
    starting = asyncio.create_task(new.begin())
    await reached.wait()
    world.scheduler = old
    await world.turn_at(NOON + 60)
    go_on.set()
    await starting
    assert (await world.row()).next_at == NOON + 90
    for second in range(60, 121, 10):
        for scheduler in (old, new):
            world.scheduler = scheduler
            await world.turn_at(NOON + second)
    assert await world.moments() == [NOON + 60, NOON + 90, NOON + 120]


async def test_what_the_code_no_longer_declares_stops_and_its_row_stays(world: World) -> None:
    redeclare({"every": 60})
    await world.turn_at(NOON)
    before = await world.row()
    scheduling.declared.clear()
    schedule("0 3 * * *", name="nightly")(work)
    world.scheduler = world.another()
    await world.turn_at(NOON + HOUR)
    assert await world.moments() == []
    assert before in await world.engine.store.schedules()


async def test_a_function_that_moved_takes_its_schedule_along(world: World) -> None:
    schedule(every=60, name="report")(work)
    await world.turn_at(NOON)
    scheduling.declared.clear()
    schedule(every=60, name="report")(other_work)
    world.scheduler = world.another()
    await world.turn_at(NOON + 60)
    (job,) = await world.jobs()
    assert job.task.endswith(":other_work")
    assert (await world.row()).task == job.task


async def test_a_task_that_could_not_be_found_again_is_refused_at_the_start(world: World) -> None:
    declaration = schedule(every=60)
    shadowed = declaration(other_work)
    globals()["other_work"] = work
    try:
        with pytest.raises(TaskDeclarationError, match=r"other_work: the name .* does not lead back to it. Give it a"):
            await world.scheduler.begin()
    finally:
        globals()["other_work"] = shadowed


# Missed moments


async def absent(world: World, hours: float) -> float:
    """A process that was there at noon comes back; returns when."""
    await world.turn_at(NOON)
    world.scheduler = world.another()
    await world.turn_at(NOON + hours * HOUR)
    return world.clock.time


async def test_missed_once_makes_one_job_for_all(world: World) -> None:
    schedule("0 * * * *")(work)
    await absent(world, 5.5)
    assert await world.moments() == [NOON + 5 * HOUR]
    (missed,) = world.engine.heard
    assert missed == MomentsMissed(f"{__name__}:work cron 0 * * * * in UTC", NOON + HOUR, 1)


async def test_missed_skip_makes_none(world: World) -> None:
    schedule("0 * * * *", missed="skip", name="hourly")(work)
    await absent(world, 5.5)
    assert await world.moments() == []
    assert world.engine.heard == [MomentsMissed("hourly", NOON + HOUR, 0)]
    await world.turn_at(NOON + 6 * HOUR)
    assert await world.moments() == [NOON + 6 * HOUR]


async def test_missed_all_makes_one_for_each(world: World) -> None:
    schedule("0 * * * *", missed="all", overlap="allow")(work)
    await absent(world, 5.5)
    assert await world.moments() == [NOON + n * HOUR for n in range(1, 6)]
    origins = [json.loads(str(job.origin))["moment"] for job in await world.jobs()]
    assert origins[0] == "2026-06-01T13:00:00+00:00", "each job knows which one it is"


async def test_missed_all_of_a_long_absence_comes_in_portions(world: World) -> None:
    schedule(every=1, missed="all", overlap="allow")(work)
    await world.turn_at(NOON)
    assert await world.turn_at(NOON + 2500) == 0.0
    while len(await world.moments()) < 2500:
        await world.scheduler.run_once()
    assert await world.moments() == [NOON + n for n in range(1, 2501)]


async def test_a_moment_that_is_less_than_a_minute_old_was_not_missed(world: World) -> None:
    schedule("0 * * * *", missed="skip")(work)
    await absent(world, (HOUR + GRACE - 1) / HOUR)
    assert await world.moments() == [NOON + HOUR]
    assert not world.engine.heard


# Overlap


async def end_jobs(world: World) -> None:
    await world.engine.worker.run_once()
    await world.engine.attempts.stop(5)
    await world.engine.settling.flush()


@pytest.mark.parametrize("overlap", ["skip", "allow"])
async def test_a_moment_while_the_job_before_is_unfinished(world: World, overlap: Any) -> None:
    schedule(every=60, overlap=overlap, name="often")(greet)
    await world.turn_at(NOON)
    for minute in (1, 2, 3):
        await world.turn_at(NOON + minute * MINUTE)
    (first, *rest) = await world.jobs()
    assert len(rest) == (2 if overlap == "allow" else 0)
    skipped = [MomentSkipped("often", NOON + minute * MINUTE, first.id) for minute in (2, 3)]
    assert world.engine.heard == (skipped if overlap == "skip" else [])


async def test_a_moment_while_a_job_that_has_answered_the_last_one_is_unfinished(world: World) -> None:
    schedule(every=60, name="often")(greet_once)
    holder = job_with_key("greeting", task="greet once", created_at=NOON)
    await world.engine.store.insert([holder])
    await world.turn_at(NOON)
    await world.turn_at(NOON + 60)
    assert world.engine.heard == []
    await world.turn_at(NOON + 120)
    assert world.engine.heard == [MomentSkipped("often", NOON + 120, holder.id)]


async def test_a_skipped_moment_is_over_when_the_job_ends(world: World) -> None:
    schedule(every=60)(greet)
    await world.turn_at(NOON)
    await world.turn_at(NOON + 60)
    await world.turn_at(NOON + 120)
    await end_jobs(world)
    await world.turn_at(NOON + 150)
    assert await world.moments() == [NOON + 60]
    await world.turn_at(NOON + 180)
    assert await world.moments() == [NOON + 60, NOON + 180]


# A system clock that is set


async def test_set_forward_is_noticed_and_the_moments_in_between_are_missed(world: World) -> None:
    schedule("0 * * * *", name="hourly")(work)
    assert await world.turn_at(NOON + 60) == LOOK_EVERY, "no wait is so long that it would not notice"
    world.clock.time = NOON + 5.5 * HOUR
    await world.turn_at(world.clock.time)
    assert await world.moments() == [NOON + 5 * HOUR]
    assert world.engine.heard == [MomentsMissed("hourly", NOON + HOUR, 1)]


async def test_set_back_no_moment_comes_twice(world: World) -> None:
    schedule("0 * * * *", name="hourly", overlap="allow")(work)
    await world.turn_at(NOON)
    await world.turn_at(NOON + HOUR)
    await world.turn_at(NOON + 2 * HOUR)
    for minute in range(-30, 150, 10):
        await world.turn_at(NOON + minute * MINUTE)
    assert world.engine.heard == [ClockSetBack("hourly", NOON + 2 * HOUR, NOON + 3 * HOUR)], "said once"
    await world.turn_at(NOON + 3 * HOUR)
    assert await world.moments() == [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]


async def test_set_back_a_changed_spec_does_not_bring_a_moment_again(world: World) -> None:
    redeclare({"every": 60})
    await world.turn_at(NOON)
    await world.turn_at(NOON + 60)
    redeclare({"every": 30})
    world.scheduler = world.another()
    await world.turn_at(NOON + 10)
    assert (await world.row()).next_at == NOON + 90


# The service


async def test_it_goes_on_when_the_store_does_again(world: World, passing: Pass) -> None:
    schedule(every=60, overlap="allow")(work)
    world.engine.faulty.fail("fire", StoreUnavailable("no answer"), StoreUnavailable("no answer"))
    await passing(NOON + 200)
    assert await world.moments() == [NOON + 60, NOON + 120, NOON + 180]
    assert [type(event).__name__ for event in world.engine.heard] == ["StoreFailed", "StoreRecovered"]
    await turns()

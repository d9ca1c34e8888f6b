"""When a schedule comes due: cron lines and periods, nights when clocks change, moments that nobody saw."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from math import nextafter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postlude import schedules
from postlude.errors import TaskDeclarationError
from postlude.schedules import GRACE, MOST_AT_ONCE, Due, Schedule, due

short = settings(derandomize=True, deadline=None, max_examples=200, database=None)

DAY = 86_400.0
MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC).timestamp()

SPRING = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("America/New_York", date(2026, 3, 8)),
    ("Australia/Sydney", date(2026, 10, 4)),
]
AUTUMN = [
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Sydney", date(2026, 4, 5)),
]


def noon_before(zone: str, day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp() - DAY / 2


def runs_of_day(line: str, zone: str, day: date) -> list[datetime]:
    found = Schedule(line, timezone=zone).next_runs(200, noon_before(zone, day))
    return [run for run in found if run.date() == day]


def clock(runs: list[datetime]) -> list[str]:
    """What the clocks on the wall show."""
    return [f"{run:%H:%M}" for run in runs]


# Plain definitions


def test_a_cron_line_is_read_in_its_zone() -> None:
    schedule = Schedule("0 9 * * mon-fri", timezone="Europe/Berlin", missed="once", overlap="skip")
    friday_evening = datetime(2026, 6, 5, 18, tzinfo=UTC).timestamp()
    first, second = schedule.next_runs(2, friday_evening)
    assert first.isoformat() == "2026-06-08T09:00:00+02:00"
    assert second.isoformat() == "2026-06-09T09:00:00+02:00"
    assert schedule.next_after(friday_evening) == first.timestamp()


def test_the_zone_is_utc_unless_another_is_named() -> None:
    (run,) = Schedule("30 4 * * *").next_runs(1, MIDNIGHT)
    assert run == datetime(2026, 6, 1, 4, 30, tzinfo=UTC)
    assert run.tzinfo is UTC


@pytest.mark.parametrize("every", [300, 300.0, timedelta(minutes=5)])
def test_every_counts_from_the_epoch(every: Any) -> None:
    schedule = Schedule(every=every)
    assert schedule.every == 300.0
    assert schedule.next_after(0.0) == 300.0
    assert schedule.next_after(MIDNIGHT + 1) == MIDNIGHT + 300
    assert schedule.next_runs(1, MIDNIGHT) == [datetime(2026, 6, 1, 0, 5, tzinfo=UTC)]


@pytest.mark.parametrize("schedule", [Schedule("* * * * *"), Schedule("0 0 * * *"), Schedule(every=60)])
def test_the_next_moment_is_strictly_later_but_never_stepped_over(schedule: Schedule) -> None:
    following = schedule.next_after(MIDNIGHT)
    assert following > MIDNIGHT
    # A datetime would round this up to midnight.
    assert schedule.next_after(nextafter(MIDNIGHT, 0)) == MIDNIGHT


# Half of them on a night when clocks are set back, where mistakes are.
MOMENTS = st.one_of(
    st.floats(min_value=0, max_value=4e9),
    st.builds(
        lambda night, later: noon_before(*night) + DAY / 2 + later,
        st.sampled_from([*AUTUMN, ("Pacific/Chatham", date(2026, 4, 5))]),
        st.floats(min_value=0, max_value=6 * 3600),
    ),
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Pacific/Chatham"])
LINES = st.sampled_from(
    ["* * * * *", "*/15 * * * *", "*/15 2 * * *", "0 * * * *", "30 2 * * *", "30 */2 * * *", "0 9 * * 1-5", "0 0 L * *"]
)
SCHEDULES = st.one_of(
    st.builds(Schedule, LINES, timezone=ZONES),
    st.builds(Schedule, every=st.floats(min_value=1, max_value=DAY)),
    st.builds(Schedule, every=st.integers(min_value=1, max_value=7 * 86_400)),
)


@short
@given(SCHEDULES, MOMENTS, MOMENTS)
def test_next_after_is_later_than_what_it_is_given_and_keeps_the_order(
    schedule: Schedule, one: float, other: float
) -> None:
    earlier, later = sorted((one, other))
    assert earlier < schedule.next_after(earlier) <= schedule.next_after(later)


@short
@given(SCHEDULES, MOMENTS, st.floats(min_value=0, max_value=1, exclude_max=True))
def test_whoever_asks_in_between_is_told_the_same_moment(schedule: Schedule, moment: float, part: float) -> None:
    following = schedule.next_after(moment)
    last = nextafter(following, 0)
    assert schedule.next_after(last) == following
    assert schedule.next_after(min(moment + (following - moment) * part, last)) == following


# The nights when clocks change


@pytest.mark.parametrize(("zone", "day"), SPRING)
def test_a_daily_moment_that_the_clocks_skip_comes_once_when_they_have_changed(zone: str, day: date) -> None:
    assert clock(runs_of_day("30 2 * * *", zone, day)) == ["03:00"]
    assert clock(runs_of_day("0,30 2 * * *", zone, day)) == ["03:00"]


@pytest.mark.parametrize(("zone", "day"), AUTUMN)
@pytest.mark.parametrize("at", ["1:30", "2:30"])
def test_a_daily_moment_that_passes_twice_comes_the_first_time(zone: str, day: date, at: str) -> None:
    hour, minute = at.split(":")
    (run,) = runs_of_day(f"{minute} {hour} * * *", zone, day)
    assert (clock([run]), run.fold) == ([f"0{at}"], 0)


def test_in_the_second_pass_of_an_hour_its_first_pass_is_over() -> None:
    schedule = Schedule("30 2 * * *", timezone="Europe/Berlin")
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    (run,) = schedule.next_runs(1, second_pass.timestamp())
    assert run.isoformat() == "2026-10-26T02:30:00+01:00"


@pytest.mark.parametrize(("zone", "day"), SPRING + AUTUMN)
def test_a_daily_schedule_comes_once_on_each_day_however_often_it_is_asked(zone: str, day: date) -> None:
    begin = noon_before(zone, day)
    for half_hour in (0, *range(2, 8), 24, 47):
        schedule = Schedule(f"{half_hour % 2 * 30} {half_hour // 2} * * *", timezone=zone)
        asked_every_quarter = {schedule.next_after(begin + 900 * count) for count in range(3 * 96)}
        dates = Counter(datetime.fromtimestamp(moment, ZoneInfo(zone)).date() for moment in asked_every_quarter)
        assert dates[day - timedelta(days=1)] <= 1
        assert [dates[day + timedelta(days=count)] for count in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(("zone", "day", "hours"), [(*s, 23) for s in SPRING] + [(*a, 25) for a in AUTUMN])
def test_hourly_and_quarter_hourly_follow_the_time_that_passes(zone: str, day: date, hours: int) -> None:
    for line, seconds in (("0 * * * *", 3600), ("*/15 * * * *", 900)):
        runs = runs_of_day(line, zone, day)
        steps = {later.timestamp() - earlier.timestamp() for earlier, later in pairwise(runs)}
        assert (len(runs), steps) == (hours * 3600 // seconds, {seconds})


def test_the_two_ways_on_both_nights() -> None:
    berlin, (spring, autumn) = "Europe/Berlin", (date(2026, 3, 29), date(2026, 10, 25))
    assert clock(runs_of_day("0 1-4 * * *", berlin, spring)) == ["01:00", "03:00", "04:00"]
    assert clock(runs_of_day("0 1-4 * * *", berlin, autumn)) == ["01:00", "02:00", "03:00", "04:00"]
    assert clock(runs_of_day("0 */2 * * *", berlin, spring))[:3] == ["00:00", "04:00", "06:00"]
    assert clock(runs_of_day("0 */2 * * *", berlin, autumn))[:4] == ["00:00", "02:00", "02:00", "04:00"]
    assert clock(runs_of_day("*/30 2 * * *", berlin, spring)) == []
    assert clock(runs_of_day("*/30 2 * * *", berlin, autumn)) == ["02:00", "02:30", "02:00", "02:30"]


CHANGES = [
    *SPRING,
    *AUTUMN,
    # Clocks change at 02:45, and by half an hour: cronsim alone went round in a circle, and lost moments.
    ("Pacific/Chatham", date(2026, 4, 5)),
    ("Pacific/Chatham", date(2026, 9, 27)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Santiago", date(2026, 9, 6)),
]


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize(
    ("line", "minutes", "hours"),
    [
        ("*/15 * * * *", {0, 15, 30, 45}, range(24)),
        ("*/15 2 * * *", {0, 15, 30, 45}, {2}),
        ("*/15 3 * * *", {0, 15, 30, 45}, {3}),
        ("*/20 0 * * *", {0, 20, 40}, {0}),
        ("40 */2 * * *", {40}, range(0, 24, 2)),
    ],
)
def test_a_line_in_real_time_comes_whenever_the_clocks_show_it(
    line: str, minutes: set[int], hours: set[int], zone: str, day: date
) -> None:
    schedule = Schedule(line, timezone=zone)
    begin = int(noon_before(zone, day))
    asked = range(begin, begin + 2 * 86_400, 300)
    shown = [
        moment
        for moment in asked
        if (at := datetime.fromtimestamp(moment, ZoneInfo(zone))).minute in minutes and at.hour in hours
    ]
    found = {schedule.next_after(moment - 1) for moment in asked}
    assert sorted(moment for moment in found if moment in asked) == shown


# Moments that nobody saw

HOURLY = Schedule("0 * * * *")
HOUR = 3600.0


def with_missed(missed: str, **given: Any) -> Schedule:
    return Schedule(**({"cron": "0 * * * *"} | given), missed=missed, overlap="allow")  # type: ignore[arg-type]


MISSED = ["once", "skip", "all"]


@pytest.mark.parametrize("missed", MISSED)
def test_nothing_is_due_before_its_moment(missed: str) -> None:
    assert due(with_missed(missed), MIDNIGHT, MIDNIGHT - 0.001) == Due((), MIDNIGHT)


@pytest.mark.parametrize("missed", MISSED)
@pytest.mark.parametrize("late", [0.0, GRACE - 0.001])
def test_a_moment_within_the_grace_is_due_and_not_missed(missed: str, late: float) -> None:
    assert due(with_missed(missed), MIDNIGHT, MIDNIGHT + late) == Due((MIDNIGHT,), MIDNIGHT + HOUR)


@pytest.mark.parametrize(
    ("missed", "made"),
    [
        ("once", (MIDNIGHT + 2 * HOUR,)),
        ("skip", ()),
        ("all", (MIDNIGHT, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)),
    ],
)
def test_what_is_made_of_missed_moments(missed: str, made: tuple[float, ...]) -> None:
    now = MIDNIGHT + 2 * HOUR + GRACE
    assert due(with_missed(missed), MIDNIGHT, now) == Due(made, MIDNIGHT + 3 * HOUR)


@pytest.mark.parametrize("missed", ["once", "skip"])
def test_missed_moments_and_one_that_is_due_make_one_job(missed: str) -> None:
    now = MIDNIGHT + 2 * HOUR + 1
    assert due(with_missed(missed), MIDNIGHT, now) == Due((MIDNIGHT + 2 * HOUR,), MIDNIGHT + 3 * HOUR)


def test_a_short_period_misses_what_a_later_moment_has_overtaken() -> None:
    schedule = with_missed("skip", cron=None, every=5)
    assert due(schedule, MIDNIGHT, MIDNIGHT + 17) == Due((MIDNIGHT + 15,), MIDNIGHT + 20)


def test_all_comes_in_portions() -> None:
    schedule = with_missed("all", cron=None, every=1)
    now = MIDNIGHT + 2.5 * MOST_AT_ONCE
    sizes, next_at = [], MIDNIGHT
    while next_at <= now:
        moments, next_at = due(schedule, next_at, now)
        sizes.append(len(moments))
    assert sizes == [MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE // 2 + 1]


@pytest.mark.parametrize("missed", ["once", "skip"])
@pytest.mark.parametrize(
    ("schedule", "absence"),
    [(Schedule(every=1), 365 * DAY), (Schedule("* * 1 * *"), 20 * DAY), (Schedule("* * 1 * *"), 700 * DAY)],
)
def test_a_long_absence_is_not_walked_through(
    schedule: Schedule, absence: float, missed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    next_after = Schedule.next_after

    def counted(schedule: Schedule, moment: float) -> float:
        asked.append(moment)
        return next_after(schedule, moment)

    monkeypatch.setattr(Schedule, "next_after", counted)
    due(replace(schedule, missed=missed), MIDNIGHT, MIDNIGHT + absence)
    assert len(asked) < 100


STEPS = st.lists(st.floats(min_value=-2 * DAY, max_value=10 * DAY), max_size=12)
STARTS = st.floats(min_value=1.7e9, max_value=1.9e9)
SOME = st.one_of(
    st.builds(
        Schedule,
        st.sampled_from(["0 * * * *", "30 2 * * *", "*/30 2 * * *", "0 9 * * 1-5"]),
        timezone=ZONES,
        missed=st.sampled_from(MISSED),
        overlap=st.just("allow"),
    ),
    st.builds(
        Schedule,
        every=st.floats(min_value=1800, max_value=DAY),
        missed=st.sampled_from(MISSED),
        overlap=st.just("allow"),
    ),
)


def every_moment(schedule: Schedule, begin: float, end: float) -> list[float]:
    moments = []
    while (begin := schedule.next_after(begin)) <= end:
        moments.append(begin)
    return moments


@short
@given(SOME, STARTS, STEPS)
def test_however_time_goes_no_moment_comes_twice_and_none_is_lost(
    schedule: Schedule, start: float, steps: list[float]
) -> None:
    next_at = schedule.next_after(start)
    now = latest = start
    given: list[float] = []
    for step in steps:
        now += step
        latest = max(latest, now)
        moments, new_next_at = due(schedule, next_at, now)
        assert all(next_at <= moment <= now for moment in moments)
        assert new_next_at >= next_at
        assert new_next_at > now or not moments or schedule.missed == "all"
        given += moments
        next_at = new_next_at
    assert given == sorted(set(given))
    expected = every_moment(schedule, start, latest)
    if schedule.missed == "all":
        assert given == expected
    else:
        assert set(given) <= set(expected)
    assert next_at == schedule.next_after(max(start, latest))


@short
@given(SOME.filter(lambda schedule: schedule.missed != "all"), STARTS, st.floats(min_value=0, max_value=30 * DAY))
def test_once_and_skip_look_at_the_latest_moment_only(schedule: Schedule, start: float, absence: float) -> None:
    first = schedule.next_after(start)
    now = first + absence
    latest = [first, *every_moment(schedule, first, now)][-1]
    moments, _ = due(schedule, first, now)
    late = now - latest >= GRACE
    assert moments == (() if schedule.missed == "skip" and late else (latest,))


# What tells one definition from another


def test_the_spec_says_what_decides_the_moments_and_nothing_else() -> None:
    nine = Schedule("0 9 * * mon-fri", timezone="Europe/Berlin")
    assert nine.spec() == "cron 0 9 * * mon-fri in Europe/Berlin"
    assert nine.spec() == Schedule(" 0  9 * * MON-FRI", timezone="Europe/Berlin", name="n", missed="skip").spec()
    assert nine.spec() != Schedule("0 9 * * mon-fri").spec()
    assert Schedule(every=300).spec() == "every 300.0 s" == Schedule(every=timedelta(minutes=5)).spec()
    assert Schedule(every=300.1).spec() == "every 300.1 s"


def test_equal_definitions_are_equal() -> None:
    assert Schedule(every=300) == Schedule(every=timedelta(minutes=5))
    assert len({Schedule(every=300), Schedule(every=300.0), Schedule("0 9 * * *")}) == 2


# Mistakes, named where they are made


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(TaskDeclarationError) as caught:
        Schedule(*args, **kwargs)
    return str(caught.value)


def test_one_of_the_two_is_needed() -> None:
    assert refusal() == (
        "@schedule: give a cron line such as '0 9 * * mon-fri', or every= such as timedelta(minutes=5), got neither."
    )
    assert refusal("0 9 * * *", every=5) == (
        "@schedule: give either a cron line or every=, got both: '0 9 * * *' and every=5."
    )


@pytest.mark.parametrize(
    "every", [0, -1, 0.5, timedelta(0), True, "5m", float("inf"), float("nan"), timedelta(days=367)]
)
def test_a_period_is_from_a_second_to_a_year(every: Any) -> None:
    expected = f"@schedule: every must be seconds or a timedelta, from 1 second to 366 days, got {every!r}."
    assert refusal(every=every) == expected


@pytest.mark.parametrize("line", ["0 0 30 2 *", "0 0 31 2,4,6 *", "* * */20 * 1L", "0 0 */31 2 mon#5"])
def test_a_line_that_never_comes(line: str) -> None:
    expected = f"@schedule: the cron line {line!r} never comes: no date matches its days and months."
    assert refusal(line) == expected


def test_a_rare_line_is_not_taken_for_one_that_never_comes() -> None:
    leap_monday = Schedule("0 0 * 2 mon#5")
    after = datetime(2072, 3, 1, tzinfo=UTC).timestamp()
    assert leap_monday.next_runs(1, after) == [datetime(2112, 2, 29, tzinfo=UTC)]


@pytest.mark.parametrize(("line", "count"), [("", 0), ("@daily", 1), ("* * * *", 4), ("*/5 * * * * *", 6)])
def test_a_line_has_five_fields(line: str, count: int) -> None:
    text = refusal(line)
    assert text.startswith("@schedule: a cron line has five fields (minute, hour, day of the month, month, weekday)")
    assert f"got {count} in {line!r}" in text
    assert ("every=" in text) == (count == 6)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("61 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 32 * *", "day-of-month"),
        ("0 0 31 foo *", "month"),
        ("0 0 * * someday", "day-of-week"),
        ("0 0 30 2 x", "day-of-week"),
    ],
)
def test_the_field_that_is_wrong_is_named(line: str, field: str) -> None:
    text = refusal(line)
    assert text.startswith(f"@schedule: the cron line {line!r} is not understood: bad {field}. Write a minute (0-59)")


def test_a_line_is_text() -> None:
    text = refusal(timedelta(minutes=5))
    assert "got datetime.timedelta(seconds=300). For a fixed period write every=" in text


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("europe/berlin ", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_a_zone_that_does_not_exist(zone: str, meant: str) -> None:
    assert refusal("0 9 * * *", timezone=zone) == (
        "@schedule: timezone must be the IANA name of a zone such as 'Europe/Berlin', "
        f"got {zone!r} (did you mean {meant!r}?)."
    )


@pytest.mark.parametrize("zone", ["", "Europe", "CEST", "../etc/passwd", "/etc/localtime", "a\0b"])
def test_a_zone_that_is_like_none(zone: str) -> None:
    assert refusal("0 9 * * *", timezone=zone).endswith(f"got {zone!r} (zoneinfo.available_timezones() lists them).")


def test_zones_that_are_none() -> None:
    assert "as text, got datetime.timezone.utc" in refusal("0 9 * * *", timezone=timezone.utc)  # noqa: UP017 - its repr
    assert "'localtime' is another zone on each machine" in refusal("0 9 * * *", timezone="localtime")
    assert "got 'Europe/Berlin' with every=, which counts seconds" in refusal(every=5, timezone="Europe/Berlin")


@pytest.mark.parametrize("error", [LookupError, IsADirectoryError])
def test_a_machine_without_time_zone_data(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> ZoneInfo:
        raise error

    monkeypatch.setattr(schedules, "ZoneInfo", none)
    monkeypatch.setattr(schedules, "available_timezones", set)
    assert Schedule("0 9 * * *").next_after(MIDNIGHT) == MIDNIGHT + 9 * HOUR
    assert "no time zone data to look it up. Install it: pip install tzdata" in refusal("0 9 * * *", timezone="CET")


def test_choices_that_do_not_exist_are_named_together() -> None:
    assert refusal("0 9 * *", missed="never", overlap="no") == (
        "@schedule: a cron line has five fields (minute, hour, day of the month, month, weekday) such as "
        "'0 9 * * mon-fri', got 4 in '0 9 * *'; missed must be 'once', 'skip' or 'all', got 'never'; "
        "overlap must be 'skip' or 'allow', got 'no'."
    )


def test_all_needs_overlap_to_be_allowed() -> None:
    assert refusal("0 9 * * *", missed="all").startswith("@schedule: missed='all' makes several jobs at once")
    assert Schedule("0 9 * * *", missed="all", overlap="allow").missed == "all"


@short
@given(st.lists(st.text(alphabet="0123456789*/,-L#Wmonfeb²?", min_size=1, max_size=4), min_size=5, max_size=5))
def test_any_text_is_a_line_or_is_refused(fields: list[str]) -> None:
    text = " ".join(fields)
    try:
        schedule = Schedule(text)
    except TaskDeclarationError as error:
        named = str(error)
    else:
        assert schedule.next_after(MIDNIGHT) > MIDNIGHT
        return
    assert repr(text) in named


def test_cronsim_is_loaded_only_for_a_cron_line() -> None:
    program = (
        "import sys; from postlude.schedules import Schedule; Schedule(every=5).next_after(0.0); "
        "assert 'cronsim' not in sys.modules; Schedule('* * * * *'); assert 'cronsim' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

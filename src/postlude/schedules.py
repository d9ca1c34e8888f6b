"""When a repeating definition comes due: cron lines and fixed periods, and what becomes of moments that nobody saw.

Values and pure functions. Moments are whole or broken seconds since the epoch, UTC, and they are given: nothing here
knows what time it is.

**When the clocks change**, cron lines do what Debian's cron does (the library is cronsim):

- A line whose minute and hour are both named (neither begins with `*`: `30 2 * * *`, `0 8-18 * * *`) follows the wall
  clock and never comes twice. A moment that the clocks skip comes at the first minute after the gap: 02:30 at 03:00.
  An hour that passes twice counts the first time only.
- Any other line (`0 * * * *`, `*/15 * * * *`, `*/15 2 * * *`) follows the time that really passes: what matches is
  there every real hour. So `*/15 2 * * *` comes eight times on the night with two hours from 02:00 to 03:00, and not at
  all on the night without one.

`every` counts multiples of its period since the epoch, so that all processes agree without asking each other. It knows
no clock changes; a period of a day comes at midnight UTC, one of a week on Thursdays.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import floor, inf
from typing import Final, Literal, NamedTuple, TypeAlias, get_args
from zoneinfo import ZoneInfo, available_timezones

from postlude.durations import Duration, seconds_of
from postlude.errors import TaskDeclarationError
from postlude.given import meant

WhenMissed: TypeAlias = Literal["once", "skip", "all"]
WhenOverlapping: TypeAlias = Literal["skip", "allow"]

GRACE: Final = 60.0
"""Seconds that the latest moment may be old and still not be missed: a start or a deploy takes that long."""

MOST_AT_ONCE: Final = 1000
"""How many moments `due` gives in one answer with `missed="all"`; the rest comes with the next."""

_SHORTEST: Final = 1.0
_LONGEST: Final = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A repeating definition, as `@schedule` is given it.

    Raises:
        TaskDeclarationError: it makes no sense; the message names every part that does not.
    """

    cron: str | None = None
    """Five fields: minute, hour, day of the month, month, weekday. Names (`mon-fri`, `jan`), steps (`*/15`), `L` (last
    day of the month), `LW` (last day from Monday to Friday), `5L` (last Friday) and `mon#1` (first Monday) are
    understood. With both a day of the month and a weekday named, either is enough."""
    _: KW_ONLY
    every: Duration | None = None
    """Instead of a line: the time between two moments, from 1 second to 366 days; kept as seconds."""
    timezone: str = "UTC"
    """The IANA name of the zone in which the line is read."""
    missed: WhenMissed = "once"
    """What happens with moments that passed while nobody looked: `"once"` makes one job for all of them, `"skip"` none,
    `"all"` one for each, however long ago. See `due`."""
    overlap: WhenOverlapping = "skip"
    """Whether a moment makes a job while the job of an earlier one is unfinished: `"skip"` makes none, and nothing
    makes up for it later; `"allow"` does, and is needed for `missed="all"`, which makes several jobs at once."""
    name: str = ""
    """Which schedule this is, given by whoever attaches it to a task."""

    def __post_init__(self) -> None:
        problems = [*self._wrong_moments(), *self._wrong_choices()]
        if problems:
            message = f"@schedule: {'; '.join(problems)}."
            raise TaskDeclarationError(message)
        object.__setattr__(self, "every", seconds_of(self.every))

    def next_after(self, moment: float) -> float:
        """The first moment that is later than this one."""
        if self.cron is not None:
            return _next_match(self.cron, self.zone, moment)
        period = seconds_of(self.every) or inf
        count = floor(moment / period)
        while count * period <= moment:  # broken periods round: the count may be one short
            count += 1
        return count * period

    def next_runs(self, n: int, after: float) -> list[datetime]:
        """The next `n` moments later than `after`, in the schedule's zone, for people; fewer if there are no more."""
        runs: list[datetime] = []
        for _ in range(n):
            after = self.next_after(after)
            if after == inf:
                break
            runs.append(datetime.fromtimestamp(after, self.zone))
        return runs

    def spec(self) -> str:
        """What decides the moments, as text for the store: two definitions with the same text come at the same moments.

        `missed` and `overlap` are not in it: a change of those must not make the moments that wait be forgotten.
        """
        if self.cron is not None:
            return f"cron {' '.join(self.cron.lower().split())} in {self.timezone}"
        return f"every {self.every!r} s"

    @property
    def zone(self) -> tzinfo:
        """That in which the line is read; UTC for a period."""
        # Needs no time zone data on the machine, and cronsim has a quicker way for it.
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    def _wrong_moments(self) -> list[str]:
        if self.cron is not None and self.every is not None:
            return [f"give either a cron line or every=, got both: {self.cron!r} and every={self.every!r}"]
        if self.every is not None:
            return [*_wrong_period(self.every), *_zone_without_line(self.timezone)]
        if self.cron is None:
            return ["give a cron line such as '0 9 * * mon-fri', or every= such as timedelta(minutes=5), got neither"]
        zone = _wrong_zone(self.timezone)
        return [*_wrong_line(self.cron, UTC if zone else self.zone), *zone]

    def _wrong_choices(self) -> list[str]:
        problems = [
            f"{option} must be {', '.join(map(repr, options[:-1]))} or {options[-1]!r}, got {chosen!r}"
            for option, chosen, options in (
                ("missed", self.missed, get_args(WhenMissed)),
                ("overlap", self.overlap, get_args(WhenOverlapping)),
            )
            if chosen not in options
        ]
        if (self.missed, self.overlap) == ("all", "skip"):
            problems.append(
                "missed='all' makes several jobs at once, and overlap='skip' would make only the first of them. Write "
                "overlap='allow' too, or missed='once' if one job can do the work of all"
            )
        return problems


class Due(NamedTuple):
    """What `due` found."""

    moments_to_run: tuple[float, ...]
    """The moments that make a job each, the earliest first."""
    new_next_at: float
    """The first moment that has not been looked at. It has passed already only if `missed="all"` has more to give."""


def due(schedule: Schedule, next_at: float, now: float) -> Due:
    """Which moments from `next_at` to `now` make a job, and from where to look next time.

    The latest moment is *missed* when it is `GRACE` old or older, every earlier one as soon as the one after it has
    come. So a schedule with a short period that was held up for a while has missed all but its latest moment.

    - `missed="once"`: one job, for the latest moment, whether it is missed or not. It does the work of all before it.
    - `missed="skip"`: one job for the latest moment unless it is missed, and none for those before it.
    - `missed="all"`: a job for each moment, the earliest first, `MOST_AT_ONCE` at most: ask again with `new_next_at`.

    Args:
        schedule: the definition.
        next_at: the first moment that has not been looked at, from `new_next_at` or `next_after`.
        now: the time; it may have gone back since the last time, which makes no moment come again.
    """
    if next_at > now:
        return Due((), next_at)
    if schedule.missed == "all":
        return _each(schedule, next_at, now)
    latest, following = _latest(schedule, next_at, now)
    missed = now - latest >= GRACE
    return Due(() if missed and schedule.missed == "skip" else (latest,), following)


def _each(schedule: Schedule, first: float, now: float) -> Due:
    moments: list[float] = []
    moment = first
    while moment <= now and len(moments) < MOST_AT_ONCE:
        moments.append(moment)
        moment = schedule.next_after(moment)
    return Due(tuple(moments), moment)


def _latest(schedule: Schedule, first: float, now: float) -> tuple[float, float]:
    """The last moment that is not after `now`, and the one after it.

    Halves the time that is left instead of walking through it: there are 31 million seconds in a year of absence.
    """
    latest, end = first, now
    while (following := schedule.next_after(latest)) <= now:
        middle = (following + end) / 2
        nearer = schedule.next_after(middle)
        if nearer <= now:
            latest = nearer
        else:
            latest, end = following, middle
    return latest, following


def _next_match(line: str, zone: tzinfo, moment: float) -> float:
    """The first moment after this one that matches a cron line; infinity if none comes within 50 years.

    The calendar's longest gap is 40 years (29 February on a given weekday, around 2100), so infinity means never.
    """
    from cronsim import CronSim  # noqa: PLC0415 - only for whoever uses cron lines

    # Rounded down here: a datetime rounds to the nearest microsecond, and could step over the moment that is next.
    start = datetime.fromtimestamp(floor(moment), zone)
    if any(field.startswith("*") for field in line.split()[:2]):
        return _next_in_real_time(line, start, moment)
    for match in CronSim(line, start):
        # In the second pass of an hour cronsim looks back at the first.
        if (found := match.timestamp()) > moment:
            return found
    return inf


def _next_in_real_time(line: str, start: datetime, moment: float) -> float:
    """The same for a line that follows the time that really passes: the next moment when a clock shows what matches.

    cronsim is asked for wall clock times without a zone. With one, it steps by whole hours from the full hour, and
    where clocks change in between (Pacific/Chatham at 02:45, Australia/Lord_Howe by half an hour) it loses moments, or
    goes round in a circle for ever.
    """
    from cronsim import CronSim  # noqa: PLC0415 - only for whoever uses cron lines

    zone, wall = start.tzinfo, start.replace(tzinfo=None)
    # In the first pass of an hour, what the second pass will show begins before what the clock shows now.
    passes = _moments_showing(wall, zone)
    best = inf
    for match in CronSim(line, wall - timedelta(seconds=passes[-1] - passes[0])):
        best = min([best, *(found for found in _moments_showing(match, zone) if found > moment)])
        if match.replace(tzinfo=zone).timestamp() >= best:
            break
    return best


def _moments_showing(wall: datetime, zone: tzinfo | None) -> list[float]:
    """When the clocks of a zone show this time: once, twice when they are set back, never when they skip it."""
    moments = {wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
    return sorted(found for found in moments if datetime.fromtimestamp(found, zone).replace(tzinfo=None) == wall)


def _wrong_period(every: Duration) -> list[str]:
    seconds = seconds_of(every)
    if seconds is not None and _SHORTEST <= seconds <= _LONGEST:
        return []
    return [f"every must be seconds or a timedelta, from 1 second to 366 days, got {every!r}"]


def _wrong_line(line: object, zone: tzinfo) -> list[str]:
    from cronsim import CronSimError  # noqa: PLC0415 - only for whoever uses cron lines

    if not isinstance(line, str):
        return [f"a cron line is text such as '0 9 * * mon-fri', got {line!r}. For a fixed period write every="]
    parts = line.split()
    if len(parts) != 5:  # noqa: PLR2004 - the five are named in the message
        problem = (
            "a cron line has five fields (minute, hour, day of the month, month, weekday) such as '0 9 * * mon-fri', "
            f"got {len(parts)} in {line!r}"
        )
        with_seconds = len(parts) == 6  # noqa: PLR2004 - one more
        return [problem + ". There is none for seconds: for less than a minute write every=" * with_seconds]
    try:
        first = _next_match(line, zone, 0.0)
    except (CronSimError, ValueError) as error:
        if not _possible_in_some_month(parts):
            problem = (
                f"the cron line {line!r} is not understood: {str(error).lower()}. Write a minute (0-59), hour (0-23), "
                "day of the month (1-31), month (1-12, jan-dec) and weekday (0-7, sun-sat), each a number, a range, a "
                "list or *"
            )
            return [problem]
        first = inf
    return [f"the cron line {line!r} never comes: no date matches its days and months"] if first == inf else []


def _possible_in_some_month(parts: list[str]) -> bool:
    """Whether the fields are right one by one: cronsim calls the day bad too when only the month has not so many."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only for whoever uses cron lines

    minute, hour, day, month, weekday = parts
    try:
        for line in (f"{minute} {hour} {day} * {weekday}", f"* * * {month} *"):
            CronSim(line, datetime.fromtimestamp(0, UTC))
    except (CronSimError, ValueError):
        return False
    return True


def _zone_without_line(timezone: object) -> list[str]:
    if timezone == "UTC":
        return []
    return [f"timezone is for cron lines, got {timezone!r} with every=, which counts seconds. Leave timezone out"]


def _wrong_zone(timezone: object) -> list[str]:
    if not isinstance(timezone, str):
        return [f"timezone must be the IANA name of a zone such as 'Europe/Berlin', as text, got {timezone!r}"]
    if timezone == "localtime":
        return ["timezone='localtime' is another zone on each machine. Write its IANA name, such as 'Europe/Berlin'"]
    try:
        if timezone != "UTC":
            ZoneInfo(timezone)
    except (LookupError, ValueError, OSError):  # the last for a folder such as 'Europe', depending on where data is
        return [_no_such_zone(timezone)]
    return []


def _no_such_zone(timezone: str) -> str:
    """The text for a name that leads to no zone: the nearest full name, also when only the city was written."""
    zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
    if not zones:
        return (
            f"timezone must be the IANA name of a zone, got {timezone!r}, and this machine has no time zone data to "
            "look it up. Install it: pip install tzdata"
        )
    cities = {zone.rpartition("/")[2].casefold(): zone for zone in reversed(zones)}
    names = cities | {zone.casefold(): zone for zone in zones} | {"utc": "UTC"}
    close = meant(timezone.strip().casefold(), names, alike=0.8)
    hint = "zoneinfo.available_timezones() lists them" if close is None else f"did you mean {names[close]!r}?"
    return f"timezone must be the IANA name of a zone such as 'Europe/Berlin', got {timezone!r} ({hint})"

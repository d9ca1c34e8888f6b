"""Which tasks have schedules: `@schedule`, and what it comes to in one application."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from postlude.codec import Codec, check_callable
from postlude.dependencies import plan_of
from postlude.errors import ArgumentsTooLarge, CallError, NotStorable, TaskDeclarationError
from postlude.ids import new_job_id
from postlude.job import DEFAULT_TERMS, JobState, NewJob
from postlude.registry import bound_here
from postlude.tasks import default_name
from postlude.terms import NO_TERMS, NOTHING

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping, Sequence

    from postlude.definition import TaskDefinition
    from postlude.durations import Duration
    from postlude.job import Terms
    from postlude.registry import Registry
    from postlude.schedules import Schedule, WhenMissed, WhenOverlapping

F = TypeVar("F", bound="Callable[..., Any]")


class Declared(NamedTuple):
    """A schedule as it stands in the code."""

    function: Callable[..., Any]
    schedule: Schedule
    """Its name is empty where none was given: `@task`, which may come later, has a say in the default."""
    kwargs: Mapping[str, Any]


declared: dict[str, Declared] = {}
"""All schedules of this process by what tells them apart: importing a module makes its schedules known."""


def schedule(
    cron: str | None = None,
    /,
    *,
    every: Duration | None = None,
    timezone: str = "UTC",
    missed: WhenMissed = "once",
    overlap: WhenOverlapping = "skip",
    name: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Callable[[F], F]:
    """Have a task run again and again, without anybody asking; the function is returned as it is.

    Stands above or below `@task`, or without it; several on one function are several schedules. Every process that has
    imported the function and runs a worker looks after them, and together they make one job for each moment.

    Args:
        cron: five fields (minute, hour, day of the month, month, weekday), such as `"0 9 * * mon-fri"`.
        every: instead of a cron line, the seconds (or a `timedelta`) between two moments, from 1 second to 366 days.
            Moments are multiples of it since 1970 in UTC, whenever the application was started.
        timezone: the IANA name of the zone in which the cron line is read. Default: UTC.
        missed: what becomes of moments that passed while no process was there, or that are a minute late: `"once"`
            (default) makes one job for all of them, `"skip"` none, `"all"` one for each, and needs `overlap="allow"`.
        overlap: `"skip"` (default) makes no job while the one before it is unfinished, `"allow"` does.
        name: what the schedule is known by in the store. Default: the task's name and the cron line or period, so that
            another line is another schedule. Give one to two schedules with the same line.
        kwargs: the arguments of each call; copied at this line. Default: none, and then the function must need none.

    Raises:
        TaskDeclarationError: it makes no sense, the call could not be made or not be stored, or the name is taken.
    """
    if name is not None and (not isinstance(name, str) or not name.strip()):
        message = f"@schedule: a name must be a non-empty string, got {name!r}."
        raise TaskDeclarationError(message)
    from postlude.schedules import Schedule  # noqa: PLC0415 - who has no schedule need not know of cron lines and zones

    given = Schedule(cron, every=every, timezone=timezone, missed=missed, overlap=overlap, name=name or "")

    def declare(function: F) -> F:
        copied = _checked(function, {} if kwargs is None else kwargs)
        _announce(Declared(function, given, copied))
        return function

    return declare


class ScheduledTask(NamedTuple):
    """A schedule with the task that it is for, in one application."""

    schedule: Schedule
    """With its name."""
    task: TaskDefinition
    arguments: str
    """Those of each call, as JSON."""


def scheduled_tasks(registry: Registry) -> dict[str, ScheduledTask]:
    """All that are declared in this process, by name.

    Raises:
        TaskDeclarationError: the task of one could not be found again by its name, its key or its partition cannot be
            worked out, or two have the same name.
    """
    found: dict[str, ScheduledTask] = {}
    for function, schedule, kwargs in declared.values():
        task = registry.of(function)
        name = schedule.name or f"{task.name} {schedule.spec()}"
        if task.unstorable is not None:
            reason, cure = task.unstorable.reason, task.unstorable.cure
            message = (
                f"@schedule on {task.name}: {reason}. {cure} If something wraps the function, put @schedule above it."
            )
            raise TaskDeclarationError(message)
        if name in found:
            raise _taken(name, found[name].task.function, function)
        encoded = task.codec.encode((), kwargs)
        _check_terms(task, encoded.args, encoded.kwargs)
        found[name] = ScheduledTask(replace(schedule, name=name), task, encoded.text)
    return found


def job_of(code: ScheduledTask, moment: float, now: float) -> NewJob:
    """The job of a moment of a schedule. Whatever a function of the task's raises goes through."""
    return NewJob(
        id=new_job_id(),
        task=code.task.name,
        arguments=code.arguments,
        state=JobState.QUEUED,
        created_at=now,
        run_at=moment,
        policy=code.task.policy_text,
        origin=_origin(code, moment),
        terms=_terms(code, now),
    )


def _terms(code: ScheduledTask, now: float) -> Terms:
    if code.task.terms is NO_TERMS:
        return DEFAULT_TERMS
    args, kwargs = code.task.codec.decode(code.arguments)
    return code.task.terms_of(NOTHING, args, kwargs, now)


def _origin(code: ScheduledTask, moment: float) -> str:
    schedule = code.schedule
    shown = datetime.fromtimestamp(moment, schedule.zone).isoformat()
    return json.dumps({"schedule": schedule.name, "moment": shown}, separators=(",", ":"), ensure_ascii=False)


def _check_terms(task: TaskDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse what no moment could make a job of; what comes out may be another at each moment."""
    try:
        task.terms_of(NOTHING, args, kwargs, 0.0)
    except Exception as error:  # whatever a function of the user's raises
        message = (
            f"@schedule on {task.name}: the task's key or partition_by cannot be worked out for "
            f"kwargs={dict(kwargs)!r}: {error!r}. Let it take the arguments that the schedule gives."
        )
        raise TaskDeclarationError(message) from error


class _AsDeclared:
    """Binds calls by the signature alone: a dependency may be defined further down in a module being imported."""

    def __init__(self, signature: inspect.Signature) -> None:
        self.signature: inspect.Signature = signature

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        return self.signature.bind(*args, **kwargs)


def _checked(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the arguments, if a call with them can be made and stored."""
    label = getattr(function, "__qualname__", repr(function))
    try:
        check_callable(function)
        bound = bound_here(function, default_name(function))
        if bound is not None:
            reason, cure = bound
            message = f"@schedule on {label}: no other process can find the function, since {reason}. {cure}"
            raise TaskDeclarationError(message)
        plan = plan_of(function)
        if plan is not None:
            plan.check(importing=True)
        codec = Codec(function, name=label, binding=None if plan is None else _AsDeclared(plan.signature))
        return codec.encode((), kwargs).kwargs
    except CallError as error:
        cure = "A schedule calls it with kwargs={...} and nothing else: give the rest a default"
        message = f"@schedule on {label}: {error} {cure}."
        raise TaskDeclarationError(message) from error
    except (NotStorable, ArgumentsTooLarge) as error:
        message = f"@schedule on {label}: {error}"
        raise TaskDeclarationError(message) from error


def _announce(new: Declared) -> None:
    label = default_name(new.function)
    key = new.schedule.name or f"{label} {new.schedule.spec()}"
    other = declared.get(key)
    # A module that is imported anew makes its functions anew: those take the place of the old ones.
    if other is not None and (other.function is new.function or default_name(other.function) != label):
        raise _taken(key, other.function, new.function)
    declared[key] = new


def _taken(name: str, one: Callable[..., Any], other: Callable[..., Any]) -> TaskDeclarationError:
    return TaskDeclarationError(
        f"Two schedules are named {name!r}: on {default_name(one)} and on {default_name(other)}. "
        "Give each a name of its own with @schedule(..., name=...)."
    )

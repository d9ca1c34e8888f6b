"""Which jobs somebody means: what `jobs.list` and `jobs.count` are asked for, as the store takes it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict
from uuid import UUID

from postlude.errors import UnknownValue
from postlude.given import is_number, no_option
from postlude.ids import new_job_id
from postlude.job import JobState
from postlude.stores.filter import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from postlude.registry import Registry

Moment: TypeAlias = datetime | timedelta | float
"""A moment, how long ago it was, or seconds since the epoch."""


class Wanted(TypedDict, total=False):
    """Which jobs are meant; what is left out, or None, says nothing. What is given has to hold together."""

    state: JobState | str | Iterable[JobState | str]
    """In this state, or in one of these; empty: in any."""
    task: str | Callable[..., Any] | None
    """Of this task, given by its function or its name."""
    chain: UUID | str | None
    """Of the chain that begins with this job."""
    queue: str | None
    """Of this queue."""
    key: str | None
    """With this key."""
    since: Moment | None
    """Added then or later."""
    until: Moment | None
    """Added before then."""
    ended_since: Moment | None
    """Ended then or later."""
    text: str | None
    """With this text in the arguments, the failure or the reason, as they are stored and with nothing masked, whatever
    the case of the letters A to Z."""


_NAMES: Final = tuple(Wanted.__annotations__)


def filter_of(wanted: Wanted, registry: Registry, now: float) -> Filter:
    """What a store is asked for.

    Args:
        wanted: which jobs are meant.
        registry: knows the names of tasks.
        now: from where it is counted how long ago something was.

    Raises:
        UnknownValue: one of these is no state, no id, no moment, or no text.
        TypeError: there is no such name.
    """
    strange = next((name for name in wanted if name not in _NAMES), None)
    if strange is not None:
        raise TypeError(no_option(strange, _NAMES))
    task, chain = wanted.get("task"), wanted.get("chain")
    return Filter(
        _states(wanted.get("state", ())),
        text_of("task", None if task is None else registry.name_of(task)),
        None if chain is None else id_of(chain),
        queue=text_of("queue", wanted.get("queue")),
        key=text_of("key", wanted.get("key")),
        since=_moment("since", wanted.get("since"), now),
        until=_moment("until", wanted.get("until"), now),
        ended_since=_moment("ended_since", wanted.get("ended_since"), now),
        text=text_of("text", wanted.get("text")) or None,
    )


def text_of(name: str, value: object) -> str | None:
    """The text that is given, as stores of every kind can be asked for it; None stays None.

    Args:
        name: what it is called.
        value: what is given.

    Raises:
        UnknownValue: it is none.
    """
    if value is None or (isinstance(value, str) and "\0" not in value):
        return value
    expected = "text without the character NUL" if isinstance(value, str) else "text"
    message = f"{name}: expected {expected}, got {value!r}."
    raise UnknownValue(message)


def id_of(job_id: UUID | str) -> UUID:
    """The id that is given as itself or as its text.

    Raises:
        UnknownValue: it is none.
    """
    if isinstance(job_id, UUID):
        return job_id
    try:
        return UUID(job_id)
    except (ValueError, AttributeError, TypeError):
        message = f"Expected the id of a job, a UUID such as {new_job_id()}, got {job_id!r}."
        raise UnknownValue(message) from None


def _states(state: JobState | str | Iterable[JobState | str]) -> frozenset[JobState]:
    given = (state,) if isinstance(state, str) else tuple(state)
    for each in given:
        if each not in {*JobState}:
            message = f"Expected one of {', '.join(repr(known.value) for known in JobState)}, got {each!r}."
            raise UnknownValue(message)
    return frozenset(map(JobState, given))


def _moment(name: str, value: object, now: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        return now - value.total_seconds()
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if is_number(value):
        return float(value)
    expected = "a datetime with a time zone, a timedelta for how long ago, or seconds since 1970"
    message = f"{name}: expected {expected}, got {value!r}."
    raise UnknownValue(message)

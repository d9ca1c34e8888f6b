"""After whom, and beside how many others, a job may run: what `@task` and `options` say of it, checked and worked out.

Queue and priority, expiry, the key that one job at a time may have, and the partition that its task's limits count.
"""

from __future__ import annotations

import inspect
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, get_args
from uuid import UUID

from postlude.durations import seconds_of
from postlude.errors import CallError
from postlude.given import is_whole
from postlude.job import DEFAULT_QUEUE, Key, Terms, WhenTaken
from postlude.limits import UNLIMITED, Limit, rate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from postlude.durations import Duration

    Names = Callable[[], Collection[str]]

PRIORITIES: Final = 100
"""Priorities go from minus this to this: each that is in use costs a claim one look."""
MAX_NAME: Final = 500
"""Characters that a queue, a key or a partition may have."""
_TEXT: Final = f"printable text of 1 to {MAX_NAME} characters"
_TOO_LONG: Final = 10**MAX_NAME

queues: Final = {DEFAULT_QUEUE}
"""The queues that tasks of this process declare."""


class Asked(NamedTuple):
    """What one call asks for; None: as its task says."""

    queue: str | None = None
    priority: int | None = None
    expires_after: float | None = None
    """Seconds from the call on."""
    key: str | None = None
    on_conflict: WhenTaken | None = None
    key_period: float | None = None

    @property
    def has_key(self) -> bool:
        """Whether it says something of a key."""
        return self.key is not None or self.on_conflict is not None or self.key_period is not None


NOTHING: Final = Asked()


class TaskTerms(NamedTuple):
    """What a task declares for all its calls."""

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    key: str | Callable[..., object] | None = None
    on_conflict: WhenTaken = "return"
    key_period: float | None = None
    limit: Limit = UNLIMITED
    partition_by: Callable[..., object] | None = None

    @property
    def limited(self) -> bool:
        """Whether its jobs have partitions."""
        return self.limit != UNLIMITED or self.partition_by is not None

    @property
    def needed(self) -> str | None:
        """The option, if there is one, that only a stored call can have."""
        return "key" if self.key is not None else "max_running, rate or partition_by" if self.limited else None

    def terms(self, asked: Asked, arguments: Callable[[], Mapping[str, Any]], now: float) -> Terms:
        """The terms of one call.

        Args:
            asked: by the call.
            arguments: gives those of the call by their names, with the defaults.
            now: seconds since the epoch.

        Raises:
            CallError: a function of the task gave something for these arguments that is no key or no partition, or the
                call says what a taken key means where neither has one.
        """
        if asked.key is None and self.key is None and asked.has_key:
            message = f"options: {_NO_KEY}."
            raise CallError(message)
        value = asked.key if asked.key is not None else _named("key", self.key, arguments)
        period = self.key_period if asked.key_period is None else asked.key_period
        return Terms(
            queue=self.queue if asked.queue is None else asked.queue,
            rank=-(self.priority if asked.priority is None else asked.priority),
            expires_at=None if asked.expires_after is None else now + asked.expires_after,
            partition=(_named("partition_by", self.partition_by, arguments) or "") if self.limited else None,
            key=None
            if value is None
            else Key(value, asked.on_conflict or self.on_conflict, None if period is None else now + period),
        )


NO_TERMS: Final = TaskTerms()
"""Of a task that declares none, as nearly all."""


def _named(
    option: str, given: str | Callable[..., object] | None, arguments: Callable[[], Mapping[str, Any]]
) -> str | None:
    if given is None or isinstance(given, str):
        return given
    known = arguments()
    value = _given_by(given, known)
    if value is None:
        return None
    text = text_of(value)
    if text is None:
        expected = f"{_TEXT}, a whole number, a UUID or None"
        message = f"the task's {option} gave {value!r}: expected {expected}."
        raise CallError(message)
    return text


def _given_by(function: Callable[..., object], known: Mapping[str, Any]) -> object:
    parameters = inspect.signature(function).parameters.values()
    by_name = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    by_position = [each.name for each in parameters if each.kind is not each.KEYWORD_ONLY]
    return function(*(known[name] for name in by_position), **{name: known[name] for name in by_name})


def text_of(value: object) -> str | None:
    """A key or a partition as it is stored; None: it is neither."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, int) and not -_TOO_LONG < value < _TOO_LONG:
        return None  # which Python may refuse to write
    text = str(value) if isinstance(value, str | int | UUID) else None
    return text if _is_name(text) else None


class TermOptions(TypedDict, total=False):
    """The options of a task about its terms; None, like leaving one out, says nothing."""

    queue: str | None
    priority: int | None
    key: str | Callable[..., object] | None
    on_conflict: WhenTaken | None
    key_period: Duration | None
    max_running: int | None
    rate: str | None
    partition_by: Callable[..., object] | None


def task_terms(names: Names, given: TermOptions) -> tuple[TaskTerms, list[str]]:
    """What the options of a task come to, and what is wrong with them.

    Args:
        names: gives those of the arguments that its callers give.
        given: the options.
    """
    queue, priority, on_conflict = given.get("queue"), given.get("priority"), given.get("on_conflict")
    rate, partition_by = given.get("rate"), given.get("partition_by")
    limit = Limit(given.get("max_running"), None if rate is None else rate_of(rate))
    period, problems = _seconds("key_period", given.get("key_period"))
    problems += _wrong(Asked(queue, priority, on_conflict=on_conflict))
    problems += [*_wrong_limit(rate, limit), *_wrong_function("partition_by", partition_by, names)]
    problems += _wrong_key(given, names)
    terms = TaskTerms(
        queue=queue or DEFAULT_QUEUE,
        priority=priority or 0,
        key=given.get("key"),
        on_conflict=on_conflict or "return",
        key_period=period,
        limit=limit,
        partition_by=partition_by,
    )
    return NO_TERMS if terms == NO_TERMS else terms, problems


def _wrong_limit(rate: object, limit: Limit) -> list[str]:
    problems = []
    if limit.max_running is not None and not is_whole(limit.max_running, 1):
        problems.append(f"max_running must be a whole number, 1 or more, got {limit.max_running!r}")
    if rate is not None and limit.rate is None:
        problems.append(f'rate must be text such as "100/min", "5/s" or "10/30s", got {rate!r}')
    return problems


_NO_KEY: Final = "on_conflict and key_period say what a taken key means: give a key"


def _wrong_key(given: TermOptions, names: Names) -> list[str]:
    key = given.get("key")
    if key is None and (given.get("on_conflict") is not None or given.get("key_period") is not None):
        return [_NO_KEY]
    if isinstance(key, str):
        return [] if _is_name(key) else [_not_a_name("key", key)]
    return _wrong_function("key", key, names)


def asked_terms(given: Mapping[str, Any], before: Asked) -> tuple[Asked, list[str]]:
    """What the options of a call come to, in place of those before, and what is wrong with them.

    Args:
        given: those of the options of `Asked` that are given.
        before: what was asked for before.
    """
    values = dict(given)
    problems: list[str] = []
    for name in ("expires_after", "key_period"):
        if name in values:
            values[name], wrong = _seconds(name, values[name])
            problems += wrong
    asked = before._replace(**values)
    key = asked.key
    if key is not None and not _is_name(key):
        problems.append(_not_a_name("key", key))
    return asked, [*problems, *_wrong(asked)]


def _wrong(asked: Asked) -> list[str]:
    problems = []
    if asked.queue is not None:
        problems += wrong_queue(asked.queue)
    if asked.priority is not None and not is_whole(asked.priority, -PRIORITIES, PRIORITIES):
        expected = f"a whole number from {-PRIORITIES} to {PRIORITIES}, the larger the sooner"
        problems.append(f"priority must be {expected}, got {asked.priority!r}")
    if asked.on_conflict not in (None, *get_args(WhenTaken)):
        expected = ", ".join(map(repr, get_args(WhenTaken)))
        problems.append(f"on_conflict must be one of {expected}, got {asked.on_conflict!r}")
    return problems


def wrong_queue(name: object) -> list[str]:
    """What is wrong with the name of a queue: no name at all, or one that is nearly that of a queue of a task."""
    if not isinstance(name, str) or not _is_name(name):
        return [_not_a_name("queue", name)]
    meant = None if name in queues else next((known for known in sorted(queues) if _one_slip_apart(name, known)), None)
    if meant is None:
        return []
    return [f"queue {name!r} is nearly the queue {meant!r}: did you mean that? If not, give it a name less alike"]


def _one_slip_apart(one: str, other: str) -> bool:
    """Whether a letter that is missing, wrong or in its neighbour's place makes one of the other. Digits tell apart."""
    if abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < _SHORT:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, others = one[start:], other[start:]
    if any(letter.isdigit() for letter in (rest[:1], others[:1])):
        return False
    swapped = rest[:2] == others[:2][::-1] and rest[2:] == others[2:]
    return swapped or rest[1:] == others[1:] or rest[1:] == others or rest == others[1:]


_SHORT: Final = 4


def _wrong_function(option: str, given: object, names: Names) -> list[str]:
    """What is wrong with a function of the arguments: it asks for one that the task does not have."""
    if given is None:
        return []
    if not callable(given):
        text = "text, or " if option == "key" else ""
        return [f"{option} must be {text}a function of the task's arguments, got {given!r}"]
    try:
        wanted, known = inspect.signature(given).parameters, names()
    except (TypeError, ValueError) as error:
        return [f"{option}: its parameters cannot be read: {error}"]
    strange = [name for name in wanted if name not in known]
    if not strange:
        return []
    has = f"has {', '.join(known)}" if known else "has none"
    return [f"{option} asks for the argument {strange[0]!r}, and the task {has}: name its parameters as the task does"]


def _seconds(name: str, given: object) -> tuple[float | None, list[str]]:
    if given is None:
        return None, []
    seconds = seconds_of(given)
    problem = f"{name} must be seconds, 0 or more, or a timedelta, got {given!r}"
    return seconds, [problem] if seconds is None else []


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _not_a_name(option: str, value: object) -> str:
    return f"{option} must be {_TEXT}, got {value!r}"

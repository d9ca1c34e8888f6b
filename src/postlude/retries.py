"""Whether a failed attempt is tried again, how often, and after how long.

Values and pure functions: the luck that spreads the retries of many jobs is given as a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Final, TypeAlias

from pydantic import ValidationError

from postlude.durations import Duration, seconds_of
from postlude.errors import RaisedElsewhere, TaskDeclarationError
from postlude.given import is_number, is_whole

MANY: Final = 14
"""What `retries=True` stands for: with the usual backoff about six hours, longer than a mail server's bad afternoon."""

MOST: Final = 1_000_000
"""Retries that may be asked for: with an hour between them more than a century."""

NEVER: Final[tuple[type[Exception], ...]] = (TypeError, ValidationError)
"""Mistakes in the program, which no retry mends: they are retried only when they are named themselves."""


@dataclass(frozen=True, slots=True)
class Exponential:
    """Waits that grow by a factor up to a limit: `min(first * factor ** n, most)`, spread so that not all come at once.

    See "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015) for why they are spread.
    """

    first: float = 10.0
    """Seconds before the first retry."""
    factor: float = 2.0
    most: float = 3600.0
    """Seconds that no wait is longer than, before it is spread."""
    jitter: float = 0.1
    """Each wait is longer or shorter by at most this part of it; 0 for none."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be seconds, 0 or more, got {getattr(self, name)!r}"
            for name in ("first", "most")
            if seconds_of(getattr(self, name)) is None
        ]
        if not is_number(self.factor) or not 1 <= self.factor < inf:
            problems.append(f"factor must be a number, 1 or more, got {self.factor!r}")
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
            problems.append(f"jitter must be a part between 0 and 1, got {self.jitter!r}")
        if problems:
            message = f"Exponential: {'; '.join(problems)}."
            raise TaskDeclarationError(message)
        for name in ("first", "most"):
            object.__setattr__(self, name, seconds_of(getattr(self, name)))

    def wait(self, number: int, luck: float) -> float:
        """Seconds before retry `number`, the first of which is 1; `luck` is between 0 and 1."""
        try:
            plain = min(self.first * self.factor ** (number - 1), self.most)
        except OverflowError:
            plain = self.most if self.first else 0.0
        return plain * (1 + self.jitter * (2 * luck - 1))


Custom: TypeAlias = Callable[[int, BaseException], Duration | None]
"""Given the number of the coming retry and the exception: how long to wait for it, None to give up."""
Kinds: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
Backoff: TypeAlias = Exponential | Duration | Sequence[Duration] | Custom
Written: TypeAlias = float | list[float] | dict[str, float] | None
"""A backoff as it is kept with a job; None: what the task declares, which is all that can be done for a function."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often, when and after what a job is tried again when its task raises.

    Raises:
        TaskDeclarationError: it makes no sense; the message names every part that does not.
    """

    retries: int | None = None
    """Tries after the first one, up to 1,000,000; `True` for 14, `False` for 0. None: one for each wait of a list, else
    14."""
    backoff: Backoff = Exponential()
    """The waits: `Exponential`, a number of seconds or a `timedelta` (always the same), a list of them (the last one is
    repeated), or a function of the number of the retry and the exception, which may return None to give up."""
    retry_on: Kinds = Exception
    """The exceptions to retry after; `TypeError` and validation errors only if they are named themselves."""

    def __post_init__(self) -> None:
        problems = [
            *_wrong_retries(self.retries, or_policy=False),
            *_wrong_backoff(self.backoff),
            *_wrong_kinds(self.retry_on),
        ]
        if problems:
            message = f"RetryPolicy: {'; '.join(problems)}."
            raise TaskDeclarationError(message)
        count = self.retries
        if count is None:
            count = len(self.backoff) if isinstance(self.backoff, Sequence) else MANY
        object.__setattr__(self, "retries", _count(count))

    @property
    def count(self) -> int:
        """Tries after the first one."""
        return self.retries if self.retries is not None else MANY

    def retries_after(self, error: BaseException) -> bool:
        """Whether this exception is one to retry after."""
        if isinstance(error, RaisedElsewhere):
            return error.retried
        kinds = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        if isinstance(error, NEVER):
            kinds = tuple(kind for kind in kinds if issubclass(kind, NEVER))
        return isinstance(error, kinds)

    def wait(self, number: int, error: BaseException, luck: float) -> float | None:
        """Seconds before retry `number`, the first of which is 1; None: it is not to be tried again.

        Args:
            number: of the coming retry.
            error: what the attempt raised.
            luck: between 0 and 1, to spread the waits.
        """
        if number > self.count:
            return None
        backoff = self.backoff
        if isinstance(backoff, Exponential):
            return backoff.wait(number, luck)
        if isinstance(backoff, Sequence):
            return seconds_of(backoff[min(number, len(backoff)) - 1])
        if callable(backoff):
            return self.asked(number, error)
        return seconds_of(backoff)

    def asked(self, number: int, error: BaseException) -> float | None:
        """What a backoff that is a function says: seconds, or None to give up.

        Raises:
            TaskDeclarationError: it says something else. And whatever the function raises.
        """
        if isinstance(error, RaisedElsewhere):
            if error.broken is not None:
                message = f"{error.broken}, raised in another process"
                raise TaskDeclarationError(message)
            return error.wait
        return _asked(self.backoff, number, error) if callable(self.backoff) else None

    def written(self) -> Written:
        """The backoff as it is kept with a job."""
        backoff = self.backoff
        if isinstance(backoff, Exponential):
            return None if backoff == Exponential() else asdict(backoff)
        if isinstance(backoff, Sequence):
            return [seconds for each in backoff if (seconds := seconds_of(each)) is not None]
        return None if callable(backoff) else seconds_of(backoff)


def _asked(backoff: Custom, number: int, error: BaseException) -> float | None:
    answer = backoff(number, error)
    seconds = None if answer is None else seconds_of(answer)
    if answer is not None and seconds is None:
        name = getattr(backoff, "__qualname__", repr(backoff))
        message = f"The backoff function {name} must return seconds, a timedelta or None, and returned {answer!r}."
        raise TaskDeclarationError(message)
    return seconds


def retries_of_call(retries: object) -> tuple[int, Written, list[str]]:
    """How often and after which waits one call is tried again, in the form in which it is stored.

    Returns:
        The count; the waits, None for those that the task declares; and what is wrong with what was given.
    """
    if not isinstance(retries, RetryPolicy):
        problems = _wrong_retries(retries)
        return (0, None, problems) if problems or not isinstance(retries, int) else (_count(retries), None, [])
    if callable(retries.backoff) or retries.retry_on is not Exception:
        problem = "a function as backoff, and retry_on, cannot be stored with a call: declare them with @task"
        return 0, None, [f"retries: {problem}"]
    written = asdict(retries.backoff) if isinstance(retries.backoff, Exponential) else retries.written()
    return retries.count, written, []


def kept(count: int | None, written: Written, declared: RetryPolicy | None) -> RetryPolicy:
    """The policy of a job: the numbers that were stored with it, and of its task what cannot be stored.

    Args:
        count: retries, as stored; None: nobody asked for any.
        written: the backoff, as stored.
        declared: what the task declares now; None: nothing.
    """
    backoff: Backoff
    if written is None:
        backoff = Exponential() if declared is None else declared.backoff
    else:
        backoff = _read(written) if isinstance(written, dict) else written
    return RetryPolicy(count or 0, backoff, Exception if declared is None else declared.retry_on)


def _read(written: dict[str, float]) -> Exponential:
    """What `written` wrote. Options of a later release are left out: they change nothing here."""
    known = {field.name for field in fields(Exponential)}
    return Exponential(**{name: value for name, value in written.items() if name in known})


def declared_retries(
    retries: int | RetryPolicy | None, backoff: Backoff | None, retry_on: Kinds | None
) -> tuple[RetryPolicy | None, list[str]]:
    """What the three options of a task come to, and what is wrong with them.

    `retries` alone may be a whole policy; `True` is a number, too.
    """
    if isinstance(retries, RetryPolicy):
        if backoff is None and retry_on is None:
            return retries, []
        return None, ["retries is a RetryPolicy, which has its own backoff and retry_on: give them there"]
    if retries is None:
        if backoff is None and retry_on is None:
            return None, []
        return None, ["backoff and retry_on say how to retry, and retries must say how often, such as retries=True"]
    problems = _wrong_retries(retries)
    if backoff is not None:
        problems += _wrong_backoff(backoff)
    if retry_on is not None:
        problems += _wrong_kinds(retry_on)
    if problems:
        return None, problems
    return RetryPolicy(retries, Exponential() if backoff is None else backoff, retry_on or Exception), []


def _count(retries: int) -> int:
    """How many are meant: `True` and `False` are numbers, too."""
    return MANY if retries is True else 0 if retries is False else retries


def _wrong_retries(retries: object, *, or_policy: bool = True) -> list[str]:
    if retries is None or isinstance(retries, bool) or is_whole(retries, 0, MOST):
        return []
    expected = f"a whole number from 0 to {MOST:,}, True for {MANY}" + ", or a RetryPolicy" * or_policy
    return [f"retries must be {expected}, got {retries!r}"]


def _wrong_backoff(backoff: object) -> list[str]:
    if isinstance(backoff, Sequence):
        right = len(backoff) > 0 and all(seconds_of(each) is not None for each in backoff)
    else:
        right = isinstance(backoff, Exponential) or callable(backoff) or seconds_of(backoff) is not None
    if right:
        return []
    expected = "Exponential(...), seconds or a timedelta, a list of those, or a function of retry number and exception"
    return [f"backoff must be {expected}, got {backoff!r}"]


def _wrong_kinds(kinds: object) -> list[str]:
    listed = kinds if isinstance(kinds, tuple) else (kinds,)
    if listed and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in listed):
        return []
    return [f"retry_on must be an exception class or a tuple of them, got {kinds!r}"]

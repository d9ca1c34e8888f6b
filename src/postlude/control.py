"""How a task ends its own attempt otherwise than by returning or failing: `Snooze`, `Cancel` and `Retry`.

They derive from `BaseException`, as `asyncio.CancelledError` does, so that the task's `except Exception` lets them by.
"""

from __future__ import annotations

from postlude.durations import Duration, seconds_of
from postlude.errors import CallError


class Snooze(BaseException):
    """Raise it to be run again later: the attempt is given back, and counts neither as a failure nor as a try.

    Args:
        after: seconds, or a `timedelta`, until the job is due again.

    Raises:
        CallError: that is no duration.
    """

    def __init__(self, after: Duration) -> None:
        self.after: float = _checked("Snooze", after)
        super().__init__(f"again in {self.after:g} s")


class Cancel(BaseException):
    """Raise it to end the job as cancelled, and with it the jobs behind it in its chain.

    Args:
        reason: why, for people; it is kept with the job.
    """

    def __init__(self, reason: str = "cancelled by the task itself") -> None:
        self.reason: str = str(reason)
        super().__init__(self.reason)


class Retry(BaseException):
    """Raise it to fail this attempt and have the job tried again, whatever `retry_on` says.

    It uses up one of the task's retries, and when none is left the job has failed. A task that says nothing of
    `retries` has 14 for this, as with `retries=True`; one that says `retries=0` has none.

    Args:
        reason: why, for people.
        after: seconds, or a `timedelta`, until the next attempt; None: as the task's backoff says.

    Raises:
        CallError: that is no duration.
    """

    def __init__(self, reason: str = "the task asked to be tried again", *, after: Duration | None = None) -> None:
        self.reason: str = str(reason)
        self.after: float | None = None if after is None else _checked("Retry", after)
        super().__init__(self.reason)


def _checked(name: str, after: object) -> float:
    seconds = seconds_of(after)
    if seconds is None:
        message = f"{name}(after=): expected seconds, 0 or more, or a timedelta, got {after!r}."
        raise CallError(message)
    return seconds

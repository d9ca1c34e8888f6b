"""The running job, seen from inside its task: `current_job()`, `progress()` and `cancel_requested()`."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from postlude.errors import CallError, NotInTask
from postlude.executors.contract import storable
from postlude.job import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID


MAX_NOTE: Final = 1_000
_NUMBERS: Final = frozenset({int, float})


class CurrentJob:
    """The job that this code runs for."""

    __slots__ = ("_cancel_requested", "_origin", "_progress", "_reported", "_told", "attempt", "id", "task")

    def __init__(
        self, job_id: UUID, task: str, attempt: int, origin: str | None, reported: Callable[[], None] | None
    ) -> None:
        self.id: UUID = job_id
        """The same for every attempt: what a repeated piece of work is known by elsewhere, as an idempotency key."""
        self.task: str = task
        """The name of its task."""
        self.attempt: int = attempt
        """Which try this is; the first is 1."""
        self._origin = origin
        self._reported = reported
        """Called once after progress was made, in any thread; None: there is nobody to tell, and no row to keep it."""
        self._progress: Progress | None = None
        self._told = False
        self._cancel_requested = False

    def __repr__(self) -> str:
        return f"<CurrentJob {self.id} {self.task}, attempt {self.attempt}>"

    @property
    def origin(self) -> Mapping[str, Any]:
        """The request that added the job: `request_id`, `route` and `traceparent`, as far as they were there."""
        found: Mapping[str, Any] = {} if self._origin is None else json.loads(self._origin)
        return found

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody has asked to cancel it. A `def` task that looks can end itself, by raising `Cancel()`."""
        return self._cancel_requested

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Say how far it has come; see `progress` beside this class."""
        self._progress = _checked(done, total, note)
        reported = self._reported  # which the end of the attempt may take away, in another thread
        if not self._told and reported is not None:
            self._told = True
            reported()

    # For whoever runs the attempt

    def hear_progress(self) -> Progress | None:
        """The last progress that was made; what is made from now on is told of again."""
        # Down before the value is read: what comes in between is told of once more, and is not lost.
        self._told = False
        return self._progress

    def close(self) -> None:
        """Its attempt has ended: from now on progress tells nobody."""
        self._reported = None

    def ask_to_cancel(self) -> None:
        """From now on `cancel_requested` is true."""
        self._cancel_requested = True


_current: ContextVar[CurrentJob] = ContextVar("postlude_job")

enter: Callable[[CurrentJob], object] = _current.set
"""Make a job the current one, in the context in which its attempt runs."""


def current_job() -> CurrentJob:
    """The job that this code runs for.

    Raises:
        NotInTask: it was called outside a task that Postlude runs.
    """
    job = _current.get(None)
    if job is None:
        raise NotInTask
    return job


def progress(done: float, total: float | None = None, note: str | None = None) -> None:
    """Say how far the running job has come. Costs next to nothing, from any thread: what is written is the last word.

    It is written about twice a second, and when the attempt ends. Outside a task it does nothing, so that a function
    that calls it can be called directly.

    Args:
        done: how much is done, in any unit.
        total: how much there is to do, in the same unit; None: not known.
        note: what is being done, for people; kept up to 1,000 characters.

    Raises:
        CallError: `done` or `total` is no number.
    """
    job = _current.get(None)
    if job is not None:
        job.progress(done, total, note)


def cancel_requested() -> bool:
    """Whether somebody has asked to cancel the running job; False outside a task.

    An `async def` task gets `CancelledError` by itself. A `def` task looks from time to time, and raises `Cancel()`.
    """
    job = _current.get(None)
    return job is not None and job.cancel_requested


def _checked(done: float, total: float | None, note: str | None) -> Progress:
    """What any store can write down: a number of another library becomes one of Python's."""
    try:
        return Progress(
            done if type(done) in _NUMBERS else float(done),
            total if total is None or type(total) in _NUMBERS else float(total),
            None if note is None else storable(str(note)[:MAX_NOTE]),
        )
    except (TypeError, ValueError):
        message = f"progress(done, total, note): expected numbers for the first two, got {done!r} and {total!r}."
        raise CallError(message) from None

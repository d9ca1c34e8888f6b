"""The running job, seen from inside its task: `current_job()`, `progress()` and `cancel_requested()`."""

from __future__ import annotations

import asyncio
import json
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Final

from postlude.errors import CallError, ClaimLost, LoopBlocking, NotInTask
from postlude.executors.contract import beginning, storable
from postlude.job import Progress, Report
from postlude.loglines import NewLines
from postlude.loops import running_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from uuid import UUID

    from postlude.loglines import LogLine

    Save = Callable[[UUID, str], Awaitable[None]]
    """Writes the state of a job, as JSON, for the attempt that runs. Awaited on any event loop."""


MAX_NOTE: Final = 1_000
MAX_STATE: Final = 16 * 1024
"""Bytes of a saved state as JSON: it is where to go on, and not the work itself."""
CARRY: Final = "carry"
"""Where an origin has the context variables that are carried; the rest of it is about the request."""
_NUMBERS: Final = frozenset({int, float})


def read_origin(text: str | None) -> dict[str, Any]:
    """What a stored origin says of whatever added the job, without what is carried."""
    found: dict[str, Any] = {} if text is None else json.loads(text)
    found.pop(CARRY, None)
    return found


def read_carried(text: str | None) -> dict[str, Any]:
    """What is carried in a stored origin, by the names of the variables."""
    found: dict[str, Any] = {} if text is None else json.loads(text).get(CARRY, {})
    return found


class CurrentJob:
    """The job that this code runs for."""

    # Defaults live on the class: most tasks never ask for anything.
    _known: Mapping[str, Any] | None = None
    """Of the origin what is told; read when it is first asked for: each record that is logged may ask."""
    _progress: Progress | None = None
    _lines: NewLines | None = None
    """What was logged; made when there is something."""
    _told: bool = False
    _closed: bool = False
    _cancel_requested: bool = False

    def __init__(
        self,
        job_id: UUID,
        task: str,
        attempt: int,
        origin: str | None,
        reported: Callable[[], None] | None,
        *,
        saved: str | None = None,
        save: Save | None = None,
    ) -> None:
        self.id: UUID = job_id
        """The same for every attempt: what a repeated piece of work is known by elsewhere, as an idempotency key."""
        self.task: str = task
        """The name of its task."""
        self.attempt: int = attempt
        """Which try this is; the first is 1."""
        self._origin = origin
        self._reported = reported
        """Called once after it has something to say, in any thread; None: nobody to tell, and no row to keep it."""
        self._saved = saved
        self._save = save

    def __repr__(self) -> str:
        return f"<CurrentJob {self.id} {self.task}, attempt {self.attempt}>"

    @property
    def origin(self) -> Mapping[str, Any]:
        """What added the job.

        A request: `request_id`, `route` and `traceparent`, as far as they were there. A schedule: `schedule`, which is
        its name, and `moment`, for which the job was made, as ISO 8601 in the schedule's zone.
        """
        if self._known is None:
            self._known = read_origin(self._origin)
        return dict(self._known)  # the asker's own, to change or to write as JSON

    @property
    def request_id(self) -> str:
        """That of the request which added the job; empty if it had none."""
        return str(self.origin.get("request_id", ""))

    @property
    def saved(self) -> Any:  # noqa: ANN401 - whatever the task has saved
        """The state that was saved last, by this attempt or one before it; None if none was."""
        return None if self._saved is None else json.loads(self._saved)

    @property
    def blocking(self) -> BlockingJob:
        """`save` for a `def` task, which cannot await."""
        return BlockingJob(self)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody has asked to cancel it. A `def` task that looks can end itself, by raising `Cancel()`."""
        return self._cancel_requested

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Say how far it has come; see `progress` beside this class."""
        self._progress = _checked(done, total, note)
        self._tell()

    async def save(self, state: object) -> None:
        """Write down where the work stands: on disk when this returns, and given to the next attempt as `saved`.

        It takes the place of what was saved before. What JSON has no form for comes back as what it writes instead: a
        tuple as a list, the keys of a mapping as text. An ephemeral call has no next attempt, so nothing is written.
        While the store is away this waits, and tries again, for as long as the task may run: that is no failure of it.

        Raises:
            CallError: JSON cannot write it, or it takes more than 16,384 bytes.
            ClaimLost: this attempt has ended, or its job was given to another one.
            Cancel: it waited for the store, and was told to end meanwhile.
        """
        text = _state_text(state)
        if self._closed:
            raise ClaimLost(self.id)
        if self._save is not None:
            await self._save(self.id, text)
        self._saved = text

    def _tell(self) -> None:
        reported = self._reported  # which the end of the attempt may take away, in another thread
        if not self._told and reported is not None:
            self._told = True
            reported()

    # For whoever runs the attempt

    @property
    def keeps_lines(self) -> bool:
        """Whether what is logged now can be kept: it has a row, and its attempt has not ended."""
        return self._reported is not None

    def keep(self, line: LogLine) -> None:
        """Keep what was logged, from any thread."""
        if self._lines is None:
            with NewLines.lock:
                self._lines = self._lines or NewLines()
        self._lines.add(line)
        self._tell()

    def hear(self) -> Report | None:
        """What there is to report since it was last heard, and the last progress; None: nothing."""
        # Down before anything is read: what comes in between is told of once more, and is not lost.
        self._told = False
        lines = () if self._lines is None else self._lines.take()
        return Report(self._progress, None, lines) if lines or self._progress is not None else None

    def not_taken(self, report: Report) -> None:
        """What was heard has not reached the store: it is part of the next report."""
        if self._lines is not None:
            self._lines.put_back(report.lines)

    def close(self) -> None:
        """Its attempt has ended: from now on nobody hears what it says."""
        self._reported = self._save = None
        self._closed = True

    def ask_to_cancel(self) -> None:
        """From now on `cancel_requested` is true."""
        self._cancel_requested = True


class BlockingJob:
    """What a `def` task does with its job where an `async def` awaits."""

    def __init__(self, job: CurrentJob) -> None:
        self._job = job

    def save(self, state: object) -> None:
        """See `CurrentJob.save`.

        Raises:
            LoopBlocking: called on the thread of an event loop.
        """
        if running_loop() is not None:
            raise LoopBlocking("current_job().blocking", "`await current_job().save(...)`", "`def` tasks")
        asyncio.run(self._job.save(state))  # a store can be written to from any loop, this one's own too


_current: ContextVar[CurrentJob] = ContextVar("postlude_job")

enter: Callable[[CurrentJob], object] = _current.set
"""Make a job the current one, in the context in which its attempt runs."""


def job_in(context: Context) -> CurrentJob | None:
    """The job that runs in a context; None: none does."""
    return context.get(_current)


def running_job() -> CurrentJob | None:
    """The job that this code runs for; None outside a task."""
    return _current.get(None)


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
            None if note is None else storable(beginning(str(note), MAX_NOTE)),
        )
    except (TypeError, ValueError):
        message = f"progress(done, total, note): expected numbers for the first two, got {done!r} and {total!r}."
        raise CallError(message) from None


def _state_text(state: object) -> str:
    """The state as JSON that every store can write down: what is not ASCII is escaped."""
    try:
        text = json.dumps(state, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        message = f"save(state): expected a value that JSON can write, got a {type(state).__name__}: {error}."
        raise CallError(message) from None
    if len(text) > MAX_STATE:
        message = (
            f"save(state): expected at most {MAX_STATE:,} bytes as JSON, got {len(text):,}. Write the data to a file "
            "or a table, and save its path or id."
        )
        raise CallError(message)
    return text

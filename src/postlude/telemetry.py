"""Events as log records, and what records say of the job that they are about. The only place that logs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from math import isinf
from typing import TYPE_CHECKING, Any, Final

from postlude.context import running_job
from postlude.events import (
    AttemptFailed,
    AttemptGoesOn,
    AttemptInterrupted,
    AttemptSlow,
    AttemptUnstoppable,
    CallNotStored,
    CallsDiscarded,
    CallsLost,
    CallsUnsaved,
    ClockSetBack,
    EphemeralFailed,
    ExecutorFailed,
    ExecutorRecovered,
    LoopBlocked,
    MomentSkipped,
    MomentsMissed,
    OutcomeRefused,
    ServiceFailed,
    StopDelayed,
    StoreFailed,
    StoreRecovered,
    ThreadAbandoned,
    ThreadsExhausted,
    ValueNotCarried,
    WorkerEnded,
    WorkerReplaced,
)
from postlude.logs import is_heard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postlude.events import Event

_logger: Final = logging.getLogger("postlude")


def log(event: Event) -> None:
    """Write an event to the logger `postlude`."""
    level, text = _record_of(event)
    if _logger.isEnabledFor(level):
        if isinstance(event, AttemptFailed | EphemeralFailed):
            # A record may be kept, or sent to another process, and an exception holds on to all that its frames have.
            event = event._replace(error=None)
        _logger.log(level, "%s", text, extra={"postlude": event, **_fields_of(event)})


class JobFields(logging.Filter):
    """Gives each record the fields `job_id`, `task` and `attempt` of the task in which it was made, and of its request.

    Those are `request_id`, `route` and `traceparent`. For a handler, so that its formatter can name them:
    `handler.addFilter(JobFields())`. Outside a task all are empty text, as those are that the request did not have. A
    field that the record has already, from `extra=`, stays as it is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; every record passes."""
        job = running_job()
        fields = _NO_FIELDS if job is None else _fields(str(job.id), job.task, job.attempt, job.origin)
        for name, value in fields.items():
            record.__dict__.setdefault(name, value)
        return True


_OF_REQUEST: Final = ("request_id", "route", "traceparent")


def _fields(job_id: str, task: str, attempt: int | str, origin: Mapping[str, Any]) -> dict[str, int | str]:
    request = {name: origin.get(name, "") for name in _OF_REQUEST}
    return {"job_id": job_id, "task": task, "attempt": attempt, **request}


_NO_FIELDS: Final = _fields("", "", "", {})


def _fields_of(event: Event) -> dict[str, int | str]:
    """The fields of the job that an event is about, the unknown ones empty; none for one that is about no job."""
    job_id = getattr(event, "job_id", None)
    if job_id is None:
        return {}
    origin = getattr(event, "origin", None)
    task, attempt = getattr(event, "task", ""), getattr(event, "attempt", "")
    return _fields(str(job_id), task, attempt, {} if origin is None else json.loads(origin))


def make_heard() -> None:
    """Where nobody has configured logging, as under plain uvicorn, give the logger a handler of its own.

    What Postlude says of lost or unsaved work must not depend on that.
    """
    if not is_heard(_logger.name):
        handler = logging.StreamHandler(sys.stderr)
        handler.addFilter(JobFields())
        handler.setFormatter(logging.Formatter("%(levelname)s:     postlude: %(message)s"))
        _logger.addHandler(handler)
        _logger.setLevel(logging.INFO)


def announce(line: str) -> None:
    """Write a line of the start."""
    _logger.info("%s", line)


def warn(line: str) -> None:
    """Write a line that somebody should act upon."""
    _logger.warning("%s", line)


def fail(line: str) -> None:
    """Write a line without which the process goes no further."""
    _logger.critical("%s", line)


def utc(moment: float) -> str:
    """A moment as people read it."""
    return "never" if isinf(moment) else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _record_of(event: Event) -> tuple[int, str]:  # noqa: C901, PLR0911, PLR0912 - a table: one line for each event
    match event:
        case AttemptFailed(job_id, task, attempt, failure, again_in, _):
            then = "" if again_in is None else f", and is tried again in {again_in:.3g} s"
            level = logging.ERROR if again_in is None else logging.WARNING
            return level, f"{task} failed (job {job_id}, attempt {attempt}){then}\n{failure.traceback.rstrip()}"
        case AttemptInterrupted(job_id, task, interruptions, again, reason, _):
            then = "it runs again" if again else "it does not run again by itself"
            return logging.WARNING, f"{task} was interrupted (job {job_id}, time {interruptions}): {reason}; {then}"
        case AttemptSlow(job_id, task, seconds):
            return (
                logging.WARNING,
                f"{task} has been running for {seconds / 60:.0f} min (job {job_id}), and has no timeout",
            )
        case AttemptGoesOn(job_id, task, seconds):
            kept = "its slot is taken until it ends. It must let CancelledError pass"
            return logging.WARNING, f"{task} was told to end {seconds:.0f} s ago and goes on (job {job_id}): {kept}"
        case ThreadAbandoned(job_id, task, replaced):
            then = (
                "another takes its place"
                if replaced
                else "too many are stuck to replace it, so this process runs fewer: restart it"
            )
            return (
                logging.ERROR,
                f"{task} ran longer than its timeout (job {job_id}), and a thread cannot be stopped: {then}",
            )
        case ThreadsExhausted(tasks):
            text = (
                "this process runs no `def` tasks any more: every thread is stuck in one that ran longer than its "
                f"timeout ({', '.join(tasks)}). They wait in the queue for another process: restart this one"
            )
            return logging.CRITICAL, text
        case WorkerEnded(how, again_in):
            text = f"the worker's process {how}: another is started" + (f" in {again_in:g} s" if again_in else "")
            return logging.ERROR, f"{text}, and runs again what it was at"
        case AttemptUnstoppable(job_id, task, executor):
            kept = f"the executor {executor!r} does not give it up: its slot is taken until it ends"
            return logging.ERROR, f"{task} ran longer than its timeout (job {job_id}), and {kept}"
        case OutcomeRefused(job_id):
            return logging.WARNING, f"the outcome of job {job_id} was not recorded: its claim was no longer ours"
        case CallsDiscarded(tasks, reason):
            return logging.INFO, f"{', '.join(tasks)} discarded: {reason}"
        case CallsLost(tasks, reason):
            return logging.WARNING, f"{', '.join(tasks)} lost: {reason}"
        case CallNotStored(_, site, reason):
            return logging.WARNING, f"{reason} It runs in this process only, and is lost with it. [{site}]"
        case ValueNotCarried(variable, reason):
            return logging.WARNING, f"the context variable {variable!r} is not carried into tasks: {reason}"
        case CallsUnsaved(tasks, reason):
            return logging.ERROR, f"{', '.join(tasks)} run WITHOUT having been stored: {reason}"
        case EphemeralFailed(task, failure):
            return logging.ERROR, f"{task}, which was not stored, failed\n{failure.traceback.rstrip()}"
        case LoopBlocked(task, seconds):
            advice = "make it `def`, so that it runs in a thread, or await what takes the time"
            return (
                logging.WARNING,
                f"{task} blocked the event loop for {seconds:.2f} s, and every request with it: {advice}",
            )
        case StoreFailed(during, reason):
            return logging.ERROR, f"the store did not do what it was asked ({during}): {reason}"
        case StoreRecovered(during):
            return logging.WARNING, f"the store works again ({during})"
        case MomentsMissed(schedule, since, jobs):
            made = f"{jobs or 'no'} job{'' if jobs == 1 else 's'}"
            return logging.WARNING, f"schedule {schedule!r} was missed from {utc(since)} on; {made} made for it now"
        case MomentSkipped(schedule, moment, unfinished):
            return logging.INFO, f"schedule {schedule!r} skipped {utc(moment)}: its job {unfinished} is unfinished"
        case ClockSetBack(schedule, last_moment, next_at):
            text = (
                f"schedule {schedule!r} has come to {utc(last_moment)} already, so the system's clock was set back: it "
                f"comes to no moment twice, and next: {utc(next_at)}. If the clock was wrong before, and that is too "
                "late, give the schedule another name"
            )
            return logging.WARNING, text
        case ExecutorFailed(executor, reason):
            return (
                logging.ERROR,
                f"the executor {executor!r} takes no work, and is tried again from time to time: {reason}",
            )
        case ExecutorRecovered(executor):
            return logging.WARNING, f"the executor {executor!r} works again"
        case ServiceFailed(service, failure):
            return logging.ERROR, f"the service {service!r} failed and goes on\n{failure.traceback.rstrip()}"
        case WorkerReplaced():
            text = (
                "this process was given up for dead, since it did not extend its lease in time: it was stopped, or cut "
                "off from the database. What it ran is run by others, and ends here; it goes on as a new worker"
            )
            return logging.ERROR, text
        case StopDelayed(tasks):
            return logging.WARNING, f"still running when the grace was over: {', '.join(tasks)}"

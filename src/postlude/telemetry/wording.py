"""How each event reads in the log, and the command that helps."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from math import isinf
from typing import TYPE_CHECKING, Final

from postlude.events import (
    AttemptEnded,
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
    ScheduleTaken,
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

if TYPE_CHECKING:
    from postlude.events import Event


def utc(moment: float) -> str:
    """A moment as people read it."""
    return "never" if isinf(moment) else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def reads(event: Event) -> tuple[int, str]:
    """The level of the event and its text, which ends with the command that shows more if somebody has to act."""
    level, text = _said(event)
    command = _command(event)
    return level, text if command is None else with_command(text, command)


def with_command(text: str, command: str) -> str:
    """A text, and behind it the command that helps; on a line of its own, if the text has several."""
    return f"{text}{_NEXT if _NEXT in text else ' '}[postlude {command}]"


_NEXT: Final = "\n"


def _command(event: Event) -> str | None:
    match event:
        case (
            AttemptFailed(job_id=job_id, again_in=None)
            | AttemptInterrupted(job_id=job_id, again=False)
            | ThreadAbandoned(job_id=job_id)
            | AttemptUnstoppable(job_id=job_id)
        ):
            return f"jobs get {job_id}"
        case ScheduleTaken():
            return "schedules list"
        case ThreadsExhausted() | WorkerEnded() | WorkerReplaced():
            return "workers"
        case CallsUnsaved() | StoreFailed() | ExecutorFailed() | ServiceFailed():
            return "status"
        case EphemeralFailed():
            return "check"  # which names what could not be stored
        case _:
            return None


def _said(event: Event) -> tuple[int, str]:  # noqa: C901, PLR0911, PLR0912 - a table: one line for each event
    match event:
        case AttemptEnded(job_id, task, attempt, outcome, _, ran):
            return logging.DEBUG, f"{task} {outcome} in {ran:.3f} s (job {job_id}, attempt {attempt})"
        case AttemptFailed(job_id, task, attempt, failure, again_in, _):
            then = "" if again_in is None else f", and is tried again in {again_in:.3g} s"
            level = logging.ERROR if again_in is None else logging.WARNING
            return level, f"{task} failed (job {job_id}, attempt {attempt}){then}\n{failure.traceback.rstrip()}"
        case AttemptInterrupted(job_id, task, interruptions, again, reason):
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
        case MomentsMissed() | MomentSkipped() | ScheduleTaken() | ClockSetBack():
            return _of_schedule(event)
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


def _of_schedule(event: MomentsMissed | MomentSkipped | ScheduleTaken | ClockSetBack) -> tuple[int, str]:
    match event:
        case MomentsMissed(schedule, since, jobs):
            made = f"{jobs or 'no'} job{'' if jobs == 1 else 's'}"
            return logging.WARNING, f"schedule {schedule!r} was missed from {utc(since)} on; {made} made for it now"
        case MomentSkipped(schedule, moment, unfinished):
            return logging.INFO, f"schedule {schedule!r} skipped {utc(moment)}: its job {unfinished} is unfinished"
        case ScheduleTaken(schedule, spec, task):
            text = (
                f"schedule {schedule!r} goes on as {spec!r} for {task}, as other code declares it that was started "
                "after this. If that is no other version of this application, the two take each other's moments: give "
                "the schedule another name, or the application a namespace or a file of its own"
            )
            return logging.WARNING, text
        case ClockSetBack(schedule, last_moment, next_at):
            text = (
                f"schedule {schedule!r} has come to {utc(last_moment)} already, so the system's clock was set back: it "
                f"comes to no moment twice, and next: {utc(next_at)}. If the clock was wrong before, and that is too "
                "late, give the schedule another name"
            )
            return logging.WARNING, text

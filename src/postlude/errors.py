"""Every error that Postlude raises: what was expected, what came, and what to do about it.

One tree under `PostludeError`. Each class also derives from the built-in that a caller would expect (`TypeError` for a
call that cannot be made, `LookupError` for something that is not there), and carries its data as attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.given import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID


class PostludeError(Exception):
    """The base of all errors that Postlude raises."""


# Settings and installation


class SettingsError(PostludeError, ValueError):
    """Options that make no sense; `problems` names each of them."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("Postlude cannot start with these settings:\n" + "\n".join(f"  - {p}" for p in self.problems))


class InstallError(PostludeError, RuntimeError):
    """Postlude was installed at a moment or a place where it could not see every request."""


class ApplicationNotFound(PostludeError, LookupError):
    """A worker was to run the jobs of an application, and there is none, or Postlude is not installed in it."""


class PortNotFree(PostludeError, OSError):
    """The port that a worker was to tell its health on cannot be taken; `port` says which."""

    def __init__(self, port: int, reason: str) -> None:
        self.port: int = port
        super().__init__(f"--health-port {port} cannot be listened on: {reason}. Name another one.")


class LoopBlocking(PostludeError, RuntimeError):
    """`durable.blocking`, or `current_job().blocking`, was used on the thread of an event loop."""

    def __init__(
        self,
        what: str = "durable.blocking",
        instead: str = "`await durable.enqueue(...)` or `await durable.jobs...`",
        meant_for: str = "scripts, threads and `def` endpoints",
    ) -> None:
        super().__init__(
            f"{what} was used on the thread of an event loop, which would stand still meanwhile, and for ever "
            f"if it waits for a job that runs there. Write {instead} in `async def`; {what} is for {meant_for}."
        )


class NotTestable(PostludeError, RuntimeError):
    """A tool of `postlude.testing` was given an application that it cannot work on, or not at this moment."""


# The call given to add_task or enqueue


class CallError(PostludeError, TypeError):
    """A call that could never have run: the mistake and its cure are in the message."""


class ArgumentsTooLarge(PostludeError, ValueError):
    """The encoded arguments of a call are larger than a job may carry; `size` and `limit` are in bytes."""

    def __init__(self, task: str, size: int, limit: int) -> None:
        self.task: str = task
        self.size: int = size
        self.limit: int = limit
        super().__init__(
            f"The arguments of {task} take {size:,} bytes as JSON, and a job may carry {limit:,}. "
            "Write the data to a file or a table and give the task its path or id."
        )


class NotStorable(PostludeError, TypeError):
    """A call that works in this process but cannot be written down for another one.

    `argument` is the name of the argument that stands in the way, or None when it is the function itself.
    """

    def __init__(self, task: str, reason: str, cure: str, *, argument: str | None = None) -> None:
        self.task: str = task
        self.argument: str | None = argument
        self.reason: str = reason
        self.cure: str = cure
        subject = f"The call of {task}" if argument is None else f"Argument {argument!r} of {task}"
        super().__init__(f"{subject} cannot be stored: {reason}. {cure}")

    def for_option(self, what: str) -> NotStorable:
        """The same for a call whose options leave no other way; `what` names the option."""
        reason = f"{self.reason}; and {what} needs a call that is stored"
        return NotStorable(self.task, reason, self.cure, argument=self.argument)


class ArgumentsDoNotFit(PostludeError, TypeError):
    """Stored arguments that the function does not take, most often because it was changed while the job waited.

    `argument` is the name of the one that does not fit, or None when the call as a whole does not.
    """

    def __init__(self, task: str, reason: str, *, argument: str | None = None) -> None:
        self.task: str = task
        self.argument: str | None = argument
        self.reason: str = reason
        subject = "The stored arguments" if argument is None else f"The stored argument {argument!r}"
        super().__init__(
            f"{subject} of {task} cannot be given to the function: {reason}. If the function was changed while the job "
            "waited, let it take the old arguments too, or cancel the job and enqueue the call anew."
        )


class TaskDeclarationError(PostludeError, ValueError):
    """A `@task` or a `@schedule` that contradicts itself, its function or another one."""


class UnknownTask(PostludeError, LookupError):
    """No function is known, in this process, under the name that a job carries."""

    def __init__(self, name: str, reason: str, *, known: Iterable[str] = ()) -> None:
        self.name = name
        self.reason: str = reason
        self.hint: str = did_you_mean(name, known)
        super().__init__(
            f"No task named {name!r} can be run here: {reason}.{self.hint} "
            f"If the function was renamed, declare its new form with @task(formerly={name!r})."
        )


class ScheduleNotFound(PostludeError, LookupError):
    """The store, or the code that is to run it, has no schedule of this name."""

    def __init__(self, name: str, *, known: Iterable[str] = (), where: str = "The store") -> None:
        self.name = name
        super().__init__(
            f"{where} has no schedule named {name!r}.{did_you_mean(name, known)} "
            "Without `name=` it is called after its task and its line, as durable.schedules.list() shows it."
        )


class ScheduleDeclared(PostludeError, RuntimeError):
    """A schedule cannot be forgotten: the code of this process declares it."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"The schedule {name!r} is declared by this code, and would come back at once. Take its @schedule out of "
            "the code first; to stop it for a while, pause its task with durable.jobs.pause()."
        )


class RaisedElsewhere(PostludeError, RuntimeError):
    """What a task raised in another process: its exception stays there, and its text is here.

    `type` and `message` are those of the exception, and its traceback is a note.
    """

    def __init__(
        self,
        type: str,  # noqa: A002 - as in `Failure`
        message: str,
        *,
        retried: bool,
        wait: float | None = None,
        broken: str | None = None,
    ) -> None:
        self.type: str = type
        self.message: str = message
        self.retried: bool = retried
        """Whether it is an exception that the task is tried again after."""
        self.wait: float | None = wait
        """What the task's backoff function said, in seconds; None to give up."""
        self.broken: str | None = broken
        """What the backoff function raised."""
        super().__init__(f"{type}: {message}")


class StartedInChild(PostludeError, RuntimeError):
    """A module did, while a child or a worker loaded it, what only the program itself may do."""

    def __init__(self) -> None:
        super().__init__(
            "A worker, or a child process of executor='process', has loaded this module for the tasks in it, and the "
            "module started the application, or used its store, at import. That is for the program itself to do, once. "
            'Put what starts it under `if __name__ == "__main__":`.'
        )


class NotInTask(PostludeError, RuntimeError):
    """`current_job()` was called where no job runs."""

    def __init__(self) -> None:
        super().__init__(
            "current_job() was called outside a task that Postlude runs: directly, in an endpoint, or in a thread that "
            "the task has started by itself. Take the job where the task begins, and hand it on."
        )


class ClaimLost(PostludeError, RuntimeError):
    """An attempt wanted to save its state, and its job is not its own any more; `job_id` says which."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id: UUID = job_id
        super().__init__(
            f"The state of job {job_id} was not saved, and what the store has is not touched: this attempt has ended, "
            "or was given up for dead and its job given to another. Let the task end here: whatever it still does is "
            "not recorded."
        )


# Jobs


class JobNotFound(PostludeError, LookupError):
    """No job has this id: it was pruned, discarded, or belongs to another store."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        super().__init__(
            f"No job has the id {job_id}. It ended and was kept for its time (retention=, by default a day after "
            "success), its request raised, the transaction that it was added within is not committed or was rolled "
            "back, its call could not be stored and ran in the process only (a warning said so), or it is kept in "
            "another store: compare the URL."
        )


class UnknownValue(PostludeError, ValueError):
    """An id, a state, a limit or a timeout was expected, and something else came."""


_COMES_TOO_LATE = (
    "It has ended, so nothing of it is left to cancel. Where that may happen, look at job.state.finished first, or "
    "catch this error."
)
_NOT_ENDED = "It has not ended: cancel it with jobs.cancel() and wait for its end with jobs.wait(), then delete it."
_INSTEAD = {
    ("cancel", "succeeded"): _COMES_TOO_LATE,
    ("cancel", "failed"): _COMES_TOO_LATE,
    ("cancel", "cancelled"): _COMES_TOO_LATE,
    ("retry", "staged"): (
        "It has not ended yet: it runs as soon as its request is over. Wait for its end with jobs.wait(); if it failed "
        "then, retry it."
    ),
    ("retry", "queued"): (
        "It runs by itself when it is due, when the job before it in its chain has succeeded, and when a process that "
        "has its task has room: start one if none runs, and wait for it with jobs.wait()."
    ),
    ("retry", "running"): (
        "Wait for its end with jobs.wait(), and retry it if it failed; to start it over now, call jobs.cancel() before."
    ),
    ("retry", "succeeded"): (
        "Its work is done. To have it done again, enqueue the call anew with durable.enqueue(function, ...)."
    ),
    ("delete", "staged"): _NOT_ENDED,
    ("delete", "queued"): _NOT_ENDED,
    ("delete", "running"): _NOT_ENDED,
}
"""What to do when a person asks what is not possible, by what was asked and the state of the job."""


class IllegalTransition(PostludeError, RuntimeError):
    """What was asked of a job is not possible in its state; `hint` says what to do instead."""

    def __init__(self, state: str, event: str, *, job_id: UUID | None = None, hint: str = "") -> None:
        self.state: str = str(state)  # an enum's members show otherwise than their values
        self.event: str = str(event)
        self.job_id: UUID | None = job_id
        # Without an id nobody has asked for it by hand, and there is nothing to do instead.
        self.hint: str = hint or ("" if job_id is None else _INSTEAD.get((event, state), ""))
        subject = "A job" if job_id is None else f"Job {job_id}"
        super().__init__(f"{subject} is {self.state}, and {self.event!r} is not possible then. {self.hint}".rstrip())


class KeyTaken(PostludeError, RuntimeError):
    """A job cannot run again: another one has its key by now. `holder` is the id of that one."""

    def __init__(self, job_id: UUID, key: str, holder: UUID) -> None:
        self.job_id: UUID = job_id
        self.key: str = key
        self.holder: UUID = holder
        super().__init__(
            f"Job {job_id} cannot be retried: its key {key!r} is held by job {holder}, which was added since. Look at "
            "that one; if its work is not what is wanted, cancel it first."
        )


class NotSucceeded(PostludeError, RuntimeError):
    """The result was asked for of a job that had not succeeded when it was last read."""

    def __init__(self, job_id: UUID, state: str, reason: str | None, *, finished: bool) -> None:
        self.job_id: UUID = job_id
        self.state: str = state
        self.reason: str | None = reason
        if finished:
            why = "" if reason is None else f" ({reason})"
            said = f"is {state}{why}, so it has no result. Look at job.state first where that may happen"
        else:
            said = (
                f"was {state} when it was last read, and has no result yet. Read it of what `await job.wait()` returns"
            )
        super().__init__(f"Job {job_id} {said}.")


class ResultNotStored(PostludeError, LookupError):
    """The job has succeeded, and what its task returned was not stored; `reason` says why."""

    def __init__(self, job_id: UUID, task: str, reason: str) -> None:
        self.job_id: UUID = job_id
        self.task: str = task
        self.reason: str = reason
        super().__init__(
            f"Job {job_id} has succeeded, but what {task} returned was not stored: {reason}. Annotate what it returns, "
            "or write it to a file or a table and return its path or id."
        )


class ResultDoesNotFit(PostludeError, TypeError):
    """The stored result is not what the task says it returns, most often because it was changed since."""

    def __init__(self, job_id: UUID, task: str, reason: str) -> None:
        self.job_id: UUID = job_id
        self.task: str = task
        self.reason: str = reason
        super().__init__(
            f"The result of job {job_id} is not what {task} returns: {reason}. If the function was changed since, let "
            "its return annotation take the old results too."
        )


class WaitTimeout(PostludeError, TimeoutError):
    """The job had not ended when the time given to `wait` was over."""

    def __init__(self, job_id: UUID, timeout: float, state: str) -> None:
        self.job_id: UUID = job_id
        self.timeout: float = timeout
        self.state: str = state
        needs = (
            " It needs a process that runs jobs: a started server or `postlude worker`." if state == "queued" else ""
        )
        super().__init__(
            f"Job {job_id} was still {state} after {timeout:g} s.{needs} "
            "Wait longer, or look at it later with jobs.get()."
        )


class WaitInRequest(PostludeError, RuntimeError):
    """A request waited for a job that starts only when that request is over."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        super().__init__(
            f"Job {job_id} starts after this request has been answered, so waiting for it here would never end. "
            "Return its id and let the client ask for it, or call the function directly if the answer needs its result."
        )


# Stores


class StoreError(PostludeError):
    """Something is wrong between Postlude and its store."""


class StoreLocationError(StoreError, OSError):
    """The store cannot be kept where the URL says; the message names POSTLUDE_URL and what to change."""


class NotAPostludeStore(StoreError):
    """The file exists and is something else."""


class SchemaTooNew(StoreError):
    """The store was migrated by a later release than this one can work with."""


class SchemaNotReady(StoreError):
    """The store's schema is missing or older than this release, and this process may not change that."""


class StoreUnavailable(StoreError):
    """The store gave no answer to a read, or did not confirm a write: nothing may be assumed about that.

    Trying again later may succeed: by itself, or when somebody has done what the message says.
    """


class StoreClosed(StoreError, RuntimeError):
    """The store was used before it was opened or after it was closed."""

"""The handle of one job: its id at once, and what the store knew of it when it was last read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from postlude.codec.forms import DoesNotFit
from postlude.codec.results import reason_unstored
from postlude.context import read_carried, read_origin
from postlude.errors import (
    NotSucceeded,
    ResultDoesNotFit,
    ResultNotStored,
)
from postlude.job import JobState, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from postlude.durations import Duration
    from postlude.job import Attempt, Failure, Progress
    from postlude.jobpolicy import JobPolicy
    from postlude.loglines import LogLine


R_co = TypeVar("R_co", covariant=True)


class Source(Protocol):
    """Where a handle finds what it does not know: `client.Jobs`, where each of these is described."""

    async def get(self, job_id: UUID | str) -> Job[Any]:
        """The job as it is now."""
        ...

    async def history(self, job_id: UUID | str) -> Sequence[Attempt]:
        """Its attempts that did not succeed."""
        ...

    async def logs(self, job_id: UUID | str) -> Sequence[LogLine]:
        """What it has logged."""
        ...

    async def wait(self, job_id: UUID | str, *, timeout: Duration | None = None) -> Job[Any]:  # noqa: ASYNC109 - as there
        """The job when it has ended."""
        ...

    async def cancel(self, job_id: UUID | str, *, reason: str = ...) -> Job[Any]:
        """Cancel it."""
        ...

    async def retry(self, job_id: UUID | str) -> Job[Any]:
        """Have it run again."""
        ...

    async def delete(self, job_id: UUID | str) -> None:
        """Remove it."""
        ...

    def read_result(self, task: str, text: str) -> Any:  # noqa: ANN401 - a value of the user's type
        """What a job returned, by its task's name and the stored text."""
        ...


class Job(Generic[R_co]):
    """A job: its id at once, and what the store knew of it when it was last read.

    A job that was only just added has its id and its task; `await job.refresh()` reads the rest, and so do `wait`,
    `cancel` and `retry`. If another job has answered its call, since that one has its key, it is that job from then on,
    its id included.
    """

    __slots__ = ("_added", "_jobs", "_record", "id", "task")

    def __init__(
        self, job_id: UUID, task: str, jobs: Source, record: Record | None = None, *, added: JobState = JobState.STAGED
    ) -> None:
        self.id: UUID = job_id
        """A UUIDv7: ids sort by the time at which they were made."""
        self.task: str = task
        """The name of its task."""
        self._jobs = jobs
        self._record = record
        self._added = added

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.task} {self.state}>"

    @property
    def state(self) -> JobState:
        """Where it was in its life when it was last read; where it was added, if it never was."""
        return self._added if self._record is None else self._record.state

    @property
    def attempts(self) -> int:
        """How many attempts were recorded as started."""
        return 0 if self._record is None else self._record.attempt

    @property
    def interruptions(self) -> int:
        """How many of them ended because their process did."""
        return 0 if self._record is None else self._record.interruptions

    @property
    def error(self) -> Failure | None:
        """What the last attempt raised, with its traceback."""
        return None if self._record is None else self._record.failure

    @property
    def result(self) -> R_co:
        """What its task returned, when it has succeeded: `(await job.wait()).result`.

        By the annotation of the task, or as plain JSON in a process that does not know the task.

        Raises:
            NotSucceeded: it had not, when it was last read; `state` says where it was.
            ResultNotStored: it has, and the result was not stored; `reason` says why.
            ResultDoesNotFit: the annotation does not take what was stored, since the task was changed.
        """
        record = self._record
        if record is None or record.state is not JobState.SUCCEEDED:
            raise NotSucceeded(self.id, self.state.value, self.reason, finished=self.state.finished)
        text = record.result
        missing = None if text is None else reason_unstored(text)
        if missing is not None:
            raise ResultNotStored(self.id, self.task, missing)
        try:
            result: Any = None if text is None else self._jobs.read_result(self.task, text)
        except DoesNotFit as misfit:
            raise ResultDoesNotFit(self.id, self.task, str(misfit)) from misfit
        returned: R_co = result
        return returned

    @property
    def reason(self) -> str | None:
        """Why it ended without success, or was run again, in words."""
        return None if self._record is None else self._record.reason

    @property
    def progress(self) -> Progress | None:
        """How far it has come, if it says so."""
        return None if self._record is None else self._record.progress

    @property
    def queue(self) -> str | None:
        """The queue in which it waits or waited; None if it was not read yet."""
        return None if self._record is None else self._record.queue

    @property
    def priority(self) -> int | None:
        """The larger, the sooner; None if it was not read yet."""
        return None if self._record is None else self._record.priority

    @property
    def key(self) -> str | None:
        """What no other job of its task may have at the same time."""
        return None if self._record is None else self._record.key

    @property
    def partition(self) -> str | None:
        """What its task's limits count it with; None if it has none."""
        return None if self._record is None else self._record.partition

    @property
    def run_at(self) -> datetime | None:
        """When it is, or was, due."""
        return None if self._record is None else _moment(self._record.run_at)

    @property
    def expires_at(self) -> datetime | None:
        """From when on no attempt starts; None: it waits for as long as it takes."""
        return None if self._record is None else _moment(self._record.expires_at)

    @property
    def policy(self) -> JobPolicy | None:
        """How it is treated: its retries, its timeout and so on, as stored with it; None if it was not read yet."""
        from postlude.jobpolicy import policy_of  # noqa: PLC0415 - few ask, and the rest need not pay for it

        return None if self._record is None else policy_of(self._record)

    @property
    def origin(self) -> Mapping[str, Any]:
        """What added it; empty if that is not known, or it was not read yet.

        A request: `request_id`, `route` and `traceparent`, as far as they were there. A schedule: `schedule`, which is
        its name, and `moment`, for which the job was made, as ISO 8601 in the schedule's zone.
        """
        return {} if self._record is None else read_origin(self._record.origin)

    @property
    def carried(self) -> Mapping[str, Any]:
        """The context variables that came along with its call, by their names; see `Postlude(carry=)`."""
        return {} if self._record is None else read_carried(self._record.origin)

    @property
    def saved(self) -> Any:  # noqa: ANN401 - whatever its task has saved
        """The state that its task has saved for the next attempt; None if it has saved none."""
        return None if self._record is None or self._record.saved is None else json.loads(self._record.saved)

    @property
    def ephemeral(self) -> bool:
        """Whether its arguments never left its process, so that no other process can run it."""
        return self._record is not None and self._record.ephemeral

    @property
    def chain(self) -> UUID | None:
        """The first job of its request, when several were added in order."""
        return None if self._record is None else self._record.chain

    @property
    def waiting(self) -> bool:
        """Whether the job before it in its chain has yet to succeed."""
        return self._record is not None and self._record.waiting

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked to cancel it while it was running."""
        return self._record is not None and self._record.cancel_requested

    @property
    def cancelled_by(self) -> UUID | None:
        """The job whose failure cancelled this one."""
        return None if self._record is None else self._record.cancelled_by

    @property
    def created_at(self) -> datetime | None:
        """When it was added, in UTC."""
        return None if self._record is None else _moment(self._record.created_at)

    @property
    def started_at(self) -> datetime | None:
        """When its last attempt started."""
        return None if self._record is None else _moment(self._record.started_at)

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return None if self._record is None else _moment(self._record.finished_at)

    async def refresh(self) -> Self:
        """Read it again; returns this very job, as the store has it now."""
        return self._as(await self._jobs.get(self.id))

    async def cancel(self, *, reason: str = "cancelled on request") -> Self:
        """Cancel it, and those behind it in its chain; see `Jobs.cancel`."""
        return self._as(await self._jobs.cancel(self.id, reason=reason))

    async def retry(self) -> Self:
        """Have it run again, if it has failed or was cancelled; see `Jobs.retry`."""
        return self._as(await self._jobs.retry(self.id))

    async def delete(self) -> None:
        """Remove it, if it has ended; see `Jobs.delete`."""
        await self._jobs.delete(self.id)

    async def history(self) -> Sequence[Attempt]:
        """Its attempts that did not succeed, oldest first."""
        return await self._jobs.history(self.id)

    async def logs(self) -> Sequence[LogLine]:
        """What was logged while it ran, oldest first; see `Jobs.logs`."""
        return await self._jobs.logs(self.id)

    async def wait(self, timeout: Duration | None = None) -> Self:  # noqa: ASYNC109 - part of the public face
        """This very job when it has ended, however it has; see `Jobs.wait`."""
        return self._as(await self._jobs.wait(self.id, timeout=timeout))

    def _as(self, read: Job[Any]) -> Self:
        """Take over what was read of it."""
        self.id, self._record = read.id, read._record
        return self


def arguments_of(job: Job[Any]) -> str | None:
    """Those of its call as they are stored; None if they are not there, or it was not read yet."""
    record = job._record  # noqa: SLF001 - what is stored is no part of the face that users see
    return None if record is None else record.arguments


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

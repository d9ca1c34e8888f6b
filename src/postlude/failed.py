"""What a task that was named in `on_failure` is told of a job that has failed for good."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from postlude.ids import job_id_at
from postlude.job import DEFAULT_QUEUE, JobState, NewJob, Terms
from postlude.policy import Policy

if TYPE_CHECKING:
    from postlude.job import Failure

TAG: Final = "$failed_job"
"""Under this the codec reads one, whatever the annotation of the parameter is: it was not a call that wrote it."""

_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that has failed for good."""

    id: UUID
    """Its id, for `jobs.get` and `jobs.retry`."""
    task: str
    """The name of its task."""
    attempts: int
    """How many were recorded as started."""
    error: str | None
    """The class of the exception that the last attempt raised; None: it ended in another way."""
    reason: str
    """Why it has failed, in words: at most 2,000 characters."""
    failed_at: datetime
    """In UTC."""

    @staticmethod
    def read(stored: Any) -> FailedJob:  # noqa: ANN401 - JSON
        """The one that `telling` wrote."""
        job_id, task, attempts, error, reason, failed_at = stored
        return FailedJob(UUID(job_id), task, attempts, error, reason, datetime.fromtimestamp(failed_at, UTC))


def telling(  # noqa: PLR0913 - what is told
    policy: str | None,
    *,
    job_id: UUID,
    task: str,
    attempts: int,
    failure: Failure | None,
    reason: str | None,
    origin: str | None,
    at: float,
    unique: int,
) -> NewJob | None:
    """The job that tells of a failure, queued; None if the policy names no task that is to be told.

    Args:
        policy: of the job that has failed, as it is stored.
        job_id: its id; the rest of what is told follows.
        task: its task.
        attempts: how many were recorded as started.
        failure: what the last one raised, if that was the end of it.
        reason: why it has failed.
        origin: of the job, and so of the one that tells.
        at: when it failed.
        unique: a random number for the id of the new job.
    """
    told = None if policy is None else Policy.loads(policy).on_failure
    if told is None:
        return None
    name, its_policy, *terms = told
    queue, rank, partition = terms or (DEFAULT_QUEUE, 0, None)
    error = None if failure is None else failure.type
    what = [str(job_id), task, attempts, error, (reason or "")[:_LONGEST], at]
    return NewJob(
        id=job_id_at(int(at * 1e9), unique),
        task=str(name),
        arguments=json.dumps({"args": [{"$exact": {TAG: what}}], "kwargs": {}}, separators=(",", ":")),
        state=JobState.QUEUED,
        created_at=at,
        run_at=at,
        policy=None if its_policy is None else str(its_policy),
        origin=origin,
        terms=Terms(str(queue), int(rank or 0), partition=None if partition is None else str(partition)),
    )

"""What is answered of a job, as the models that OpenAPI shows."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotations
from typing import Any
from uuid import UUID  # noqa: TC003

from pydantic import BaseModel, Field

from postlude.job import JobState  # noqa: TC001


class JobProgress(BaseModel):
    """How far a job has come."""

    done: float
    total: float | None = Field(description="In the same unit as `done`; null: not known.")
    note: str | None = Field(description="What is being done, for people.")


class JobStatus(BaseModel):
    """Where a job is: all that is told to whoever has its id."""

    id: UUID
    state: JobState
    progress: JobProgress | None
    created_at: datetime
    run_at: datetime = Field(description="When it is, or was, due.")
    started_at: datetime | None = Field(description="When its last attempt started.")
    finished_at: datetime | None


class JobError(BaseModel):
    """What the last attempt of a job raised."""

    type: str
    message: str


class JobDetails(JobStatus):
    """The same for those who may see the job."""

    task: str
    attempts: int = Field(description="How many attempts have started.")
    waiting: bool = Field(description="Whether the job before it, of the same request, has yet to succeed.")
    cancel_requested: bool
    reason: str | None = Field(description="Why it ended without success, or runs again, in words.")
    error: JobError | None


class JobEnd(JobDetails):
    """The last event of a job."""

    result: Any = Field(description="What its task returned, if it has succeeded.")


class JobLine(BaseModel):
    """A line of a job's log."""

    at: datetime
    level: str
    logger: str
    message: str
    attempt: int = Field(description="Which attempt logged it; the first is 1.")


class Problem(BaseModel):
    """Why there is no other answer, as FastAPI says it."""

    detail: str

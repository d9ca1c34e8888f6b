"""What is told of a report that is not there yet, or never will be: no arguments, and no tracebacks."""

from uuid import UUID

from pydantic import BaseModel

from postlude import Job, JobState
from reports.answer import Answer
from reports.question import Refused
from reports.tasks import TIMEOUT

REFUSED = f"{Refused.__module__}.{Refused.__qualname__}"


class Status(BaseModel):
    """Where a report is."""

    id: UUID
    state: JobState
    percent: float | None = None
    """As DuckDB says."""
    doing: str | None = None
    problem: str | None = None
    """Why there is no answer, in a sentence."""
    links: dict[str, str]


def status(job: Job[Answer]) -> Status:
    """Where it is, for whoever asked."""
    here = f"/reports/{job.id}"
    links = {name: f"{here}/{name}" for name in ("page", "answer.json", "answer.csv", "cancel")}
    percent = None if job.progress is None else job.progress.done
    doing = None if job.progress is None else job.progress.note
    links["events"] = f"/jobs/{job.id}/events"
    return Status(id=job.id, state=job.state, percent=percent, doing=doing, problem=problem(job), links=links)


def problem(job: Job[Answer]) -> str | None:
    """Why there will be no answer, or not yet; None: nothing is wrong."""
    error = job.error
    if job.state is JobState.CANCELLED:
        return "The report was cancelled."
    if job.state is JobState.FAILED:
        if error is not None and error.type == REFUSED:
            return error.message
        if error is not None and error.type == TimeoutError.__qualname__:
            return f"The report took longer than {TIMEOUT.total_seconds() / 60:g} minutes. Ask for less at once."
        return f"The report failed for a reason that lies with us. Please tell us its number, {job.id}."
    if job.state is JobState.QUEUED and error is not None:
        return "Something that the report needs could not be reached; it is tried again."
    return None

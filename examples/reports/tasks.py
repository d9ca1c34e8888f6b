"""What is done after the request: the report, and the removal of what was sent for it."""

import asyncio
import hashlib
from datetime import timedelta
from uuid import UUID

from fastapi import Depends

from postlude import JobNotFound, Jobs, current_job, schedule, task
from reports import storage
from reports.answer import Answer, answer
from reports.cluster import numbers_by_file
from reports.numbers import numbers
from reports.question import Question
from reports.settings import settings
from reports.storage import Data

TIMEOUT = timedelta(minutes=10)
SAME_FOR = timedelta(days=1)
CHILDREN = "reports"
"""The executor of the reports, which `service.reports` registers: processes that have no other tasks."""


def same(data: Data, question: Question) -> str:
    """The key of a report: the same question of the same data has the same."""
    return hashlib.sha256(f"{data.version} {question.model_dump_json()}".encode()).hexdigest()


# In a child process: it is killed with its query when somebody cancels it, or when its time is over, and a file that
# fells DuckDB fells nothing else. Only what another machine may get over is tried again; a wrong file stays wrong.
@task(
    name="make-report",
    executor=CHILDREN,
    queue="reports",
    key=same,
    key_period=SAME_FOR,
    timeout=TIMEOUT,
    retries=3,
    backoff=[5, 30, 120],
    retry_on=OSError,
)
def make_report(data: Data, question: Question) -> Answer:
    """Answer the question."""
    job = current_job()
    files = storage.files_of(data, job.id)
    # DuckDB is asked for its progress by a thread, and that knows no current job.
    found = numbers(question, files, lambda share, doing: job.progress(round(100 * share, 1), 100, doing))
    made = answer(question, data.name, found)
    job.progress(100, 100, "done")
    return made


@task(
    name="make-report-on-cluster",
    executor="cluster",
    queue="reports",
    key=same,
    key_period=SAME_FOR,
    timeout=TIMEOUT,
    retries=3,
    backoff=[5, 30, 120],
    retry_on=OSError,
)
def make_report_on_cluster(data: Data, question: Question) -> Answer:
    """The same, read file by file by all workers of a cluster."""
    files = storage.files_of(data, current_job().id)
    return answer(question, data.name, numbers_by_file(question, files))


@task(name="remove-upload", retries=5)
def remove_upload(report: UUID) -> None:
    """Behind each report of an upload: it has succeeded, so its file is not needed any more."""
    storage.remove(report)


@schedule(every=timedelta(minutes=10))
@task(name="remove-leftovers")
async def remove_leftovers(jobs: Jobs = Depends()) -> list[UUID]:
    """Remove the uploads whose report has failed or was cancelled, or whose request was never answered."""
    removed = []
    waiting = await asyncio.to_thread(storage.waiting_uploads, timedelta(seconds=settings().reports_keep_seconds))
    for report in waiting:
        try:
            over = (await jobs.get(report)).state.finished
        except JobNotFound:
            over = True
        if over:
            await asyncio.to_thread(storage.remove, report)
            removed.append(report)
    return removed

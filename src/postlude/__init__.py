"""Background tasks for FastAPI that survive: `Postlude(app)`."""

from postlude.accepting import accepted
from postlude.app import Postlude
from postlude.background import BackgroundTasks
from postlude.client.handle import Job
from postlude.context import cancel_requested, current_job, progress
from postlude.control import Cancel, Retry, Snooze
from postlude.errors import JobNotFound, PostludeError
from postlude.failed import FailedJob
from postlude.fastapi import Jobs
from postlude.job import JobState
from postlude.retention import Retention
from postlude.retries import RetryPolicy
from postlude.scheduling import schedule
from postlude.settings import Concurrency
from postlude.tasks import task
from postlude.within import TransactionTasks, Within

__all__ = [
    "BackgroundTasks",
    "Cancel",
    "Concurrency",
    "FailedJob",
    "Job",
    "JobNotFound",
    "JobState",
    "Jobs",
    "Postlude",
    "PostludeError",
    "Retention",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "TransactionTasks",
    "Within",
    "accepted",
    "cancel_requested",
    "current_job",
    "progress",
    "schedule",
    "task",
]

"""Background tasks for FastAPI that survive: `Postlude(app)`."""

from postlude.app import Postlude
from postlude.background import BackgroundTasks
from postlude.client import Job, Jobs
from postlude.errors import JobNotFound, PostludeError
from postlude.job import JobState
from postlude.settings import Concurrency
from postlude.tasks import task

__all__ = [
    "BackgroundTasks",
    "Concurrency",
    "Job",
    "JobNotFound",
    "JobState",
    "Jobs",
    "Postlude",
    "PostludeError",
    "task",
]

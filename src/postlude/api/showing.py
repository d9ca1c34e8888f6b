"""Jobs as they are shown to callers: with what is secret masked, and once for all who listen to one."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json, to_jsonable_python

from postlude.api.answers import JobDetails, JobEnd, JobLine, JobStatus
from postlude.codec.forms import DoesNotFit
from postlude.codec.results import reason_unstored

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.client import Jobs
    from postlude.handle import Job
    from postlude.job import Failure, Progress
    from postlude.loglines import LogLine
    from postlude.masking import Masking
    from postlude.stores.watching import Glance


class Shown(NamedTuple):
    """A job at a moment, as those who listen get it."""

    state: str
    """JSON: all of it, its result included if it has ended."""
    progress: str
    """JSON: its progress alone."""
    rest: str
    """What tells whether anything but the progress has changed."""
    ended: bool

    @property
    def mark(self) -> str:
        """A short text that tells one such moment from another."""
        return f"{zlib.crc32(self.state.encode()):08x}"


class Showing:
    """Makes of jobs what callers see of them.

    Args:
        jobs: read what a task has returned.
        masking: what is secret.
    """

    def __init__(self, jobs: Jobs, masking: Masking) -> None:
        self._jobs = jobs
        self._masking = masking
        # Of one job, all who listen get the same text, one right after the other.
        self.shown: Callable[[Glance, bool], Shown] = lru_cache(maxsize=32)(self._shown)
        """A job at a glance; the second argument: whether for those who may see all of it."""

    def status(self, job: Job[Any], *, all_of_it: bool) -> JobStatus:
        """A job that was read, for those who may see all of it or not."""
        return self.details(job) if all_of_it else JobStatus.model_validate(self._told(job))

    def details(self, job: Job[Any]) -> JobDetails:
        """The same for those who may see all of it."""
        return JobDetails.model_validate(
            {
                **self._told(job),
                "task": job.task,
                "attempts": job.attempts,
                "waiting": job.waiting,
                "cancel_requested": job.cancel_requested,
                "reason": self._text(job.reason),
                "error": self._error(job.error),
            }
        )

    def _told(self, job: Job[Any]) -> dict[str, Any]:
        return {
            "id": job.id,
            "state": job.state,
            "progress": self._progress(job.progress),
            "created_at": job.created_at,
            "run_at": job.run_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
        }

    def result(self, value: object) -> bytes:
        """What a task returned, as JSON."""
        return to_json(self._value(value), inf_nan_mode="null")

    def line(self, line: LogLine) -> str:
        """A line of the log, as JSON."""
        return JobLine.model_validate({**line._asdict(), "message": self._masking.text(line.message)}).model_dump_json()

    def _shown(self, glance: Glance, all_of_it: bool) -> Shown:  # noqa: FBT001 - the cache goes by position
        told = {**glance._asdict(), "progress": self._progress(glance.progress)}
        model: JobStatus
        if not all_of_it:
            model = JobStatus.model_validate(told)
        else:
            told |= {
                "attempts": glance.attempt,
                "reason": self._text(glance.reason),
                "error": self._error(glance.failure),
            }
            if glance.state.finished:
                model = JobEnd.model_validate({**told, "result": self._result(glance)})
            else:
                model = JobDetails.model_validate(told)
        progress = "null" if model.progress is None else model.progress.model_dump_json()
        rest = model.model_dump_json(exclude={"progress"})
        return Shown(model.model_dump_json(), progress, rest, glance.state.finished)

    def _result(self, glance: Glance) -> Any:  # noqa: ANN401 - JSON
        """None as well where it cannot be read: the route of the result says why."""
        if glance.result is None or reason_unstored(glance.result) is not None:
            return None
        try:
            return self._value(self._jobs.read_result(glance.task, glance.result))
        except DoesNotFit:
            return None

    def _value(self, value: object) -> Any:  # noqa: ANN401 - JSON
        return self._masking.json(to_jsonable_python(value, bytes_mode="base64", fallback=str))

    def _progress(self, progress: Progress | None) -> dict[str, Any] | None:
        return None if progress is None else {**progress._asdict(), "note": self._text(progress.note)}

    def _error(self, failure: Failure | None) -> dict[str, Any] | None:
        """Without the traceback, which is for those who have the code."""
        return None if failure is None else {"type": failure.type, "message": self._masking.text(failure.message)}

    def _text(self, text: str | None) -> str | None:
        return None if text is None else self._masking.text(text)

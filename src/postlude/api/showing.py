"""Jobs as they are shown to callers: with what is secret masked, and once for all who listen to one."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from pydantic_core import to_json, to_jsonable_python

from postlude.api.answers import JobDetails, JobEnd, JobLine, JobStatus
from postlude.client.handle import arguments_of
from postlude.codec.forms import DoesNotFit
from postlude.codec.results import reason_unstored

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.client.handle import Job
    from postlude.client.jobs import Jobs
    from postlude.job import Failure, Progress
    from postlude.loglines import LogLine
    from postlude.stores.watching import Glance
    from postlude.views.records import Known
    from postlude.views.values import Shown as Values


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
        known: what is secret, and what the tasks say of that.
    """

    def __init__(self, jobs: Jobs, known: Known) -> None:
        self._jobs = jobs
        self._known = known
        # As long as somebody listens: all who do get the same, for which the arguments are read once.
        self._kept: WeakValueDictionary[tuple[str, str | None], Values] = WeakValueDictionary()
        # Of one job, all who listen get the same text, one right after the other.
        self.shown: Callable[[Glance, Values, bool], Shown] = lru_cache(maxsize=32)(self._shown)
        """A job at a glance; the other arguments: its values, and whether for those who may see all of it."""

    def values(self, job: Job[Any]) -> Values:
        """What is shown of the values of a job that was read, and of its texts."""
        stored = job.task, arguments_of(job)
        found = self._kept.get(stored)
        if found is None:
            found = self._kept[stored] = self._known.shown(*stored)
        return found

    def status(self, job: Job[Any], *, all_of_it: bool) -> JobStatus:
        """A job that was read, for those who may see all of it or not."""
        return self.details(job) if all_of_it else JobStatus.model_validate(self._told(job, self.values(job)))

    def details(self, job: Job[Any]) -> JobDetails:
        """The same for those who may see all of it."""
        values = self.values(job)
        return JobDetails.model_validate(
            {
                **self._told(job, values),
                "task": job.task,
                "attempts": job.attempts,
                "waiting": job.waiting,
                "cancel_requested": job.cancel_requested,
                "reason": _text(job.reason, values),
                "error": _error(job.error, values),
            }
        )

    @staticmethod
    def _told(job: Job[Any], values: Values) -> dict[str, Any]:
        return {
            "id": job.id,
            "state": job.state,
            "progress": _progress(job.progress, values),
            "created_at": job.created_at,
            "run_at": job.run_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
        }

    def result(self, job: Job[Any]) -> bytes:
        """What the task of a job that has succeeded returned, as JSON.

        Raises:
            ResultNotStored, ResultDoesNotFit: as `Job.result`.
        """
        return to_json(_returned(job.result, self.values(job)), inf_nan_mode="null")

    @staticmethod
    def line(line: LogLine, values: Values) -> str:
        """A line of the log, as JSON."""
        return JobLine.model_validate({**line._asdict(), "message": values.text(line.message)}).model_dump_json()

    def _shown(self, glance: Glance, values: Values, all_of_it: bool) -> Shown:  # noqa: FBT001 - the cache goes by position
        told = {**glance._asdict(), "progress": _progress(glance.progress, values)}
        model: JobStatus
        if not all_of_it:
            model = JobStatus.model_validate(told)
        else:
            told |= {
                "attempts": glance.attempt,
                "reason": _text(glance.reason, values),
                "error": _error(glance.failure, values),
            }
            if glance.state.finished:
                model = JobEnd.model_validate({**told, "result": self._result(glance, values)})
            else:
                model = JobDetails.model_validate(told)
        progress = "null" if model.progress is None else model.progress.model_dump_json()
        rest = model.model_dump_json(exclude={"progress"})
        return Shown(model.model_dump_json(), progress, rest, glance.state.finished)

    def _result(self, glance: Glance, values: Values) -> Any:  # noqa: ANN401 - JSON
        """None as well where it cannot be read: the route of the result says why."""
        if glance.result is None or reason_unstored(glance.result) is not None:
            return None
        try:
            return _returned(self._jobs.read_result(glance.task, glance.result), values)
        except DoesNotFit:
            return None


def _returned(value: object, values: Values) -> Any:  # noqa: ANN401 - JSON
    return values.returned(to_jsonable_python(value, bytes_mode="base64", fallback=str))


def _progress(progress: Progress | None, values: Values) -> dict[str, Any] | None:
    return None if progress is None else {**progress._asdict(), "note": _text(progress.note, values)}


def _error(failure: Failure | None, values: Values) -> dict[str, Any] | None:
    """Without the traceback, which is for those who have the code."""
    return None if failure is None else {"type": failure.type, "message": values.text(failure.message)}


def _text(text: str | None, values: Values) -> str | None:
    return None if text is None else values.text(text)

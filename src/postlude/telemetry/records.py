"""Events as log records, and what records say of the job that they are about. The only place that logs."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from postlude.context import running_job
from postlude.events import AttemptFailed, EphemeralFailed
from postlude.logs import is_heard
from postlude.telemetry.wording import reads, with_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postlude.events import Event

_logger: Final = logging.getLogger("postlude")


def log(event: Event) -> None:
    """Write an event to the logger `postlude`."""
    level, text = reads(event)
    if _logger.isEnabledFor(level):
        if isinstance(event, AttemptFailed | EphemeralFailed):
            # A record may be kept, or sent to another process, and an exception holds on to all that its frames have.
            event = event._replace(error=None)
        _logger.log(level, "%s", text, extra={"postlude": event, **_fields_of(event)})


class JobFields(logging.Filter):
    """Gives each record the fields `job_id`, `task` and `attempt` of the task in which it was made, and of its request.

    Those are `request_id`, `route` and `traceparent`. For a handler, so that its formatter can name them:
    `handler.addFilter(JobFields())`. Outside a task all are empty text, as those are that the request did not have. A
    field that the record has already, from `extra=`, stays as it is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; every record passes."""
        job = running_job()
        fields = _NO_FIELDS if job is None else _fields(str(job.id), job.task, job.attempt, job.origin)
        for name, value in fields.items():
            record.__dict__.setdefault(name, value)
        return True


_OF_REQUEST: Final = ("request_id", "route", "traceparent")


def _fields(job_id: str, task: str, attempt: int | str, origin: Mapping[str, Any]) -> dict[str, int | str]:
    request = {name: origin.get(name, "") for name in _OF_REQUEST}
    return {"job_id": job_id, "task": task, "attempt": attempt, **request}


_NO_FIELDS: Final = _fields("", "", "", {})


def _fields_of(event: Event) -> dict[str, int | str]:
    """The fields of the job that an event is about, the unknown ones empty; none for one that is about no job."""
    job_id = getattr(event, "job_id", None)
    if job_id is None:
        return {}
    origin = getattr(event, "origin", None)
    task, attempt = getattr(event, "task", ""), getattr(event, "attempt", None)
    return _fields(str(job_id), task, "" if attempt is None else attempt, {} if origin is None else json.loads(origin))


def make_heard() -> None:
    """Where nobody has configured logging, as under plain uvicorn, give the logger a handler of its own.

    What Postlude says of lost or unsaved work must not depend on that.
    """
    if not is_heard(_logger.name):
        handler = logging.StreamHandler(sys.stderr)
        handler.addFilter(JobFields())
        handler.setFormatter(logging.Formatter("%(levelname)s:     postlude: %(message)s"))
        _logger.addHandler(handler)
        _logger.setLevel(logging.INFO)


def announce(line: str) -> None:
    """Write a line of the start."""
    _logger.info("%s", line)


def warn(line: str) -> None:
    """Write a line that somebody should act upon."""
    _logger.warning("%s", line)


def fail(line: str, command: str) -> None:
    """Write why the process goes no further, and the command that helps, such as `check main:app`."""
    _logger.critical("%s", with_command(line, command))

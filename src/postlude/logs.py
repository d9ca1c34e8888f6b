"""The log records of running tasks, on their way to their jobs: one handler on the root logger, while tasks may run."""

from __future__ import annotations

import logging
import threading
import traceback
from typing import TYPE_CHECKING, Final

from postlude.context import running_job
from postlude.executors.contract import beginning, ending_of, storable
from postlude.loglines import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.context import CurrentJob

MAX_MESSAGE: Final = 8_000
"""Characters of a message, its traceback included, that are kept: as any text less than what a job keeps."""
MAX_NAME: Final = 200
_OWN: Final = "postlude"
"""The logger of what Postlude says of jobs. Where it says it is chance, and what it says is in the job already."""


class JobHandler(logging.Handler):
    """Keeps what is logged while a task runs with the task's job.

    Another handler does what it did before: what nobody but this one would take goes to `logging.lastResort`, as if
    this one were not there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._busy = threading.local()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep the record if a job is current; never raises, and holds no lock while it makes the text."""
        job = running_job()
        if job is not None and job.keeps_lines and record.name != _OWN:
            self._keep(job, record)
        last_resort = logging.lastResort
        if last_resort is not None and record.levelno >= last_resort.level and not is_heard(record.name):
            last_resort.handle(record)
        return True

    def _keep(self, job: CurrentJob, record: logging.LogRecord) -> None:
        if getattr(self._busy, "now", False):  # an argument of a record that logs when it is made into text
            return
        self._busy.now = True
        try:
            level, name = logging.getLevelName(record.levelno), storable(record.name)[:MAX_NAME]
            job.keep(LogLine(record.created, level, name, _text_of(record), job.attempt))
        except Exception:  # noqa: BLE001 - a record that somebody made by hand, of whatever
            self.handleError(record)
        finally:
            self._busy.now = False


def _text_of(record: logging.LogRecord) -> str:
    """The message and the traceback, without any formatter: those are the user's, and may do anything."""
    try:
        parts = [record.getMessage()]
        if record.exc_info:
            parts += traceback.format_exception(*record.exc_info)
        elif record.exc_text:  # of another process, from which the exception itself cannot come
            parts.append(record.exc_text)
        if record.stack_info:
            parts.append(record.stack_info)
        text = "\n".join(part.rstrip("\n") for part in parts)
    except Exception as error:  # noqa: BLE001 - the caller only wanted to log; the handlers of the application say it too
        text = f"<a message that raised {type(error).__name__} when it was made into text: {type(record.msg).__name__}>"
    if len(text) > MAX_MESSAGE:
        first, last = beginning(text, MAX_MESSAGE // 2), ending_of(text, MAX_MESSAGE // 2)
        text = f"{first}\n[{len(text) - len(first) - len(last):,} characters left out]\n{last}"
    return storable(text)


def is_heard(name: str) -> bool:
    """Whether any other handler takes what the logger of this name says."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(handler is not _handler for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


_handler: Final = JobHandler()
_listening: set[object] = set()
"""One for each that wants records to be kept: several applications of a process share the handler."""
_lock = threading.Lock()


def listen() -> Callable[[], None]:
    """Keep what is logged with the jobs; the returned function ends that, and may be called more than once."""
    who = object()
    with _lock:
        _listening.add(who)
        logging.getLogger().addHandler(_handler)

    def end() -> None:
        with _lock:
            _listening.discard(who)
            if not _listening:
                logging.getLogger().removeHandler(_handler)

    return end

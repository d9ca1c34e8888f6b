"""With which code the commands end, so that scripts can tell what came of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from postlude.errors import (
    ApplicationNotFound,
    ArgumentsTooLarge,
    CallError,
    JobNotFound,
    NotStorable,
    PostludeError,
    ScheduleNotFound,
    SettingsError,
    StoreError,
    TaskDeclarationError,
    UnknownTask,
    UnknownValue,
    WaitTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoSuchTask(PostludeError, LookupError):
    """The application has no task of the name that a command was given, or several."""


class NoRecord(PostludeError, LookupError):
    """There is no record of what FastAPI's own background tasks have done."""


DONE: Final = 0
REFUSED: Final = 1
MEANINGLESS: Final = 2
NOT_THERE: Final = 3
NOT_IN_TIME: Final = 4
NO_STORE: Final = 5
CUT_OFF: Final = 130

CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        DONE: "it was done; of a job that was waited for: it has succeeded; of `status`: nothing needs a person",
        REFUSED: (
            "it was not done, or not to all; a job that was waited for did not succeed; something needs a person; "
            "somebody said no"
        ),
        MEANINGLESS: "the command line makes no sense, an argument does not fit the task, or there is no application",
        NOT_THERE: "there is no such job, task or schedule",
        NOT_IN_TIME: "the job had not ended in the time that `--timeout` gave it",
        NO_STORE: "there is no store, it cannot be opened, or it does not answer",
        CUT_OFF: "it was ended by Ctrl-C",
    }
)
"""What each of them means."""

_BY_ERROR: Final[tuple[tuple[type[PostludeError], int], ...]] = (
    (JobNotFound, NOT_THERE),
    (ScheduleNotFound, NOT_THERE),
    (NoSuchTask, NOT_THERE),
    (UnknownTask, NOT_THERE),
    (WaitTimeout, NOT_IN_TIME),
    (StoreError, NO_STORE),
    (ApplicationNotFound, MEANINGLESS),
    (ArgumentsTooLarge, MEANINGLESS),
    (CallError, MEANINGLESS),
    (NoRecord, MEANINGLESS),
    (NotStorable, MEANINGLESS),
    (SettingsError, MEANINGLESS),
    (TaskDeclarationError, MEANINGLESS),
    (UnknownValue, MEANINGLESS),
)


def code_of(error: PostludeError) -> int:
    """The exit code of a command that an error has ended."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), REFUSED)

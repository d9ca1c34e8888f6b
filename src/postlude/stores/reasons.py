"""What every store says of why something happened to a job, or cannot happen: the words are the same on all of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from postlude.errors import IllegalTransition, StoreClosed, StoreError
from postlude.job import Event, JobState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

EXPIRED: Final = "it was not started before it expired (expires_after)"
GIVEN_AWAY: Final = "its arguments lived only in a process that gave it away"
ERASED: Final = "its arguments were erased when it was cancelled (keep_arguments=False)"

EPHEMERAL_RETRIED: Final = (
    "It is ephemeral: its arguments never left the process that added it. Add the call anew; the warning that was "
    "written when it was added says what would make it storable, so that it could be retried."
)
ERASED_RETRIED: Final = (
    "Its arguments were erased when it ended, since its task says keep_arguments=False. Add the call anew, with the "
    "arguments from where they came from."
)


def before_it(job_id: UUID, state: JobState) -> str:
    """Why a job was cancelled that comes behind one which has failed or was cancelled."""
    happened = "failed" if state is JobState.FAILED else "was cancelled"
    return f"job {job_id}, before it in its chain, {happened}"


def not_retried(job_id: UUID, state: str, hint: str) -> IllegalTransition:
    """A job that cannot run again; the hint says what to do."""
    return IllegalTransition(state, Event.RETRY.value, job_id=job_id, hint=hint)


def waits_for(before: UUID, state: JobState) -> str:
    """What to do in place of a retry of a job whose predecessor has not ended."""
    return (
        f"Job {before}, before it in its chain, is {state} and comes first: wait for its end with "
        "jobs.wait(), and retry this one when it has succeeded."
    )


def retry_first(before: UUID, state: JobState, first: UUID) -> str:
    """What to do in place of a retry of a job whose predecessor has failed or was cancelled."""
    return f"Job {before}, before it in its chain, is {state}: retry job {first} first."


def not_deleted(job_id: UUID, state: JobState, *, chain_goes_on: bool = False) -> IllegalTransition:
    """A job that has not ended, or that others of its chain still need."""
    hint = "Another job of its chain has not ended, and its place there would be lost: delete it after that."
    return IllegalTransition(state, "delete", job_id=job_id, hint=hint if chain_goes_on else "")


def there_already(ids: Iterable[UUID]) -> StoreError:
    """An insert whose ids have been inserted before."""
    shown = ", ".join(map(str, ids))
    return StoreError(f"A job with one of these ids is in the store already: {shown}. Each insert needs new ids.")


def not_open(shown: object) -> StoreClosed:
    """A call to a store before it was opened, or after it was closed."""
    return StoreClosed(f"The store {shown} is not open: call open() first, and close() last.")


def inherited(shown: object, process: int) -> StoreClosed:
    """A call to a store that another process has opened, from which this one was forked."""
    return StoreClosed(
        f"The store {shown} was opened by process {process}, and this is process {os.getpid()}: what is open does not "
        "survive a fork. Make a store of its own in each process, with open_store()."
    )

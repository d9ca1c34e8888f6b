"""What stands before a job that is retried by hand: asked for one by one, and decided without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from postlude.job import JobState
from postlude.stores.reasons import not_retried, retry_first, waits_for

if TYPE_CHECKING:
    from collections.abc import Generator
    from uuid import UUID


class Predecessor(NamedTuple):
    """What is read of a job that stands before another one."""

    state: str
    cancelled_by: UUID | None
    never: bool
    """Whether it could not run again, since its arguments are gone: it is ephemeral, or they were erased."""
    after: UUID | None


def gone_before(job_id: UUID, state: str, after: UUID | None) -> Generator[UUID, Predecessor | None, list[UUID]]:
    """The jobs before one in that state that can never succeed: what stood behind them can only go on without them.

    Asks for jobs by id, and is sent what was read of each; None for one that is not there.

    Raises:
        IllegalTransition: another job has to come first.
    """
    gone: list[UUID] = []
    while after is not None:
        found = yield after
        if found is None or found.state == JobState.SUCCEEDED:
            break
        before, root = JobState(found.state), found.cancelled_by
        if not before.finished:
            raise not_retried(job_id, state, waits_for(after, before))
        if not found.never:
            roots = None if root is None else (yield root)
            first = after if root is None or (roots is not None and roots.never) else root
            raise not_retried(job_id, state, retry_first(after, before, first))
        gone.append(after)
        after = found.after
    return gone

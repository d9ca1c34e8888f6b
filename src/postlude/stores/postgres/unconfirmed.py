"""Claims and inserts of this process of which it does not know whether they were committed: no answer came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from postlude.job import JobState
from postlude.stores.postgres import writing
from postlude.stores.postgres.rows import orphan_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Sequence
    from uuid import UUID

    from postlude.job import Claim, NewJob
    from postlude.stores.postgres.session import Session

T = TypeVar("T")

REMEMBERED_FOR: Final = 3600.0
"""Seconds: the commit may still be on its way, behind a network that is stuck or a standby that does not answer."""


class Unconfirmed:
    """Without it such a job would belong to a worker that lives and knows nothing of it, for as long as it lives."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    async def unless_answered(self, token: int, claiming: Awaitable[T]) -> T:
        """What a claim with this id comes to; it is one of these if that is an error."""
        try:
            return await claiming
        except BaseException:
            self._since[token] = time.monotonic()
            raise

    async def orphans(self, session: Session, workers: Collection[int], limit: int) -> list[Claim]:
        """What was committed after all, as claims that never began (clause 18)."""
        for token, since in tuple(self._since.items()):  # a claim on another thread may add one meanwhile
            if _is_past(since):
                self._since.pop(token, None)
        if not self._since:
            return []
        rows = await session.rows("unconfirmed", session.namespace, list(workers), list(self._since), limit)
        claims = [orphan_of(row) for row in rows]
        # The claim has counted an attempt that never was.
        return [claim._replace(state=JobState.STAGED, attempt=claim.attempt - 1) for claim in claims]


class Refused:
    """Staged jobs whose insert raised.

    Without it one whose commit comes later than `withdraw` would be known to nobody as long as its owner lives, and
    would run after that though it was refused.
    """

    def __init__(self) -> None:
        self._jobs: dict[UUID, tuple[NewJob, float]] = {}

    async def unless_answered(self, jobs: Sequence[NewJob], inserting: Awaitable[T]) -> T:
        """What the insert of these comes to; they are refused if that is an error, and no more if they were before."""
        if self._jobs:
            for job in jobs:
                self._jobs.pop(job.id, None)
        try:
            return await inserting
        except Exception:
            now = time.monotonic()
            # What they are called with is not needed to remove them, and may be large.
            self._jobs.update((job.id, (job._replace(arguments=""), now)) for job in jobs if job.owner is not None)
            raise

    async def withdraw(self, session: Session) -> None:
        """Remove those that were committed after all (clause 3)."""
        known = tuple(self._jobs.items())
        for job_id, (_, since) in known:
            if _is_past(since):
                self._jobs.pop(job_id, None)
        late = {row["id"] for row in await session.rows("refused", [job_id for job_id, _ in known])}
        # Without what was inserted anew meanwhile.
        jobs = [job for job_id, (job, _) in known if job_id in late and job_id in self._jobs]
        if jobs:
            await writing.withdraw(session, jobs)

    def __bool__(self) -> bool:
        return bool(self._jobs)


def _is_past(since: float) -> bool:
    return time.monotonic() - since >= REMEMBERED_FOR

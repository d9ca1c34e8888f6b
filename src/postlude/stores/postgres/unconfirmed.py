"""Claims of this process of which it does not know whether they were committed: their answer did not come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from postlude.job import JobState
from postlude.stores.postgres.rows import orphan_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from postlude.job import Claim
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
        now = time.monotonic()
        self._since = {token: since for token, since in self._since.items() if now - since < REMEMBERED_FOR}
        if not self._since:
            return []
        rows = await session.rows("unconfirmed", session.namespace, list(workers), list(self._since), limit)
        claims = [orphan_of(row) for row in rows]
        # The claim has counted an attempt that never was.
        return [claim._replace(state=JobState.STAGED, attempt=claim.attempt - 1) for claim in claims]

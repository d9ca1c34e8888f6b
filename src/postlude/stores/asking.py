"""What people ask of attempts that run, for their workers to answer; the clauses go on from those before.

Questions
    70. **Asked.** `ask` notes that somebody wants to know where an attempt at a job is; to ask again changes nothing
        but the moment. `asked` gives the jobs that a worker owns and of which that was asked, until `answered` is
        called with them. A question of which nobody has taken notice for `STALE` seconds may be forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

STALE: Final = 60.0
"""Seconds after which nobody waits for an answer any more."""


class AskingStore(Protocol):
    """The operations on questions."""

    async def ask(self, job_id: UUID, *, now: float) -> None:
        """Ask where the attempt at this job is (clause 70)."""
        ...

    async def asked(self, owner: int) -> frozenset[UUID]:
        """The staged and running jobs of this worker of which that was asked (clause 70). Waits for no writer."""
        ...

    async def answered(self, job_ids: Collection[UUID]) -> None:
        """Nobody waits for it any more (clause 70)."""
        ...


class AskedStore(Protocol):
    """A store of which questions can be asked."""

    @property
    def asking(self) -> AskingStore:
        """What people ask of attempts that run."""
        ...

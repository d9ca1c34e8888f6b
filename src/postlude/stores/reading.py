"""What is read of jobs, as a protocol, with one clause of the contract.

Reading
    21. **What is committed.** `get`, `list`, `count`, `attempts` and `logs` see every commit that was confirmed before
        they were called, and wait for no writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from postlude.job import Attempt, JobState, Record
    from postlude.loglines import LogLine
    from postlude.stores.contract import Filter


class JobReader(Protocol):
    """What is read of jobs, for people. All may be called from any event loop; none waits for a writer."""

    async def get(self, job_ids: Sequence[UUID]) -> list[Record]:
        """The jobs that these ids lead to, in no particular order; unknown ids are left out (clauses 21, 26)."""
        ...

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """The history of the job that the id leads to: its attempts that did not succeed, oldest first (clause 26)."""
        ...

    async def logs(self, job_id: UUID) -> list[LogLine]:
        """What the attempts of the job that the id leads to have logged, oldest first (clauses 26, 39)."""
        ...

    async def list(self, filter: Filter, *, limit: int, before: UUID | None) -> list[Record]:  # noqa: A002
        """Jobs, newest first; `before` is the last id of the page before (clause 21)."""
        ...

    async def count(self, filter: Filter) -> Mapping[JobState, int]:  # noqa: A002
        """How many jobs there are in each state; states with none are left out (clause 21)."""
        ...

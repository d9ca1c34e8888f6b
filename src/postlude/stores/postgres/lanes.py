"""The lanes of the queue: where the jobs of one queue, task and rank stand, in the order in which they are due."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from postlude.pauses import Pause, Pauses

if TYPE_CHECKING:
    from postlude.stores.postgres.session import Session

Place = tuple[str, str, int]
"""Queue, task and rank."""


class Lane(NamedTuple):
    """A lane in which jobs wait."""

    queue: str
    task: str
    rank: int
    first_due: float
    limited: bool
    """Whether these are the jobs with limits; those without stand in a lane of their own."""

    @property
    def place(self) -> Place:
        """Which lane it is."""
        return self.queue, self.task, self.rank


async def read_pauses(session: Session) -> Pauses:
    """Read what is paused."""
    return Pauses([Pause(*row) for row in await session.rows("pauses", session.namespace)])


async def all_lanes(session: Session) -> list[Lane]:
    """Every lane in which jobs wait, whether somebody knows their task or not, and whether it is paused or not."""
    return [Lane(*row) for row in await session.rows("lanes", session.namespace)]

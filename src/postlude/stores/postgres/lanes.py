"""The lanes of the queue: where the jobs of one queue, task and rank stand, in the order in which they are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.pauses import Pause, Pauses
from postlude.stores.lanes import Lane

if TYPE_CHECKING:
    from postlude.stores.postgres.session import Session


async def read_pauses(session: Session) -> Pauses:
    """Read what is paused."""
    return Pauses([Pause(*row) for row in await session.rows("pauses", session.namespace)])


async def all_lanes(session: Session) -> list[Lane]:
    """Every lane in which jobs wait, whether somebody knows their task or not, and whether it is paused or not."""
    return [Lane(*row) for row in await session.rows("lanes", session.namespace)]

"""A look at what waits: one statement for all that a worker has to know of the queue, before a claim and in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.pauses import Pause, Pauses
from postlude.stores.lanes import Alone, Lane

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from postlude.stores.lanes import Place
    from postlude.stores.postgres.fronts import Fronts, Position
    from postlude.stores.postgres.session import Session


FRESH: Final = 0.05
"""Seconds for which a claim may go by a look before it."""


class Look(NamedTuple):
    """What was seen at one moment."""

    pauses: Pauses
    lanes: Sequence[Lane]
    """Every lane in which jobs wait, whether somebody knows their task or not, and whether it is paused or not."""
    firsts: Mapping[Place, Position]
    """The first job of each lane without limits."""
    alone: Sequence[Alone]
    """The jobs that must run alone, those that are due first at the beginning."""
    behind: Sequence[str]
    """The tasks of jobs that wait for others; read only by a look from the beginning."""


class Sight:
    """The looks of one store: what a worker has seen to know whether to claim serves the claim that follows.

    Args:
        fronts: where looks begin.
    """

    def __init__(self, fronts: Fronts) -> None:
        self.fronts = fronts
        self._seen: Look | None = None
        self._seen_at = 0.0

    async def look(self, session: Session) -> Look:
        """Look, for a claim that may follow."""
        begin = self.fronts.clock()
        self._seen = seen = await look(session, self.fronts)
        self._seen_at = begin
        return seen

    def taken(self) -> Look | None:
        """What was seen, for one claim, and only if it was just now."""
        seen, self._seen = self._seen, None
        return seen if self.fronts.clock() - self._seen_at <= FRESH else None

    def forget(self) -> None:
        """Something was changed by this store."""
        self._seen = None


async def read_pauses(session: Session) -> Pauses:
    """Read what is paused."""
    return Pauses([Pause(*row) for row in await session.rows("pauses", session.namespace)])


async def look(session: Session, fronts: Fronts) -> Look:
    """Look from the beginning of each lane, or from the fronts."""
    from_beginning, begin = fronts.from_beginning(), fronts.clock()
    try:
        if from_beginning:
            rows = await session.rows("look", session.namespace)
        else:
            rows = await session.rows("look_on", session.namespace, *fronts.columns())
    finally:
        # Also one that was cut off because it took too long.
        fronts.looked(fronts.clock() - begin, from_beginning=from_beginning)
    lanes: list[Lane] = []
    firsts: dict[Place, Position] = {}
    alone: list[Alone] = []
    behind: list[str] = []
    pauses: list[Pause] = []
    for kind, queue, task, rank, run_at, seq, expires_at, partition in rows:
        if kind in {"free", "limited"}:
            lane = Lane(queue, task, rank, run_at, kind == "limited")
            lanes.append(lane)
            if not lane.limited:
                firsts[lane.place] = run_at, seq
        elif kind == "alone":
            alone.append(Alone(run_at, seq, expires_at, queue, task, partition))
        elif kind == "behind":
            behind.append(task)
        else:
            pauses.append(Pause(queue, task, partition))
    seen = fronts.seen(lanes, firsts, from_beginning=from_beginning)
    return Look(Pauses(pauses), seen, firsts, sorted(alone), behind)

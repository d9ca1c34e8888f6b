"""Whose turn it is in the lanes with limits, during one claim: decided from what the driver has read."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from postlude.limits import UNLIMITED
from postlude.stores.lanes import REST, Due, Visit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from postlude.limits import Limit, Rate
    from postlude.stores.lanes import Cursors, Lane


@dataclass(slots=True)
class Turns:
    """What one claim knows of rooms and visits; reading them is the driver's.

    Args:
        now: seconds since the epoch.
        limits: of the tasks that have some; by those alone it is decided, whatever held when a job was stored.
        cursors: where the claims before this one ended; changed.
        next_text: what makes of a text the next one that the store can hold, put behind it.
    """

    now: float
    limits: Mapping[str, Limit]
    cursors: Cursors
    next_text: str
    again_at: float | None = None
    """When something that is held back now may start; None: when something else has ended, or nothing is."""
    held_back: bool = False
    """Whether something due is held back by a limit."""
    _rooms: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many more may start, by task and partition."""
    _took_from: set[tuple[str, str]] = field(default_factory=set)
    """Where this claim takes something."""
    _visits: list[Visit] = field(default_factory=list)

    def knows(self, task: str, partition: str) -> bool:
        """Whether the room there was read in this claim."""
        return (task, partition) in self._rooms

    def learn(self, task: str, partition: str, room: int) -> None:
        """So many more may start there, as was just read."""
        self._rooms[task, partition] = room

    def room(self, task: str, partition: str) -> int:
        """How many more may start there now; it must be known."""
        room = self._rooms[task, partition]
        self.held_back = self.held_back or room <= 0
        return room

    def within(self, rate: Rate, room: int, started: int, oldest: float | None) -> int:
        """How many more may start where a rate counts so many, the oldest at that moment, and there is room."""
        room = min(room, rate.starts - started)
        if room <= 0 and oldest is not None:
            self.come_back(oldest + rate.seconds)
        return room

    def admit(self, due: Due) -> bool:
        """Whether there is room for this one too, which it then takes."""
        if due.partition is None:
            return True
        if due.expires_at is not None and due.expires_at <= self.now:
            return True  # it only has to be cancelled
        room = self.room(due.task, due.partition)
        self._rooms[due.task, due.partition] = room - 1
        self._took_from.add((due.task, due.partition))
        return room > 0

    def wanted(self, lane: Lane, firsts: Sequence[Due], most: int) -> list[tuple[str, int]]:
        """The partitions of these firsts in which there is room for more, and how many are to be read of each."""
        if len(firsts) == most:
            return []
        rooms = [(first.partition or "", self.room(lane.task, first.partition or "")) for first in firsts]
        return [(partition, min(room, most)) for partition, room in rooms if room > 1]

    def visited(self, visit: Visit) -> list[Due]:
        """This was found in a lane."""
        self._visits.append(visit)
        return visit.due

    def left(self, partition: str) -> str:
        """A visit ends behind this partition before it was once around: where the next one goes on."""
        self.come_back(self.now + REST)
        return partition + self.next_text

    def took(self, found: Sequence[Due]) -> None:
        """These are what the claim came to: whoever was given nothing comes first the next time."""
        taken = {due.seq for due in found} if self._visits else ()
        for visit in self._visits:
            given = [due.partition for due in visit.due if due.seq in taken]
            if visit.left_at is not None and all(due.seq in taken for due in visit.due[: visit.firsts]):
                self.cursors[visit.lane.place] = visit.left_at
            elif given:
                self.cursors[visit.lane.place] = (given[-1] or "") + self.next_text

    def full(self) -> Iterable[tuple[Lane, list[str]]]:
        """The partitions that this claim has filled, by lane: what stands behind there is held back."""
        for lane, _, _, _, partitions in self._visits:
            places = [(lane.task, partition) for partition in partitions]
            yield lane, [place[1] for place in places if place in self._took_from and self._rooms[place] <= 0]

    def forget(self, task: str, partition: str) -> None:
        """The room there is to be read anew."""
        self._took_from.discard((task, partition))
        del self._rooms[task, partition]

    def counted(self, started: Sequence[Due]) -> list[tuple[str, str, float]]:
        """The task and partition of each that a rate counts, and until when."""
        rates = [(due, self.limits.get(due.task, UNLIMITED).rate) for due in started] if self.limits else []
        return [
            (due.task, due.partition, self.now + rate.seconds)
            for due, rate in rates
            if rate is not None and due.partition is not None
        ]

    def come_back(self, at: float) -> None:
        """There may be something for a claim at this moment."""
        self.again_at = at if self.again_at is None else min(at, self.again_at)


def in_turn(firsts: Sequence[Due], rows: Iterable[Sequence[Due]], most: int) -> list[Due]:
    """Up to so many jobs: the firsts, then what stands behind them in each row, which begins with its first."""
    behind = chain.from_iterable(zip_longest(*(row[1:] for row in rows)))
    return [*firsts, *(each for each in behind if each is not None)][:most]

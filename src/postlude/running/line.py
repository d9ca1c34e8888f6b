"""The slots of each executor, and the calls that wait for one of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from postlude.running.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.clock import Clock
    from postlude.executors.contract import Executor, Room
    from postlude.running.admitted import Admitted
    from postlude.tasks import ExecutorName


class Line:
    """The slots of one executor, and the calls that wait for one of them."""

    __slots__ = ("elsewhere", "executor", "free", "outage", "room", "waiting")

    def __init__(self, executor: Executor, slots: int, *, room: Room | None = None, elsewhere: bool = False) -> None:
        self.executor: Executor = executor
        self.room: Room | None = room
        """Where an attempt that cannot be made to end gives its slot to another; None: it keeps it to its end."""
        self.elsewhere: bool = elsewhere
        """Whether attempts run in other processes, or may: they are given text, and resolve what they depend on."""
        self.free: int = slots
        self.outage: Outage | None = None
        """When it is tried again, since it takes no work; None: it works."""
        self.waiting: deque[tuple[Admitted, float]] = deque()

    def fails(self, attempt: Admitted, clock: Clock) -> bool:
        """The executor did not take an attempt; returns whether that is news."""
        if self.outage is None:
            self.outage = Outage(clock)
            return True
        self.outage.failed(attempt.began)
        return False

    def recovers(self, attempt: Admitted) -> bool:
        """An attempt is over; returns whether that shows that an outage is, too."""
        if self.outage is None:
            return False
        if attempt.running is None:
            self.outage.tried_not()
            return False
        if not self.outage.is_newer(attempt.began):
            return False
        self.outage = None
        return True

    def wait(self, attempt: Admitted, since: float) -> None:
        """Put an attempt at the end of the line."""
        self.waiting.append((attempt, since))

    def next(self, *, stored: bool = True) -> Admitted | None:
        """The first in line, with a slot; None if there is neither. Not `stored`: the first without a row."""
        if self.free:
            for place, (attempt, _) in enumerate(self.waiting):
                if stored or attempt.call.claim is None:
                    del self.waiting[place]
                    self.free -= 1
                    return attempt
        return None

    def take_overdue(self, before: float) -> list[Admitted]:
        """Take those out of the line that wait since before that moment and that another process could run as well."""
        overdue: list[Admitted] = []
        kept: deque[tuple[Admitted, float]] = deque()
        for attempt, since in self.waiting:
            if since <= before and attempt.movable:
                overdue.append(attempt)
            else:
                kept.append((attempt, since))
        self.waiting = kept
        return overdue

    def take_all(self) -> list[Admitted]:
        """Take everybody out of the line."""
        attempts = [attempt for attempt, _ in self.waiting]
        self.waiting.clear()
        return attempts


class Lines(dict[str, Line]):
    """The lines of the executors by name; that of one besides those that are given is made when it is first needed."""

    def __init__(self, made: Callable[[ExecutorName], Line], given: dict[str, Line]) -> None:
        super().__init__(given)
        self._made = made

    def __missing__(self, name: ExecutorName) -> Line:
        line = self[name] = self._made(name)
        return line

    def next(self, *, stored: bool = True) -> Admitted | None:
        """The first of a line with a slot in it, with that slot; None if there is no such line. See `Line.next`."""
        for line in self.values():
            if line.waiting and (line.outage is None or line.outage.lets_in):
                attempt = line.next(stored=stored)
                if attempt is not None:
                    return attempt
        return None

    def take_overdue(self, before: float) -> list[Admitted]:
        """See `Line.take_overdue`; out of all lines."""
        return [attempt for line in self.values() for attempt in line.take_overdue(before)]

    def take_all(self) -> list[Admitted]:
        """Take everybody out of all lines."""
        return [attempt for line in self.values() for attempt in line.take_all()]

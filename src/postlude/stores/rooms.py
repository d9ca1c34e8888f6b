"""From which queues a claim takes, and how many jobs of each: what `postlude worker --queues` says of one worker.

Clause 53 of the contract, beside those of `contract.py`:

    53. **Of these queues.** With `queues`, `claim` gives jobs of those alone, and none makes more jobs of a queue
        belong to its owner at once than it says, if it says a number. `Claimed.held_back` says that a queue is full.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from postlude.stores.lanes import Due, Lane


class Rooms:
    """What is left in each queue during one claim.

    Args:
        queues: how many jobs of each may run under the worker at once, None for any number; empty: there are no others.
        running: how many do so, by queue.
    """

    def __init__(self, queues: Mapping[str, int | None], running: Mapping[str, int]) -> None:
        self._left = {
            queue: sys.maxsize if most is None else most - running.get(queue, 0) for queue, most in queues.items()
        }
        self.bounded: bool = is_bounded(queues)
        self.held_back: bool = False
        """Whether a queue is full: something may be due there that it holds back."""

    def allow(self, queue: str) -> bool:
        """Whether one more of that queue may be taken."""
        if not self._left:
            return True
        left = self._left.get(queue)
        if left is None:
            return False
        self.held_back = self.held_back or left <= 0
        return left > 0

    def most(self, queue: str, most: int) -> int:
        """How many may be of that queue, of so many in all."""
        return min(most, self._left.get(queue, most))

    def within(
        self, admit: Callable[[Due], bool], lanes: Sequence[Lane], found: Sequence[Collection[Due]], now: float
    ) -> Callable[[Due], bool]:
        """Admit what is admitted and has room in its queue, which it then takes.

        Args:
            admit: what the limits say.
            lanes: in which something was found.
            found: what, in each of them.
            now: what has expired by then only has to be cancelled, and takes no room.
        """
        if not self.bounded:
            return admit
        queues = {due.seq: lane.queue for lane, dues in zip(lanes, found, strict=True) for due in dues}

        def admit_within(due: Due) -> bool:
            queue = queues[due.seq]
            if not self.allow(queue) or not admit(due):
                return False
            if due.expires_at is None or due.expires_at > now:
                self._left[queue] -= 1
                self.allow(queue)
            return True

        return admit_within


def is_bounded(queues: Mapping[str, int | None]) -> bool:
    """Whether what runs has to be counted."""
    return any(most is not None for most in queues.values())

"""The leases of the workers of this process: how sure it can be of each, and who has to be told that it is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux the other one stands still meanwhile; elsewhere it is the only one."""


class Leases:
    """Those of the workers that hold their lock on one connection. May be asked from any thread.

    Args:
        length: seconds that each lasts from its last extension on.
    """

    def __init__(self, length: float) -> None:
        self._length = length
        self._extended_at: dict[int, float] = {}
        """When the last extension of each was asked for, on the clock that never goes backwards."""
        self._given_up: dict[int, Callable[[], None]] = {}
        self._lost: frozenset[int] = frozenset()

    def begin(self, worker: int, given_up: Callable[[], None], *, at: float) -> None:
        """It was enlisted.

        Args:
            worker: its id.
            given_up: called when others have given it up for dead.
            at: when that was asked for, by `moment`.
        """
        self._given_up[worker] = given_up
        self._extended_at[worker] = at

    def end(self, worker: int) -> None:
        """It owns nothing any more."""
        self._extended_at.pop(worker, None)
        self._given_up.pop(worker, None)
        self._lost -= {worker}

    def extended(self, asked: Collection[int], granted: Collection[int], *, at: float) -> None:
        """Those were to be extended, and of them these were; the others have been given up for dead."""
        for worker in granted:
            if worker in self._extended_at:  # it may have left in the meantime
                self._extended_at[worker] = at
        lost = [worker for worker in asked if worker not in granted and worker in self._given_up]
        self._lost |= frozenset(lost)
        for worker in lost:
            self._given_up[worker]()

    @property
    def lost(self) -> frozenset[int]:
        """Those that were given up for dead."""
        return self._lost

    @property
    def silence(self) -> float:
        """Seconds since the last extension; 0 where there is no worker."""
        # Which another thread may be changing.
        last = max(tuple(self._extended_at.values()), default=None)
        return 0.0 if last is None else moment() - last

    def sure_of(self, worker: int) -> bool:
        """Whether its lease goes on by this machine's own clock, and it is not lost. Of the lock it knows nothing."""
        extended_at = self._extended_at.get(worker)
        return extended_at is None or (worker not in self._lost and moment() - extended_at < self._length)


def moment() -> float:
    """Seconds on a clock that never goes backwards, and goes on while the machine is suspended: as the lease does."""
    return time.clock_gettime(_CLOCK)

"""Prune: jobs that have ended are removed when the time is over for which they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.clock import Clock
    from postlude.retention import Retention
    from postlude.stores.contract import Store

PORTION: Final = 500
"""Jobs that one step of pruning looks at, so that no commit ever waits long behind it."""
PAUSE: Final = 0.05
"""Seconds between two of them."""
PRUNE_EVERY: Final = 60.0
"""Seconds from the end of one round to the next."""


class Prune:
    """Removes jobs that have ended and were kept for their time, a portion at a time.

    Args:
        store: where they are.
        clock: what time it is.
        retention: for how long jobs are kept that do not say it themselves.
        shortest: gives the shortest time that a task known here says itself, in seconds; None: none does.
    """

    def __init__(self, store: Store, clock: Clock, retention: Retention, shortest: Callable[[], float | None]) -> None:
        self._store = store
        self._clock = clock
        self._keep = retention.seconds()
        self._shortest = shortest
        self._place = 0
        self.pruned: int = 0
        """How many jobs this process has removed."""

    async def run_once(self) -> float | None:
        """Look at one portion, and go on from there soon; from the beginning again when it was the last."""
        declared = self._shortest()
        shortest = min(self._keep.values())
        done = await self._store.prune(
            self._keep,
            shortest=shortest if declared is None else min(shortest, declared),
            now=self._clock.now(),
            place=self._place,
            limit=PORTION,
        )
        self.pruned += done.jobs
        self._place = done.place or 0
        return PRUNE_EVERY if done.place is None else PAUSE

"""Rescue: jobs whose owner is gone are given another attempt, or set aside. Prune: old jobs are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.execution import decide, what_happened
from postlude.job import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.clock import Clock
    from postlude.events import Events
    from postlude.retention import Retention
    from postlude.stores.contract import Store

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at who is still alive."""
DIED: Final = Interrupted("its process died")
BATCH: Final = 500
"""Jobs in one settlement, so that requests never wait long behind a rescue."""

PORTION: Final = 500
"""Jobs that one step of pruning looks at, so that no commit ever waits long behind it."""
PAUSE: Final = 0.05
"""Seconds between two of them."""
PRUNE_EVERY: Final = 60.0
"""Seconds from the end of one round to the next."""


class Rescue:
    """Finds claims without a living owner and settles each as interrupted.

    Several processes may do so at once: the first to settle a claim ends it, and the others are refused.
    """

    def __init__(self, store: Store, clock: Clock, events: Events, *, queued: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._queued = queued
        self.rescued: int = 0
        """How many jobs this process has rescued."""

    async def run_once(self) -> float | None:
        """Rescue all orphans there are, then remove the rows of dead workers that own nothing any more."""
        while orphans := await self._store.orphans(limit=BATCH):
            now = self._clock.now()
            # First what was never stored: a job before it that is queued again takes those behind it along, and their
            # claims with them.
            orphans.sort(key=lambda claim: claim.arguments is not None)
            settlements = {claim: decide(DIED, claim, now) for claim in orphans}
            refused = await self._store.settle(list(settlements.values()))
            for claim, settlement in settlements.items():
                if claim.job_id in refused:
                    continue
                self.rescued += 1
                event = what_happened(claim, settlement, DIED)
                if event is not None:
                    self._events.emit(event)
            self._queued()
        # Also when there was nothing to rescue: workers that owned nothing die too. It reads before it writes.
        await self._store.bury()
        return LOOK_EVERY


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

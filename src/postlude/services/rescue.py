"""Rescue: jobs whose owner is gone are given another attempt, or set aside."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from postlude.errors import StoreError
from postlude.job import Interrupted
from postlude.running.endings import measure_of, say
from postlude.running.execution import decide
from postlude.statistics import Tallies

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.clock import Clock
    from postlude.stores.contract import Store
    from postlude.telling import Events

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at who is still alive."""
DIED: Final = Interrupted("its process died")
BATCH: Final = 500
"""Jobs in one settlement, so that requests never wait long behind a rescue."""


class Rescue:
    """Finds claims without a living owner and settles each as interrupted.

    Several processes may do so at once: the first to settle a claim ends it, and the others are refused.
    """

    def __init__(self, store: Store, clock: Clock, events: Events, *, queued: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._queued = queued
        self.tallies: Tallies = Tallies()
        """Where interruptions are counted."""
        self.rescued: int = 0
        """How many jobs this process has rescued."""

    async def run_once(self) -> float | None:
        """Rescue all orphans there are, then remove the rows of dead workers that own nothing any more."""
        rescued: Counter[int] = Counter()
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
                rescued[claim.owner] += 1
                if (measure := measure_of(settlement, DIED)) is not None:
                    self.tallies.note(claim.task, measure, now)
                say(self._events, claim, settlement, DIED)
            self._queued()
        if rescued:
            with contextlib.suppress(StoreError):  # a number for people, which is not worth what is left to do here
                await self._store.seeing.note_rescued(rescued)
        # Also when there was nothing to rescue: workers that owned nothing die too. It reads before it writes.
        await self._store.bury()
        return LOOK_EVERY

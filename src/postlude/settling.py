"""Writing outcomes down: whatever ends while one write is under way goes into the next, and none is given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from postlude.clock import wait
from postlude.errors import StoreClosed, StoreUnavailable
from postlude.events import OutcomeRefused, ServiceFailed, StoreFailed, StoreRecovered
from postlude.executors.contract import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from postlude.events import Events
    from postlude.job import Settlement
    from postlude.stores.contract import Store

FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 2.0
"""Seconds between tries while the store does not answer: doubling from the first to the last."""


class Settling:
    """Settles in the order given, on one event loop, until the store has confirmed.

    Args:
        store: where.
        events: told of refusals and of a store that fails and comes back.
        settled: told the ids of the jobs of each write that was confirmed.
    """

    def __init__(self, store: Store, events: Events, settled: Callable[[Sequence[Settlement]], None]) -> None:
        self._store = store
        self._events = events
        self._settled = settled
        self._pending: list[tuple[Settlement, Callable[[bool], None] | None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    def put(self, settlement: Settlement, confirmed: Callable[[bool], None] | None = None) -> None:
        """Settle soon.

        Args:
            settlement: what to write.
            confirmed: called when it is on disk; with False if the claim was no longer the job's.
        """
        self._pending.append((settlement, confirmed))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="postlude settling")

    async def flush(self) -> None:
        """Return when everything that was put has been written."""
        while self._writing is not None:
            await asyncio.shield(self._writing)

    async def _write(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                settlements = [settlement for settlement, _ in batch]
                try:
                    refused = await self._until_confirmed(settlements)
                except Exception as error:  # noqa: BLE001 - nobody else would tell those who wait
                    # A closed store needs no word: what still ends then is found without an owner, and runs again.
                    if not isinstance(error, StoreClosed):
                        self._events.emit(ServiceFailed("settling", failure_of(error)))
                    refused = frozenset(settlement.job_id for settlement in settlements)
                self._settled(settlements)
                for settlement, confirmed in batch:
                    if confirmed is not None:
                        confirmed(settlement.job_id not in refused)
        finally:
            self._writing = None

    async def _until_confirmed(self, settlements: Sequence[Settlement]) -> frozenset[UUID]:
        delay = 0.0
        while True:
            try:
                refused = await self._store.settle(settlements)
            except StoreUnavailable as error:
                if not delay:
                    self._events.emit(StoreFailed("settling", str(error)))
                delay = min(max(FIRST_RETRY, delay * 2), LAST_RETRY)
                await wait(self._hurry, delay)
                self._hurry.clear()
            else:
                break
        if delay:
            self._events.emit(StoreRecovered("settling"))
        if refused:
            # After a write that was confirmed too late the repetition is refused although it was ours: the job has
            # then no claim any more, and the event is harmless.
            for settlement in settlements:
                if settlement.job_id in refused:
                    self._events.emit(OutcomeRefused(settlement.job_id))
        return refused

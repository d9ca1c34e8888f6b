"""Writing outcomes down: whatever ends while one write is under way goes into the next, and none is given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from postlude.clock import pause
from postlude.errors import StoreClosed, StoreUnavailable
from postlude.events import OutcomeRefused, ServiceFailed, StoreFailed, StoreRecovered
from postlude.executors.contract import failure_of
from postlude.running.execution import unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from uuid import UUID

    from postlude.job import Settlement
    from postlude.stores.contract import Store
    from postlude.telling import Events

FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 2.0
"""Seconds between tries while the store does not answer: doubling from the first to the last."""
MOST_UNWRITTEN: Final = 200
"""Settlements that wait to be written, from which on nothing more begins: what was done and is not written runs again
when the process dies. Twice what runs at once by default, so that as many can be written while as many run."""


class Settling:
    """Settles in the order given, on one event loop, until the store has confirmed.

    Args:
        store: where.
        events: told of refusals and of a store that fails and comes back.
        settled: given the settlements of each write that is over: also those whose claim was no longer the job's, and
            those that could not be written.
    """

    def __init__(self, store: Store, events: Events, settled: Callable[[Sequence[Settlement]], None]) -> None:
        self.store = store
        self._events = events
        self._settled = settled
        self._pending: list[_Put] = []
        self._unwritten = 0
        """Also those of the write under way."""
        self.caught_up: Callable[[], None] = lambda: None
        """Called when it is not behind any more."""
        self._writing: asyncio.Task[None] | None = None

    @property
    def behind(self) -> bool:
        """Whether so much waits to be written that nothing more should begin."""
        return self._unwritten >= MOST_UNWRITTEN

    @property
    def room(self) -> int:
        """How many more may wait to be written before it is behind."""
        return max(0, MOST_UNWRITTEN - self._unwritten)

    def put(
        self, settlement: Settlement, confirmed: Callable[[bool], None] | None = None, *, perhaps: bool = False
    ) -> None:
        """Settle soon.

        Args:
            settlement: what to write.
            confirmed: called when it is on disk; with False if the claim was no longer the job's.
            perhaps: only if the claim is still the job's; that it is not is nothing to tell of.
        """
        self._pending.append(_Put(settlement, confirmed, perhaps=perhaps))
        self._unwritten += 1
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
                lost = await self._settle(batch)
                was_behind = self.behind
                self._unwritten -= len(batch)
                self._guarded(self._settled, [each.settlement for each in batch])
                for each in batch:
                    if each.confirmed is not None:
                        self._guarded(each.confirmed, each.settlement.job_id not in lost)
                if was_behind and not self.behind:
                    self._guarded(self.caught_up)
        finally:
            self._writing = None

    def _guarded(self, told: Callable[..., None], *what: object) -> None:
        """Tell one; that it raises must not keep the others from being told."""
        try:
            told(*what)
        except Exception as error:  # noqa: BLE001 - reported
            self._events.emit(ServiceFailed("settling", failure_of(error)))

    async def _settle(self, batch: Sequence[_Put]) -> frozenset[UUID]:
        """Write these; returns the ids of those whose outcome is not on disk."""
        try:
            refused = await self._until_confirmed([each.settlement for each in batch])
        except StoreClosed:
            # Needs no word: what still ends now is found without an owner, and runs again.
            return frozenset(each.settlement.job_id for each in batch)
        except Exception as error:  # noqa: BLE001 - nobody else would tell those who wait
            if len(batch) == 1:
                return await self._settle_as_failed(batch[0].settlement, error)
            # One of them cannot be written, and must not take the others along.
            each_alone = [await self._settle([each]) for each in batch]
            return frozenset(lost for some in each_alone for lost in some)
        if refused:
            for each in batch:
                if each.settlement.job_id in refused and not each.perhaps:
                    self._events.emit(OutcomeRefused(each.settlement.job_id, each.settlement.attempt))
        return refused

    async def _settle_as_failed(self, settlement: Settlement, error: Exception) -> frozenset[UUID]:
        """End a claim whose outcome cannot be written: else its job would seem to run as long as this process does."""
        self._events.emit(ServiceFailed("settling", failure_of(error)))
        try:
            await self._until_confirmed([unwritable(settlement)])
        except StoreClosed:
            pass
        except Exception as again:  # noqa: BLE001 - said; the job is found when this process has ended
            self._events.emit(ServiceFailed("settling", failure_of(again)))
        return frozenset({settlement.job_id})

    async def _until_confirmed(self, settlements: Sequence[Settlement]) -> frozenset[UUID]:
        delay = 0.0
        while True:
            try:
                refused = await self.store.settle(settlements)
                if refused and delay:
                    refused -= await self._written_before(settlements, refused)
            except StoreUnavailable as error:
                if not delay:
                    self._events.emit(StoreFailed("settling", str(error)))
                delay = min(max(FIRST_RETRY, delay * 2), LAST_RETRY)
                await pause(delay)
            else:
                break
        if delay:
            self._events.emit(StoreRecovered("settling"))
        return refused

    async def _written_before(self, settlements: Sequence[Settlement], refused: Collection[UUID]) -> frozenset[UUID]:
        """Those of the refused that are as they should be: a write that was not confirmed may have happened."""
        records = {record.id: record for record in await self.store.get([*refused])}
        return frozenset(
            each.job_id
            for each in settlements
            if each.job_id in records
            and (records[each.job_id].state, records[each.job_id].attempt) == (each.state, each.attempt)
        )


class _Put:
    """What was put."""

    __slots__ = ("confirmed", "perhaps", "settlement")

    def __init__(self, settlement: Settlement, confirmed: Callable[[bool], None] | None, *, perhaps: bool) -> None:
        self.settlement: Settlement = settlement
        self.confirmed: Callable[[bool], None] | None = confirmed
        self.perhaps: bool = perhaps

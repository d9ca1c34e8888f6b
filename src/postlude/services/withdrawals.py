"""Taking back what was refused: rows whose commit was not confirmed, and which may be on disk all the same.

The client has its 503, so they must not run. As long as this process lives nobody else takes them, since it owns them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from postlude.clock import pause
from postlude.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from postlude.job import NewJob
    from postlude.stores.contract import Store

TRY_EVERY: Final = 0.5
"""Seconds between two tries."""


class Withdrawals:
    """Removes refused jobs from one opened store, as soon as it answers.

    Args:
        store: where they may be.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: dict[UUID, NewJob] = {}
        self._trying: asyncio.Task[None] | None = None
        self._last: asyncio.Task[None] | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks whose jobs may still be there."""
        return tuple(sorted({job.task for job in tuple(self._jobs.values())}))

    def add(self, jobs: Iterable[NewJob]) -> None:
        """Remove these; on a running loop, whichever that is."""
        self._jobs.update((job.id, job) for job in jobs)
        self.go_on()

    def go_on(self) -> None:
        """Try again if something is left and nobody tries: the loop that did may have ended with its request."""
        if self._jobs and self._last is None and not self._goes_on():
            self._trying = asyncio.get_running_loop().create_task(self._until_done(), name="postlude withdrawals")

    def _goes_on(self) -> bool:
        trying = self._trying
        return trying is not None and not trying.done() and trying.get_loop().is_running()

    async def end(self, within: float) -> None:
        """Try once more, and then no more; returns after that many seconds at most. Idempotent."""
        if self._last is None:
            self._last = asyncio.get_running_loop().create_task(self._once(), name="postlude last withdrawal")
            await asyncio.wait({self._last}, timeout=within)
            if self._trying is not None and self._trying.get_loop() is asyncio.get_running_loop():
                self._trying.cancel()

    async def _until_done(self) -> None:
        while self._jobs and self._last is None:
            await self._once()
            if self._jobs:
                await pause(TRY_EVERY)

    async def _once(self) -> None:
        jobs = list(self._jobs.values())
        try:
            await self._store.withdraw(jobs)
        except StoreError:
            return
        for job in jobs:
            self._jobs.pop(job.id, None)

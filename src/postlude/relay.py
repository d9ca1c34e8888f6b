"""Relay: jobs that callers have committed in files of their own are moved into the store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from postlude.errors import StoreError, StoreUnavailable
from postlude.stores.outbox import OutboxFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postlude.job import NewJob
    from postlude.stores.callers import Outbox
    from postlude.stores.contract import Store

LOOK_EVERY: Final = 1.0
"""Seconds between two looks for what other processes have left."""
SOON: Final = 0.01
"""Seconds until the second look for what this process has written, whose commit nothing may tell of. From then on the
pauses double: a transaction that takes long is looked for as seldom as those of others."""
BATCH: Final = 500
"""Jobs that are moved in one commit."""


class Relay:
    """Moves jobs from outboxes into the store.

    A job is in the store before it leaves its outbox, and its id is the same in both: whoever dies between the two, or
    moves what another process is moving, finds it there and moves it no second time.

    Args:
        store: where they belong.
        queued: called when something was moved.
    """

    def __init__(self, store: Store, *, queued: Callable[[], None]) -> None:
        self._store = store
        self._queued = queued
        self._files: dict[Outbox, OutboxFile] = {}
        self._known: dict[str, Outbox] = {}
        """Those that this process writes to, by their paths."""
        self._lock = threading.Lock()
        """Whoever misses a job looks for it on an event loop of its own."""
        self._pause = LOOK_EVERY
        self._straight = False
        """Whether something was written into the store itself, and may be committed by now."""

    async def know(self, outbox: Outbox) -> Outbox | None:
        """Remember where jobs are about to be left, before they are.

        Returns:
            The outbox that is known there; None: that is the store's own file.
        """
        known = self._known.get(outbox.path)
        if known is None and not await self._store.is_at(outbox.path):
            known = self._known[outbox.path] = await self._store.put_outbox(outbox)
        return known

    def expect(self, *, straight: bool) -> None:
        """A transaction of this process has added jobs, and is committed about now: look more often for a while.

        Args:
            straight: into the store, and not into an outbox.
        """
        self._pause = SOON
        self._straight = self._straight or straight

    async def run_once(self) -> float | None:
        """Move all that is there, and say when to look again."""
        pause, self._pause = self._pause, min(self._pause * 2, LOOK_EVERY)
        if self._straight:
            self._straight = pause < LOOK_EVERY
            self._queued()
        await self.look()
        return min(pause, self._pause)

    async def look(self) -> None:
        """Move all that is there.

        Raises:
            StoreError: of an outbox, or of the store's own, when all the others were seen to.
        """
        trouble: StoreError | None = None
        try:
            await self._relay_own()
        except StoreUnavailable:
            raise
        except StoreError as error:
            trouble = error
        for outbox in await self._outboxes():
            try:
                await self._relay(self._file(outbox))
            except StoreError as error:
                trouble = error
        if trouble is not None:
            raise trouble

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            files, self._files = self._files, {}
        for file in files.values():
            file.close()

    async def _relay_own(self) -> None:
        count = BATCH
        while count == BATCH:
            count = await self._store.relay(limit=BATCH)
            if count:
                self._queued()

    async def _outboxes(self) -> Sequence[Outbox]:
        found = await self._store.outboxes()
        for outbox in {*self._known.values()}.difference(found):
            # The store's file was replaced since, and whoever opens it next has to know.
            await self._store.put_outbox(outbox)
        return found

    def _file(self, outbox: Outbox) -> OutboxFile:
        with self._lock:
            file = self._files.get(outbox)
            if file is None:
                file = self._files[outbox] = OutboxFile(outbox)
            return file

    async def _relay(self, file: OutboxFile) -> None:
        count = BATCH
        while count == BATCH:
            jobs = await file.waiting(BATCH)
            count = len(jobs)
            if jobs:
                there = await self._insert(jobs)
                self._queued()
                await file.remove(job.id for job in there)

    async def _insert(self, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """Have these in the store; returns those that are there.

        Raises:
            StoreError: none of them can be.
        """
        missing = await self._missing(jobs)
        try:
            await self._store.insert(missing)
        except StoreUnavailable:
            raise
        except StoreError:
            # Another process is moving them as well, or the store does not take one: each by itself.
            refused = [job for job in missing if not await self._insert_one(job)]
            if len(refused) == len(jobs):
                raise
            return [job for job in jobs if job not in refused]
        return jobs

    async def _insert_one(self, job: NewJob) -> bool:
        try:
            if await self._missing([job]):
                await self._store.insert([job])
        except StoreUnavailable:
            raise
        except StoreError:
            return not await self._missing([job])
        return True

    async def _missing(self, jobs: Sequence[NewJob]) -> list[NewJob]:
        """Those that the store does not have."""
        found = {record.id for record in await self._store.get([job.id for job in jobs])}
        missing = [job for job in jobs if job.id not in found]
        # The id of one with a key may lead to the job that has answered in its place.
        return [job for job in missing if job.terms.key is None or not await self._store.get([job.id])]

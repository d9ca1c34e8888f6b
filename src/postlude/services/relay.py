"""Relay: jobs that callers have committed in files of their own are moved into the store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from postlude.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from postlude.job import NewJob
    from postlude.stores.callers import Outbox
    from postlude.stores.contract import Store
    from postlude.stores.outbox import OutboxFile

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
        refused: told, once, what is wrong with a job that cannot be moved.
    """

    def __init__(self, store: Store, *, queued: Callable[[], None], refused: Callable[[StoreError], None]) -> None:
        self._store = store
        self._queued = queued
        self._refused = refused
        self._told: set[str] = set()
        """The ids of those that were refused."""
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
        """Move all that can be moved.

        Raises:
            StoreUnavailable: an outbox does not answer; all the others were seen to.
            StoreError: the store's own trouble; all outboxes were seen to.
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
                await self.take(outbox)
            except StoreUnavailable as error:
                trouble = error
        if trouble is not None:
            raise trouble

    async def take(self, outbox: Outbox) -> None:
        """Move all that can be moved from one outbox, whether or not the store knows it.

        Raises:
            StoreUnavailable: it does not answer.
        """
        file, more = self._file(outbox), True
        while more:
            jobs, wrong = await file.waiting(BATCH)
            refused = await self._insert(jobs) if jobs else {}
            there = [job.id for job in jobs if job.id not in refused]
            if there:
                self._queued()
                await file.remove(there)
            self._tell(wrong, refused)
            more = len(jobs) + len(wrong) == BATCH and bool(there)

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
                from postlude.stores.outbox import OutboxFile  # noqa: PLC0415 - it needs two SQLite libraries

                file = self._files[outbox] = OutboxFile(outbox)
            return file

    def _tell(self, wrong: Mapping[str, StoreError], refused: Mapping[UUID, StoreError]) -> None:
        found = {**wrong, **{str(job_id): error for job_id, error in refused.items()}}
        for job_id in found.keys() - self._told:
            self._told.add(job_id)
            self._refused(found[job_id])

    async def _insert(self, jobs: Sequence[NewJob]) -> Mapping[UUID, StoreError]:
        """Have these in the store; returns why it does not take some."""
        missing = await self._missing(jobs)
        try:
            await self._store.insert(missing)
        except StoreUnavailable:
            raise
        except StoreError:
            # Another process is moving them as well, or the store does not take one: each by itself.
            tried = [(job.id, await self._insert_one(job)) for job in missing]
            return {job_id: error for job_id, error in tried if error is not None}
        return {}

    async def _insert_one(self, job: NewJob) -> StoreError | None:
        try:
            if await self._missing([job]):
                await self._store.insert([job])
        except StoreUnavailable:
            raise
        except StoreError as error:
            if await self._missing([job]):
                return StoreError(
                    f"A job of {job.task} stays in the outbox that it was committed in, since the store does not take "
                    f"it: {error}. It is tried again every second; to give it up, delete the row with the id {job.id} "
                    "from postlude_outbox."
                )
        return None

    async def _missing(self, jobs: Sequence[NewJob]) -> list[NewJob]:
        """Those that the store does not have."""
        found = {record.id for record in await self._store.get([job.id for job in jobs])}
        missing = [job for job in jobs if job.id not in found]
        # The id of one with a key may lead to the job that has answered in its place.
        return [job for job in missing if job.terms.key is None or not await self._store.get([job.id])]

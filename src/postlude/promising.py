"""What requests promise: each of their calls has its row before the answer, or the request is refused."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from postlude.errors import PostludeError, StoreError
from postlude.events import CallsDiscarded, CallsUnsaved, StoreFailed
from postlude.staging import Staging, unstage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from postlude.calls import Call, Chain
    from postlude.job import NewJob
    from postlude.lifetime.opening import Opening
    from postlude.lifetime.process import Process
    from postlude.settings import Settings
    from postlude.telling import Events


class Promises:
    """Commits the calls of requests, and says what becomes of those that have no row or will not run.

    Args:
        settings: gives those of the application.
        staging: makes the rows.
        opening: has the store.
        events: told of what is refused, unsaved or discarded.
    """

    def __init__(self, settings: Callable[[], Settings], staging: Staging, opening: Opening, events: Events) -> None:
        self._settings = settings
        self._staging = staging
        self._opening = opening
        self._events = events

    async def commit(self, chain: Chain, calls: Sequence[Call]) -> None:
        """Commit the calls of a request together; afterwards each that is stored has its claim.

        Raises:
            StoreError: the commit is not known to have succeeded, and `on_store_error` is `"refuse"`. The rows will be
                removed as soon as the store answers.
        """
        new = [call for call in calls if call.claim is None]
        process = self._opening.here
        if process is None:
            if not (chain.unconfirmed or self._staging.needs_rows(chain, new)):
                return
            try:
                process = await self._opening.process()
            except StoreError as error:
                unstage(chain, calls, chain.unconfirmed)
                self._refuse("opening it for the tasks of a request", calls, error)
                return
        process.withdrawals.go_on()
        enlistment = process.enlistment
        if enlistment.lost:
            await self._replace(process)
        jobs = self._staging.stage(chain, new, enlistment.owner)
        if chain.unconfirmed:
            # The first time was cut off, and its write may still arrive: what has this order cannot be doubled.
            jobs = [*chain.unconfirmed, *jobs]
            await self._insert(process, chain, jobs, calls, after=process.store.withdraw(chain.unconfirmed))
        elif jobs:
            await self._insert(process, chain, jobs, calls)

    async def _replace(self, process: Process) -> None:
        """Let a process that was given up for dead have a new id, under which its jobs are not taken for orphans."""
        # If the store does not answer, what is added now will most likely not be stored either, and that is said then.
        # If it is, it is not begun under the old id, but queued.
        with contextlib.suppress(StoreError):
            await process.enlistment.replace()

    async def _insert(
        self,
        process: Process,
        chain: Chain,
        jobs: list[NewJob],
        calls: Sequence[Call],
        after: Awaitable[None] | None = None,
    ) -> None:
        chain.unconfirmed = jobs
        try:
            if after is not None:
                await after
            answered = await process.store.insert(jobs)
        except Exception as error:
            unstage(chain, calls, jobs)
            process.withdrawals.add(jobs)
            if not isinstance(error, StoreError):
                raise
            self._refuse("committing the tasks of a request", calls, error)
        else:
            chain.unconfirmed = ()
            for call in calls if answered else ():
                if call.id in answered:
                    call.answered, call.claim = answered[call.id], None

    def _refuse(self, during: str, calls: Sequence[Call], error: StoreError) -> None:
        """These calls have no rows: raise, or have them run without."""
        # What was to run later, or to be tried again, cannot be run now in place of that.
        if self._settings().on_store_error == "refuse" or any(map(Staging.needed_by, calls)):
            self._events.emit(StoreFailed(during, str(error)))
            raise error
        self.unsaved(calls, error)

    def unsaved(self, calls: Sequence[Call], error: Exception) -> None:
        """Say that these calls run without having been stored."""
        self._events.emit(CallsUnsaved(_names(calls), str(error)))

    def discard(self, calls: Sequence[Call], reason: BaseException | None) -> None:
        """Say that these calls of a request will not run."""
        if isinstance(reason, PostludeError):
            why = str(reason)
        else:
            why = "the request did not raise" if reason is None else f"the request raised {reason!r}"
        self._events.emit(CallsDiscarded(_names(calls), why))
        process = self._opening.here
        if process is not None:
            for call in calls:
                process.cancel(call, why)  # it may have a row where the one before it had none


def _names(calls: Sequence[Call]) -> tuple[str, ...]:
    return tuple(call.definition.name for call in calls)

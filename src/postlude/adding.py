"""Calls that wait for no response: committed by themselves, or in the transaction of whoever adds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from postlude.client.handle import Job
from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from uuid import UUID

    from postlude.bound import Bound
    from postlude.calls import Call, CallOptions
    from postlude.client.jobs import Jobs
    from postlude.lifetime.opening import Opening
    from postlude.lifetime.process import Process
    from postlude.staging import Staging

Given: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]"
"""A function, and what it is called with."""


class Adding:
    """Adds calls that any worker may run from then on.

    Args:
        staging: takes their snapshots.
        opening: has the store.
        jobs: what the jobs that are returned ask.
        discard: told of calls that will not run, and why.
    """

    def __init__(
        self,
        staging: Staging,
        opening: Opening,
        jobs: Jobs,
        discard: Callable[[Sequence[Call], BaseException], None],
    ) -> None:
        self.staging: Staging = staging
        self.opening: Opening = opening
        self.jobs: Jobs = jobs
        self.discard: Callable[[Sequence[Call], BaseException], None] = discard

    async def enqueue(self, calls: Sequence[Given], options: CallOptions) -> list[Job[Any]]:
        """Commit them all together.

        Raises:
            PostludeError: see `Enqueuing.enqueue`.
        """
        prepared = [self.staging.prepare_stored(*call, options) for call in calls]
        process = self.opening.here or await self.opening.process()
        if options.within is not None:
            await process.transactions.add(options.within, self.staging.queue(prepared))
            return self.queued(prepared, {})
        answered = await process.store.insert(self.staging.queue(prepared))
        process.wake()
        return self.queued(prepared, answered)

    def enqueue_blocking(
        self, calls: Sequence[Given], options: CallOptions, wait: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> list[Job[Any]]:
        """The same in the transaction of a caller that blocks; `wait` gives what a coroutine on another thread does."""
        prepared = [self.staging.prepare_stored(*call, options) for call in calls]
        process: Process = wait(self.opening.process())
        process.transactions.add_blocking(options.within, self.staging.queue(prepared), wait)
        return self.queued(prepared, {})

    def queued(self, calls: Sequence[Call], answered: Mapping[UUID, UUID]) -> list[Job[Any]]:
        """What is returned for calls, some of which others may have answered."""
        return [
            # Nearly always none is answered: an id is not hashed for nothing.
            Job(
                answered.get(call.id, call.id) if answered else call.id,
                call.definition.name,
                self.jobs,
                added=JobState.QUEUED,
            )
            for call in calls
        ]

    async def bind(self, session: object, origin: str) -> Bound:
        """See `Desk.bind`."""
        process = await self.opening.process()
        return await process.bind(session, lambda calls: self.staging.queue(calls, origin), self.discard)

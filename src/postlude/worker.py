"""Claim and begin: what a process does with the queue, beside the calls of its own requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.calls import Call, CallOptions
from postlude.errors import ArgumentsDoNotFit
from postlude.events import AttemptFailed, Events
from postlude.execution import abandon, decide, release, runs_alone
from postlude.executors.contract import failed
from postlude.service import Service

if TYPE_CHECKING:
    from collections.abc import Collection

    from postlude.attempts import Attempts
    from postlude.clock import Clock
    from postlude.job import Claim, Outcome
    from postlude.registry import Registry
    from postlude.settling import Settling
    from postlude.stores.contract import Store
    from postlude.tasks import ExecutorName

POLL: Final = 1.0
"""Seconds between two looks into the queue for what other processes put there: nothing else tells of it for sure."""
CLAIM_LIMIT: Final = 200
"""Jobs in one claim at most: enough to make its commit cheap, few enough for others to get some."""
EXECUTORS: Final[tuple[ExecutorName, ...]] = ("loop", "thread")


class Worker:
    """Takes due jobs from the queue as long as there are slots.

    Args:
        store: the queue.
        owner: the worker's id in it.
        registry: which tasks this process knows.
        attempts: where claimed jobs run.
        settling: takes those that cannot even begin.
        clock: what time it is.
        events: told of them.
    """

    def __init__(
        self,
        *,
        store: Store,
        owner: int,
        registry: Registry,
        attempts: Attempts,
        settling: Settling,
        clock: Clock,
        events: Events,
    ) -> None:
        self._store = store
        self._owner = owner
        self._registry = registry
        self._attempts = attempts
        self._settling = settling
        self._clock = clock
        self._events = events
        self._alone_waits = False
        self._claims = Service("worker", self, events)
        self._watch = Service("attempts", attempts, events)

    def start(self) -> None:
        """Begin to claim, on the running loop."""
        self._claims.start()
        self._watch.start()
        self._attempts.freed = self._claims.wake
        self._attempts.watch = self._watch.wake

    def wake(self) -> None:
        """Look into the queue now."""
        self._claims.wake()

    async def stop(self, grace: float) -> Collection[str]:
        """Claim nothing more, and end what runs; see `Attempts.stop`."""
        await self._claims.stop()
        left = await self._attempts.stop(grace)
        await self._watch.stop()
        return left

    async def run_once(self) -> float | None:
        """Claim as many due jobs as there are slots, begin them, and say when to look again."""
        waiting = await self._store.waiting_tasks()
        delay = POLL
        self._alone_waits = False
        for executor in EXECUTORS:
            tasks = {name for name in waiting if self._runs_in(name, executor)}
            if tasks:
                delay = min(delay, await self._claim_for(executor, tasks))
        # While a job that must run alone is due, nothing new starts until everything here has ended.
        self._attempts.held = self._alone_waits
        return delay

    def _runs_in(self, task: str, executor: ExecutorName) -> bool:
        return self._registry.knows(task) and self._registry.find(task).executor == executor

    async def _claim_for(self, executor: ExecutorName, tasks: Collection[str]) -> float:
        """Claim until nothing is due or no slot is free; returns the seconds until the next is due."""
        while True:
            # Read first: a claim takes the write lock, which an idle process has no business with.
            due = await self._store.next_due(tasks)
            now = self._clock.now()
            if due is None or due > now:
                return POLL if due is None else due - now
            idle = self._attempts.idle
            free = min(self._attempts.free(executor), CLAIM_LIMIT)
            if self._attempts.held and idle:
                free = 1
            if not free:
                self._alone_waits = self._alone_waits or self._attempts.held
                self._attempts.wanted = True
                return POLL
            taken = await self._store.claim(owner=self._owner, tasks=tasks, limit=free, now=now, idle=idle)
            if taken.alone_waits:
                self._rest()
            for claim in taken.claims:
                self._begin(claim)
            if not taken.claims:
                self._attempts.wanted = taken.alone_waits
                return POLL

    def _rest(self) -> None:
        self._alone_waits = self._attempts.held = True

    def _begin(self, claim: Claim) -> None:
        alone = runs_alone(claim)
        if alone and not self._attempts.idle:
            # A request's call has begun while the claim was under way: once more, when that has ended.
            self._rest()
            self._attempts.wanted = True
            self._settling.put(release(claim, self._clock.now()))
            return
        if claim.arguments is None:
            # It stood behind a job that was queued again, and the process that had its arguments is not asked any more.
            reason = "the process that added it gave it away, and it was not stored, so no other can run it"
            self._settling.put(abandon(claim, self._clock.now(), reason))
            return
        definition = self._registry.find(claim.task)
        try:
            args, kwargs = definition.codec.decode(claim.arguments)
        except ArgumentsDoNotFit as error:
            outcome = failed(error)
            self._events.emit(AttemptFailed(claim.job_id, claim.task, claim.attempt, outcome.failure))
            self._settling.put(decide(outcome, claim, self._clock.now()))
            return
        call = Call(definition, claim.job_id, args, kwargs, claim.arguments, CallOptions(), None)
        call.claim = claim
        # The one behind it in its chain is due when this one has succeeded, and nobody else tells of it.
        self._attempts.begin(call, self._look_again if claim.chain is not None else None, alone=alone)

    def _look_again(self, _: Outcome | None) -> None:
        self._claims.wake()

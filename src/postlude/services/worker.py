"""Claim and begin: what a process does with the queue, beside the calls of its own requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.calls import NO_OPTIONS, Call
from postlude.executors.contract import failed
from postlude.job import DEFAULT_TERMS
from postlude.limits import UNLIMITED
from postlude.pauses import Pauses
from postlude.running.execution import abandon, release, runs_alone
from postlude.services.service import Service

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from postlude.clock import Clock
    from postlude.job import Claim, Outcome
    from postlude.limits import Limit
    from postlude.registry import Registry
    from postlude.running.attempts import Attempts
    from postlude.running.settling import Settling
    from postlude.stores.contract import Store
    from postlude.tasks import ExecutorName
    from postlude.telling import Events

POLL: Final = 1.0
"""Seconds between two looks into the queue for what other processes put there: nothing else tells of it for sure."""
CLAIM_LIMIT: Final = 200
"""Jobs in one claim at most: enough to make its commit cheap, few enough for others to get some."""
NAMES_FOR: Final = 0.05
"""Seconds for which the names that jobs wait under are not read again while claims come back full and nobody wakes the
worker for something new: with few slots it would ask for them as often as it claims."""
HOLD_FOR: Final = 30.0
"""Seconds for which nothing new starts while a job that must run alone waits for this process to come to rest. An
attempt that runs for hours must not keep everything else waiting for as long."""
LET_IN_FOR: Final = 10.0
"""Seconds for which others are let in again after that, before the next try to come to rest."""


class Worker:
    """Takes due jobs from the queue as long as there are slots.

    Args:
        store: the queue.
        owner: the worker's id in it.
        registry: which tasks this process knows.
        attempts: where claimed jobs run.
        settling: takes those that cannot even begin.
        clock: what time it is.
        events: told of turns that fail.
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
        self.owner: int = owner
        """The worker's id."""
        self._registry = registry
        self._attempts = attempts
        self._slots = attempts.slots
        self._settling = settling
        self._clock = clock
        self.queues: Mapping[str, int | None] = {}
        """From which it claims, and how many jobs of each may be its own at once (None: any number); empty: all."""
        self._pauses: Pauses | None = None
        """What is paused; None: it is not known, since nobody has looked yet or something has changed."""
        self._pauses_read = -POLL
        """When they were read, on the clock that never goes backwards."""
        self.held_back: bool = False
        """Whether a limit holds back what is due: something that ends may let it go."""
        self.again_at: float | None = None
        """When what is held back may start by the passing of time alone; None: nothing does."""
        self.taken: int = 0
        """How many jobs it has claimed."""
        self._names: Mapping[str, float] = {}
        """Under which jobs are queued and when the first of each is due, as far as is known."""
        self._names_read = -NAMES_FOR
        """When they were read, on the clock that never goes backwards."""
        self._stopping = False
        self._alone_waits: set[ExecutorName] = set()
        """Where a job that must run alone is due, as far as this turn has looked."""
        self._at_rest_for: set[ExecutorName] = set()
        """Where one was due in the turn before: a process that has come to rest claims only there."""
        self._alone_since: float | None = None
        """Since when a job that must run alone waits, on the clock that never goes backwards; None: there is none."""
        self._more: set[ExecutorName] = set()
        """Those whose last claim was full: more is due, as far as anybody knows."""
        self._claims = Service("worker", self, events)
        self._watch = Service("attempts", attempts, events)

    def start(self) -> None:
        """Begin to claim, on the running loop."""
        self._stopping = False
        self._claims.start()
        self._watch.start()
        self._slots.freed = self._claims.wake
        self._attempts.watch = self._watch.wake
        self._attempts.belongs_in_queue = self._belongs_in_queue
        self._attempts.queue_is_read = True

    @property
    def looks(self) -> int:
        """How often it has looked into the queue, and the store has answered."""
        return self._claims.done

    @property
    def unknown(self) -> list[str]:
        """The tasks of which jobs are queued, and that this process does not know, as far as it has looked."""
        return [name for name in self._names if not self._registry.knows(name)]

    def wake(self) -> None:
        """Something was queued: look into the queue now."""
        self._names_read = -NAMES_FOR
        self._claims.wake()

    def look_at_pauses(self) -> None:
        """Something was paused, or goes on."""
        self._pauses, self._pauses_read = None, -POLL
        self._claims.wake()

    def _belongs_in_queue(self, call: Call) -> bool:
        definition = call.definition
        pauses = self._pauses
        if pauses is None or not self._store.sure_of(self.owner):
            return True  # to begin it under an owner that others may have given up would be to run it twice
        if call.terms is DEFAULT_TERMS and not pauses.all:
            return definition.remote
        paused = pauses.cover(call.terms.queue, definition.name, call.terms.partition)
        return paused or call.needs_queue or definition.remote

    async def stop(self, grace: float) -> Collection[str]:
        """Claim nothing more, and end what runs; see `Attempts.stop`."""
        self._stopping = True  # also for the turn under way
        await self._claims.stop()
        left = await self._attempts.stop(grace)
        await self._watch.stop()
        return left

    async def run_once(self) -> float | None:
        """Claim due jobs for the slots there are, once for each executor, begin them, and say when to look again."""
        if self._clock.elapsed() - self._pauses_read >= POLL:
            self._pauses_read = self._clock.elapsed()
            pauses = Pauses(await self._store.pauses())
            # Unless something changed while they were read: then they are read again in the next turn.
            self._pauses = None if self._pauses_read == -POLL else pauses
        read = not self._more or self._clock.elapsed() - self._names_read >= NAMES_FOR
        if read:
            self._names_read = self._clock.elapsed()
            self._names = await self._store.waiting_tasks(self.queues)
        delay = POLL
        self._at_rest_for, self._alone_waits = self._alone_waits, set()
        self.held_back = False
        self.again_at = None
        tasks: dict[ExecutorName, set[str]] = {}
        for name in self._names:
            definition = self._registry.find(name) if self._registry.knows(name) else None
            if definition is not None and not definition.remote:
                tasks.setdefault(definition.executor, set()).add(name)
        self._more.intersection_update(tasks)  # of those that are not asked nothing is known
        for executor in sorted(tasks):  # always the same one first
            delay = min(delay, await self._claim_for(executor, tasks[executor]))
        if not self._alone_waits:
            self._alone_since = None
        # While a job that must run alone is due, nothing new starts until everything here has ended.
        self._slots.held = self._holds()
        return delay if read or self._more else 0.0

    def _holds(self) -> bool:
        """Whether a job that must run alone keeps others from starting just now."""
        if self._alone_since is None:
            return False
        return (self._clock.elapsed() - self._alone_since) % (HOLD_FOR + LET_IN_FOR) < HOLD_FOR

    async def _claim_for(self, executor: ExecutorName, tasks: Collection[str]) -> float:
        """Claim what is due; returns the seconds until the next look, 0 if there may be more."""
        now = self._clock.now()
        if executor not in self._more:
            # A claim takes the write lock, which an idle process has no business with.
            due = min(self._names[name] for name in tasks)
            if due > now:
                return min(due - now, POLL)
        if self._slots.closed(executor):
            return POLL
        free = min(self._slots.free(executor), CLAIM_LIMIT)
        if self._slots.held and self._attempts.idle and executor in self._at_rest_for:
            free = 1  # which takes the job that must run alone, before all others
        if not free:
            self._slots.wanted = True
        # A job that must run alone is asked for without a slot: another process may have taken it in the meantime.
        if self._stopping or (not free and self._alone_since is None):
            return POLL
        return await self._claim(executor, tasks, free, now)

    async def _claim(self, executor: ExecutorName, tasks: Collection[str], free: int, now: float) -> float:
        idle = self._attempts.idle
        self._more.discard(executor)
        taken = await self._store.claim(
            owner=self.owner,
            tasks=tasks,
            limit=free,
            now=now,
            idle=idle,
            limits=self._limits(tasks),
            queues=self.queues,
        )
        self.taken += len(taken.claims)
        if free and len(taken.claims) == free and not self._slots.held:
            self._more.add(executor)
        if taken.alone_waits:
            self._rest(executor)
        for claim in taken.claims:
            self._try_to_begin(claim)
        if taken.claims and self._slots.free(executor):
            return 0.0
        self._slots.wanted = bool(taken.claims) or taken.alone_waits or not free
        self.held_back = self.held_back or taken.held_back
        if taken.again_at is None:
            return POLL
        self.again_at = taken.again_at if self.again_at is None else min(self.again_at, taken.again_at)
        return max(0.0, taken.again_at - now)

    def _limits(self, tasks: Collection[str]) -> Mapping[str, Limit]:
        declared = {name: self._registry.find(name).terms.limit for name in tasks}
        return {name: limit for name, limit in declared.items() if limit != UNLIMITED}

    def _rest(self, executor: ExecutorName) -> None:
        self._alone_waits.add(executor)
        if self._alone_since is None:
            self._alone_since = self._clock.elapsed()
        self._slots.held = self._holds()

    def _try_to_begin(self, claim: Claim) -> None:
        """Begin, or settle the job with what stood in the way: those that were claimed with it must not wait for it."""
        try:
            self._begin(claim)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is the failure of this job
            self._attempts.endings.end(claim, failed(error))

    def _begin(self, claim: Claim) -> None:
        if self._attempts.runs(claim.job_id):
            # It was taken from this process, and what runs does not end at once: it must not run here twice at a time.
            now = self._clock.now()
            self._settling.put(release(claim, now + POLL)._replace(at=now))
            return
        alone = runs_alone(claim)
        if alone and not self._attempts.idle:
            # A request's call has begun while the claim was under way: once more, when that has ended.
            self._rest(self._registry.find(claim.task).executor)
            self._slots.wanted = True
            self._settling.put(release(claim, self._clock.now()))
            return
        if claim.arguments is None:
            # It stood behind a job that was queued again, and the process that had its arguments is not asked any more.
            reason = "the process that added it gave it away, and it was not stored, so no other can run it"
            self._settling.put(abandon(claim, self._clock.now(), reason))
            return
        definition = self._registry.find(claim.task)
        args, kwargs = definition.codec.decode(claim.arguments)
        call = Call(definition, claim.job_id, args, kwargs, claim.arguments, NO_OPTIONS, None)
        call.claim = claim
        # The one behind it in its chain is due when this one has succeeded, and nobody else tells of it.
        self._attempts.begin(call, self._look_again if claim.chain is not None else None, alone=alone)

    def _look_again(self, _: Outcome | None) -> None:
        self._claims.wake()

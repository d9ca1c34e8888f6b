"""What one process has open: its store, its worker's id, and what runs on its event loop.

Nothing is opened at import, and nothing is carried through a fork: a child has its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING

from postlude.bound import LEFT, bind
from postlude.errors import StoreError
from postlude.events import CallsLost, ServiceFailed, StoreFailed
from postlude.executors.contract import failure_of
from postlude.job import Cancelled
from postlude.lifetime.memory import LoadedObjects
from postlude.logs import listen
from postlude.loops import running_loop
from postlude.running.attempts import Attempts
from postlude.running.execution import decide
from postlude.running.order import leave_all, run_all
from postlude.running.settling import Settling
from postlude.services.prune import Prune
from postlude.services.recording import Recording, report_of
from postlude.services.relay import Relay
from postlude.services.rescue import Rescue
from postlude.services.scheduler import Scheduler
from postlude.services.service import Service
from postlude.services.withdrawals import Withdrawals
from postlude.services.worker import Worker
from postlude.tasks import shortest_retention
from postlude.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

    from postlude.bound import Bound
    from postlude.calls import Call
    from postlude.clock import Clock
    from postlude.job import NewJob, Settlement
    from postlude.registry import Registry
    from postlude.retention import Retention
    from postlude.running.places import Places
    from postlude.services.enlistment import Enlistment
    from postlude.services.recording import Standing
    from postlude.services.service import Turn
    from postlude.statistics import Tallies
    from postlude.stores.contract import Description, Store
    from postlude.stores.notifying import Change
    from postlude.stores.seeing import WorkerReport
    from postlude.telling import Events

SETTLE_WITHIN = 2.0
"""Seconds that the last outcomes have to reach the store when the process stops, the last withdrawals too, and then the
worker's leave: a store that does not answer must not keep a process from ending."""

_until_exit: list[Process] = []
"""Those that still own what nobody else may have before this operating system process is gone."""


class Process:
    """An opened store, and what this process does with it.

    Args:
        store: opened.
        description: what the store said of itself.
        enlistment: which worker this process is; begun.
        registry: its tasks.
        places: where attempts run; closed with the process.
        clock: what time it is.
        events: told what happens.
        settled: given the settlements of each write that is over; see `Settling`.
        retention: how long jobs are kept that do not say it themselves.
        queues: see `Worker`.
        tallies: where it is counted what becomes of jobs.
        standing: what the process is.
    """

    def __init__(  # noqa: PLR0913 - it is where the parts of the engine meet
        self,
        *,
        store: Store,
        description: Description,
        enlistment: Enlistment,
        registry: Registry,
        places: Places,
        clock: Clock,
        events: Events,
        settled: Callable[[Sequence[Settlement]], None],
        retention: Retention,
        queues: Mapping[str, int | None],
        tallies: Tallies,
        standing: Standing,
    ) -> None:
        self.pid: int = os.getpid()
        self.store = store
        self.description = description
        self.enlistment = enlistment
        enlistment.on_lost = self._lost
        enlistment.on_replaced = self._replaced
        self._clock = clock
        self._events = events
        self._settled = settled
        self._tallies = tallies
        self.withdrawals: Withdrawals = Withdrawals(store)
        self._places = places
        self._loaded = LoadedObjects()
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop on which the worker runs; None before it starts and after it has stopped."""
        self._settling = self._new_settling()
        self.attempts: Attempts = self._new_attempts(self._settling)
        self.worker: Worker = Worker(
            store=store,
            owner=enlistment.owner,
            registry=registry,
            attempts=self.attempts,
            settling=self._settling,
            clock=clock,
            events=events,
        )
        self.worker.queues = queues
        self._looks: Mapping[Change, Callable[[], None]] = {
            "cancelled": self.attempts.look_for_cancellations,
            "paused": self.worker.look_at_pauses,
            "queued": self.worker.wake,
        }
        self._rescue = Rescue(store, clock, events, queued=self.wake)
        self._rescue.tallies = tallies
        self._rescues = Service("rescue", self._rescue, events)
        self._prunes = Service("prune", Prune(store, clock, retention, shortest_retention), events)
        self._end_listening: Callable[[], None] = lambda: None
        """Ends the keeping of what tasks log."""
        self.scheduler: Scheduler = Scheduler(store, registry, clock, events, queued=self.wake)
        self._schedules = Service("scheduler", self.scheduler, events)
        self.relay: Relay = Relay(
            store,
            queued=self.wake,
            refused=lambda error: events.emit(ServiceFailed("relay", failure_of(error))),
        )
        self._relays = Service("relay", self.relay, events)
        self.transactions: Transactions = Transactions(store, self.relay, self._expect)
        self._enlists = Service("enlistment", enlistment, events)
        self._standing = standing
        self.recording: Recording = Recording(
            store, tallies, clock, events, owner=lambda: self.owner, report=self._report
        )
        """What it writes down of itself; started by whoever starts this."""
        self._runners: dict[Attempts, asyncio.AbstractEventLoop] = {}
        """What runs calls on loops on which the worker does not."""
        self._stopping: asyncio.Task[Collection[str]] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def running_here(self) -> bool:
        """Whether the worker runs on the current event loop. If not, a request runs its own calls."""
        return self.loop is not None and self.loop is asyncio.get_running_loop()

    @contextlib.asynccontextmanager
    async def runner(self) -> AsyncIterator[Attempts]:
        """What a request needs to run its own calls on the current loop, whichever that is."""
        if self.running_here:
            yield self.attempts
            return
        attempts = self._new_attempts(self._new_settling())
        watch = Service("attempts", attempts, self._events)
        attempts.watch = watch.wake
        watch.start()
        end_listening = listen()
        self._runners[attempts] = asyncio.get_running_loop()
        try:
            yield attempts
        finally:
            del self._runners[attempts]
            end_listening()
            await watch.stop()

    async def run(self, calls: Sequence[Call]) -> bool:
        """Run the calls of a request to their end, on the current loop; see `order.run_all`."""
        async with self.runner() as attempts:
            return await run_all(attempts, calls)

    async def leave(self, calls: Sequence[Call]) -> None:
        """See `order.leave_all`."""
        await leave_all(self.settling(), calls, self._clock.now())

    async def bind(
        self,
        session: object,
        queue: Callable[[Sequence[Call]], Sequence[NewJob]],
        discard: Callable[[Sequence[Call], BaseException], None],
    ) -> Bound:
        """See `bound.bind`."""

        def lose(calls: Sequence[Call]) -> None:
            self._events.emit(CallsLost(tuple(call.definition.name for call in calls), LEFT))

        return await bind(self.transactions, session, queue, discard, lose)

    @property
    def owner(self) -> int:
        """The id under which this process owns jobs."""
        return self.enlistment.owner

    def _lost(self) -> None:
        """It was given up for dead; on any thread. Where no worker runs, whoever adds jobs next sees to it."""
        self._on_loop(self._enlists.wake)

    def _replaced(self, old: int, new: int) -> None:
        """It has another id; on any loop."""
        self.worker.owner = new
        if self.loop is None:
            self.attempts.supersede(old, new)
        self._on_loop(partial(self.attempts.supersede, old, new))
        for attempts, loop in tuple(self._runners.items()):
            with contextlib.suppress(RuntimeError):  # it was closed: nothing runs there any more
                loop.call_soon_threadsafe(attempts.supersede, old, new)

    def cancel(self, call: Call, reason: str) -> None:
        """End a call that will not run here, if it has a row that nobody has ended yet."""
        if call.claim is not None:
            self.settling().put(decide(Cancelled(reason), call.claim, self._clock.now()), perhaps=True)

    def settling(self) -> Settling:
        """What settles on the current loop, whichever that is."""
        return self._settling if self.running_here else self._new_settling()

    def _new_settling(self) -> Settling:
        return Settling(self.store, self._events, self._told)

    def _new_attempts(self, settling: Settling) -> Attempts:
        attempts = Attempts(
            store=self.store,
            owner=self.owner,
            settling=settling,
            places=self._places,
            clock=self._clock,
            events=self._events,
        )
        attempts.owns = self._owns
        attempts.endings.tallies = self._tallies
        return attempts

    def _owns(self, owner: int) -> bool:
        enlistment = self.enlistment
        return owner == enlistment.owner and not enlistment.lost

    def _told(self, settlements: Sequence[Settlement]) -> None:
        self._settled(settlements)
        if any(each.run_at is not None or each.then is not None for each in settlements):
            self.wake()  # to be back when the first of them is due
        elif self.worker.held_back:
            self._heard("queued")  # for what their end makes room for

    async def start(self) -> int:
        """Begin to rescue, to claim and to fire schedules on the current loop; returns how many jobs were rescued."""
        await self._rescue.run_once()
        await self.scheduler.begin()
        self.loop = asyncio.get_running_loop()
        self._end_listening = listen()
        self.store.listen(self._heard)
        self._rescues.start()
        self._prunes.start()
        self._schedules.start()
        self._relays.start()
        self._enlists.start()
        self.worker.start()
        self._loaded.freeze()
        return self._rescue.rescued

    def _report(self, lag: float) -> WorkerReport:
        return report_of(self._standing, self.attempts.running, self.worker, self._events.counts, lag)

    @property
    def turns(self) -> Sequence[Turn]:
        """What its services do, for whoever takes their turns by hand: a test, in which they were not started.

        Those that add jobs come before the worker.
        """
        return self._rescue, self.scheduler, self.relay, self.worker

    def wake(self) -> None:
        """A job was queued: look into the queue now, here and in other processes. From any thread."""
        self.tell("queued")

    def _expect(self, *, straight: bool, committed: bool) -> None:
        """A caller's transaction is committed about now. From any thread."""
        self.relay.expect(straight=straight)
        self._on_loop(self._relays.wake)
        if straight and committed and self.loop is None:
            self.store.notify("queued")  # no relay runs here that would

    def tell(self, change: Change) -> None:
        """Look now at what was changed, here and in other processes. From any thread."""
        self._heard(change)
        self.store.notify(change)

    def _heard(self, change: Change) -> None:
        """Look now at what may have changed. From any thread."""
        self._on_loop(self._looks[change])

    def _on_loop(self, call: Callable[[], None]) -> None:
        loop = self.loop  # which another thread may set to None
        if loop is None:
            return
        if running_loop() is loop:
            call()
        else:
            with contextlib.suppress(RuntimeError):  # it was closed: nothing runs there any more
                loop.call_soon_threadsafe(call)

    def call(self, what: Callable[[], object]) -> None:
        """Have this called on the worker's loop soon; from any thread, or a signal handler."""
        loop = self.loop
        if loop is not None:
            # It may be closed; and what a signal handler raises hits whoever is running.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(what)

    def begin_stop(self, grace: float, *, announced: bool = True) -> None:
        """Start nothing more, and give what runs the grace. Idempotent. On the worker's loop.

        Args:
            grace: seconds.
            announced: whether somebody wants it; else what does not end in time was interrupted, and counts as that.
        """
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._end(grace, announced), name="postlude stop")

    async def _end(self, grace: float, announced: bool) -> Collection[str]:  # noqa: FBT001 - of `begin_stop`
        # The first that is written from now on, but nothing waits for it: while the store keeps it waiting, nothing new
        # may start, and the grace goes by.
        if announced:
            announcing = self._tried("announcing the stop", self.store.announce_stop(self.owner))
            self._announcing = asyncio.get_running_loop().create_task(announcing, name="postlude announcement")
        _, left, *_ = await asyncio.gather(
            self._rescues.stop(),
            self.worker.stop(grace),
            self._schedules.stop(),
            self._prunes.stop(),
            self._relays.stop(),
            self._enlists.stop(),
        )
        return left

    async def _tried(self, during: str, write: Awaitable[None]) -> None:
        """A write without which the process ends all the same: what it leaves behind will be found."""
        try:
            await write
        except StoreError as error:
            self._events.emit(StoreFailed(during, str(error)))

    async def stop(self, grace: float) -> Collection[str]:
        """End everything; returns the tasks that could not be made to end. Idempotent."""
        if self.loop is None:
            return ()
        self.begin_stop(grace)
        left: Collection[str] = await self._stopping if self._stopping is not None else ()
        flushing = asyncio.get_running_loop().create_task(self._settling.flush())
        announced = () if self._announcing is None else (self._announcing,)
        await asyncio.wait({flushing, *announced}, timeout=SETTLE_WITHIN)
        self.loop = self._stopping = None
        await self._let_go(still_runs=bool(left))
        return left

    async def close(self) -> None:
        """Let go of the store, where the worker does not run, or has lost its loop."""
        still_runs = self.loop is not None and not self.attempts.empty
        self.loop = None
        await self._let_go(still_runs=still_runs)

    async def _let_go(self, *, still_runs: bool) -> None:
        self._loaded.thaw()
        self._end_listening()
        await self.withdrawals.end(SETTLE_WITHIN)
        await self.recording.stop(SETTLE_WITHIN)
        self._places.close()
        self.relay.close()
        if still_runs or self.withdrawals.tasks:
            # The proof of life must stay until the process is gone: nobody may run what runs here, or was refused.
            _until_exit.append(self)
            return
        # It goes on if it takes longer. A row that stays is buried by others.
        self._leaving = asyncio.get_running_loop().create_task(self._leave(), name="postlude leave")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_WITHIN):
                await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        await self._tried("leaving", self.store.dismiss(self.owner))
        await self.store.close()

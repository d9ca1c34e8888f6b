"""The attempts of one process on one event loop: who has a slot, who waits for one, and what each came to.

A call comes here with its claim, from a request of this process or from the queue, and leaves when its outcome has been
handed to `Settling`. The same code serves a worker and immediate mode.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from postlude.events import (
    AttemptUnstoppable,
    ExecutorFailed,
    ExecutorRecovered,
    LoopBlocked,
    StopDelayed,
    StoreFailed,
    ThreadAbandoned,
    ThreadsExhausted,
)
from postlude.executors.contract import CannotStart, failed, resolve
from postlude.executors.loop import LoopExecutor
from postlude.job import Cancelled, Failed, JobState
from postlude.policy import Policy
from postlude.running.admitted import Admitted
from postlude.running.endings import Endings
from postlude.running.line import Line, Lines
from postlude.running.observing import observed
from postlude.running.oversight import RECORD_AFTER, Oversight
from postlude.running.rest import Rest
from postlude.running.slots import Slots
from postlude.tasks import default_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from uuid import UUID

    from postlude.calls import Call
    from postlude.clock import Clock
    from postlude.job import Outcome
    from postlude.running.admitted import Ended
    from postlude.running.places import Places
    from postlude.running.settling import Settling
    from postlude.stores.contract import Store
    from postlude.telling import Events


class Attempts:
    """Runs calls in the slots there are.

    Args:
        store: where attempts are recorded and cancellations are read.
        owner: the worker whose claims these are.
        settling: takes what each attempt came to.
        places: where, and in how many slots.
        clock: what time it is.
        events: told of failures.
    """

    def __init__(
        self,
        *,
        store: Store,
        owner: int,
        settling: Settling,
        places: Places,
        clock: Clock,
        events: Events,
    ) -> None:
        self.settling = settling
        self.clock = clock
        self._events = events
        self.endings: Endings = Endings(settling, clock, events)
        on_loop = LoopExecutor(clock, lambda task, seconds: events.emit(LoopBlocked(task, seconds)))
        self._lines = Lines(
            places.line, {"loop": Line(on_loop, places.concurrency.loop), "thread": places.line("thread")}
        )
        self.slots: Slots = Slots(self._lines, settling, clock, begin=self._begin_now, at_rest=lambda: self.idle)
        """Who may begin."""
        self._places = places
        self._running: dict[UUID, Admitted] = {}
        """Oldest first."""
        self.runs: Callable[[UUID], bool] = self._running.__contains__
        """Whether an attempt at this job runs here."""
        self._oversight = Oversight(store, owner, clock, events, self._running)
        self.rest: Rest = Rest(self._running)
        self._stuck: set[UUID] = set()
        """Those that did not end when their time was over, and whose threads were not replaced."""
        self._preparing: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where the attempts run; None before the first."""
        self._stopping = False
        self.owns: Callable[[int], bool] = lambda _: True
        """Whether a worker's jobs are this process's: not if others have given that worker up, as far as is known."""
        # Where no worker runs nobody would claim it later, so limits and pauses hold back nothing.
        self.belongs_in_queue: Callable[[Call], bool] = lambda call: call.definition.remote
        """Whether a call of a request has to be claimed like any other job, in place of being run at once."""
        self.queue_is_read: bool = False
        """Whether what waits for a slot is left to whoever claims from the queue, when it has waited for a while."""
        self.watch: Callable[[], None] = lambda: None
        """Called when there is something for `run_once` to look after."""

    @property
    def idle(self) -> bool:
        """Whether nothing runs but in threads that were left alone."""
        return all(attempt.abandoned for attempt in self._running.values())

    @property
    def empty(self) -> bool:
        """Whether nothing runs at all."""
        return not self._running

    @property
    def running(self) -> Collection[Admitted]:
        """Those that run here, oldest first; also those in threads that were left alone."""
        return self._running.values()

    @property
    def worn_out(self) -> bool:
        """Whether as many threads are stuck as are replaced, and one more.

        A process that does nothing else should then end, for its supervisor to start another. One that serves requests
        goes on with the threads that are left.
        """
        return not self._stuck.isdisjoint(self._running)

    def begin(
        self, call: Call, ended: Ended | None = None, *, behind: Sequence[Call] = (), alone: bool = False
    ) -> None:
        """Run a call as soon as there is a slot.

        Args:
            call: what to run.
            ended: called when the outcome is on disk; None: nobody waits for it.
            behind: the calls of this process that are run only after this one.
            alone: nothing else starts until this has ended. Only when idle.
        """
        line = self._lines[call.definition.executor]
        if line.elsewhere and call.ephemeral:
            line = self._lines[default_executor(call.definition.function)]
        attempt = Admitted(line, call, ended, behind)
        if call.answered is not None:
            self.endings.abandon_behind(attempt, "another job answers in place of the one before it")
            attempt.tell(None)
            return
        now = self.clock.now()
        if not alone and self._goes_elsewhere(call, now):
            self.endings.give_back(attempt)
        elif self.slots.take(attempt, alone=alone):
            self._admit(attempt, now)
        else:
            if call.context is None:
                call.context = contextvars.copy_context()
            self.watch()

    def _goes_elsewhere(self, call: Call, now: float) -> bool:
        """Whether it is not for this process, or not for now."""
        claim, due = call.claim, call.is_due(now)
        if claim is None or not due:
            return not due
        if self._stopping or claim.state is not JobState.STAGED or call.ephemeral:
            return self._stopping
        # A request that is open yet may bring calls that it added long ago, whose owner has been given up since.
        return not self.owns(claim.owner) or self.belongs_in_queue(call)

    async def run(self, call: Call, *, behind: Sequence[Call] = ()) -> Outcome | None:
        """Run a call, and return what it came to when that is on disk."""
        future: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self.begin(call, partial(resolve, future), behind=behind)
        return await future

    # From slot to outcome

    def _begin_now(self, attempt: Admitted) -> None:
        """It has waited, and has its slot."""
        now = self.clock.now()
        if self._goes_elsewhere(attempt.call, now):  # it has expired in the line, or was paused
            attempt.line.free += 1
            self.endings.give_back(attempt)
        else:
            self._admit(attempt, now)

    def _admit(self, attempt: Admitted, now: float) -> None:
        if attempt.line.outage is not None:
            attempt.line.outage.tries()
        claim = attempt.call.claim
        if claim is not None and claim.state is JobState.STAGED:
            # Where no worker runs, a call with the same key may have changed it, and what is at hand must not run then.
            recorded_first = attempt.call.definition.policy.interrupted == "hold" or attempt.call.replaceable
            waited = now - claim.created_at > RECORD_AFTER
            if recorded_first or waited or self._oversight.was_asked(attempt):
                task = asyncio.get_running_loop().create_task(self._prepare(attempt, record=recorded_first))
                self._preparing.add(task)
                task.add_done_callback(self._preparing.discard)
                return
        self._launch(attempt, now)

    async def _prepare(self, attempt: Admitted, *, record: bool) -> None:
        """Before the start of a call that must be recorded first, or that may have been cancelled while it waited.

        A task that must not run twice is recorded before it does anything: a crash in its first second would else look
        as if it had never started.
        """
        self._running[attempt.call.id] = attempt
        try:
            await self._oversight.read_cancellations()
            if record and not self._oversight.was_asked(attempt):
                await self._oversight.record([attempt])
        except Exception as error:  # noqa: BLE001 - whatever it was, the call goes back and is not lost
            self._events.emit(StoreFailed(f"starting {attempt.call.definition.name}", str(error)))
            del self._running[attempt.call.id]
            if attempt.line.outage is not None:
                attempt.line.outage.tried_not()
            self._leave(attempt.line)
            self.endings.give_back(attempt)
            return
        asked = "cancelled on request before it started" if self._oversight.was_asked(attempt) else None
        if reason := asked or attempt.cancelled_because:
            self._conclude(attempt, Cancelled(reason))
        else:
            self._launch(attempt, self.clock.now())

    def _launch(self, attempt: Admitted, now: float) -> None:
        call = attempt.call
        attempt.started_at = now
        attempt.began = self.clock.elapsed()
        self._running[call.id] = attempt
        attempt.timeout = Policy.loads(call.policy_text if call.claim is None else call.claim.policy).timeout
        self._oversight.begin(attempt)
        self.watch()
        context = call.context if call.context is not None else contextvars.copy_context()  # an empty one is false
        self._loop = asyncio.get_running_loop()
        job = attempt.open_job(context, self._places.carry, partial(self._reported, attempt), self._oversight.save)
        ended: Callable[[Outcome], None] = partial(self._conclude, attempt)
        if self._events.observers:
            ended = observed(self._events, self.clock, attempt, context, ended)
        try:
            executor, work = self._places.placed(attempt, job, context)
            attempt.running = executor.begin(work, ended)
        except Exception as error:  # noqa: BLE001 - the end of this call, and of no other
            # Later, as every end: the line behind it would be worked off in here, one inside the other.
            self._loop.call_soon(ended, failed(error))

    def _reported(self, attempt: Admitted) -> None:
        """An attempt has something to report; in any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is left to write it down
                self._loop.call_soon_threadsafe(self._note_progress, attempt)

    def _note_progress(self, attempt: Admitted) -> None:
        self._oversight.reported(attempt)
        self.watch()

    def _not_begun(self, attempt: Admitted, error: Exception) -> None:
        if attempt.call.ephemeral or not isinstance(error, CannotStart):
            self._conclude(attempt, failed(error))
            return
        self._forget(attempt)
        self.endings.give_back(attempt, after=RECORD_AFTER)
        attempt.close_job()
        if attempt.line.fails(attempt, self.clock):
            self._events.emit(ExecutorFailed(attempt.call.definition.executor, str(error)))
        self._leave(attempt.line)

    def _forget(self, attempt: Admitted) -> None:
        call = attempt.call
        self._running.pop(call.id, None)  # else the slot would never be freed
        self._oversight.end(attempt)
        self.slots.end_alone(call.id)

    def _conclude(self, attempt: Admitted, outcome: Outcome) -> None:
        if isinstance(outcome, Failed) and isinstance(outcome.error, CannotStart) and not attempt.call.ephemeral:
            self._not_begun(attempt, outcome.error)
            return
        self._forget(attempt)
        self.endings.conclude(attempt, outcome)
        if attempt.line.outage is not None and attempt.line.recovers(attempt):
            self._events.emit(ExecutorRecovered(attempt.call.definition.executor))
        attempt.close_job()
        if attempt.abandoned:
            self._places.threads.take_room()
        else:
            self._leave(attempt.line)

    def _leave(self, line: Line) -> None:
        self.rest.look()
        self.slots.leave(line)

    # Looking after what runs

    async def run_once(self) -> float | None:
        """Look after what runs, and give back what has waited for a while."""
        for attempt in self._oversight.take_timed_out():
            self._time_out(attempt)  # first, since it needs no answer of the store
        delay = await self._oversight.run_once()
        if self.queue_is_read:
            for attempt in self._lines.take_overdue(before=self.clock.elapsed() - RECORD_AFTER):
                self.endings.give_back(attempt)
        self.slots.let_in()  # where an executor is tried again
        return RECORD_AFTER if delay is None and any(line.waiting for line in self._lines.values()) else delay

    def _time_out(self, attempt: Admitted) -> None:
        if attempt.cancelled_because is None:  # else it ends for that reason
            attempt.timed_out = attempt.timeout
        self._oversight.tell(attempt, f"it ran longer than its timeout of {attempt.timeout:g} s")
        if not attempt.can_end:
            self._leave_alone(attempt)

    def _leave_alone(self, attempt: Admitted) -> None:
        """Go on beside an attempt that cannot be made to end. It keeps its claim, since what it does may go on."""
        call, number, room = attempt.call, attempt.number, attempt.line.room
        if room is None:
            self._events.emit(AttemptUnstoppable(*attempt.names, call.definition.executor, number, call.origin))
            return
        attempt.abandoned = room.make_room()
        self._events.emit(ThreadAbandoned(*attempt.names, attempt.abandoned, number, call.origin))
        if attempt.abandoned:
            self.slots.end_alone(call.id)
            self._leave(attempt.line)
            return
        self._stuck.add(call.id)
        stuck = self._stuck & self._running.keys()
        if len(stuck) == self._places.concurrency.threads:
            lost = [each for each in self._running.values() if each.abandoned or each.call.id in stuck]
            self._events.emit(ThreadsExhausted(tuple(sorted({each.call.definition.name for each in lost}))))

    def look_for_cancellations(self) -> None:
        """Somebody was asked to cancel: look soon who it was."""
        self._oversight.look_for_cancellations()
        self.watch()

    def supersede(self, old: int, new: int) -> None:
        """Go on for a new owner, and let go of what is here for the old one, which was given up for dead."""
        for attempt in self._lines.take_overdue(before=inf):
            self.endings.give_back(attempt)
        self._oversight.supersede(old, new)

    # Stopping

    async def stop(self, grace: float) -> Collection[str]:
        """Start nothing more, let what runs end within a grace in seconds, give back the rest.

        Returns:
            The tasks that could not be made to end: in daemon threads, and given to others when this process is gone.
        """
        self._stopping = self.endings.stopping = True
        for attempt in self.slots.close():  # an open request may still bring what only this process can run
            self.endings.give_back(attempt)
        late = await self.rest.grace(grace)
        if late:
            self._events.emit(StopDelayed(tuple(sorted({each.call.definition.name for each in late}))))
        for attempt in late:
            attempt.given_back = True
            attempt.cancel("the process stops")
        await self.rest.last_words()
        return sorted({each.call.definition.name for each in self._running.values()})

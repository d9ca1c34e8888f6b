"""Looking after attempts that run: what ran for a while is recorded, reports go out, and cancellations come in."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from postlude.clock import pause
from postlude.control import Cancel
from postlude.errors import ClaimLost, StoreUnavailable
from postlude.events import AttemptGoesOn, AttemptSlow, StoreFailed, StoreRecovered
from postlude.job import JobState, Report
from postlude.running.settling import FIRST_RETRY, LAST_RETRY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from postlude.clock import Clock
    from postlude.running.admitted import Admitted
    from postlude.stores.contract import Store
    from postlude.telling import Events

RECORD_AFTER: Final = 1.0
"""Seconds after which a staged attempt that still runs is recorded as started, and a call that still waits for a slot
is given back to the queue, for whoever has one."""
REPORT_EVERY: Final = 0.5
"""Seconds between two writes of progress and of what was logged, however often tasks report."""
END_WITHIN: Final = 5.0
"""Seconds that an attempt has to end when it was told to, before a warning names it."""
SLOW_AFTER: Final = 300.0
"""Seconds after which an attempt without a timeout is named in a warning."""
SUPERSEDED: Final = "its claim was given to another worker"


class Oversight:
    """What the store and the running attempts have to tell each other.

    Args:
        store: where attempts are recorded and cancellations are read.
        owner: the worker whose claims these are.
        clock: what time it is.
        events: told of attempts that take very long.
        running: the attempts that run, oldest first.
    """

    def __init__(
        self, store: Store, owner: int, clock: Clock, events: Events, running: Mapping[UUID, Admitted]
    ) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._events = events
        self._running = running
        self._reporting: dict[UUID, Admitted] = {}
        """Those that have something to say which is not written yet."""
        self._report_at = 0.0
        self._timed: dict[UUID, Admitted] = {}
        """Those that may run for a limited time, and have not been told to end."""
        self._asked: frozenset[UUID] = frozenset()
        self._look = False
        self._said_away = False
        """Whether it was said that the store does not take the state of a task, and not yet that it does again."""
        self._told: dict[UUID, float] = {}
        """Since when each that can be made to end has been told to, on the clock that never goes backwards."""

    def begin(self, attempt: Admitted) -> None:
        """An attempt has started."""
        call = attempt.call
        if call.claim is not None and call.claim.state is JobState.STAGED:
            attempt.unrecorded = True
        if attempt.timeout is not None:
            self._timed[call.id] = attempt

    def end(self, attempt: Admitted) -> None:
        """An attempt has ended."""
        # Most often there are none: an id is not hashed for nothing, several times a job.
        if self._reporting:
            self._reporting.pop(attempt.call.id, None)
        if self._timed:
            self._timed.pop(attempt.call.id, None)

    def take_timed_out(self) -> list[Admitted]:
        """Those whose time is over; each is given once."""
        now = self._clock.elapsed()
        over = [each for each in self._timed.values() if each.timeout is not None and now - each.began >= each.timeout]
        for attempt in over:
            del self._timed[attempt.call.id]
        return over

    def tell(self, attempt: Admitted, reason: str) -> None:
        """Tell an attempt to end, and see whether it does."""
        attempt.cancel(reason)
        if attempt.could_end:
            self._told.setdefault(attempt.call.id, self._clock.elapsed())

    def supersede(self, old: int, new: int) -> None:
        """Tell all to end that run for an owner which was given up for dead: others have their jobs, or are about to.

        Args:
            old: the owner.
            new: that of what begins from now on.
        """
        self._owner = new
        for attempt in tuple(self._running.values()):
            if attempt.call.claim is not None and attempt.call.claim.owner == old:
                # As long as nobody has taken it up, that gives it back; a cancelled job would be one that is lost.
                attempt.given_back = True
                self.tell(attempt, SUPERSEDED)

    def reported(self, attempt: Admitted) -> None:
        """An attempt has something to report."""
        if attempt.call.id in self._running:
            self._reporting[attempt.call.id] = attempt

    def look_for_cancellations(self) -> None:
        """Somebody was asked to cancel: look at the next turn who it was."""
        self._look = True

    def was_asked(self, attempt: Admitted) -> bool:
        """Whether somebody is known to have asked to cancel it."""
        return bool(self._asked) and attempt.call.id in self._asked

    async def read_cancellations(self) -> None:
        """Learn who was asked to cancel."""
        self._asked |= await self._store.cancellations(self._owner)

    async def run_once(self) -> float | None:
        """Do what is due; returns the seconds until the next look, None while nothing runs."""
        now = self._clock.elapsed()
        long = [each for each in self._running.values() if now - each.began >= RECORD_AFTER]
        if unrecorded := [each for each in long if each.unrecorded]:
            await self.record(unrecorded)
        if self._reporting and now >= self._report_at:
            self._report_at = now + REPORT_EVERY
            await self._report()
        if self._look or long:
            await self._tell_cancelled()
        self._say_what_is_slow(now)
        if self._told:
            self._say_what_goes_on(now)
        return self._next_look()

    def _next_look(self) -> float | None:
        """Seconds."""
        if not self._running:
            return None
        now = self._clock.elapsed()
        ends = [each.began + each.timeout - now for each in self._timed.values() if each.timeout is not None]
        reports = [self._report_at - now] if self._reporting else []
        return max(0.0, min([RECORD_AFTER, *ends, *reports]))

    def _say_what_is_slow(self, now: float) -> None:
        for attempt in self._running.values():
            if attempt.started_at is None:
                continue
            if now - attempt.began < SLOW_AFTER:
                return
            if attempt.timeout is None and not attempt.said_slow:
                attempt.said_slow = True
                seconds = now - attempt.began
                self._events.emit(AttemptSlow(*attempt.names, seconds, attempt.number, attempt.call.origin))

    def _say_what_goes_on(self, now: float) -> None:
        self._told = {job_id: since for job_id, since in self._told.items() if job_id in self._running}
        for job_id, since in self._told.items():
            if now - since >= END_WITHIN:
                self._told[job_id] = inf  # it is said once
                attempt = self._running[job_id]
                self._events.emit(AttemptGoesOn(*attempt.names, now - since, attempt.number, attempt.call.origin))

    async def record(self, attempts: Sequence[Admitted]) -> None:
        """Record staged attempts as started."""
        now = self._clock.now()
        claims = [each.call.claim._replace(started_at=each.started_at or now) for each in attempts if each.call.claim]
        refused = await self._store.start(claims, now=now)
        for attempt, claim in zip(attempts, claims, strict=True):
            attempt.unrecorded = False
            if claim.job_id in refused:
                self.tell(attempt, SUPERSEDED)
            else:
                attempt.call.claim = claim._replace(state=JobState.RUNNING, attempt=claim.attempt + 1)

    async def _report(self) -> None:
        reporting, self._reporting = self._reporting, {}
        made = {
            attempt.call.claim: report
            for attempt in reporting.values()
            if attempt.call.claim is not None and (report := attempt.hear()) is not None
        }
        try:
            refused = await self._store.report(made)
        except BaseException:
            still = {job_id: attempt for job_id, attempt in reporting.items() if job_id in self._running}
            for claim, report in made.items():
                reporting[claim.job_id].not_taken(report)
            self._reporting = still | self._reporting
            raise
        for job_id in refused:
            if job_id in self._running:
                self.tell(self._running[job_id], SUPERSEDED)

    async def save(self, job_id: UUID, text: str) -> None:
        """Write the state of an attempt that runs; on any event loop.

        That the store does not answer is no fault of the task: it waits for it, as what it comes to would.

        Raises:
            ClaimLost: the job is not its own any more.
            Cancel: it was told to end, and cannot save.
        """
        delay = 0.0
        while not await self._saved(job_id, text):
            delay = min(max(FIRST_RETRY, delay * 2), LAST_RETRY)
            await pause(delay)
        if self._said_away:
            self._said_away = False
            self._events.emit(StoreRecovered("saving the state of a task"))

    async def _saved(self, job_id: UUID, text: str) -> bool:
        """Try to write it; returns whether that has succeeded."""
        attempt = self._running.get(job_id)
        claim = None if attempt is None else attempt.call.claim
        if attempt is None or claim is None:
            raise ClaimLost(job_id)
        try:
            refused = await self._store.report({claim: Report(saved=text)})
        except StoreUnavailable as error:
            if attempt.cancelled_because is not None:  # a thread is told in no other way
                raise Cancel(attempt.cancelled_because) from error
            if not self._said_away:
                self._said_away = True
                self._events.emit(StoreFailed("saving the state of a task", str(error)))
            return False
        if refused:
            raise ClaimLost(job_id)
        return True

    async def _tell_cancelled(self) -> None:
        """Read who was asked to cancel, and tell those that run."""
        self._look = False
        try:
            self._asked = await self._store.cancellations(self._owner)
            told = await self._store.get([*self._asked & self._running.keys()]) if self._asked else ()
        except BaseException:
            self._look = True
            raise
        for record in told:
            attempt = self._running.get(record.id)
            if attempt is not None:
                self.tell(attempt, record.reason or "cancelled on request")
        await self._say_where()

    async def _say_where(self) -> None:
        """Answer who has asked where an attempt is, in the log of its job."""
        asked = await self._store.asking.asked(self._owner)
        for job_id in asked & self._running.keys():
            self._running[job_id].say_where(self._clock.now())
        if asked:
            await self._store.asking.answered(asked)

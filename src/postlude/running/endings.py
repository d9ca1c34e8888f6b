"""What becomes of a call when its attempt is over, or its wait for one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from postlude.events import CallsLost, EphemeralFailed
from postlude.job import Failed, Interrupted, JobState, Succeeded
from postlude.running.execution import abandon, decide, release, what_happened
from postlude.statistics import Tallies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from postlude.calls import Call
    from postlude.clock import Clock
    from postlude.job import Claim, Outcome, Settlement
    from postlude.running.admitted import Admitted
    from postlude.running.settling import Settling
    from postlude.telling import Events

GIVEN_BACK: Final = Interrupted("it was given back, for another process or for later")


class Endings:
    """Hands each claim on to `Settling` with what it came to, and says what somebody should know of.

    Args:
        settling: writes it down.
        clock: what time it is.
        events: told of failures, interruptions, and calls that will not run.
    """

    def __init__(self, settling: Settling, clock: Clock, events: Events) -> None:
        self._settling = settling
        self._clock = clock
        self._events = events
        self.tallies: Tallies = Tallies()
        """Where it is counted what attempts came to."""
        self.stopping: bool = False
        """Whether what is given back is given back because the process stops."""

    def conclude(self, attempt: Admitted, outcome: Outcome) -> None:
        """Settle what an attempt came to; without a row, tell whoever waits."""
        call, claim = attempt.call, attempt.call.claim
        outcome = attempt.counted(outcome)
        interrupted = isinstance(outcome, Interrupted) and not (outcome.begun or attempt.held)
        if call.ephemeral and attempt.started_at is not None:  # also with a row, which it has in a chain
            self.tallies.note(call.definition.name, "ephemeral", self._clock.now())
        if claim is None:
            attempt.tell(outcome)
            if isinstance(outcome, Failed):
                failed = EphemeralFailed(call.definition.name, outcome.failure, outcome.error)
                self._events.emit(failed, call)
            elif interrupted:
                self.lost([call], "its process stopped while it ran, and it was not stored")
        elif interrupted and (attempt.given_back or claim.state is JobState.STAGED):
            self.give_back(attempt)
        else:
            retry = call.definition.retries_of(claim) if isinstance(outcome, Failed) else None
            settlement = decide(outcome, claim, self._clock.now(), started_at=attempt.started_at, retry=retry)
            if settlement.state is JobState.QUEUED:
                self.abandon_behind(attempt, "the one before it runs later")
            told = None if attempt.ended is None else partial(attempt.tell, outcome)
            # One that never began has come to nothing that could be missed.
            self._settling.put(attempt.with_report(settlement), told, perhaps=attempt.started_at is None)
            self._count(attempt, claim, settlement, outcome)
            if not isinstance(outcome, Succeeded):
                say(self._events, claim, settlement, outcome, call)

    def _count(self, attempt: Admitted, claim: Claim, settlement: Settlement, outcome: Outcome) -> None:
        measure, started, at = measure_of(settlement, outcome), attempt.started_at, settlement.at
        if measure is not None and started is not None:
            self.tallies.note(claim.task, measure, at, claim.waited(started), at - started)
        elif measure is not None:
            self.tallies.note(claim.task, measure, at)

    def end(self, claim: Claim, outcome: Outcome) -> None:
        """Settle a claim that came to no attempt."""
        settlement = decide(outcome, claim, self._clock.now())
        self._settling.put(settlement)
        if (measure := measure_of(settlement, outcome)) is not None:
            self.tallies.note(claim.task, measure, settlement.at)
        say(self._events, claim, settlement, outcome)

    def give_back(self, attempt: Admitted, *, after: float = 0.0) -> None:
        """Let somebody else run the job, now or after this process. What cannot be stored behind it ends here.

        Args:
            attempt: that is over, or never began.
            after: seconds until the job is due again.
        """
        now = self._clock.now()
        before = "its process stopped before its turn" if self.stopping else "the one before it runs later"
        self.abandon_behind(attempt, before)
        call, claim = attempt.call, attempt.call.claim
        if claim is not None and not call.ephemeral:
            released = release(claim, now + after)._replace(at=now)
            told = None if attempt.ended is None else partial(attempt.tell, GIVEN_BACK)
            # A call with the same key may have queued it in the meantime.
            self._settling.put(attempt.with_report(released), told, perhaps=call.needs_queue)
        else:
            self.lost([call], "the process stops, or it was to run later, and it was not stored")
            attempt.tell(None)

    def abandon_behind(self, attempt: Admitted, before: str) -> None:
        """End what cannot be stored of those that are queued with it; before they are, in the same batch.

        Args:
            attempt: whose job is queued again.
            before: why, for people.
        """
        for call in (attempt.call, *attempt.behind):
            if call.ephemeral and call.claim is not None:
                reason = f"{before}, and it was not stored, so no other can run it"
                self._settling.put(abandon(call.claim, self._clock.now(), reason))
                self._events.emit(CallsLost((call.definition.name,), reason))
                break

    def lost(self, calls: Iterable[Call], reason: str) -> None:
        """Say which of these calls have no row, and no job that answers for them, and so will never run."""
        names = tuple(call.definition.name for call in calls if call.claim is None and call.answered is None)
        if names:
            self._events.emit(CallsLost(names, reason))


def measure_of(settlement: Settlement, outcome: Outcome) -> str | None:
    """What an attempt that was settled so counts as: one of `statistics.MEASURES`; None: as nothing, it was given back.

    An interruption is no failure, not even one for which the job was set aside.
    """
    if isinstance(outcome, Interrupted):
        return None if settlement.outcome is None else "interrupted"
    return "postponed" if settlement.state is JobState.QUEUED else settlement.state


def say(events: Events, claim: Claim, settlement: Settlement, outcome: Outcome, call: Call | None = None) -> None:
    """Tell of a failure or an interruption that was settled so, of a call in this process or in another."""
    event = what_happened(claim, settlement, outcome)
    if event is not None:
        events.emit(event, call if claim.arguments is None else claim.arguments)

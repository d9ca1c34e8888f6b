"""A call that has a slot, or waits for one: what it was told, and what that makes of its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.context import CurrentJob, enter
from postlude.executors.contract import failed
from postlude.job import Cancelled, Failed, Failure, Interrupted, JobState, Snoozed
from postlude.policy import Policy
from postlude.stacks import answer, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context
    from uuid import UUID

    from postlude.calls import Call
    from postlude.carry import Carry
    from postlude.context import Save
    from postlude.executors.contract import Running
    from postlude.job import Outcome, Report, Settlement
    from postlude.running.line import Line

    Ended = Callable[[Outcome | None], None]
    """Told what a call came to; None if that is not known to be on disk, or the call had no row and did not run."""


NOT_AGAIN: Final = Failure("Snooze", "it asked to be run again later, and a call that is not stored is run once", "")


class Admitted:
    """A call with its place in a line, and, once it has begun, its attempt in this process."""

    # Defaults live on the class: of most attempts they are all that there ever is.
    began: float = 0.0
    """On the clock that never goes backwards."""
    started_at: float | None = None
    running: Running | None = None
    job: CurrentJob | None = None
    """What the task sees of it; None before it has begun."""
    cancelled_because: str | None = None
    given_back: bool = False
    """Cancelled because the process stops: its job goes back to the queue."""
    could_end: bool = True
    """Whether it was something that ends when it is told to, when it was told."""
    timeout: float | None = None
    """Seconds that it may run; None: as long as it takes."""
    unrecorded: bool = False
    """It runs, and the store still has it as staged."""
    said_slow: bool = False
    """Whether it was named in a warning, as one that runs for long."""
    timed_out: float | None = None
    """The seconds after which it was told to end; whatever it comes to after that, it has failed."""
    abandoned: bool = False
    """It did not end when it was told to, and its slot was given away."""

    def __init__(self, line: Line, call: Call, ended: Ended | None, behind: Sequence[Call]) -> None:
        self.line: Line = line
        self.call: Call = call
        self.ended: Ended | None = ended
        self.behind: Sequence[Call] = behind
        """The calls that wait for it in this process."""

    @property
    def names(self) -> tuple[UUID, str]:
        """The id of its job, and the name of its task."""
        return self.call.id, self.call.definition.name

    @property
    def number(self) -> int:
        """Which attempt at its job it is; the first is 1."""
        claim = self.call.claim
        return 1 if claim is None else claim.attempt + (claim.state is JobState.STAGED)

    def open_job(self, context: Context, carry: Carry | None, reported: Callable[[], None], save: Save) -> CurrentJob:
        """Let the task see its job, and what came along with it, in its context.

        Args:
            context: the context that it runs in.
            carry: which variables come along.
            reported: called, in any thread, when it has something to report.
            save: writes the state that it saves.
        """
        call, claim = self.call, self.call.claim
        if claim is None:
            self.job = CurrentJob(call.id, call.definition.name, 1, None, None)
        else:
            name = call.definition.name
            self.job = CurrentJob(call.id, name, self.number, claim.origin, reported, saved=claim.saved, save=save)
        context.run(enter, self.job)
        if carry is not None:
            carry.restore(context, call)
        return self.job

    def counted(self, outcome: Outcome) -> Outcome:
        """What it came to, seen together with what it was told while it ran."""
        if self.timed_out is not None:
            return failed(TimeoutError(f"it ran longer than its timeout of {self.timed_out:g} s"))
        if self.given_back and (isinstance(outcome, Cancelled) or (isinstance(outcome, Failed) and self.could_end)):
            # Whatever it made of the cancellation, it was told to stop: that is no failure of its own.
            return Interrupted("its process stopped while it ran")
        if isinstance(outcome, Cancelled) and self.cancelled_because is not None:
            return Cancelled(self.cancelled_because)
        if isinstance(outcome, Snoozed) and self.call.ephemeral:
            return Failed(NOT_AGAIN)
        return outcome

    def close_job(self) -> None:
        """Nobody hears of its progress any more."""
        # The job leads back to the attempt, and the context in which that ran to the job: without this the garbage
        # collector would have to find them, after each request.
        job, self.job = self.job, None
        if job is not None:
            job.close()

    def cancel(self, reason: str) -> None:
        """Ask it to end; the first reason counts."""
        if self.cancelled_because is None:
            self.cancelled_because = reason
            self.could_end = self.can_end
            if self.job is not None:
                self.job.ask_to_cancel()
            if self.running is not None:
                self.running.cancel()

    def say_where(self, at: float) -> None:
        """Put what it is executing into the log of its job; a child is asked for it, and answers a moment later."""
        ask = getattr(self.running, "ask_where", None)
        if self.job is not None and (ask is None or not ask(self.call.id)):
            answer(self.job, at, stack_of(self.call.id))

    def hear(self) -> Report | None:
        """What it has to report; None: nothing."""
        return None if self.job is None else self.job.hear()

    def not_taken(self, report: Report) -> None:
        """What it had to report has not reached the store."""
        if self.job is not None:
            self.job.not_taken(report)

    def with_report(self, settlement: Settlement) -> Settlement:
        """The settlement with what there is to report beside it."""
        report = None if self.job is None else self.job.hear()
        return settlement if report is None else settlement._replace(progress=report.progress, lines=report.lines)

    def tell(self, outcome: Outcome | None, confirmed: bool = True) -> None:  # noqa: FBT001, FBT002 - called back
        """Tell whoever waits what it came to; None where that is not what is on disk."""
        if self.ended is not None:
            self.ended(outcome if confirmed else None)

    @property
    def held(self) -> bool:
        """Whether it has begun, and must not begin again by itself."""
        claim = self.call.claim
        return claim is not None and self.running is not None and Policy.loads(claim.policy).interrupted == "hold"

    @property
    def can_end(self) -> bool:
        """Whether it ends when it is told to."""
        return self.running is None or self.running.stoppable

    @property
    def movable(self) -> bool:
        """Whether another process could run it, and everything that waits for it here."""
        return self.call.claim is not None and not any(call.ephemeral for call in (self.call, *self.behind))

"""From what an attempt came to, to the one write that ends its claim. Pure: no I/O, no clock, nothing to await."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from postlude.control import Retry
from postlude.events import AttemptFailed, AttemptInterrupted
from postlude.failed import telling
from postlude.job import Cancelled, Event, Failed, Followers, Interrupted, JobState, Settlement, Snoozed, Succeeded
from postlude.job import transition as _transition
from postlude.policy import Policy
from postlude.retries import MANY

if TYPE_CHECKING:
    from postlude.job import Claim, Outcome
    from postlude.retries import RetryPolicy


def decide(
    outcome: Outcome,
    claim: Claim,
    now: float,
    *,
    started_at: float | None = None,
    retry: RetryPolicy | None = None,
) -> Settlement:
    """What to write when an attempt has ended.

    Args:
        outcome: what it came to.
        claim: under which it ran.
        now: seconds since the epoch.
        started_at: when it began, if the store does not know yet.
        retry: whether and when a failed one is tried again; None: never.
    """
    match outcome:
        case Succeeded(result):
            ended = _settle(claim, Event.SUCCEED, now, started_at=started_at, followers=Followers.ADVANCE)
            return ended if result is None else ended._replace(result=result)
        case Failed():
            return _failed(outcome, claim, now, started_at=started_at, retry=retry)
        case Snoozed(after):
            # Given back: a task that looks whether it is time yet may do so for as long as it takes.
            again = _settle(claim, Event.POSTPONE, now, started_at=None, followers=Followers.QUEUE)
            return again._replace(attempt=again.attempt - 1, run_at=now + after, alone=runs_alone(claim))
        case Cancelled(reason):
            return _settle(claim, Event.CANCEL, now, started_at=started_at, followers=Followers.CANCEL)._replace(
                reason=reason, outcome="cancelled"
            )
        case Interrupted():
            return _interrupted(outcome, claim, now, started_at=started_at)
        case _:
            assert_never(outcome)


def _failed(
    outcome: Failed, claim: Claim, now: float, *, started_at: float | None, retry: RetryPolicy | None
) -> Settlement:
    failure = outcome.failure
    reason = f"{failure.type}: {failure.message}"
    ended = _settle(claim, Event.FAIL, now, started_at=started_at, followers=Followers.CANCEL)
    wait = None
    if retry is not None and outcome.error is not None and claim.arguments is not None:
        # What ended with its process was no failure, and uses up no retry.
        number = ended.attempt - claim.interruptions
        try:
            wait = _wait(_when_asked(retry, claim, outcome.error), number, outcome.error, luck=claim.id / 2**63)
        except Exception as broken:  # noqa: BLE001 - a backoff function of the user's: what is wrong with it is said
            reason = f"{reason}; not tried again, because its backoff raised {broken!r}"
    if wait is None:
        return _told(claim, ended._replace(failure=failure, outcome="failed", reason=reason))
    again = _settle(claim, Event.POSTPONE, now, started_at=started_at, followers=Followers.QUEUE)
    return again._replace(failure=failure, outcome="failed", reason=reason, run_at=now + wait, alone=runs_alone(claim))


def _when_asked(retry: RetryPolicy, claim: Claim, error: BaseException) -> RetryPolicy:
    """The policy for this error: a task that says nothing of retries has some for when it asks for them itself."""
    nothing_said = isinstance(error, Retry) and Policy.loads(claim.policy).retries is None
    return replace(retry, retries=MANY) if nothing_said else retry


def _wait(retry: RetryPolicy, number: int, error: BaseException, *, luck: float) -> float | None:
    """Seconds until it is tried again; None: it is not."""
    if isinstance(error, Retry):
        # Asked for, so whatever the exceptions are that the task is retried after.
        wait = retry.wait(number, error, luck)
        return wait if wait is None or error.after is None else error.after
    return retry.wait(number, error, luck) if retry.retries_after(error) else None


def what_happened(claim: Claim, settlement: Settlement, outcome: Outcome) -> AttemptFailed | AttemptInterrupted | None:
    """The event to tell of when this has been decided; None: nothing that anybody has to know."""
    match outcome:
        case Failed(failure, error):
            wait = settlement.run_at - settlement.at if settlement.run_at is not None else None
            return AttemptFailed(claim.job_id, claim.task, settlement.attempt, failure, wait, claim.origin, error)
        case Interrupted() if settlement.outcome is not None:
            again, reason = settlement.state is JobState.QUEUED, settlement.reason or ""
            return AttemptInterrupted(
                claim.job_id, claim.task, settlement.interruptions, again, reason, claim.origin, settlement.attempt
            )
        case _:
            return None


def release(claim: Claim, now: float) -> Settlement:
    """Give the job back unharmed: it is not run here now. An attempt that was recorded is taken back."""
    attempt = claim.attempt - 1 if claim.state is JobState.RUNNING else claim.attempt
    settlement = _settle(claim, Event.RELEASE, now, started_at=None, followers=Followers.QUEUE)
    return settlement._replace(attempt=attempt, run_at=max(now, claim.run_at), alone=runs_alone(claim))


def abandon(claim: Claim, now: float, reason: str) -> Settlement:
    """End an ephemeral job whose process ends before it ran: nobody else has its arguments."""
    settlement = _settle(claim, Event.FAIL, now, started_at=None, followers=Followers.CANCEL)
    return _told(claim, settlement._replace(attempt=claim.attempt, reason=reason, outcome="interrupted"))


def unwritable(settlement: Settlement) -> Settlement:
    """In place of a settlement that the store cannot take, for what is in it: an end that any store can write."""
    return settlement._replace(
        state=_transition(JobState.RUNNING, Event.FAIL, job_id=settlement.job_id),
        run_at=None,
        failure=None,
        reason="what it came to could not be written down; the log of its process says why",
        outcome="failed",
        followers=Followers.CANCEL,
        alone=False,
        progress=None,
        lines=(),
        result=None,
        then=None,
    )


def _interrupted(outcome: Interrupted, claim: Claim, now: float, *, started_at: float | None) -> Settlement:
    reason, started = outcome.reason, outcome.begun or claim.state is JobState.RUNNING
    if claim.arguments is None:
        return abandon(claim, now, f"{reason}; it was not stored, so no other process can run it")
    policy = Policy.loads(claim.policy)
    held = policy.interrupted == "hold"
    if not started or (claim.stopping and not held):
        # It may have run a little unrecorded, or was told to stop: neither speaks against it.
        return release(claim, now)
    interruptions = claim.interruptions + 1
    if held:
        why = f"{reason}; held, because the task must not run twice by itself (interrupted='hold')"
    elif interruptions >= policy.max_interruptions:
        why = f"{reason}; set aside after {interruptions} interruptions (max_interruptions)"
    else:
        again = _settle(claim, Event.RESCUE, now, started_at=started_at, followers=Followers.QUEUE)
        return again._replace(
            interruptions=interruptions,
            run_at=now,
            outcome="interrupted",
            reason=reason,
            alone=runs_alone(claim, interruptions),
        )
    aside = _settle(claim, Event.SET_ASIDE, now, started_at=started_at, followers=Followers.CANCEL)
    return _told(claim, aside._replace(interruptions=interruptions, outcome="interrupted", reason=why))


def runs_alone(claim: Claim, interruptions: int | None = None) -> bool:
    """Whether no other attempt may run beside it: `Policy.runs_alone`.

    Args:
        claim: of the job.
        interruptions: how many it has had; None: those the claim knows of.
    """
    count = claim.interruptions if interruptions is None else interruptions
    return Policy.loads(claim.policy).runs_alone(count)


def _told(claim: Claim, settlement: Settlement) -> Settlement:
    """The settlement of a job that has failed for good, with the job that tells of it if its task has named one."""
    s = settlement
    then = telling(
        claim.policy,
        job_id=s.job_id,
        task=claim.task,
        attempts=s.attempt,
        failure=s.failure,
        reason=s.reason,
        origin=claim.origin,
        at=s.at,
        # Neither alone is unique: a claim's number is shared by all claimed with it, and a job may fail several times.
        unique=claim.job_id.int ^ claim.id,
    )
    return s if then is None else s._replace(then=then)


def _settle(claim: Claim, event: Event, now: float, *, started_at: float | None, followers: Followers) -> Settlement:
    return Settlement(
        job_id=claim.job_id,
        claim=claim.id,
        state=_transition(claim.state, event, job_id=claim.job_id),
        at=now,
        attempt=claim.attempt if claim.state is JobState.RUNNING else claim.attempt + 1,
        interruptions=claim.interruptions,
        started_at=started_at if started_at is not None else claim.started_at,
        followers=followers,
    )

"""From what an attempt came to, to the one write that ends its claim. Pure: no I/O, no clock, nothing to await."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from postlude.job import Cancelled, Event, Failed, Followers, Interrupted, JobState, Policy, Settlement, Succeeded
from postlude.job import transition as _transition

if TYPE_CHECKING:
    from postlude.job import Claim, Outcome


def decide(outcome: Outcome, claim: Claim, now: float, *, started_at: float | None = None) -> Settlement:
    """What to write when an attempt has ended.

    Args:
        outcome: what it came to.
        claim: under which it ran.
        now: seconds since the epoch.
        started_at: when it began, if the store does not know yet.
    """
    match outcome:
        case Succeeded():
            return _settle(claim, Event.SUCCEED, now, started_at=started_at, followers=Followers.ADVANCE)
        case Failed(failure):
            return _settle(claim, Event.FAIL, now, started_at=started_at, followers=Followers.CANCEL)._replace(
                failure=failure, outcome="failed", reason=f"{failure.type}: {failure.message}"
            )
        case Cancelled(reason):
            return _settle(claim, Event.CANCEL, now, started_at=started_at, followers=Followers.CANCEL)._replace(
                reason=reason, outcome="cancelled"
            )
        case Interrupted(reason):
            return _interrupted(claim, reason, now)
        case _:
            assert_never(outcome)


def release(claim: Claim, now: float) -> Settlement:
    """Give the job back unharmed: it is not run here now. An attempt that was recorded is taken back."""
    attempt = claim.attempt - 1 if claim.state is JobState.RUNNING else claim.attempt
    settlement = _settle(claim, Event.RELEASE, now, started_at=None, followers=Followers.QUEUE)
    return settlement._replace(attempt=attempt, run_at=now, alone=runs_alone(claim))


def abandon(claim: Claim, now: float, reason: str) -> Settlement:
    """End an ephemeral job whose process ends before it ran: nobody else has its arguments."""
    settlement = _settle(claim, Event.FAIL, now, started_at=None, followers=Followers.CANCEL)
    return settlement._replace(attempt=claim.attempt, reason=reason, outcome="interrupted")


def _interrupted(claim: Claim, reason: str, now: float) -> Settlement:
    started = claim.state is JobState.RUNNING
    if claim.arguments is None:
        return abandon(claim, now, f"{reason}; it was not stored, so no other process can run it")
    if not started or claim.stopping:
        # It may have run a little unrecorded, or was told to stop: neither speaks against it.
        return release(claim, now)
    policy = Policy.loads(claim.policy)
    interruptions = claim.interruptions + 1
    if policy.interrupted == "hold":
        why = f"{reason}; held, because the task must not run twice by itself (interrupted='hold')"
    elif interruptions >= policy.max_interruptions:
        why = f"{reason}; set aside after {interruptions} interruptions (max_interruptions)"
    else:
        again = _settle(claim, Event.RESCUE, now, started_at=claim.started_at, followers=Followers.QUEUE)
        return again._replace(
            interruptions=interruptions,
            run_at=now,
            outcome="interrupted",
            reason=reason,
            alone=runs_alone(claim, interruptions),
        )
    aside = _settle(claim, Event.SET_ASIDE, now, started_at=claim.started_at, followers=Followers.CANCEL)
    return aside._replace(interruptions=interruptions, outcome="interrupted", reason=why)


def runs_alone(claim: Claim, interruptions: int | None = None) -> bool:
    """Whether no other attempt may run beside it: it was interrupted, and one more time sets it aside.

    So a task that kills its process cannot count against the jobs beside it up to their limit.

    Args:
        claim: of the job.
        interruptions: how many it has had; None: those the claim knows of.
    """
    count = claim.interruptions if interruptions is None else interruptions
    return 0 < count == Policy.loads(claim.policy).max_interruptions - 1


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

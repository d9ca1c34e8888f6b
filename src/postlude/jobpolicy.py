"""The policy of one job, as people see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from postlude.policy import Policy
from postlude.retention import Retention

if TYPE_CHECKING:
    from postlude.job import Record
    from postlude.policy import WhenInterrupted


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How a job is treated: what was in force when it was added, and is stored with it."""

    retries: int
    """Tries after the first one that it was given; 0 where its task says nothing, also if it asks for some itself with
    `Retry`."""
    retries_left: int
    """Those of them that are not used up: each attempt after the first uses one, unless it was interrupted; 0 when the
    job has ended."""
    timeout: float | None
    """Seconds that an attempt may take; None: as long as it takes."""
    interrupted: WhenInterrupted
    """What happens when its process dies in mid-run: `"rerun"`, or `"hold"` it for a person."""
    max_interruptions: int
    """How many interruptions set it aside even with `"rerun"`."""
    retention: Retention | None
    """How long it is kept after its end, in seconds; None: as the application says."""
    keep_arguments: bool
    """Whether its arguments stay in the store when it has ended."""
    on_failure: str | None
    """The name of the task that is told when it has failed for good; None: nobody is."""


def policy_of(record: Record) -> JobPolicy:
    """The policy of a job that was read."""
    policy = Policy.loads(record.policy)
    declared = policy.retries or 0
    used = max(0, record.attempt - record.interruptions - 1)
    kept = policy.retention
    return JobPolicy(
        retries=declared,
        retries_left=0 if record.state.finished else max(0, declared - used),
        timeout=policy.timeout,
        interrupted=policy.interrupted,
        max_interruptions=policy.max_interruptions,
        retention=None if kept is None else Retention(*kept) if isinstance(kept, list) else Retention(kept, kept, kept),
        keep_arguments=policy.keep_arguments,
        on_failure=None if policy.on_failure is None else str(policy.on_failure[0]),
    )

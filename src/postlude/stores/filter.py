"""Which jobs are meant, as a store is asked: the one word of its contract that is needed to ask for jobs."""

# Not with annotations as text, as in `job.py`.

from typing import NamedTuple
from uuid import UUID

from postlude.job import JobState


class Filter(NamedTuple):
    """Which jobs `list` and `count` mean; an empty filter means all."""

    states: frozenset[JobState] = frozenset()
    """Empty: all states."""
    task: str | None = None
    chain: UUID | None = None
    queue: str | None = None
    key: str | None = None
    since: float | None = None
    """Created then or later; seconds since the epoch (clause 57)."""
    until: float | None = None
    """Created before then (clause 57)."""
    ended_since: float | None = None
    """Ended then or later."""
    text: str | None = None
    """In the arguments, the failure or the reason, whatever the case of its letters."""

"""What is counted of tasks: which measures there are, and how one process adds them up between two writes.

A histogram is a count for each of `BOUNDS`, and one for what is above the last.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MEASURES: Final = (
    "succeeded",
    "failed",
    "cancelled",
    "interrupted",
    "postponed",
    "discarded",
    "ephemeral",
    "unsaved",
)
"""What an attempt came to: its job has succeeded, failed for good or was cancelled; or the attempt was interrupted, or
ended with another one to come later. And of calls: those that will not run since their request raised, those that run
without being stored, and those that do because the store did not take them."""

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Up to how many seconds a bucket of a histogram reaches, that itself included."""


class Minute(NamedTuple):
    """What was counted of one task in one minute."""

    moment: int
    """When it begins; seconds since the epoch."""
    task: str
    counts: dict[str, int]
    """By measure; `start:<n>` and `run:<n>` are the buckets of the histograms of start latency and run time."""

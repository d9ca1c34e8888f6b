"""How it goes: what was done in the last hour or day, what waits, what runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from postlude.stores.seeing import RunningJob
    from postlude.views.jobs import Counts
    from postlude.views.needs import Need


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How long something took, from a histogram: each is the upper end of the bucket it falls into. Seconds."""

    p50: float | None
    """None: nothing was counted."""
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """What was counted in a stretch of time, of one task or of all."""

    counts: Mapping[str, int]
    """By each of `statistics.MEASURES`."""
    start: Percentiles
    """From the moment at which a job was due to the start of its attempt."""
    run: Percentiles
    """From the start of an attempt to its end."""

    @property
    def ended(self) -> int:
        """Attempts that ended in success or for good."""
        return self.counts.get("succeeded", 0) + self.counts.get("failed", 0)

    @property
    def failure_rate(self) -> float | None:
        """The share of jobs that failed, among those that succeeded or failed; None: there were none."""
        return self.counts.get("failed", 0) / self.ended if self.ended else None


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a chart."""

    at: float
    """When it begins; seconds since the epoch."""
    rates: Rates


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page."""

    at: float
    """When it was read, on the store's clock; seconds since the epoch."""
    counts: Counts
    """Jobs by state."""
    span: float
    """Seconds that the charts reach back: 3600 or 86400."""
    step: int
    """Seconds of one point."""
    points: Sequence[Point]
    """Oldest first, one for each step, also where nothing happened."""
    total: Rates
    """Of the whole span."""
    due: int
    """How many jobs could be claimed now, up to `searching.MOST` for each queue and task."""
    due_text: str
    """The same for people, such as `10,000+`."""
    oldest_due: float | None
    """Since when the first of them has been due; seconds since the epoch."""
    running: Sequence[RunningJob]
    """What runs now, oldest first, at most 50: as the workers last said."""
    running_count: int
    workers: int
    """Living workers that run jobs."""
    needs: Sequence[Need]
    """The grave ones first."""

"""Jobs as people see them: a line of a list, and the page of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from postlude.job import JobState, Progress
    from postlude.jobpolicy import JobPolicy


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs there are in each state, counted up to a number."""

    states: Mapping[JobState, int]
    """Every state asked for; with 0 if there are none."""
    more: frozenset[JobState] = frozenset()
    """Of which there may be more than was counted."""

    @property
    def total(self) -> int:
        """Of all states."""
        return sum(self.states.values())

    def text(self, state: JobState | None = None) -> str:
        """A number for people, such as `12` or `10,000+`; of all states together if none is given."""
        number = self.total if state is None else self.states.get(state, 0)
        more = bool(self.more) if state is None else state in self.more
        return f"{number:,}{'+' if more else ''}"


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list. Moments are seconds since the epoch."""

    id: UUID
    task: str
    state: JobState
    queue: str
    priority: int
    key: str | None
    partition: str | None
    attempts: int
    interruptions: int
    created_at: float
    run_at: float
    started_at: float | None
    """When its last attempt started."""
    finished_at: float | None
    progress: Progress | None
    note: str | None
    """Why it is where it is, in a few words: the last line of its failure, or the reason; masked."""
    ephemeral: bool
    waiting: bool
    """Whether the job before it in its chain has yet to succeed."""
    cancel_requested: bool
    known: bool
    """Whether this process knows its task."""

    @property
    def seconds(self) -> float | None:
        """How long its last attempt took, once it has ended; None: it has not, or never started."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a list of jobs."""

    rows: Sequence[JobRow]
    """Newest first."""
    older: str | None
    """The place to go on from, for the page of older jobs; None: there are none."""
    newer: str | None
    """The place for the page of newer ones, with `newer=True`; None: there are none."""
    partial: bool = False
    """Whether fewer were found than asked for because only so many are looked at at once: there may be more beyond
    `older`, or beyond `newer` if that way was asked for."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a job's call, or another value, as JSON for people."""

    name: str
    """As the task names it; `[0]`, `[1]`, … where that is not known here."""
    value: Any
    """JSON; what is secret in it is `masking.MASKED`. Values that JSON has no word for are texts."""
    masked: bool
    """Whether anything in it was masked."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a job's log, masked."""

    at: float
    level: str
    logger: str
    message: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Span:
    """An attempt in the timeline of a job. Moments are seconds since the epoch."""

    number: int
    """The first is 1; 0 for one that was not counted."""
    outcome: str
    """`succeeded`, `failed`, `cancelled`, `interrupted`, or `running` for the one that runs now."""
    started_at: float | None
    ended_at: float | None
    """None: it runs."""
    error_type: str | None = None
    message: str | None = None
    """What it raised; masked."""
    traceback: str | None = None
    """Masked."""
    reason: str | None = None
    """Why it ended, in words; masked."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another job of the same request, or one that belongs to this one."""

    id: UUID
    task: str
    state: JobState
    waiting: bool
    this: bool
    """Whether it is the job of the page."""


@dataclass(frozen=True, slots=True)
class JobView:
    """All that is known of one job, with what is secret masked."""

    row: JobRow
    arguments: Sequence[Argument]
    arguments_note: str | None
    """Why there are none to show: it is ephemeral, or they were erased; None: there they are."""
    result: Argument | None
    """What it returned; None: nothing, or it has not succeeded."""
    result_note: str | None
    """Why its result was not stored; None: it was, or there is none."""
    saved: Argument | None
    """The state that its task has saved for the next attempt."""
    origin: Mapping[str, Any]
    """What added it: `request_id`, `route`, `traceparent`, or `schedule` and `moment`; masked."""
    policy: JobPolicy
    reason: str | None
    """Masked."""
    error_type: str | None
    """The class of what its last attempt raised."""
    message: str | None
    traceback: str | None
    """Both masked."""
    spans: Sequence[Span]
    """Its attempts, oldest first."""
    log: Sequence[Line]
    """Oldest first."""
    chain: Sequence[Neighbour]
    """The jobs of its chain, itself included, in their order, at most 100; empty: it is in none."""
    cancelled_by: UUID | None
    """The job whose failure cancelled this one."""
    expires_at: float | None
    can: frozenset[str]
    """What may be done with it now: `cancel`, `retry`, `delete`."""

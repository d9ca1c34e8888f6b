"""What needs a person: things that do not come right by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

NeedKind: TypeAlias = Literal[
    "no_worker", "failed", "held", "unresolvable", "paused", "schedule", "waiting", "stuck", "unsaved"
]
"""No live worker while something is due; jobs that failed lately; jobs set aside after interruptions; jobs whose task
no live worker knows; something paused; a schedule that is not fired as the code says; jobs that have been due for long;
a worker whose loop or threads are stuck; calls that ran without being stored because the store did not take them."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs a person."""

    kind: NeedKind
    text: str
    """One sentence, with how many and since when."""
    command: str
    """What helps: a `postlude` command."""
    task: str | None = None
    queue: str | None = None
    partition: str | None = None
    """The only one of the task's that this is about; None: all of them."""
    schedule: str | None = None
    count: int = 0
    since: float | None = None
    """Seconds since the epoch."""
    grave: bool = False
    """Whether work stands still, or may be lost, until somebody does something."""

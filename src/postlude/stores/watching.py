"""What is read again and again of jobs that somebody watches, as a protocol, with one clause of the contract.

Watching
    65. **At a glance.** `glances` gives, for each of the ids that is that of a job, what every confirmed commit before
        the call has made of it, and of its log the kept lines behind the one named: all in one statement, whatever the
        number of the jobs. Lines are counted from 1 over all attempts of a job, those that are not kept any more
        included. It leads to no other job, as `get` does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, Protocol

from postlude.loglines import LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from postlude.job import Failure, JobState, Progress


class Glance(NamedTuple):
    """What may change of a job from one look to the next, without what may be large: arguments, origin, policy."""

    id: UUID
    task: str
    state: JobState
    attempt: int
    interruptions: int
    created_at: float
    """Seconds since the epoch, as all times here."""
    run_at: float
    started_at: float | None
    finished_at: float | None
    failure: Failure | None
    reason: str | None
    progress: Progress | None
    waiting: bool
    cancel_requested: bool
    result: str | None
    """As in `Record`: there from the success on."""
    lines: Sequence[LogLine] = ()
    """What it has logged behind the line that was named, oldest first."""
    last_line: int = 0
    """The number of the last of these; without any, the one that was named."""


class WatchStore(Protocol):
    """What those who watch jobs ask."""

    async def glances(self, watched: Mapping[UUID, int | None]) -> list[Glance]:
        """Look at these jobs, in no particular order; unknown ids are left out (clause 65).

        `watched`: for each the number of the line behind which its log is read; None: not at all.
        """
        ...


def lines_behind(seen: int | None, rows: Iterable[Sequence[str | int]]) -> tuple[list[LogLine], int]:
    """The lines in rows of a log behind the one with this number, and the number of the last line.

    Args:
        seen: the number; None: the log was not asked for.
        rows: of each, the number of its last line, and its lines as JSON.
    """
    lines: list[LogLine] = []
    last = seen or 0
    for total, text in sorted((int(row[0]), str(row[1])) for row in rows):
        found = json.loads(text)
        lines += [LogLine(*line) for line in found[max(0, len(found) - (total - last)) :]]
        last = total
    return lines, last

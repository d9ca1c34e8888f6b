"""What is read of jobs that somebody watches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

from postlude.job import JobState
from postlude.stores.sqlite.statements import sql
from postlude.stores.texts import failure_of, progress_of
from postlude.stores.watching import Glance, lines_behind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apsw import Connection

    from postlude.stores.sqlite.rows import Row


def glances(connection: Connection, watched: Mapping[UUID, int | None]) -> list[Glance]:
    """Look at these jobs."""
    asked = json.dumps([(job_id.hex, seen) for job_id, seen in watched.items()])
    rows: list[Row] = connection.execute(sql("glances"), (asked,)).fetchall()
    return [_glance_of(row) for row in rows]


def _glance_of(row: Row) -> Glance:
    (job_id, task, state, attempt, interruptions, created_at, run_at, started_at, finished_at, failure, reason,
     progress, waiting, cancel_requested, result, seen, logged) = row  # fmt: skip
    lines, last_line = lines_behind(seen, json.loads(logged))
    return Glance(
        id=UUID(bytes=job_id),
        task=task,
        state=JobState(state),
        attempt=attempt,
        interruptions=interruptions,
        created_at=created_at,
        run_at=run_at,
        started_at=started_at,
        finished_at=finished_at,
        failure=failure_of(failure),
        reason=reason,
        progress=progress_of(progress),
        waiting=bool(waiting),
        cancel_requested=bool(cancel_requested),
        result=result,
        lines=lines,
        last_line=last_line,
    )

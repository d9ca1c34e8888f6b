"""What is read of jobs that somebody watches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from postlude.job import JobState
from postlude.stores.texts import failure_of, progress_of
from postlude.stores.watching import Glance, lines_behind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    import asyncpg

    from postlude.stores.postgres.session import Session


async def glances(session: Session, watched: Mapping[UUID, int | None]) -> list[Glance]:
    """Look at these jobs."""
    rows = await session.rows("glances", list(watched), list(watched.values()))
    return [_glance_of(row) for row in rows]


def _glance_of(row: asyncpg.Record) -> Glance:
    logged = row["lines"]
    lines, last_line = lines_behind(row["seen"], [] if logged is None else json.loads(logged))
    return Glance(
        id=row["id"],
        task=row["task"],
        state=JobState(row["state"]),
        attempt=row["attempt"],
        interruptions=row["interruptions"],
        created_at=row["created_at"],
        run_at=row["run_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        failure=failure_of(row["failure"]),
        reason=row["reason"],
        progress=progress_of(row["progress"]),
        waiting=row["waiting"],
        cancel_requested=row["cancel_requested"],
        result=row["result"],
        lines=lines,
        last_line=last_line,
    )

"""What tasks have logged: appended report by report, cut at its old end, read as one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from postlude.loglines import MAX_BYTES, MAX_LINES, LogLine, newest
from postlude.stores.postgres.keys import resolved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from postlude.stores.postgres.session import Session


async def append(session: Session, job_id: UUID, lines: Sequence[LogLine]) -> None:
    """Write the lines behind those of the job, and remove the rows of which nothing would be read any more.

    Only in a transaction that has written the job's row: that keeps two from appending at the same time.
    """
    row = await session.row("log_totals", job_id)
    total_lines, total_bytes = (0, 0) if row is None else row
    total_lines += len(lines)
    total_bytes += sum(line.size for line in lines)
    text = json.dumps(lines, separators=(",", ":"), ensure_ascii=True)
    await session.do("add_log", job_id, total_lines, total_bytes, text)
    if total_lines > MAX_LINES or total_bytes > MAX_BYTES:
        await session.do("cut_logs", job_id, total_lines - MAX_LINES, total_bytes - MAX_BYTES)


async def logs(session: Session, job_id: UUID) -> list[LogLine]:
    """Read the newest lines."""
    rows = await session.rows("logs", await resolved(session, job_id))
    return newest([LogLine(*line) for (lines,) in rows for line in json.loads(lines)])

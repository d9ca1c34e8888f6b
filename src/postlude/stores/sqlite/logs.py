"""What tasks have logged: appended report by report, cut at its old end, read as one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from postlude.loglines import MAX_BYTES, MAX_LINES, LogLine, newest
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from apsw import Connection

    from postlude.stores.sqlite.rows import Row


def append(connection: Connection, job_id: UUID, lines: Sequence[LogLine]) -> None:
    """Write the lines behind those of the job, and remove the rows of which nothing would be read any more."""
    row: Row | None = connection.execute(sql("log_totals"), (job_id.bytes,)).fetchone()
    total_lines, total_bytes = row or (0, 0)
    total_lines += len(lines)
    total_bytes += sum(line.size for line in lines)
    text = json.dumps(lines, separators=(",", ":"), ensure_ascii=False)
    connection.execute(sql("add_log"), (job_id.bytes, total_lines, total_bytes, text))
    if total_lines > MAX_LINES or total_bytes > MAX_BYTES:
        connection.execute(sql("cut_logs"), (job_id.bytes, total_lines - MAX_LINES, total_bytes - MAX_BYTES))


def read(connection: Connection, job_id: UUID) -> list[LogLine]:
    """Read the newest lines."""
    job_id = resolved(connection, job_id)
    rows: list[Row] = connection.execute(sql("logs"), (job_id.bytes,)).fetchall()
    return newest([LogLine(*line) for (lines,) in rows for line in json.loads(lines)])

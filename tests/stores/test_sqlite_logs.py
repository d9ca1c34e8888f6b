"""The SQLite driver's own trick: lines are appended report by report, and the file does not grow with what is gone."""

from pathlib import Path
from typing import cast

import apsw

from postlude.job import Report
from postlude.loglines import MAX_BYTES, MAX_LINES, LogLine
from postlude.stores import open_store
from tests.stores.making import claim_all, queued


async def test_rows_of_which_nothing_would_be_read_are_removed(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/jobs.db")
    await store.open()
    chatty, quiet, long = queued(), queued(), queued()
    await store.insert([chatty, quiet, long])
    claims = {claim.job_id: claim for claim in await claim_all(store, await store.enlist())}
    await store.report({claims[quiet.id]: Report(lines=[LogLine(1.0, "INFO", "app", "once", 1)])})
    few = [LogLine(1.0, "INFO", "app", "again", 1)] * 100
    large = [LogLine(1.0, "INFO", "app", "x" * 8_000, 1)]
    for _ in range(50):
        await store.report({claims[chatty.id]: Report(lines=few), claims[long.id]: Report(lines=large)})
    await store.close()
    connection = apsw.Connection(str(tmp_path / "jobs.db"))
    found = connection.execute("SELECT job, count(*) FROM logs GROUP BY job").fetchall()
    rows = dict(cast("list[tuple[bytes, int]]", found))
    connection.close()
    assert rows[quiet.id.bytes] == 1
    assert rows[chatty.id.bytes] == MAX_LINES / 100
    assert rows[long.id.bytes] == MAX_BYTES // 8_003 + 1

"""The rows of the schedules: putting them there, and the step from one moment to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.stores.moments import ScheduleRow
from postlude.stores.sqlite.rows import id_of
from postlude.stores.sqlite.statements import sql
from postlude.stores.sqlite.writing import insert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apsw import Connection

    from postlude.stores.moments import Firing
    from postlude.stores.sqlite.rows import Row


def schedules(connection: Connection) -> list[ScheduleRow]:
    """Read all rows, by name."""
    rows: list[Row] = connection.execute(sql("schedules")).fetchall()
    return [
        ScheduleRow(name, task, spec, next_at, last_moment, id_of(last_job))
        for name, task, spec, next_at, last_moment, last_job in rows
    ]


def put(connection: Connection, rows: Sequence[ScheduleRow]) -> frozenset[str]:
    """Write each; returns the names of those that would have come to a moment again."""
    refused: list[str] = []
    for row in rows:
        connection.execute(sql("put_schedule"), (row.name, row.task, row.spec, row.next_at))
        if not connection.changes():
            refused.append(row.name)
    return frozenset(refused)


def fire(connection: Connection, firing: Firing) -> bool:
    """Take the step if nobody has taken it, and insert the jobs with it."""
    f = firing
    connection.execute(sql("fire"), (f.next_at, f.moment, f.name, f.spec, f.expected))
    if not connection.changes():
        return False
    (answered,) = insert(connection, [f.jobs])
    if f.jobs:
        last = f.jobs[-1].id
        connection.execute(sql("note_last_job"), (answered.get(last, last).bytes, f.name))
    return True


def remove(connection: Connection, name: str) -> bool:
    """Delete the row; returns whether it was there."""
    connection.execute(sql("remove_schedule"), (name,))
    return connection.changes() > 0

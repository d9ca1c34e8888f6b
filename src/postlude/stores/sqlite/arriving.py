"""A store to which jobs are moved: each parcel in one commit with the place where the next one begins."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from postlude.job import JobState
from postlude.stores import moving
from postlude.stores.moving import Arrived, MoveRefused, Stage
from postlude.stores.sqlite.statements import portions, sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from apsw import Connection, SQLiteValue

    from postlude.pauses import Pause
    from postlude.stores.moments import ScheduleRow
    from postlude.stores.moving import KeyHeld, Parcel, Start, Whole
    from postlude.stores.sqlite.rows import Row

    Ask = Callable[[Callable[[Connection], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Arriving:
    """Fulfils `stores.moving.Destination`, by the threads of an open store."""

    write: Ask
    read: Ask

    async def expect(self, move: UUID) -> None:
        """Clause 47."""
        await self.write(lambda connection: _expect(connection, move))

    async def take_back(self, move: UUID) -> bool:
        """Clause 47."""
        values = (moving.TAKEN_BACK, move.bytes, Stage.JOBS)
        changed: int = await self.write(lambda connection: _changed(connection, "take_back", values))
        return changed > 0

    async def arrived(self, move: UUID) -> Mapping[Stage, Arrived]:
        """Clause 47."""
        found: Mapping[Stage, Arrived] = await self.read(lambda connection: _arrived(connection, move))
        return found

    async def conflicts(self, parcel: Parcel, *, now: float) -> Sequence[str]:
        """Clause 49."""
        found: Sequence[str] = await self.read(lambda connection: _conflicts(connection, parcel, now))
        return found

    async def receive(self, move: UUID, stage: Stage, place: int, parcel: Parcel, *, now: float) -> None:
        """Clauses 47 to 49."""

        def receive(connection: Connection) -> None:
            arrival = _Arrival(connection, move, stage, place)
            if problems := _conflicts(connection, parcel, now):
                raise MoveRefused(problems)
            arrival.note(_write(connection, parcel, now), parcel.place)

        await self.write(receive)

    async def receive_around(self, move: UUID, pauses: Sequence[Pause], starts: Sequence[Start]) -> None:
        """Clauses 47 and 50."""

        def receive(connection: Connection) -> None:
            arrival = _Arrival(connection, move, Stage.AROUND, 0)
            counts = Counter(pauses=0, starts=0)
            for pause in pauses:
                counts["pauses"] += _changed(connection, "move_pause", pause)
            for start in starts:
                counts["starts"] += _changed(connection, "move_start", start)
            arrival.note(counts, None)

        await self.write(receive)

    async def receive_schedules(self, move: UUID, rows: Sequence[ScheduleRow]) -> None:
        """Clauses 47 and 50."""

        def receive(connection: Connection) -> None:
            arrival = _Arrival(connection, move, Stage.SCHEDULES, 0)
            for row in rows:
                last_job = None if row.last_job is None else row.last_job.bytes
                connection.execute(sql("move_schedule"), row._asdict() | {"last_job": last_job})
            there = {name for name, *_ in connection.execute(sql("schedules")).fetchall()}
            arrival.note(Counter(schedules=len(there & {row.name for row in rows})), None)

        await self.write(receive)


def _expect(connection: Connection, move: UUID) -> None:
    for stage in Stage:
        connection.execute(sql("expect"), (move.bytes, stage))


def _arrived(connection: Connection, move: UUID) -> dict[Stage, Arrived]:
    rows: list[Row] = connection.execute(sql("arrived"), (move.bytes,)).fetchall()
    return {Stage(stage): Arrived(place, json.loads(counts)) for stage, place, counts in rows}


class _Arrival:
    """A stage that goes on from a place, within one transaction.

    Raises:
        MoveRefused: nobody expects it any more, or it has come to another place.
    """

    def __init__(self, connection: Connection, move: UUID, stage: Stage, place: int) -> None:
        arrived = _arrived(connection, move)
        if not arrived:
            raise moving.unknown_move()
        moving.check_place(arrived[stage].place, arrived[Stage.JOBS].place, place)
        self._connection, self._move, self._stage = connection, move, stage
        self._counts = Counter(arrived[stage].counts)

    def note(self, counts: Counter[str], place: int | None) -> None:
        """Write how far it has come."""
        values = (place, json.dumps(self._counts + counts), self._move.bytes, self._stage)
        self._connection.execute(sql("note_arrival"), values)


def _conflicts(connection: Connection, parcel: Parcel, now: float) -> list[str]:
    ids = [job_id.bytes for job in parcel.jobs for job_id in (job.id, *job.aliases)]
    problems: list[str] = []
    for some in portions(ids):
        for statement in ("there", "aliases_there"):
            rows: list[Row] = connection.execute(sql_for(statement, len(some)), tuple(some)).fetchall()
            problems += [moving.there_already(UUID(bytes=found)) for (found,) in rows]
    for job in parcel.jobs:
        if moving.takes_over(job, now) and not job.state.finished:
            holder = _holder(connection, job, now)
            problems += [] if holder is None else [moving.key_held_there(job, holder)]
    return problems


def _holder(connection: Connection, job: Whole, now: float) -> UUID | None:
    """Who holds the job's key here."""
    row: Row | None = connection.execute(sql("holder"), (job.task, job.key)).fetchone()
    return UUID(bytes=row[0]) if row is not None and moving.still_holds(JobState(row[1]), row[2], now) else None


def _write(connection: Connection, parcel: Parcel, now: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    for some in portions(parcel.jobs):
        values = [_plain(value) for job in some for value in job.columns]
        written: list[Row] = connection.execute(sql_for("insert_whole", len(some)), values).fetchall()
        counts.update(state for (state,) in written)
    for job in parcel.jobs:
        job_id = job.id.bytes
        for attempt in job.attempts:
            counts["attempts"] += _changed(connection, "add_attempt", (job_id, *attempt))
        for logged in job.logs:
            counts["logs"] += _changed(connection, "add_log", (job_id, *logged))
        for alias in job.aliases:
            counts["aliases"] += _changed(connection, "add_alias", (alias.bytes, job_id))
        if job.key_held is not None:
            counts["keys"] += _write_key(connection, job, job.key_held, now)
    return counts


def _write_key(connection: Connection, job: Whole, key: KeyHeld, now: float) -> int:
    held = key.held
    if moving.takes_over(job, now) and _holder(connection, job, now) is None:
        connection.execute(sql("lose_key"), (job.task, job.key))
    elif held:
        # It has ended, and remembers its key for a retry: no more than that if another one has come to hold it.
        held = connection.execute(sql("holder"), (job.task, job.key)).fetchone() is None
    return _changed(connection, "insert_key", (job.id.bytes, job.task, job.key, key.until, key.replaceable, held))


def _changed(connection: Connection, statement: str, values: Sequence[SQLiteValue]) -> int:
    connection.execute(sql(statement), tuple(values))
    return connection.changes()


def _plain(value: object) -> Any:  # noqa: ANN401 - what the column takes
    return value.bytes if isinstance(value, UUID) else value

"""A store whose jobs are moved away: held, then shut, then read, job by job with all that belongs to it.

It is the file itself that refuses what is added or changed, by triggers: each process that has it open meets them, of
whichever release it is. While the source is only held, claims are held back otherwise: by a pause of a kind of its own,
which a release that does not know it ignores. What such a one claims, `shut` waits for, as for all that runs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from postlude.job import JobState
from postlude.pauses import Pause
from postlude.stores import moving
from postlude.stores.moving import Departure, KeyHeld, Logged, Parcel, PastAttempt, Start, StoreMoved, Whole
from postlude.stores.sqlite.rows import id_of
from postlude.stores.sqlite.statements import portions, sql, sql_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from apsw import Connection

    from postlude.stores.liveness import Liveness
    from postlude.stores.sqlite.rows import Row

    Ask = Callable[[Callable[[Connection], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Departing:
    """Fulfils `stores.moving.Source`, by the threads of an open store."""

    write: Ask
    read: Ask
    liveness: Liveness

    async def departure(self) -> Departure | None:
        """Clause 44."""
        found: Departure | None = await self.read(departure)
        return found

    async def living(self) -> Sequence[str]:
        """Clause 17."""
        rows: list[Row] = await self.read(lambda connection: connection.execute(sql("places_of_workers")).fetchall())
        return [f"process {pid} on {host}" for worker, host, pid in rows if not self.liveness.is_dead(worker)]

    async def unfinished(self) -> int:
        """How many jobs are staged or running."""
        number: int = await self.read(_owned)
        return number

    async def begin(self, departure: Departure, *, now: float) -> None:
        """Clause 44."""
        await self.write(lambda connection: _begin(connection, departure, now))

    async def shut(self, move: UUID, *, now: float) -> float | None:
        """Clause 45."""
        since: float | None = await self.write(lambda connection: _shut(connection, move, now))
        return since

    async def reopen(self, move: UUID) -> None:
        """Clause 44."""
        await self.write(lambda connection: _reopen(connection, move))

    async def release(self, move: UUID) -> bool:
        """Clause 44."""
        released: bool = await self.write(lambda connection: _release(connection, move))
        return released

    async def parcel(self, *, history: bool, place: int, limit: int, now: float) -> Parcel:
        """Clause 46."""
        parcel: Parcel = await self.read(_Parceling(history, place, limit, now))
        return parcel

    async def counts(self, *, history: bool, now: float) -> Mapping[str, int]:
        """Clause 46."""
        values = {"history": history, "now": now}
        rows: list[Row] = await self.read(
            lambda connection: connection.execute(sql("count_to_move"), values).fetchall()
        )
        return dict(rows)

    async def starts(self, *, now: float) -> Sequence[Start]:
        """Clause 50."""
        rows: list[Row] = await self.read(
            lambda connection: connection.execute(sql("starts_to_move"), (now,)).fetchall()
        )
        return [Start(*row) for row in rows]


def departure(connection: Connection) -> Departure | None:
    """Read the move that has begun."""
    row: Row | None = connection.execute(sql("departure")).fetchone()
    return None if row is None else Departure(UUID(bytes=row[0]), row[1], row[2])


def moved(connection: Connection, path: Path) -> StoreMoved | None:
    """The error for those who want to use a store whose jobs live elsewhere; None: they live here."""
    found = departure(connection)
    return None if found is None else StoreMoved(str(path), found.destination)


def _owned(connection: Connection) -> int:
    number: int = connection.execute(sql("owned")).get
    return number


def _begin(connection: Connection, new: Departure, now: float) -> None:
    if departure(connection) is not None:
        raise moving.somebody_else()
    connection.execute(sql("begin_departure"), (new.move.bytes, new.destination))
    pause = Pause("store", "", reason=f"its jobs are being moved to {new.destination}", since=now)
    connection.execute(sql("pause"), pause._asdict())
    connection.execute(sql("scripts/hold"))


def _shut(connection: Connection, move: UUID, now: float) -> float | None:
    begun = departure(connection)
    if begun is None or begun.move != move:
        raise moving.unknown_move()
    if begun.shut_at is not None or _owned(connection):
        return begun.shut_at
    connection.execute(sql("scripts/shut"))
    connection.execute(sql("note_shut"), (now, move.bytes))
    return now


def _reopen(connection: Connection, move: UUID) -> None:
    connection.execute(sql("end_departure"), (move.bytes,))
    if connection.changes():
        connection.execute(sql("scripts/reopen"))


def _release(connection: Connection, move: UUID) -> bool:
    begun = departure(connection)
    held = begun is not None and begun.move == move and begun.shut_at is None
    if held:
        _reopen(connection, move)
    return held


@dataclass(frozen=True, slots=True)
class _Parceling:
    """What `parcel` asks for."""

    history: bool
    place: int
    limit: int
    now: float

    def __call__(self, connection: Connection) -> Parcel:
        values = {"place": self.place, "limit": self.limit, "now": self.now, "history": self.history}
        leading: list[Row] = connection.execute(sql("leading"), values).fetchall()
        rows = _rows(connection, "whole_jobs", [job_id for _, job_id, chain in leading if chain is None])
        rows += _rows(connection, "whole_chains", [chain for _, _, chain in leading if chain is not None])
        rows.sort(key=itemgetter(0))
        more = len(leading) == self.limit
        return Parcel(_whole(connection, rows), leading[-1][0] + 1 if more else None)


def _rows(connection: Connection, statement: str, ids: Sequence[bytes]) -> list[Row]:
    found: list[Row] = []
    for some in portions(ids):
        found += connection.execute(sql_for(statement, len(some)), tuple(some)).fetchall()
    return found


def _by_job(rows: Iterable[Row]) -> Mapping[bytes, list[Row]]:
    found: dict[bytes, list[Row]] = defaultdict(list)
    for job, *others in rows:
        found[job].append(tuple(others))
    return found


def _whole(connection: Connection, rows: Sequence[Row]) -> list[Whole]:
    ids: list[bytes] = [row[1] for row in rows]
    attempts = _by_job(_rows(connection, "attempts_of", ids))
    logs = _by_job(_rows(connection, "logs_of", ids))
    keys = _by_job(_rows(connection, "keys_of", ids))
    aliases = _by_job(_rows(connection, "aliases_of", ids))
    return [
        _job_of(row)._replace(
            attempts=[PastAttempt(*each) for each in attempts.get(row[1], ())],
            logs=[Logged(*each) for each in logs.get(row[1], ())],
            key_held=next((KeyHeld(until, bool(able), bool(held)) for until, able, held in keys.get(row[1], ())), None),
            aliases=[UUID(bytes=alias) for (alias,) in aliases.get(row[1], ())],
        )
        for row in rows
    ]


def _job_of(row: Row) -> Whole:
    job = Whole(*row[1:])
    return job._replace(
        id=UUID(bytes=row[1]),
        state=JobState(job.state),
        chain=id_of(row[16]),
        after=id_of(row[17]),
        waiting=bool(job.waiting),
        cancel_requested=bool(job.cancel_requested),
        cancelled_by=id_of(row[20]),
        alone=bool(job.alone),
    )

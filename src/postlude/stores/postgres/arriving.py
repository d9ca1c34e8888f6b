"""A store to which jobs are moved: each parcel in one commit with the place where the next one begins."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from postlude.job import JobState
from postlude.stores import moving
from postlude.stores.moving import Arrived, MoveRefused, Stage
from postlude.stores.postgres.rows import plain
from postlude.stores.postgres.scheduling import schedules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from postlude.pauses import Pause
    from postlude.stores.moments import ScheduleRow
    from postlude.stores.moving import KeyHeld, Parcel, Start, Whole
    from postlude.stores.postgres.session import Session

T = TypeVar("T")


class Change(Protocol):
    """Carries out an operation in one transaction."""

    async def __call__(self, operation: Callable[[Session], Awaitable[T]], /) -> T:
        """What the operation gives."""
        ...


@dataclass(frozen=True, slots=True)
class Arriving:
    """Fulfils `stores.moving.Destination`, by the connections of an open store."""

    change: Change

    async def expect(self, move: UUID) -> None:
        """Clause 47."""
        await self.change(lambda session: session.do("expect", session.namespace, move, [str(each) for each in Stage]))

    async def take_back(self, move: UUID) -> bool:
        """Clause 47."""
        return (
            await self.change(
                lambda session: session.do("take_back", moving.TAKEN_BACK, session.namespace, move, Stage.JOBS)
            )
            > 0
        )

    async def arrived(self, move: UUID) -> Mapping[Stage, Arrived]:
        """Clause 47."""
        rows = await self.change(lambda session: session.rows("arrived", session.namespace, move))
        return {Stage(row["stage"]): Arrived(row["place"], json.loads(row["counts"])) for row in rows}

    async def conflicts(self, parcel: Parcel, *, now: float) -> Sequence[str]:
        """Clause 49."""
        return await self.change(lambda session: _conflicts(session, parcel, now))

    async def receive(self, move: UUID, stage: Stage, place: int, parcel: Parcel, *, now: float) -> None:
        """Clauses 47 to 49."""

        async def receive(session: Session) -> None:
            counts = await _goes_on(session, move, stage, place)
            await session.lock(("key", job.task, job.key) for job in parcel.jobs if job.key_held is not None)
            if problems := await _conflicts(session, parcel, now):
                raise MoveRefused(problems)
            await _note(session, move, stage, counts + await _write(session, parcel, now), parcel.place)

        await self.change(receive)

    async def receive_around(self, move: UUID, pauses: Sequence[Pause], starts: Sequence[Start]) -> None:
        """Clauses 47 and 50."""

        async def receive(session: Session) -> None:
            counts = await _goes_on(session, move, Stage.AROUND, 0)
            for pause in pauses:
                counts["pauses"] += await session.do("move_pause", session.namespace, *pause)
            for start in starts:
                counts["starts"] += await session.do("move_start", session.namespace, *start)
            await _note(session, move, Stage.AROUND, counts, None)

        await self.change(receive)

    async def receive_schedules(self, move: UUID, rows: Sequence[ScheduleRow]) -> None:
        """Clauses 47 and 50."""

        async def receive(session: Session) -> None:
            counts = await _goes_on(session, move, Stage.SCHEDULES, 0)
            for row in rows:
                await session.do("move_schedule", session.namespace, *row)
            there = {row.name for row in await schedules(session)}
            counts["schedules"] = len(there & {row.name for row in rows})
            await _note(session, move, Stage.SCHEDULES, counts, None)

        await self.change(receive)


async def _goes_on(session: Session, move: UUID, stage: Stage, place: int) -> Counter[str]:
    """What has arrived of a stage that goes on from a place; that and taking back are locked from now on.

    Raises:
        MoveRefused: nobody expects it any more, or it has come to another place.
    """
    rows = await session.rows("arrived_until_now", session.namespace, move, [str(stage), str(Stage.JOBS)])
    if not rows:
        raise moving.unknown_move()
    arrived = {Stage(row["stage"]): row for row in rows}
    moving.check_place(arrived[stage]["place"], arrived[Stage.JOBS]["place"], place)
    return Counter(json.loads(arrived[stage]["counts"]))


async def _note(session: Session, move: UUID, stage: Stage, counts: Counter[str], place: int | None) -> None:
    await session.do("note_arrival", place, json.dumps(counts), session.namespace, move, stage)


async def _conflicts(session: Session, parcel: Parcel, now: float) -> list[str]:
    ids = [job_id for job in parcel.jobs for job_id in (job.id, *job.aliases)]
    problems = [moving.there_already(row["id"]) for row in await session.rows("there", ids)]
    for job in parcel.jobs:
        if moving.takes_over(job, now) and not job.state.finished:
            holder = await _holder(session, job, now)
            problems += [] if holder is None else [moving.key_held_there(job, holder)]
    return problems


async def _holder(session: Session, job: Whole, now: float) -> UUID | None:
    """Who holds the job's key here."""
    row = await session.row("holder", session.namespace, job.task, job.key)
    if row is None or not moving.still_holds(JobState(row["state"]), row["until"], now):
        return None
    holder: UUID = row["id"]
    return holder


async def _write(session: Session, parcel: Parcel, now: float) -> Counter[str]:
    jobs = parcel.jobs
    if not jobs:
        return Counter()
    whole = _columns(job._replace(reason=plain(job.reason)).columns for job in jobs)
    counts = Counter(row["state"] for row in await session.rows("insert_whole", session.namespace, *whole))
    attempts = [(job.id, *each._replace(reason=plain(each.reason))) for job in jobs for each in job.attempts]
    logs = [(job.id, *each) for job in jobs for each in job.logs]
    aliases = [(alias, job.id) for job in jobs for alias in job.aliases]
    for kind, rows in (("attempts", attempts), ("logs", logs), ("aliases", aliases)):
        if rows:
            counts[kind] += await session.do(f"insert_{kind}", *_columns(rows))
    for job in jobs:
        if job.key_held is not None:
            counts["keys"] += await _write_key(session, job, job.key_held, now)
    return counts


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """A list for each column, as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


async def _write_key(session: Session, job: Whole, key: KeyHeld, now: float) -> int:
    held = key.held
    if moving.takes_over(job, now) and await _holder(session, job, now) is None:
        await session.do("lose_key", session.namespace, job.task, job.key)
    elif held:
        # It has ended, and remembers its key for a retry: no more than that if another one has come to hold it.
        held = await session.row("holder", session.namespace, job.task, job.key) is None
    values = (job.id, job.task, job.key, key.until, key.replaceable, held)
    return await session.do("insert_key", session.namespace, *values)

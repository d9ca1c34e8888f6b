"""The move of all jobs from one store to another: none is lost, none is there for workers twice.

1. *Held*: from the first write on, no process opens the source any more or claims from it. What runs may end.
2. *Shut*: when nothing is staged or running, the source changes no more. From here on its jobs are nobody's.
3. *Carried*: parcel by parcel, each in one commit with the place where the next begins. What has arrived runs there.

The source is only read after that, and stays as it was. A move that is cut off goes on where the destination says.
"""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from postlude.clock import pause
from postlude.errors import StoreError, StoreUnavailable
from postlude.job import ENDS, JobState
from postlude.services.relay import Relay
from postlude.services.rescue import Rescue
from postlude.stores.moving import PROBLEMS_SHOWN, TAKEN_BACK, Departure, MoveElsewhere, MoveRefused, Stage
from postlude.telling import Events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from uuid import UUID

    from postlude.clock import Clock
    from postlude.stores.callers import Outbox
    from postlude.stores.contract import Store
    from postlude.stores.moving import Arrived, StoreWithDestination, StoreWithSource

PORTION: Final = 500
"""Jobs in one parcel, about."""
LOOK_EVERY: Final = 0.2
"""Seconds between two looks at whether what runs has ended."""

KINDS: Final = (*JobState, "attempts", "logs", "keys", "aliases", "pauses", "starts", "schedules")
"""What is counted, in the order in which it is shown."""


class Watch(Protocol):
    """Is told how the move comes along."""

    def waiting(self, unfinished: int, living: Sequence[str]) -> None:
        """So many jobs are staged or running still, in these workers."""
        ...

    def carried(self, done: int, total: int) -> None:
        """So many of so many jobs have arrived, before this run or in it."""
        ...


class Count(NamedTuple):
    """How many rows of one kind there are on both sides."""

    kind: str
    source: int
    destination: int
    """What the destination has written, by its own count."""


class Move:
    """Carries the jobs of one open store into another.

    Args:
        source: opened by who moves its jobs away.
        destination: where they go; it may be in use.
        where: the destination, as people call it, without a password.
        clock: what time it is.
        watch: told how it comes along.
        portion: jobs in a parcel.
    """

    def __init__(
        self,
        source: StoreWithSource,
        destination: StoreWithDestination,
        where: str,
        clock: Clock,
        watch: Watch,
        *,
        portion: int = PORTION,
    ) -> None:
        self._store = source
        self._source = source.source
        self._there = destination
        self._destination = destination.destination
        self._where = where
        self._clock = clock
        self._watch = watch
        self._portion = portion
        self._rescue = Rescue(source, clock, Events(), queued=lambda: None)

    @property
    def rescued(self) -> int:
        """How many jobs had been left by processes that are gone."""
        return self._rescue.rescued

    async def run(self, *, drain: bool, history: bool) -> Sequence[Count]:
        """Begin the move, or go on with it, to its end.

        Args:
            drain: wait for what runs at the source, where a worker is alive.
            history: carry what has ended, too.

        Raises:
            MoveRefused: something stands in the way; before the first job has arrived, the source is open again.
            StoreUnavailable: a side does not answer; the source is open again only if the destination could say that
                no job has arrived.
        """
        departure = await self._departure(drain=drain)
        async with self._taken_back(departure.move):
            now = departure.shut_at
            if now is None:
                now = await self._drain(departure, drain=drain)
            await self._carry(departure.move, now, history=history)
        return await self._counted(departure.move, now, history=history)

    async def undo(self) -> bool:
        """Open the source again; False if no move has begun there.

        Raises:
            MoveRefused: jobs have arrived, or the move has another destination.
        """
        departure = await self._source.departure()
        if departure is None:
            return False
        if not await self._destination.arrived(departure.move):
            raise MoveRefused([_another_destination(departure)])
        if not await self._take_back(departure.move):
            raise MoveRefused(["Jobs have arrived at the destination already: run the move again, to its end."])
        return True

    # -- begin

    async def _departure(self, *, drain: bool) -> Departure:
        """The move that is under way, or a new one."""
        departure = await self._source.departure()
        if departure is not None:
            arrived = await self._destination.arrived(departure.move)
            if not arrived:
                raise MoveRefused([_another_destination(departure)])
            if arrived[Stage.JOBS].place != TAKEN_BACK:
                return departure
            await self._source.reopen(departure.move)
        await self._refuse_living(drain=drain)
        await self._look_ahead()
        departure = Departure(uuid.uuid4(), self._where)
        # In this order: a source that was held for a move that no destination knows could not go on with it.
        await self._destination.expect(departure.move)
        async with self._taken_back(departure.move):
            await self._source.begin(departure, now=self._clock.now())
        return departure

    async def _refuse_living(self, *, drain: bool) -> None:
        living = await self._source.living()
        if living and not drain:
            what = f"The source is in use by {', '.join(living)}"
            cure = "Stop what uses it, and run the command again; or let it wait for what runs there with --drain."
            raise MoveRefused([f"{what}. {cure}"])

    async def _look_ahead(self) -> None:
        """Find what stands in the way before anything is held back."""
        place: int | None = 0
        problems: list[str] = []
        while place is not None and len(problems) <= PROBLEMS_SHOWN:
            now = self._clock.now()
            parcel = await self._source.parcel(history=False, place=place, limit=self._portion, now=now)
            problems += await self._destination.conflicts(parcel, now=now)
            place = parcel.place
        if problems:
            raise MoveRefused(problems)

    async def _drain(self, departure: Departure, *, drain: bool) -> float:
        """Wait until nothing runs at the source, and shut it; returns when that was."""
        # Once more: a worker may have begun while nothing was held yet.
        await self._refuse_living(drain=drain)
        while True:
            await self._rescue.run_once()
            await self._take_apart(self._store)
            since = await self._source.shut(departure.move, now=self._clock.now())
            if since is not None:
                return since
            self._watch.waiting(await self._source.unfinished(), await self._source.living())
            await pause(LOOK_EVERY)

    @asynccontextmanager
    async def _taken_back(self, move: UUID) -> AsyncIterator[None]:
        """Open the source again if this is cut off before a job has arrived.

        Whoever waits for these jobs should not wait for somebody to come back.
        """
        try:
            yield
        except MoveElsewhere:
            raise
        except BaseException:
            try:
                await self._take_back(move)
            except StoreError as error:
                message = f"{error} The source stays closed: run the same command again, or with --undo."
                raise StoreUnavailable(message) from error
            raise

    async def _take_back(self, move: UUID) -> bool:
        """Open the source again if no job has arrived, and none will; returns whether that is so."""
        taken = await self._destination.take_back(move)
        if taken:
            await self._source.reopen(move)
        return taken

    # -- carry

    async def _carry(self, move: UUID, now: float, *, history: bool) -> None:
        arrived = await self._destination.arrived(move)
        if arrived[Stage.AROUND].place == 0:
            pauses = [each for each in await self._store.pauses() if each.kind != "store"]
            await self._destination.receive_around(move, pauses, await self._source.starts(now=now))
        await self._carry_jobs(move, Stage.JOBS, arrived[Stage.JOBS], now)
        for outbox in await self._store.outboxes():  # to say it again changes nothing
            await self._there.put_outbox(outbox)
        if arrived[Stage.SCHEDULES].place == 0:
            await self._destination.receive_schedules(move, await self._store.schedules())
        if history:
            await self._carry_jobs(move, Stage.HISTORY, arrived[Stage.HISTORY], now)
        # What was committed in the callers' files since the source was shut. Nobody can take the move back by now.
        await self._take_apart(self._there)

    async def _carry_jobs(self, move: UUID, stage: Stage, arrived: Arrived, now: float) -> None:
        history = stage is Stage.HISTORY
        total = _jobs(await self._source.counts(history=history, now=now))
        done, place = _jobs(arrived.counts), arrived.place
        self._watch.carried(done, total)
        while place is not None:
            parcel = await self._source.parcel(history=history, place=place, limit=self._portion, now=now)
            await self._destination.receive(move, stage, place, parcel, now=self._clock.now())
            place = parcel.place
            done += len(parcel.jobs)
            self._watch.carried(done, total)

    async def _take_apart(self, store: Store) -> None:
        """Take into a store what is in the outboxes that the destination knows under a mark of its own.

        It reads what stands beside that mark, and would never find what stands beside the source's.
        """
        refused: list[StoreError] = []
        with closing(Relay(store, queued=lambda: None, refused=refused.append)) as relay:
            for outbox in await self._outboxes_apart():
                await relay.take(outbox)
        if refused:
            raise refused[0]

    async def _outboxes_apart(self) -> Sequence[Outbox]:
        there = {outbox.path: outbox.mark for outbox in await self._there.outboxes()}
        return [each for each in await self._store.outboxes() if there.get(each.path, each.mark) != each.mark]

    # -- count

    async def _counted(self, move: UUID, now: float, *, history: bool) -> Sequence[Count]:
        there = await self._destination.arrived(move)
        sides = [(await self._source.counts(history=False, now=now), there[Stage.JOBS].counts)]
        if history:
            sides.append((await self._source.counts(history=True, now=now), there[Stage.HISTORY].counts))
        pauses = [each for each in await self._store.pauses() if each.kind != "store"]
        around = {"pauses": len(pauses), "starts": len(await self._source.starts(now=now))}
        sides.append((around, there[Stage.AROUND].counts))
        sides.append(({"schedules": len(await self._store.schedules())}, there[Stage.SCHEDULES].counts))
        return list(_compared(sides))


async def release(source: StoreWithSource) -> bool:
    """Open a source again that was held and not shut. Nothing was sent yet, so nobody asks its destination.

    Returns:
        Whether it was; False: no move has begun there, or only the destination knows how far it has come.
    """
    departure = await source.source.departure()
    return departure is not None and await source.source.release(departure.move)


def _compared(sides: Sequence[tuple[Mapping[str, int], Mapping[str, int]]]) -> Iterator[Count]:
    for kind in KINDS:
        source = sum(counts.get(kind, 0) for counts, _ in sides)
        destination = sum(counts.get(kind, 0) for _, counts in sides)
        if source or destination:
            yield Count(kind, source, destination)


def _jobs(counts: Mapping[str, int]) -> int:
    return sum(counts.get(state, 0) for state in (JobState.QUEUED, *ENDS))


def _another_destination(departure: Departure) -> str:
    held = "." if departure.shut_at is not None else ", or open the source again with --undo."
    return (
        f"The jobs of this source are on their way to {departure.destination}, and the store that was named knows "
        f"nothing of that move: name the one that it was begun with{held}"
    )

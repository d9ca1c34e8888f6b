"""One thing done to many jobs: all that match are found first, and then changed one by one, a portion at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar, Unpack

from postlude.errors import IllegalTransition, JobNotFound, KeyTaken, UnknownValue
from postlude.job import FINISHED, UNFINISHED, JobState
from postlude.limits import rate_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from uuid import UUID

    from postlude.client.wanted import Wanted
    from postlude.clock import Clock
    from postlude.stores.contract import Filter, Store
    from postlude.stores.notifying import Change

    Told: TypeAlias = Callable[[int, int], None]
    """Called after each portion, with how many have had their turn, and how many there are in all."""

T = TypeVar("T")

PORTION: Final = 100
"""Jobs that are changed at the same time: they share commits."""
PAGE: Final = 1_000
"""Jobs that are read at once."""


class Deed(NamedTuple):
    """Something that is done to jobs, as it is spoken of."""

    word: str
    done: str
    """As in "12 jobs were queued again"."""
    usual: frozenset[JobState]
    """The states of the jobs that are meant where no state is named."""
    possible: frozenset[JobState]
    """In which states a job may be for it."""


_RETRIED: Final = frozenset({JobState.FAILED, JobState.CANCELLED})
RETRY: Final = Deed("retry", "queued again", frozenset({JobState.FAILED}), _RETRIED)
CANCEL: Final = Deed("cancel", "cancelled, or asked to end", UNFINISHED, UNFINISHED)
DELETE: Final = Deed("delete", "deleted", FINISHED, FINISHED)


class Bulk(NamedTuple):
    """What became of many jobs."""

    done: int
    """How many were changed."""
    left: int
    """How many were not, since they had changed meanwhile, or it is not possible with them."""
    why: str | None
    """Why that was so, of the first of them."""


def untold(_done: int, _all: int, /) -> None:
    """Nobody wants to know."""


class ManyJobs:
    """What `Jobs` does to many at a time."""

    _opened: Callable[[], Awaitable[Store]]
    _clock: Clock
    _changed: Callable[[Change], None]
    _meant: Callable[[Wanted], Filter]

    async def retry_many(self, *, rate: str | None = None, told: Told = untold, **wanted: Unpack[Wanted]) -> Bulk:
        """Have all failed jobs run again that match, those added first before the others; see `retry`.

        Args:
            rate: such as `"50/min"`: they become due one after the other at this rate, so that whatever they failed at
                is not overrun. None: all at once.
            told: called after each portion with how many have had their turn, and how many there are in all.
            wanted: which, as in `list`. `state` can be `"failed"`, which is the default, and `"cancelled"`.

        Raises:
            UnknownValue: one of these is no rate, no state, no id, no moment or no text.
            StoreError: the store does not answer; what was done stays, and the same call does the rest.
        """
        limit = None if rate is None else rate_of(rate)
        if rate is not None and limit is None:
            message = f'rate: expected such as "50/min", "5/s" or "10/30s", got {rate!r}.'
            raise UnknownValue(message)
        ids = await self._found(wanted, RETRY)
        store, now = await self._opened(), self._clock.now()
        apart = 0.0 if limit is None else limit.seconds / limit.starts

        async def retry(number: int, job_id: UUID) -> None:
            await store.retry(job_id, now=self._clock.now(), run_at=now + number * apart)

        return await self._each(ids, retry, "queued", told)

    async def cancel_many(
        self, *, reason: str = "cancelled on request", told: Told = untold, **wanted: Unpack[Wanted]
    ) -> Bulk:
        """Cancel all jobs that match and have not ended, and those behind them in their chains; see `cancel`.

        Args:
            reason: why, for people.
            told: called after each portion with how many have had their turn, and how many there are in all.
            wanted: which, as in `list`. `state`: of those in which a job has not ended; default: all three.

        Raises:
            UnknownValue: one of these is no state, no id, no moment or no text.
            StoreError: the store does not answer; what was done stays, and the same call does the rest.
        """
        ids = await self._found(wanted, CANCEL)
        store = await self._opened()

        async def cancel(_: int, job_id: UUID) -> None:
            await store.cancel(job_id, reason=reason, now=self._clock.now())

        return await self._each(ids, cancel, "cancelled", told)

    async def delete_many(self, *, told: Told = untold, **wanted: Unpack[Wanted]) -> Bulk:
        """Remove all jobs that match and have ended, with their history; see `delete`.

        Args:
            told: called after each portion with how many have had their turn, and how many there are in all.
            wanted: which, as in `list`. `state`: of those in which a job has ended; default: all three.

        Raises:
            UnknownValue: one of these is no state, no id, no moment or no text.
            StoreError: the store does not answer; what was done stays, and the same call does the rest.
        """
        ids = await self._found(wanted, DELETE)
        store = await self._opened()
        return await self._each(ids, lambda _, job_id: store.delete(job_id), None, told)

    async def _found(self, wanted: Wanted, deed: Deed) -> Sequence[UUID]:
        """The ids of all that match, those added first before the others.

        All of them, before the first is changed: what changes so that it matches again must not have a second turn.
        """
        meant = self._meant(wanted)
        if not meant.states <= deed.possible:
            named = ", ".join(repr(state.value) for state in JobState if state in deed.possible)
            message = f"state: expected one or several of {named}, got {sorted(meant.states)!r}."
            raise UnknownValue(message)
        meant = meant._replace(states=meant.states or deed.usual)
        searching = (await self._opened()).searching
        ids: list[UUID] = []
        page = await searching.search(meant, limit=PAGE)
        ids += [record.id for record in page.records]
        while page.older is not None:
            page = await searching.search(meant, limit=PAGE, place=page.older)
            ids += [record.id for record in page.records]
        return ids[::-1]

    async def _each(
        self,
        ids: Sequence[UUID],
        act: Callable[[int, UUID], Awaitable[object]],
        change: Change | None,
        told: Told,
    ) -> Bulk:
        def tell(done: int, of: int) -> None:
            if change is not None:
                self._changed(change)
            told(done, of)

        return await to_each(list(enumerate(ids)), lambda one: act(*one), tell)


async def to_each(these: Sequence[T], act: Callable[[T], Awaitable[object]], told: Told = untold) -> Bulk:
    """Do something to each of these, a portion at a time; what a job refuses because of its own state is left."""
    refused: list[Exception] = []
    for start in range(0, len(these), PORTION):
        portion = these[start : start + PORTION]
        refused += _refusals(await asyncio.gather(*map(act, portion), return_exceptions=True))
        told(start + len(portion), len(these))
    return Bulk(len(these) - len(refused), len(refused), str(refused[0]) if refused else None)


def _refusals(ends: Sequence[object]) -> Iterator[Exception]:
    """Those that were refused because of the job itself; whatever else went wrong is raised."""
    for end in ends:
        if isinstance(end, IllegalTransition | JobNotFound | KeyTaken):
            yield end
        elif isinstance(end, BaseException):
            raise end

"""Searching jobs page by page, listing and counting them. Fulfils `stores.searching.SearchStore`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from postlude.job import JobState
from postlude.stores.paging import Seen, id_of, is_plain, search_of, texts_of
from postlude.stores.searching import LOOK, MOST, Tally
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.rows import record_of
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from apsw import Connection

    from postlude.job import Record
    from postlude.stores.contract import Filter
    from postlude.stores.paging import Search, Stretch, Way
    from postlude.stores.searching import Found, Place
    from postlude.stores.sqlite.rows import Row

T = TypeVar("T")

_ALL: Final = 2**62
"""More than there can be."""
_BY_STATE: Final = frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED})


class Searching:
    """The searches of one store.

    Args:
        read: carries out what is read.
    """

    def __init__(self, read: Callable[[Callable[[Connection], Any]], Future[Any]]) -> None:
        self._read = read

    async def search(
        self,
        filter: Filter,  # noqa: A002 - the contract's word
        *,
        limit: int,
        place: Place | None = None,
        newer: bool = False,
        look: int = LOOK,
    ) -> Found:
        """Clauses 54, 55 and 57."""
        search = search_of(filter, limit=limit, place=place, newer=newer, by_state=_BY_STATE)
        found: Found = await self._read(lambda connection: search_in(connection, search, look))
        return found

    async def tally(self, filter: Filter, *, most: int = MOST, look: int = LOOK) -> Tally:  # noqa: A002
        """Clause 56."""
        tally: Tally = await self._read(lambda connection: _tally(connection, filter, most, look))
        return tally


def list_jobs(connection: Connection, filter: Filter, limit: int, before: UUID | None) -> list[Record]:  # noqa: A002
    """Read the newest that match, however many have to be looked at (clause 21)."""
    search = search_of(filter, limit=limit, place=None, newer=False, by_state=_BY_STATE)
    if before is not None:
        place = resolved(connection, before)
        row: Row | None = connection.execute(sql("place"), (place.bytes,)).fetchone()
        if row is None:
            return []
        search = search._replace(place=place.int if search.ways[0].by_id else row[0])
    return [*search_in(connection, search, None).records]


def count(connection: Connection, filter: Filter) -> Mapping[JobState, int]:  # noqa: A002
    """Read how many there are of each state (clause 21)."""
    return _tally(connection, filter, _ALL, None).counts


def search_in(connection: Connection, search: Search, look: int | None) -> Found:
    """One page; `look` None: however many have to be looked at."""
    # One transaction: else a job that changes its state between two ways could be on neither.
    with connection:
        seen = [_look(connection, search, way, look) for way in search.ways]
    return search.page(seen)


def _look(connection: Connection, search: Search, way: Way, look: int | None) -> Seen:
    stretch, edge = _bounded(connection, search, way, look)
    values = {**_values(search.filter, way, stretch), "limit": search.limit + 1}
    rows: list[Row] = connection.execute(text_on("newer" if search.newer else "older", way.name), values).fetchall()
    return Seen([(_number(row[-1]), record_of(row)) for row in rows], edge)


def _bounded(connection: Connection, search: Search, way: Way, look: int | None) -> tuple[Stretch, int | None]:
    """The part of the stretch that is looked at, and what follows it; `look` None: all of it."""
    stretch = search.stretch
    if look is None or search.is_exact(way):
        return stretch, None
    values = {**_values(search.filter, way, stretch), "look": look}
    text = text_on("edge_newer" if search.newer else "edge_older", way.name)
    row: Row | None = connection.execute(text, values).fetchone()
    if row is None:
        return stretch, None
    edge = _number(row[0])
    return (stretch._replace(below=edge) if search.newer else stretch._replace(above=edge)), edge


def _tally(connection: Connection, wanted: Filter, most: int, look: int | None) -> Tally:
    # One transaction: the total and its parts must be of the same moment.
    with connection:
        counts, more = (_count_states if is_plain(wanted) else _count_seen)(connection, wanted, most, look)
    states = wanted.states or frozenset(JobState)
    return Tally({state: min(counts[state], most) for state in JobState if state in states and counts.get(state)}, more)


_Counted = tuple[dict[JobState, int], frozenset[JobState]]


def _count_states(connection: Connection, wanted: Filter, most: int, look: int | None) -> _Counted:
    """From the small indexes; those that have succeeded are what is left of the total."""
    counts = {JobState(state): number for state, number in connection.execute(sql("searching/count_claimed"))}
    for state in _BY_STATE:
        counts[state] = connection.execute(sql("searching/count_state"), (state, most + 1)).get
    states = wanted.states or frozenset(JobState)
    if JobState.SUCCEEDED in states:
        others = sum(counts.values())
        if any(number > most for number in counts.values()):
            # What is left of a total that is not known.
            seen, more = _count_seen(connection, wanted._replace(states=frozenset({JobState.SUCCEEDED})), most, look)
            counts.update(seen)
            return counts, more | _beyond(counts, states, most)
        if look is None:
            total: int = connection.execute(sql("searching/count_all")).get
        else:
            total = connection.execute(sql("searching/count_any"), (others + most + 1,)).get
        counts[JobState.SUCCEEDED] = total - others
    return counts, _beyond(counts, states, most)


def _beyond(counts: dict[JobState, int], states: frozenset[JobState], most: int) -> frozenset[JobState]:
    return frozenset(state for state, number in counts.items() if number > most and state in states)


def _count_seen(connection: Connection, wanted: Filter, most: int, look: int | None) -> _Counted:
    """One by one, of the newest on each way."""
    search = search_of(wanted, limit=0, place=None, newer=False, by_state=_BY_STATE)
    counts: dict[JobState, int] = {}
    more: set[JobState] = set()
    states = wanted.states or frozenset(JobState)
    for way in search.ways:
        stretch, edge = _bounded(connection, search, way, look)
        rows: list[Row] = connection.execute(
            text_on("tally", way.name), _values(search.filter, way, stretch)
        ).fetchall()
        counts.update({JobState(state): number for state, number in rows})
        if edge is not None:
            more |= states if way.state is None else {way.state}
    return counts, frozenset(more) | _beyond(counts, states, most)


@cache
def text_on(name: str, way: str) -> str:
    """A statement on one way."""
    text = sql(f"searching/{name}").replace("WAY", sql(f"searching/{way}").strip())
    placed = "id" if way == "by_id" else "seq"
    return text.replace("MATCH", sql("searching/match").strip()).replace("PLACED", placed)


def _values(wanted: Filter, way: Way, stretch: Stretch) -> dict[str, Any]:
    texts = texts_of(wanted)
    above, below = stretch
    return {
        "above": id_of(above).bytes if way.by_id else max(above, -1),
        "below": id_of(below).bytes if way.by_id else min(below, 2**63 - 1),
        "states": f" {' '.join(wanted.states)} " if wanted.states else None,
        "state": way.state,
        "task": wanted.task,
        "chain": None if wanted.chain is None else wanted.chain.bytes,
        "queue": wanted.queue,
        "key": wanted.key,
        "since": wanted.since,
        "until": wanted.until,
        "ended_since": wanted.ended_since,
        "text": texts.plain,
        "in_json": texts.in_json,
        "in_ascii": texts.in_ascii,
    }


def _number(placed: int | bytes) -> int:
    return placed if isinstance(placed, int) else int.from_bytes(placed, "big")

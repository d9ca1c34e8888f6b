"""Searching jobs page by page, listing and counting them: what `stores.paging.Searching` has carried out."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from postlude.job import JobState
from postlude.stores.paging import Seen, Way, id_of, is_plain, search_of, texts_of
from postlude.stores.postgres.keys import resolved
from postlude.stores.postgres.rows import plain, record_of
from postlude.stores.postgres.statements import sql
from postlude.stores.searching import MOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from postlude.job import Record
    from postlude.stores.contract import Filter
    from postlude.stores.paging import Counted, Search, Stretch
    from postlude.stores.postgres.session import Session
    from postlude.stores.searching import Found

_NAME: Final = re.compile(r"(?<!:):([a-z_]+)")
_BY_ID: Final = frozenset({"by_id", "passing", "anybodys", "all"})
_BOUNDED_BY: Final = {"queued": "newest", "by_id": "passing"}
"""The way by which a search is bounded that goes by another."""
_PASSED: Final = 20
"""The ids of all namespaces are in one order: how many are passed there at most for each that is looked at."""


async def list_jobs(session: Session, wanted: Filter, limit: int, before: UUID | None) -> list[Record]:
    """Read the newest that match, however many have to be looked at (clause 21)."""
    search = search_of(wanted, limit=limit, place=None, newer=False)
    if before is not None:
        place = await resolved(session, before)
        number: int | None = await session.value("place", place)
        if number is None:
            return []
        search = search._replace(place=place.int if search.ways[0].by_id else number)
    return [*(await search_in(session, search, None)).records]


async def count(session: Session, wanted: Filter) -> Mapping[JobState, int]:
    """Read how many there are of each state (clause 21)."""
    search = search_of(wanted._replace(states=frozenset()), limit=0, place=None, newer=False)
    counts = await _count_way(session, search._replace(filter=wanted), search.ways[0], search.stretch)
    return {state: counts[state] for state in JobState if state in counts}


async def search_in(session: Session, search: Search, look: int | None) -> Found:
    """One page; `look` None: however many have to be looked at."""
    if len(search.ways) == 1:
        return search.page([await _look(session, search, search.ways[0], look)])
    # At one moment: else a job that changes its state between two ways could be on neither.
    async with session.connection.transaction(isolation="repeatable_read", readonly=True):
        return search.page([await _look(session, search, way, look) for way in search.ways])


async def _look(session: Session, search: Search, way: Way, look: int | None) -> Seen:
    taken, stretch, edge = await _bounded(session, search, way, look)
    values = {**values_of(session, search.filter, taken, stretch), "limit": search.limit + 1}
    text = text_on("newer" if search.newer else "older", taken.name, session.schema)
    rows = await session.connection.fetch(text.sql, *text.given(values))
    return Seen([(_number(row["placed"]), record_of(row)) for row in rows], edge)


class Taken(NamedTuple):
    """A way that is taken in the place of another."""

    name: str
    by_id: bool
    state: JobState | None
    these: list[int] | None = None


async def _bounded(session: Session, search: Search, way: Way, look: int | None) -> tuple[Taken, Stretch, int | None]:
    """The way that is really taken, the part of the stretch that is looked at, and what follows it."""
    stretch = search.stretch
    taken = Taken(way.name, way.by_id, way.state)
    if way.state is JobState.QUEUED:
        # No index has the queued ones in the order of the commits: it would be in the way of claims.
        few = MOST if look is None else look
        rows = await session.rows("searching/queued_seqs", session.namespace, few + 1)
        if len(rows) <= few:
            return Taken("these", by_id=False, state=None, these=[row["seq"] for row in rows]), stretch, None
        taken = taken._replace(name="queued")
    if look is None or (search.is_exact(way) and taken.name != "queued"):
        return taken, stretch, None
    edge = await _edge(session, search, taken, _BOUNDED_BY.get(taken.name, taken.name), look)
    if edge is None and way.by_id:
        edge = await _edge(session, search, taken, "anybodys", _PASSED * look)
        if edge is not None and await session.value("searching/count_any", session.namespace, look + 1) <= look:
            # Few, among many of others.
            return taken._replace(name="all"), stretch, None
    if edge is None:
        return taken, stretch, None
    return taken, (stretch._replace(below=edge) if search.newer else stretch._replace(above=edge)), edge


async def _edge(session: Session, search: Search, taken: Taken, way: str, look: int) -> int | None:
    """The number of the first job that is not looked at any more, by this way."""
    text = text_on("edge_newer" if search.newer else "edge_older", way, session.schema)
    values = values_of(session, search.filter, taken, search.stretch)
    found = await session.connection.fetchval(text.sql, *text.given({**values, "look": look, "passed": _PASSED * look}))
    return None if found is None else _number(found)


async def count_in(session: Session, wanted: Filter, most: int, look: int) -> Counted:
    """How many there are, up to a number, or more where that is not more to do."""
    async with session.connection.transaction(isolation="repeatable_read", readonly=True):
        if is_plain(wanted):
            return await _count_states(session, wanted, most, look)
        return await _count_seen(session, wanted, look)


async def _count_states(session: Session, wanted: Filter, most: int, look: int) -> Counted:
    """From the small indexes; those that have succeeded are what is left of the total."""
    rows = await session.rows("searching/count_claimed", session.namespace)
    counts = {JobState(state): number for state, number in rows}
    for state in (JobState.FAILED, JobState.CANCELLED):
        counts[state] = await session.value("searching/count_ended", session.namespace, most + 1, state.value)
    counts[JobState.QUEUED] = await session.value("searching/count_queued", session.namespace, most + 1)
    states = wanted.states or frozenset(JobState)
    if JobState.SUCCEEDED in states:
        if any(number > most for number in counts.values()):
            # What is left of a total that is not known.
            seen, more = await _count_seen(session, wanted._replace(states=frozenset({JobState.SUCCEEDED})), look)
            counts.update(seen)
            return counts, more
        others = sum(counts.values())
        total: int = await session.value("searching/count_any", session.namespace, others + most + 1)
        counts[JobState.SUCCEEDED] = total - others
    return counts, frozenset()


async def _count_seen(session: Session, wanted: Filter, look: int) -> Counted:
    """One by one, of the newest on each way."""
    search = search_of(wanted, limit=0, place=None, newer=False)
    counts: dict[JobState, int] = {}
    more: set[JobState] = set()
    states = wanted.states or frozenset(JobState)
    for way in search.ways:
        taken, stretch, edge = await _bounded(session, search, way, look)
        counts.update(await _count_way(session, search, taken, stretch))
        if edge is not None:
            more |= states if way.state is None else {way.state}
    return counts, frozenset(more)


async def _count_way(session: Session, search: Search, way: Way | Taken, stretch: Stretch) -> dict[JobState, int]:
    text = text_on("tally", way.name, session.schema)
    taken = way if isinstance(way, Taken) else Taken(way.name, way.by_id, way.state)
    rows = await session.connection.fetch(text.sql, *text.given(values_of(session, search.filter, taken, stretch)))
    return {JobState(state): number for state, number in rows}


class _Text(NamedTuple):
    """A statement, and the names of its parameters in their order."""

    sql: str
    names: tuple[str, ...]

    def given(self, values: Mapping[str, Any]) -> list[Any]:
        """The parameters."""
        return [values[name] for name in self.names]


@cache
def text_on(name: str, way: str, schema: str) -> _Text:
    """A statement on one way; in the files its parameters have names, since no way needs all of them."""
    text = sql(f"searching/{name}", schema).replace("WAY", sql(f"searching/{way}", schema).rstrip())
    text = text.replace("MATCH", sql("searching/match", schema).rstrip())
    text = text.replace("PLACED", "id" if way in _BY_ID else "seq")
    text = text.replace("DIRECTION", "ASC" if name.endswith("newer") else "DESC")
    names = tuple(dict.fromkeys(_NAME.findall(text)))
    numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
    return _Text(_NAME.sub(lambda found: numbers[found[1]], text), names)


def values_of(session: Session, wanted: Filter, way: Taken, stretch: Stretch) -> dict[str, Any]:
    """All parameters that there may be, by their names."""
    texts = texts_of(wanted)
    above, below = stretch
    return {
        "namespace": session.namespace,
        "above": id_of(above) if way.by_id else max(above, -1),
        "below": id_of(below) if way.by_id else min(below, 2**63 - 1),
        "states": [state.value for state in wanted.states] or None,
        "state": None if way.state is None else way.state.value,
        "these": way.these,
        "task": wanted.task,
        "chain": wanted.chain,
        "queue": wanted.queue,
        "key": wanted.key,
        "since": wanted.since,
        "until": wanted.until,
        "ended_since": wanted.ended_since,
        "text": plain(texts.plain),
        "in_json": texts.in_json,
        "in_ascii": texts.in_ascii,
    }


def _number(placed: int | UUID) -> int:
    return placed if isinstance(placed, int) else placed.int

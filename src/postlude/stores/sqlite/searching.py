"""Searching jobs page by page, listing and counting them: what `stores.paging.Searching` has carried out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from postlude.job import JobState
from postlude.stores.paging import BY_STATE, Seen, id_of, is_plain, search_of, tally_of, texts_of
from postlude.stores.sqlite.keys import resolved
from postlude.stores.sqlite.rows import record_of
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from apsw import Connection

    from postlude.job import Record
    from postlude.stores.contract import Filter
    from postlude.stores.paging import Counted, Search, Stretch, Way
    from postlude.stores.searching import Found
    from postlude.stores.sqlite.rows import Row

_ALL: Final = 2**62
"""More than there can be."""


def list_jobs(connection: Connection, filter: Filter, limit: int, before: UUID | None) -> list[Record]:  # noqa: A002
    """Read the newest that match, however many have to be looked at (clause 21)."""
    search = search_of(filter, limit=limit, place=None, newer=False)
    if before is not None:
        place = resolved(connection, before)
        row: Row | None = connection.execute(sql("place"), (place.bytes,)).fetchone()
        if row is None:
            return []
        search = search._replace(place=place.int if search.ways[0].by_id else row[0])
    return [*search_in(connection, search, None).records]


def count(connection: Connection, filter: Filter) -> Mapping[JobState, int]:  # noqa: A002
    """Read how many there are of each state (clause 21)."""
    return tally_of(filter, _ALL, *count_in(connection, filter, _ALL, None)).counts


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


def count_in(connection: Connection, wanted: Filter, most: int, look: int | None) -> Counted:
    """How many there are, up to a number, or more where that is not more to do; `look` None: look at however many."""
    # One transaction: the total and its parts must be of the same moment.
    with connection:
        if is_plain(wanted):
            counted = _count_states(connection, wanted, most, look)
        else:
            counted = _count_seen(connection, wanted, look)
    return counted


def _count_states(connection: Connection, wanted: Filter, most: int, look: int | None) -> Counted:
    """From the small indexes; those that have succeeded are what is left of the total."""
    counts = {JobState(state): number for state, number in connection.execute(sql("searching/count_claimed"))}
    for state in BY_STATE:
        counts[state] = connection.execute(sql("searching/count_state"), (state, most + 1)).get
    states = wanted.states or frozenset(JobState)
    if JobState.SUCCEEDED in states:
        others = sum(counts.values())
        if any(number > most for number in counts.values()):
            # What is left of a total that is not known.
            seen, more = _count_seen(connection, wanted._replace(states=frozenset({JobState.SUCCEEDED})), look)
            counts.update(seen)
            return counts, more
        if look is None:
            total: int = connection.execute(sql("searching/count_all")).get
        else:
            total = connection.execute(sql("searching/count_any"), (others + most + 1,)).get
        counts[JobState.SUCCEEDED] = total - others
    return counts, frozenset()


def _count_seen(connection: Connection, wanted: Filter, look: int | None) -> Counted:
    """One by one, of the newest on each way."""
    search = search_of(wanted, limit=0, place=None, newer=False)
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
    return counts, frozenset(more)


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

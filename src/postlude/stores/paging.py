"""What the drivers share of searches: their face, the ways to the jobs asked for, one page of what was seen on each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from postlude.errors import UnknownValue
from postlude.job import JobState
from postlude.stores.searching import LOOK, MOST, SKEW, Found, Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from postlude.job import Record
    from postlude.stores.contract import Filter
    from postlude.stores.searching import Place

CLAIMED: Final = frozenset({JobState.STAGED, JobState.RUNNING})
"""Few have one of these states at any moment."""
BY_STATE: Final = frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED})
"""To those that have one of these a driver finds a way."""

Counted: TypeAlias = "tuple[dict[JobState, int], frozenset[JobState]]"
"""How many jobs there are in each state, and of which there may be more."""

S = TypeVar("S")

_LAST_NUMBER: Final = 2**63 - 1
_LAST_ID: Final = 2**128 - 1


class Searching(Generic[S]):
    """The searches of one store. Fulfils `stores.searching.SearchStore`.

    Args:
        read: carries out what may take long, given what statements are sent by.
        page: makes a page, for which it looks at so many jobs of each way.
        count: counts up to a number, and looks at so many jobs.
    """

    def __init__(
        self,
        read: Callable[[Callable[[S], Any]], Awaitable[Any]],
        page: Callable[[S, Search, int], Any],
        count: Callable[[S, Filter, int, int], Any],
    ) -> None:
        self._read = read
        self._page = page
        self._count = count

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
        search = search_of(filter, limit=limit, place=place, newer=newer)
        found: Found = await self._read(lambda session: self._page(session, search, look))
        return found

    async def tally(self, filter: Filter, *, most: int = MOST, look: int = LOOK) -> Tally:  # noqa: A002
        """Clause 56."""
        return tally_of(filter, most, *await self._read(lambda session: self._count(session, filter, most, look)))


def tally_of(wanted: Filter, most: int, counts: Mapping[JobState, int], more: frozenset[JobState]) -> Tally:
    """What was counted of the states asked for, each up to that number."""
    states = wanted.states or frozenset(JobState)
    beyond = {state for state in states if counts.get(state, 0) > most}
    return Tally(
        {state: min(counts[state], most) for state in JobState if state in states and counts.get(state)}, more | beyond
    )


class Way(NamedTuple):
    """An order in which jobs are found by an index."""

    name: str
    """`newest`, `by_id`, `of_chain`, `of_key`, `claimed`, or `by_state`."""
    state: JobState | None = None
    """With `by_state`: which."""

    @property
    def by_id(self) -> bool:
        """Whether its order is that of the ids; else it is that of the commits."""
        return self.name == "by_id"


class Stretch(NamedTuple):
    """What lies between two places, both excluded."""

    above: int
    below: int


class Seen(NamedTuple):
    """What was seen on one way."""

    jobs: Sequence[tuple[int, Record]]
    """Those that match, each with its number in the order of the way, the nearest to the place first."""
    edge: int | None
    """The number of the first job that was not looked at; None: there are no more."""


class Search(NamedTuple):
    """One page that is asked for."""

    filter: Filter
    limit: int
    place: int | None
    newer: bool
    ways: Sequence[Way]

    @property
    def stretch(self) -> Stretch:
        """Where to look: from the place on, and by the moments in the ids no further than those asked for."""
        first, last = 0, _LAST_NUMBER + 1
        if self.ways[0].by_id:
            since, until = self.filter.since, self.filter.until
            first = -1 if since is None else _id_at(since - SKEW) - 1
            last = _LAST_ID + 1 if until is None else _id_at(until + SKEW)
        if self.place is None:
            return Stretch(first, last)
        return Stretch(max(first, self.place), last) if self.newer else Stretch(first, min(last, self.place))

    def is_exact(self, way: Way) -> bool:
        """Whether all that there is on a way matches, so that no more has to be looked at than is given."""
        states = self.filter.states
        if not is_plain(self.filter):
            return False
        return not states or way.state is not None or (way.name == "claimed" and states >= CLAIMED)

    def page(self, seen: Sequence[Seen]) -> Found:
        """The page made of what was seen on each way."""
        nearest = min if self.newer else max
        edges = [each.edge for each in seen if each.edge is not None]
        # Beyond the nearest edge one of the ways may have more than was seen.
        edge = nearest(edges) if edges else None
        jobs = sorted((job for each in seen for job in each.jobs), key=_number, reverse=not self.newer)
        if edge is not None:
            jobs = [job for job in jobs if (job[0] < edge if self.newer else job[0] > edge)]
        ahead: int | None = None
        if len(jobs) > self.limit:
            jobs = jobs[: self.limit]
            ahead = jobs[-1][0] if jobs else self.place
        elif edge is not None:
            ahead = edge - 1 if self.newer else edge + 1
        behind = self._behind(jobs)
        if self.newer:
            jobs, ahead, behind = jobs[::-1], behind, ahead
        places = [self._place(number) for number, _ in jobs]
        return Found([record for _, record in jobs], self._written(ahead), self._written(behind), places)

    def _behind(self, jobs: Sequence[tuple[int, Record]]) -> int | None:
        if self.place is None:
            return None
        if jobs:
            return jobs[0][0]
        return self.place + 1 if self.newer else self.place - 1

    def _written(self, number: int | None) -> Place | None:
        return None if number is None else self._place(number)

    def _place(self, number: int) -> Place:
        return f"{'i' if self.ways[0].by_id else 's'}{number:x}"


def search_of(wanted: Filter, *, limit: int, place: Place | None, newer: bool) -> Search:
    """What is asked for.

    Args:
        wanted: which jobs.
        limit: so many at most.
        place: from where; None: from the newest, or with `newer` from the oldest.
        newer: which way.

    Raises:
        UnknownValue: the place is none of a search with this filter.
    """
    ways = ways_of(wanted)
    return Search(wanted, limit, None if place is None else _read(place, by_id=ways[0].by_id), newer, ways)


def ways_of(wanted: Filter) -> Sequence[Way]:
    """The ways that together lead to all jobs that may match; all of one order."""
    if wanted.chain is not None:
        return [Way("of_chain")]
    if wanted.key is not None:
        return [Way("of_key")]
    if wanted.states and wanted.states <= BY_STATE | CLAIMED:
        indexed = [Way("by_state", state) for state in JobState if state in wanted.states & BY_STATE]
        return [*indexed, *([Way("claimed")] if wanted.states & CLAIMED else [])]
    return [Way("newest" if wanted.since is None and wanted.until is None else "by_id")]


def is_plain(wanted: Filter) -> bool:
    """Whether a filter names nothing but states."""
    return wanted == type(wanted)(wanted.states)


class Texts(NamedTuple):
    """What a text is compared with, as patterns of LIKE with a backslash before what is meant literally."""

    plain: str | None
    in_json: str | None
    """As it stands in JSON that is written as it is: the arguments."""
    in_ascii: str | None
    """As it stands in JSON that is written in ASCII: the failure."""


def texts_of(wanted: Filter) -> Texts:
    """The patterns for a filter's text."""
    text = wanted.text
    if not text:
        return Texts(None, None, None)
    patterns = (text, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1])
    return Texts(*map(_pattern, patterns))


def _pattern(text: str) -> str:
    for character in "\\%_":
        text = text.replace(character, f"\\{character}")
    return f"%{text}%"


def _id_at(moment: float) -> int:
    return int(max(0.0, moment) * 1000) << 80


def _number(job: tuple[int, Any]) -> int:
    return job[0]


def _read(place: Place, *, by_id: bool) -> int:
    kind, digits = place[:1], place[1:]
    try:
        number = int(digits, 16)
    except ValueError:
        number = -1
    if kind != ("i" if by_id else "s") or not 0 <= number <= (_LAST_ID if by_id else _LAST_NUMBER):
        message = f"Expected a place that a page of the same search gave as its older or newer, got {place!r}."
        raise UnknownValue(message)
    return number


def id_of(number: int) -> UUID:
    """The id that has a number in the order of the ids, or the nearest that there can be."""
    return UUID(int=min(max(number, 0), _LAST_ID))

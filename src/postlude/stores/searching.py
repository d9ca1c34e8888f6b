"""How jobs are looked for page by page, without ever reading more than a bounded number of them.

Searching
    54. **Bounded.** `search` looks at no more than `look` jobs of each way there is to those asked for, from `place` on
        or from an end, and gives at most `limit` of those that match: the newest, or with `newer` the nearest that are
        newer than the place. They come newest first either way. `Found.older` and `Found.newer` are where the pages
        beside it begin; None says that there is nothing more on that side. A page may be empty and have one beside it.
        One that ended with any of its records would have the page beside it begin at that one's place (`Found.places`).
    55. **Every job once.** Whoever goes on from `Found.older` until it is None has seen each job that matches and was
        there when the first page was read, once, whatever was added or removed meanwhile, unless it changed so that it
        matches no more. So has who goes the other way.
    56. **Counted up to.** `tally` counts in each state no further than `most`, and looks at no more than `look` jobs
        where it has to look at them one by one. `Tally.more` are the states of which there may be more than it says.
    57. **Times.** `since` and `until` are about `created_at`. They are compared with the moment in the id first, which
        may be up to `SKEW` away from it: of jobs whose ids are further off nothing is promised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from postlude.job import JobState, Record
    from postlude.stores.contract import Filter

Place: TypeAlias = str
"""Between two jobs, in the order of a search; made by a store, to be given back to it with the same filter."""

LOOK: Final = 10_000
"""Jobs that one search looks at, unless it is told otherwise: some 20 to 50 ms."""
MOST: Final = 10_000
"""Up to which jobs are counted for people: beyond that it is "10,000+"."""
SKEW: Final = 60.0
"""Seconds by which the moment in a job's id may be away from `created_at`: the clock of who made it, and its wait."""


class Found(NamedTuple):
    """One page of a search."""

    records: Sequence[Record]
    """Newest first."""
    older: Place | None
    """Where the page of older jobs begins; None: there are none."""
    newer: Place | None
    """Where the page of newer jobs ends; None: there are none, as far as was known when the search began."""
    places: Sequence[Place] = ()
    """Of each record: where the page of older jobs begins if this is the last of its page, and that of newer ones ends
    if it is the first."""


class Tally(NamedTuple):
    """How many jobs there are, counted up to a number."""

    counts: Mapping[JobState, int]
    """Of the states asked for; those with none are left out."""
    more: frozenset[JobState] = frozenset()
    """Of which there may be more."""


class SearchStore(Protocol):
    """What pages ask of jobs. None waits for a writer."""

    async def search(
        self,
        filter: Filter,  # noqa: A002 - the contract's word
        *,
        limit: int,
        place: Place | None = None,
        newer: bool = False,
        look: int = LOOK,
    ) -> Found:
        """One page (clauses 54, 55, 57). `newer`: the page that ends at the place, in place of that which begins there.

        Raises:
            UnknownValue: the place is none that this store has made.
        """
        ...

    async def tally(self, filter: Filter, *, most: int = MOST, look: int = LOOK) -> Tally:  # noqa: A002
        """Count up to a number (clause 56)."""
        ...

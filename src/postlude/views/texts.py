"""Looking for a text in what is shown of jobs. What comes of it depends on nothing that is masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.stores.searching import LOOK, Found
from postlude.views.records import text_shown

if TYPE_CHECKING:
    from postlude.job import Record
    from postlude.stores.contract import Filter
    from postlude.stores.searching import Place, SearchStore
    from postlude.views.records import Known

PORTION: Final = 50
"""Jobs that are read and masked at a stretch, in which nothing else has its turn: some 5 ms if their arguments are
small, and up to half a second more for each megabyte of them."""
PORTIONS: Final = 20
"""Of one search, which looks at a thousand jobs so."""


async def search_shown(
    searching: SearchStore, wanted: Filter, known: Known, *, limit: int, place: Place | None = None, newer: bool = False
) -> Found:
    """One page of the jobs that match, and that show the text: as `SearchStore.search` gives it.

    The store is asked for all that match but for the text. It would look for that in what is masked, too, and already
    where the next page begins would tell whether it is there.
    """
    text, rest = (wanted.text or "").lower(), wanted._replace(text=None)
    hits: list[tuple[Record, Place]] = []
    ahead, behind = place, None
    for portion in range(PORTIONS):
        found = await searching.search(rest, limit=PORTION, place=ahead, newer=newer, look=LOOK // PORTIONS)
        ahead = found.newer if newer else found.older
        if portion == 0:
            behind = found.older if newer else found.newer
        seen = [*zip(found.records, found.places, strict=True)]
        hits += [hit for hit in (reversed(seen) if newer else seen) if text in text_shown(hit[0], known).lower()]
        if len(hits) > limit:
            hits = hits[:limit]
            ahead = hits[-1][1]
        if len(hits) == limit or ahead is None:
            break
    if newer:
        hits, ahead, behind = hits[::-1], behind, ahead
    return Found([record for record, _ in hits], ahead, behind, [place for _, place in hits])

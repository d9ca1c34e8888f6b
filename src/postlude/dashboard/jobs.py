"""The list of jobs: tabs by state, filters, pages both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.dashboard.asked import SPANS, AskedFor
from postlude.dashboard.routing import Page
from postlude.job import JobState

if TYPE_CHECKING:
    from starlette.responses import Response

    from postlude.dashboard.routing import Asked
    from postlude.views import Counts

_ROWS: Final = 50


async def show(asked: Asked) -> Response:
    """The page."""
    site, now = asked.site, asked.site.clock.now()
    wanted = AskedFor.read(asked.query)
    place, newer = asked.query("place") or None, asked.query("go") == "newer"
    found = await site.together.read(site.views.jobs, wanted.filter(now), limit=_ROWS, place=place, newer=newer)
    counts = await site.together.read(site.views.counts, wanted._replace(state="").filter(now))
    return site.pages.render(
        asked.request,
        "jobs",
        asked.visitor,
        current="jobs",
        live="",
        asked=wanted,
        spans=SPANS.items(),
        tabs=_tabs(wanted, counts),
        names=sorted({row.task for row in found.rows}),
        page=found,
        newer=None if found.newer is None else wanted.query(place=found.newer, go="newer"),
        older=None if found.older is None else wanted.query(place=found.older),
    )


def _tabs(wanted: AskedFor, counts: Counts) -> list[tuple[str, str, str, bool]]:
    """For each tab its name, its number, the end of its address, and whether it is shown."""
    tabs = [("All", counts.text(), wanted._replace(state="").query(), not wanted.state)]
    for state in JobState:
        address = wanted._replace(state=state.value).query()
        tabs.append((state.value.capitalize(), counts.text(state), address, wanted.state == state))
    return tabs


PAGES: Final = (Page("/jobs", show),)

"""Server-sent events: that something which a page shows has changed. The page then asks for itself again."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from postlude.api.events import EventStream
from postlude.dashboard.routing import Page

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.responses import Response

    from postlude.dashboard.routing import Asked

T = TypeVar("T")

_ANYHOW: Final = 5.0
"""Seconds after which pages look again even if none of the newest jobs has changed: charts and distances move on."""
_NEWEST: Final = 50
_CHANGED: Final = "event: changed\ndata: look\n\n"
_NOTHING: Final = ": nothing new\n\n"


async def anything(asked: Asked) -> Response:
    """For pages of many things: one look at the newest jobs is shared by all who have such a page open."""
    site = asked.site

    async def pulse() -> tuple[int, Any]:
        return int(site.clock.now() // _ANYHOW), tuple((await site.views.jobs(limit=_NEWEST)).rows)

    return EventStream(_beats(site.hub.share("dashboard", pulse), lambda value: value is not None))


async def one_job(asked: Asked) -> Response:
    """For the page of a job, until it has ended."""
    view = await asked.site.views.job(asked.path("job_id"))
    watched = asked.site.hub.watch(view.row.id, lines_after=0)
    return EventStream(_beats(watched, lambda news: news.job is not None or bool(news.lines)))


async def _beats(news: AsyncGenerator[T, None], is_new: Callable[[T], bool]) -> AsyncGenerator[str, None]:
    async with aclosing(news) as told:
        async for one in told:
            yield _CHANGED if is_new(one) else _NOTHING


PAGES: Final = (Page("/live", anything), Page("/live/jobs/{job_id}", one_job))

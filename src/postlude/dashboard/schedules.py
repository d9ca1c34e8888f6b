"""The schedules with their next moments, and running one now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.dashboard.routing import Page

if TYPE_CHECKING:
    from starlette.responses import Response

    from postlude.dashboard.routing import Asked


async def show(asked: Asked) -> Response:
    """The page."""
    schedules = await asked.site.views.schedules()
    return asked.site.pages.render(
        asked.request, "schedules", asked.visitor, current="schedules", live="", schedules=schedules
    )


PAGES: Final = (Page("/schedules", show),)

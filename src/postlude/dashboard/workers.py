"""The workers: who is there and what they do, and who died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.dashboard.routing import Page

if TYPE_CHECKING:
    from starlette.responses import Response

    from postlude.dashboard.routing import Asked


async def show(asked: Asked) -> Response:
    """The page."""
    view = await asked.site.together.read(asked.site.views.workers)
    return asked.site.pages.render(asked.request, "workers", asked.visitor, current="workers", live="", view=view)


PAGES: Final = (Page("/workers", show),)

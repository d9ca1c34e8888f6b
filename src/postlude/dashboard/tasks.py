"""The tasks: what is declared of each, how it has gone, what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postlude.dashboard.routing import Page

if TYPE_CHECKING:
    from starlette.responses import Response

    from postlude.dashboard.routing import Asked


async def show(asked: Asked) -> Response:
    """The page."""
    tasks = await asked.site.together.read(asked.site.views.tasks)
    return asked.site.pages.render(asked.request, "tasks", asked.visitor, current="tasks", live="", tasks=tasks)


PAGES: Final = (Page("/tasks", show),)

"""The schedules with their next moments, and running one now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse

from postlude.dashboard.cookies import root_of, say
from postlude.dashboard.routing import Page
from postlude.errors import ScheduleNotFound

if TYPE_CHECKING:
    from starlette.responses import Response

    from postlude.dashboard.routing import Asked


async def show(asked: Asked) -> Response:
    """The page."""
    schedules = await asked.site.together.read(asked.site.views.schedules)
    return asked.site.pages.render(
        asked.request, "schedules", asked.visitor, current="schedules", live="", schedules=schedules
    )


async def run(asked: Asked) -> Response:
    """Make a job of a schedule now, and go to it."""
    name, root = asked.field("name"), root_of(asked.request)
    try:
        job = await asked.site.schedules.run(name)
    except ScheduleNotFound as refusal:
        back = RedirectResponse(f"{root}/schedules", 303)
        say(back, asked.request, str(refusal), good=False)
        return back
    await asked.site.note(asked.visitor, "run", f"schedule {name}", job=str(job.id))
    response = RedirectResponse(f"{root}/jobs/{job.id}", 303)
    say(response, asked.request, "This is its job; its next moment comes all the same.")
    return response


PAGES: Final = (Page("/schedules", show), Page("/schedules/run", run, changes=True))

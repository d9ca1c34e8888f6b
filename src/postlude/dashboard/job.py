"""One job: what became of it, what it was given, what it gave back; and what can be done with it."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse

from postlude.dashboard.cookies import root_of, say
from postlude.dashboard.routing import Page
from postlude.errors import IllegalTransition, KeyTaken
from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.responses import Response

    from postlude.dashboard.routing import Asked
    from postlude.views import Line


async def show(asked: Asked) -> Response:
    """The page."""
    view = await asked.site.views.job(asked.path("job_id"))
    return asked.site.pages.render(
        asked.request,
        "job",
        asked.visitor,
        current="jobs",
        live=None if view.row.state.finished else f"/jobs/{view.row.id}",
        job=view,
        row=view.row,
        arguments={one.name: one.value for one in view.arguments},
        log=_by_attempt(view.log),
    )


def _by_attempt(log: Sequence[Line]) -> list[tuple[int, list[Line]]]:
    """The lines of a log, those of each attempt together."""
    return [(attempt, list(lines)) for attempt, lines in groupby(log, key=attrgetter("attempt"))]


async def cancel(asked: Asked) -> Response:
    """Cancel it."""

    async def act(job_id: str) -> str:
        job = await asked.site.jobs.cancel(job_id, reason=f"cancelled by {asked.visitor.name}")
        return "Cancelled." if job.state is JobState.CANCELLED else "It was asked to end, and ends when it notices."

    return await _act(asked, "cancel", act)


async def retry(asked: Asked) -> Response:
    """Have it run again."""

    async def act(job_id: str) -> str:
        await asked.site.jobs.retry(job_id)
        return "Queued: it runs again."

    return await _act(asked, "retry", act)


async def delete(asked: Asked) -> Response:
    """Remove it."""

    async def act(job_id: str) -> str:
        await asked.site.jobs.delete(job_id)
        return f"Job {job_id} was deleted."

    return await _act(asked, "delete", act, then="jobs")


async def _act(asked: Asked, action: str, act: Callable[[str], Awaitable[str]], *, then: str | None = None) -> Response:
    """Do it, write it down, and go on to a page that says so."""
    job_id, root = asked.path("job_id"), root_of(asked.request)
    here = RedirectResponse(f"{root}/jobs/{job_id}", 303)
    try:
        said = await act(job_id)
    except (IllegalTransition, KeyTaken) as refusal:
        say(here, asked.request, str(refusal), good=False)
        return here
    await asked.site.note(asked.visitor, action, job_id)
    response = here if then is None else RedirectResponse(f"{root}/{then}", 303)
    say(response, asked.request, said)
    return response


PAGES: Final = (
    Page("/jobs/{job_id}", show),
    Page("/jobs/{job_id}/cancel", cancel, changes=True),
    Page("/jobs/{job_id}/retry", retry, changes=True),
    Page("/jobs/{job_id}/delete", delete, changes=True),
)

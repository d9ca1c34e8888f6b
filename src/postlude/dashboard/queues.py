"""The queues, the limits and their use, and what is paused; pausing and resuming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse

from postlude.dashboard.cookies import root_of, say
from postlude.dashboard.routing import Page
from postlude.errors import CallError

if TYPE_CHECKING:
    from starlette.responses import Response

    from postlude.dashboard.routing import Asked

_BACK_TO: Final = ("queues", "tasks")
"""The pages that pause and resume."""


async def show(asked: Asked) -> Response:
    """The page."""
    view = await asked.site.together.read(asked.site.views.queues)
    return asked.site.pages.render(asked.request, "queues", asked.visitor, current="queues", live="", view=view)


async def pause(asked: Asked) -> Response:
    """Hold a queue, a task, a partition or everything back."""
    what, reason = _what(asked), asked.field("reason") or f"by {asked.visitor.name}"
    try:
        await asked.site.jobs.pause(**what, reason=reason)
    except CallError as refusal:
        return _back(asked, str(refusal), good=False)
    await asked.site.note(asked.visitor, "pause", _named(what), reason=reason)
    return _back(asked, f"Paused: {_named(what)}. What runs goes on, and nothing more is started.")


async def resume(asked: Asked) -> Response:
    """Let it go on."""
    what = _what(asked)
    try:
        was_paused = await asked.site.jobs.resume(**what)
    except CallError as refusal:
        return _back(asked, str(refusal), good=False)
    if not was_paused:
        return _back(asked, f"Not paused any more: {_named(what)}.")
    await asked.site.note(asked.visitor, "resume", _named(what))
    return _back(asked, f"Resumed: {_named(what)}.")


def _what(asked: Asked) -> dict[str, Any]:
    if asked.field("everything"):
        return {"everything": True}
    return {name: asked.field(name) for name in ("queue", "task", "partition") if asked.field(name)}


def _named(what: dict[str, Any]) -> str:
    return ", ".join(name if value is True else f"{name} {value}" for name, value in what.items())


def _back(asked: Asked, text: str, *, good: bool = True) -> Response:
    page = asked.field("page")
    response = RedirectResponse(f"{root_of(asked.request)}/{page if page in _BACK_TO else _BACK_TO[0]}", 303)
    say(response, asked.request, text, good=good)
    return response


PAGES: Final = (
    Page("/queues", show),
    Page("/queues/pause", pause, changes=True),
    Page("/queues/resume", resume, changes=True),
)

"""The audit log: who did what, and when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from postlude.dashboard.routing import Page
from postlude.errors import UnknownValue

if TYPE_CHECKING:
    from starlette.responses import Response

    from postlude.dashboard.routing import Asked

_LINES: Final = 50
_DIGITS: Final = 18
"""Of the number of a line, at most: more does not fit into a column."""


async def show(asked: Asked) -> Response:
    """The page."""
    before = asked.query("before")
    if before and not (before.isdecimal() and len(before) <= _DIGITS):
        message = f"before: expected the number of a line, got {before!r}."
        raise UnknownValue(message)
    lines = await asked.site.views.audit(limit=_LINES, before=int(before) if before else None)
    return asked.site.pages.render(
        asked.request,
        "audit",
        asked.visitor,
        current="audit",
        lines=[(line, _details(line.details), _is_id(line.target)) for line in lines],
        older=lines[-1].number if len(lines) == _LINES else None,
    )


def _details(text: str | None) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {"": found}


def _is_id(target: str) -> bool:
    try:
        UUID(target)
    except ValueError:
        return False
    return True


PAGES: Final = (Page("/audit", show),)

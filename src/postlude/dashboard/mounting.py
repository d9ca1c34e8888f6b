"""What a dashboard takes over from the application that it is mounted in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

OUTER: Final = "postlude.outer"
"""Where a request's scope has that application until it has come through the dashboard's own `__call__`."""


class Mounted:
    """Has `request.app` be the application that the dashboard is mounted in.

    FastAPI puts the one that answers there. But `authorize`, and what it depends on, were written for the other, and
    look for what they need in its `state`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        scope["app"] = scope.pop(OUTER)
        await self.app(scope, receive, send)

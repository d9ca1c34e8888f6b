"""Who looks at the dashboard, and what they may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

from postlude.api.access import Visitor
from postlude.dashboard.cookies import kept
from postlude.errors import CallError
from postlude.stores.gate import Role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from postlude.dashboard.tokens import Tokens

ROLES: Final[tuple[Role, ...]] = get_args(Role)
SESSION: Final = "session"
"""The cookie of who has signed in with a link."""
VISITOR: Final = "postlude.visitor"
"""Where a request's scope has who looks, once that is known. Not in its state, which is the application's."""


class SignInNeeded(Exception):
    """Nobody has signed in with a link in this browser, or that was too long ago."""


class NotAllowed(Exception):
    """Whoever this is may not see it, or may not do it; the text says which."""


def visitor_by(authorize: Callable[..., Any] | None, tokens: Tokens) -> Callable[..., Awaitable[Visitor]]:
    """The dependency that says who looks.

    Args:
        authorize: the application's own dependency, which gives a role, True for `"act"`, a `Visitor`, or None for who
            may not look; None: there is none, and links are what signs in.
        tokens: what the links stand for.
    """
    if authorize is None:

        async def signed_in(request: Request) -> Visitor:
            session = kept(request, SESSION)
            visitor = None if not session else await tokens.visitor(session)
            if visitor is None:
                raise SignInNeeded
            return visitor

        return signed_in

    async def authorized(granted: Any = Depends(authorize)) -> Visitor:  # noqa: ANN401 - whatever a user's function gives
        return _granted(granted)

    return authorized


def _granted(granted: object) -> Visitor:
    if not granted:
        message = "You may not look at this dashboard: ask who runs this application."
        raise NotAllowed(message)
    role: Any = "act" if granted is True else granted
    visitor = granted if isinstance(granted, Visitor) else Visitor("authorized", role)
    if visitor.role not in ROLES:
        message = (
            "dashboard(authorize=...): expected it to give 'act' or True, 'view', a Visitor(name, role), or None for "
            f"who may not look; got {granted!r}."
        )
        raise CallError(message)
    return visitor


def must_act(visitor: Visitor) -> None:
    """Refuse who may only look.

    Raises:
        NotAllowed: with what they would need.
    """
    if visitor.role != "act":
        message = f"{visitor.name} may look, and not act: that takes the role 'act'."
        raise NotAllowed(message)

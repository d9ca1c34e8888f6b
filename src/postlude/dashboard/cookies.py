"""What the browser keeps for the dashboard, and only for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_SAID: Final = "postlude_said"
_SAID_SECONDS: Final = 30
_LONGEST: Final = 3_500
"""Characters: a browser drops a cookie of more than 4,096 bytes without a word."""


def root_of(request: Request) -> str:
    """Where the dashboard is mounted, without a slash at the end: what every address on a page begins with."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def keep(response: Response, request: Request, name: str, value: str, *, seconds: int | None) -> None:
    """Have the browser keep a cookie for this dashboard alone; None: until it is closed, 0: no longer."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=root_of(request) or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def say(response: Response, request: Request, text: str, *, good: bool = True) -> None:
    """Have the next page say this: what was done, or why it was not. In a cookie, since an address can be forged."""
    keep(response, request, _SAID, ("+" if good else "-") + quote(text)[:_LONGEST], seconds=_SAID_SECONDS)


def said(request: Request) -> tuple[str, bool] | None:
    """What the last action had to say, and whether that is good."""
    kept = request.cookies.get(_SAID)
    return (unquote(kept[1:], errors="ignore"), kept[0] == "+") if kept else None


def was_said(response: Response, request: Request) -> None:
    """It is on this page: the next one does not say it again."""
    keep(response, request, _SAID, "", seconds=0)

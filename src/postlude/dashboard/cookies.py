"""What the browser keeps for the dashboard, and only for it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

STORE: Final = "postlude.store"
"""Where a request's scope has what tells the dashboard's store from others."""
_SAID: Final = "said"
_SAID_SECONDS: Final = 30
_LONGEST: Final = 3_500
"""Characters: a browser drops a cookie of more than 4,096 bytes without a word."""


def root_of(request: Request) -> str:
    """Where the dashboard is mounted, without a slash at the end: what every address on a page begins with."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def name_of(request: Request, name: str) -> str:
    """The whole name of a cookie.

    A browser tells cookies apart by host and path, and not by port; and gives those of `/` to `/postlude`, too. So that
    dashboards on one host leave one another's alone, a name says which store it is about, and where it is shown.
    """
    told_by = f"{request.scope[STORE]}\0{root_of(request)}"
    return f"postlude_{name}_{hashlib.sha256(told_by.encode()).hexdigest()[:12]}"


def kept(request: Request, name: str) -> str:
    """What the browser keeps under that name; empty if there is nothing."""
    return request.cookies.get(name_of(request, name), "")


def keep(response: Response, request: Request, name: str, value: str, *, seconds: int | None) -> None:
    """Have the browser keep a cookie for this dashboard alone; None: until it is closed, 0: no longer."""
    response.set_cookie(
        name_of(request, name),
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
    found = kept(request, _SAID)
    return (unquote(found[1:], errors="ignore"), found[0] == "+") if found else None


def was_said(response: Response, request: Request) -> None:
    """It is on this page: the next one does not say it again."""
    keep(response, request, _SAID, "", seconds=0)

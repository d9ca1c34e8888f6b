"""Proof that a form was sent by a page of ours, in a browser that we gave it to."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from postlude.dashboard.cookies import keep, kept

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FIELD: Final = "form_token"
"""The hidden field of every form that changes something."""
_COOKIE: Final = "form"
_LARGEST_FORM: Final = 64 * 1024
"""Bytes: a hundred ids are four thousand."""


class Refused(Exception):
    """What was sent is not done, since it may not have come from one of our pages; the text says what to do."""


def form_token(request: Request) -> tuple[str, str | None]:
    """What the forms of a page carry, and the cookie that belongs to it if the browser has none yet."""
    cookie = kept(request, _COOKIE)
    if cookie:
        return _token(cookie), None
    cookie = secrets.token_urlsafe(32)
    return _token(cookie), cookie


def keep_form_token(response: Response, request: Request, cookie: str | None) -> None:
    """Give the browser the cookie that `form_token` has made."""
    if cookie is not None:
        keep(response, request, _COOKIE, cookie, seconds=None)


def _token(cookie: str) -> str:
    return hashlib.sha256(b"postlude form\0" + cookie.encode()).hexdigest()


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form that one of our pages has sent.

    Raises:
        Refused: it comes from another site, without its token, or is too large.
    """
    _check_site(request)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            message = f"The form has more than {_LARGEST_FORM:,} bytes."
            raise Refused(message)
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    cookie = kept(request, _COOKIE)
    if not cookie or not hmac.compare_digest(form.get(FIELD, [""])[0].encode(), _token(cookie).encode()):
        message = (
            "This form does not carry the token of this browser: it was open since before the cookies were cleared, "
            "or they are refused. Go back, load the page again, and send it once more."
        )
        raise Refused(message)
    return form


def _check_site(request: Request) -> None:
    """Refuse what another site has sent. A browser says so, where the connection is safe; else it names the origin."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if site not in {None, "same-origin"} or (site is None and origin and urlsplit(origin).netloc != host):
        message = (
            f"This was not sent by a page of {host}. If it was, a proxy in between changes the Host header: let it "
            "pass that on as it came."
        )
        raise Refused(message)
